"""What a network predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from napari_unet.config.record import Record, require

Activation = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class Target(Record):
    """What a network's outputs mean.

    A network has an output for each of `classes`, in order, followed by one for each name in
    `extras`. Scores have the same channels: those of the classes go through a softmax, and each of
    the extras through a sigmoid. With "sigmoid" the first output is left out, and what the sigmoid
    of the second one leaves of 1 is the background's score.

    Parameters
    ----------
    classes : tuple of str
        Class names, background first.
    extras : tuple of str
        Further outputs. "distance" is the distance to the object's border, divided by its maximum
        in that object: 1 in the middle, 0 on the background. "extent" is 1 in objects, the ridges
        between them included, and 0 on the background; it is learnt without the weight map, under
        which scores between objects are lower than their chance to be one, so it says where objects
        end.
    instances : bool
        True if the foreground is made of countable objects, False for areas (semantic classes).
    activation : {"softmax", "sigmoid"}
        One output a class, or (with two classes) the object's alone.
    """

    classes: tuple[str, ...] = ("background", "object")
    extras: tuple[str, ...] = ()
    instances: bool = True
    activation: Activation = "softmax"

    def __post_init__(self) -> None:
        require(len(self.classes) >= 2, "classes", self.classes, "name background and one more")
        twice = len(set(self.classes)) < len(self.classes)
        require(not twice, "classes", self.classes, "name each class once")
        known_extras = ("distance", "extent")
        unknown = sorted(set(self.extras) - set(known_extras))
        require(not unknown, "extras", self.extras, f"the known ones are {known_extras}")
        fits = self.instances or not self.extras
        require(fits, "extras", self.extras, "they are of objects; areas have none")
        known = get_args(Activation)
        require(self.activation in known, "activation", self.activation, "use softmax or sigmoid")
        binary = self.activation == "softmax" or len(self.classes) == 2
        require(binary, "activation", self.activation, "more than two classes need softmax")

    def telling(self, classes: int | Sequence[str], instances: bool) -> Target:
        """Return the same for other classes.

        Parameters
        ----------
        classes : int or sequence of str
            How many, background included, or their names, background first.
        instances : bool
            Whether labels are objects, each of a class, or the classes themselves.

        Raises
        ------
        ValueError
            If there are fewer than two, or a name stands twice.
        """
        if isinstance(classes, int):
            classes = ("background", *(f"class {n}" for n in range(1, classes)))
        return Target(
            tuple(classes),
            self.extras if instances else (),
            instances,
            self.activation if len(classes) == 2 else "softmax",
        )

    @property
    def channels(self) -> int:
        """Number of channels of the scores."""
        return len(self.classes) + len(self.extras)

    @property
    def has_ridges(self) -> bool:
        """Whether what objects are found by leaves ridges between those that touch."""
        return self.instances and "extent" not in self.extras

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each output of the network is called."""
        skipped = 1 if self.activation == "sigmoid" else 0
        return (*self.classes[skipped:], *self.extras)
