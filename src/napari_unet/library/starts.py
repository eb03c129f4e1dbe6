"""What a training starts from: a model by its name, or a network that knows nothing yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from napari_unet.config import ARCHITECTURES, RECIPES, Preprocessing, Target
from napari_unet.library.cards import Card, read_card
from napari_unet.library.folders import find_model

_RECIPE = RECIPES["few-shot"]


@dataclass(frozen=True)
class NewNetwork:
    """A network to be taught from scratch, as wide and deep as that of the recipe "few-shot".

    Parameters
    ----------
    architecture : str
        A name in :data:`napari_unet.config.ARCHITECTURES`.
    target : Target
        What it is to predict.
    """

    architecture: str = _RECIPE.network.architecture
    target: Target = _RECIPE.target

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise ValueError(
                f"architecture = {self.architecture!r} is unknown: use one of {known}."
            )

    def card(self, channels: int = 1) -> Card:
        """Return what it says of itself, for images of so many channels."""
        shape = ARCHITECTURES[self.architecture].like(_RECIPE.network)
        outputs = len(self.target.outputs)
        network = replace(shape, in_channels=channels, out_channels=outputs)
        return Card(network, self.target, Preprocessing(channels=channels))


Start = str | NewNetwork | None
"""Name or path of a model, or a new network; None: that of the recipe."""


def card_of(start: Start) -> Card:
    """Return what a network says of itself before a training; its weights are not read.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or it cannot be read.
    """
    if isinstance(start, str):
        return read_card(find_model(start))
    return (start or NewNetwork()).card()
