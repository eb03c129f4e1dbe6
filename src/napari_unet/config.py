"""Every setting of the product, as frozen dataclasses.

Each is written once here and read by the command line (flags), the dock widgets (form fields) and
the checkpoint (:func:`dataclasses.asdict`). Nothing in this module imports numpy or torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, Literal, Self, get_args

Padding = Literal["valid", "same"]
Optimizer = Literal["adamw", "sgd"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def _require(condition: bool, name: str, value: object, remedy: str) -> None:
    """Raise a ValueError that names the field, its value and the way out."""
    if not condition:
        raise ValueError(f"{name} = {value!r} is not possible: {remedy}.")


def _require_positive(record: object, *names: str) -> None:
    """Raise a ValueError unless each field is a positive, finite number, or None."""
    for name in names:
        value = getattr(record, name)
        _require(value is None or 0 < value < inf, name, value, "use a positive number")


class _Record:
    """Reading a dataclass back from the JSON of a checkpoint."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from :func:`dataclasses.asdict`'s output, JSON's lists becoming tuples.

        Raises
        ------
        ValueError
            If a name is unknown (a checkpoint written by a newer version) or a value is impossible.
        """
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"{cls.__name__} has no field {', '.join(unknown)}: the file was written by a "
                "newer version of napari-unet; update it."
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@dataclass(frozen=True)
class UNetConfig(_Record):
    """Shape of a U-Net. The defaults are the network of Ronneberger et al. (2015), figure 1.

    All geometry follows from `depth` and `padding`, so tiling needs no network to plan by.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input image and of the output scores.
    base_channels : int
        Feature channels of the first level; each level below has twice as many.
    depth : int
        Number of 2x2 poolings.
    padding : {"valid", "same"}
        Unpadded convolutions as in the paper, or zero-padded ones that keep the size.
    batch_norm : bool
        Batch normalisation after each 3x3 convolution. (Normalisation by the statistics of the
        tile at hand, as by group or instance, is not offered: tiles would no longer agree.)
    dropout : float
        Probability of dropping a feature map at the end of the contracting path, in [0, 1).
    """

    in_channels: int = 1
    out_channels: int = 2
    base_channels: int = 64
    depth: int = 4
    padding: Padding = "valid"
    batch_norm: bool = False
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "base_channels"):
            value = getattr(self, name)
            _require(value >= 1, name, value, "use 1 or more")
        _require(1 <= self.depth <= 8, "depth", self.depth, "use 1 to 8 levels")
        paddings = get_args(Padding)
        _require(self.padding in paddings, "padding", self.padding, "use 'valid' or 'same'")
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "use a value from 0 to below 1")

    @property
    def alignment(self) -> int:
        """Pooling grid in pixels: tiles whose offsets are multiples of it see the same poolings."""
        return int(2**self.depth)

    @property
    def halo(self) -> int:
        """Pixels read before the first written one, on each axis.

        Two 3x3 convolutions a level cost 6 * 2**depth - 4 pixels a side (92 for depth 4). With
        padded convolutions the halo is rounded to the pooling grid: 6 * 2**depth (96 for depth 4).
        """
        reach = 6 * self.alignment
        return reach - 4 if self.padding == "valid" else reach

    @property
    def output_offset(self) -> int:
        """Index, in the network's output, of the first pixel that lies `halo` inside its input."""
        return 0 if self.padding == "valid" else self.halo

    def input_size(self, write: int) -> int:
        """Return the length to read so that `write` pixels, a multiple of `alignment`, come out."""
        return write + self.halo + 6 * self.alignment

    def output_size(self, size: int) -> int:
        """Return the output's length for an input of length `size`.

        Raises
        ------
        ValueError
            If no output comes of that size; the message names the nearest valid sizes.
        """
        if not self.is_valid_size(size):
            nearest = " or ".join(str(n) for n in self.nearest_valid_sizes(size) if n)
            less = " less 4" if self.padding == "valid" else ""
            raise ValueError(
                f"An input of {size} pixels does not fit this network: use {nearest} (the multiples"
                f" of {self.alignment}{less}, from {self.smallest_size} on)."
            )
        return size - 2 * self.halo if self.padding == "valid" else size

    @property
    def smallest_size(self) -> int:
        """Smallest input length that has an output."""
        return 2 * self.halo + min(self.alignment, 4) if self.padding == "valid" else self.alignment

    def is_valid_size(self, size: int) -> bool:
        """Say whether an input of that length passes through the network."""
        return size >= self.smallest_size and (size - self.smallest_size) % self.alignment == 0

    def nearest_valid_sizes(self, size: int) -> tuple[int | None, int]:
        """Return the nearest valid lengths below (None when there is none) and from `size` up."""
        steps = -(-(size - self.smallest_size) // self.alignment)
        above = self.smallest_size + max(steps, 0) * self.alignment
        below = above if above == size else above - self.alignment
        return (below if below >= self.smallest_size else None), above


@dataclass(frozen=True)
class Target(_Record):
    """What a network's output channels mean.

    The channels are those of `classes`, in order, through a softmax, followed by one sigmoid
    channel for each name in `extras`.

    Parameters
    ----------
    classes : tuple of str
        Class names, background first.
    extras : tuple of str
        Further outputs. "distance" is the distance to the object's border, divided by its maximum
        in that object: 1 in the middle, 0 on the background.
    instances : bool
        True if the foreground is made of countable objects, False for areas (semantic classes).
    """

    classes: tuple[str, ...] = ("background", "object")
    extras: tuple[str, ...] = ()
    instances: bool = True

    def __post_init__(self) -> None:
        _require(len(self.classes) >= 2, "classes", self.classes, "name background and one more")
        unknown = sorted(set(self.extras) - {"distance"})
        _require(not unknown, "extras", self.extras, "the only extra output known is 'distance'")

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return len(self.classes) + len(self.extras)


@dataclass(frozen=True)
class Preprocessing(_Record):
    """How an image becomes the network's input; stored in the checkpoint, used in both directions.

    Parameters
    ----------
    channels : int
        Channels the network sees. 1: gray, colour images being reduced to it.
    low, high : float
        Percentiles of the whole image that become 0 and 1.
    invert_bright : bool
        Turn bright-field images (objects darker than their background) into bright on dark.
    bright_field : float
        Where, between the low (0) and the high percentile (1), the median of an image begins to be
        that of a bright background. Of the 615 annotated images of DSB 2018, all 107 colour images
        and all 16 bright gray ones lie at or above 0.4, and no other does.
    diameter : float or None
        Typical object diameter, in pixels, that the network was trained at.
    pixel_size : float or None
        Pixel size of the training data in micrometres, if it had one.
    """

    channels: int = 1
    low: float = 1.0
    high: float = 99.8
    invert_bright: bool = True
    bright_field: float = 0.4
    diameter: float | None = None
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        _require(self.channels >= 1, "channels", self.channels, "use 1 or more")
        ordered = 0 <= self.low < self.high <= 100
        _require(ordered, "low, high", (self.low, self.high), "use 0 <= low < high <= 100")
        _require(0 < self.bright_field < 1, "bright_field", self.bright_field, "use 0 to 1")
        _require_positive(self, "diameter", "pixel_size")


@dataclass(frozen=True)
class SegmentConfig:
    """How images are segmented.

    Parameters
    ----------
    model : str
        Name of a bundled or user's model, or path of a ``.safetensors`` file.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs; "auto" takes a GPU when there is one.
    diameter : float or None
        Typical object diameter in the image, in pixels; the image is rescaled to the model's.
    pixel_size : float or None
        Pixel size of the image in micrometres, used the same way with models that have one.
    channel : tuple of int or None
        Channels to use, counted from 0; needed where an image has more than the model takes.
    tile : int or None
        Side of the square written at a time, in network pixels; None: by free memory.
    threshold : float
        Foreground score from which a pixel belongs to an object, in (0, 1).
    min_size : int or None
        Objects that the network finds on fewer pixels are dropped; None: on less than a twentieth
        of a typical object of the model.
    fill_holes : bool
        Fill holes inside objects.
    remove_border : bool
        Drop objects that touch the image border.
    """

    model: str = "nuclei"
    device: Device = "auto"
    diameter: float | None = None
    pixel_size: float | None = None
    channel: tuple[int, ...] | None = None
    tile: int | None = None
    threshold: float = 0.4
    min_size: int | None = None
    fill_holes: bool = True
    remove_border: bool = False

    def __post_init__(self) -> None:
        devices = get_args(Device)
        _require(self.device in devices, "device", self.device, f"use one of {', '.join(devices)}")
        _require_positive(self, "diameter", "pixel_size")
        chosen = self.channel is None or (isinstance(self.channel, tuple) and self.channel != ())
        _require(chosen, "channel", self.channel, "use a tuple of numbers from 0, such as (0,)")
        sizes = (self.diameter, self.pixel_size)
        _require(None in sizes, "diameter, pixel_size", sizes, "both set the scale; give one")
        _require(self.tile is None or self.tile >= 1, "tile", self.tile, "use 1 pixel or more")
        _require(0 < self.threshold < 1, "threshold", self.threshold, "use a value between 0 and 1")
        enough = self.min_size is None or self.min_size >= 0
        _require(enough, "min_size", self.min_size, "use 0 or more pixels")


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Parameters
    ----------
    iterations : int
        Optimisation steps; the schedule of the learning rate ends there.
    minutes : float or None
        Wall-clock budget instead of `iterations`; the schedule then follows the clock.
    optimizer : {"adamw", "sgd"}
        AdamW, or stochastic gradient descent with momentum 0.99 as in the paper.
    learning_rate : float or None
        Peak learning rate; None: 1e-3.
    batch : int
        Patches a step.
    patch : int
        Side of a training patch in pixels, rounded up to a size the network accepts.
    w0 : float
        Height of the separation term of the weight map.
    sigma : float
        Its width in pixels.
    balance : bool
        Whether weights balance how frequent objects and background are in an image, as in the
        paper. Objects then come out wider, the more so the rarer they are.
    val_fraction : float
        Share of the annotated images (or, with a single one, of its area) held out, in (0, 1).
    validate_every : int
        Steps between validations.
    seed : int
        Seed of every random choice.
    average : float
        Decay of the exponential moving average of the weights, which is what is saved; 0: none.
    elastic : bool
        Deform patches elastically.
    invert : float
        Probability of contrast inversion of a patch, in [0, 1].
    scale : float
        Patches are resized by a random factor between 1/scale and scale.
    compile : bool
        Compile the network first: steps are about a quarter faster on the CPU after a minute of
        compiling, which needs a C++ compiler.
    """

    iterations: int = 1000
    minutes: float | None = None
    optimizer: Optimizer = "adamw"
    learning_rate: float | None = None
    batch: int = 4
    patch: int = 192
    w0: float = 5.0
    sigma: float = 5.0
    balance: bool = False
    val_fraction: float = 0.15
    validate_every: int = 100
    seed: int = 0
    average: float = 0.995
    elastic: bool = True
    invert: float = 0.1
    scale: float = 1.25
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "patch", "validate_every"):
            value = getattr(self, name)
            _require(value >= 1, name, value, "use 1 or more")
        _require(
            self.optimizer in ("adamw", "sgd"), "optimizer", self.optimizer, "use 'adamw' or 'sgd'"
        )
        _require_positive(self, "minutes", "learning_rate", "sigma")
        _require(0 <= self.w0 < inf, "w0", self.w0, "use 0 or more")
        _require(self.seed >= 0, "seed", self.seed, "use 0 or more")
        _require(
            0 < self.val_fraction < 1, "val_fraction", self.val_fraction, "use a value in (0, 1)"
        )
        _require(0 <= self.average < 1, "average", self.average, "use a value in [0, 1)")
        _require(0 <= self.invert <= 1, "invert", self.invert, "use a probability")
        _require(1 <= self.scale < inf, "scale", self.scale, "use 1 or more")


@dataclass(frozen=True)
class Recipe:
    """A network, what it predicts and how it is trained, under one name."""

    network: UNetConfig
    target: Target
    training: TrainConfig


RECIPES: dict[str, Recipe] = {
    "standard": Recipe(
        UNetConfig(out_channels=3, base_channels=32, padding="same", batch_norm=True, dropout=0.0),
        Target(extras=("distance",)),
        TrainConfig(),
    ),
    "paper": Recipe(
        UNetConfig(),
        Target(),
        TrainConfig(
            optimizer="sgd",
            batch=1,
            patch=572,
            w0=10.0,
            balance=True,
            average=0.0,
            scale=1.0,
            invert=0.0,
        ),
    ),
}
"""What training starts from: "standard" (few images, small machines) or "paper" (2015)."""


@dataclass(frozen=True)
class TrainProgress:
    """State of a training run after a step, as :func:`napari_unet.training.train` yields it.

    Parameters
    ----------
    iteration : int
        Steps done.
    fraction : float
        Share of the budget used, in [0, 1].
    loss, learning_rate : float
        Weighted training loss of the step, and its learning rate.
    seconds : float
        Time spent on the run, that before a resume included.
    validation : dict of str to float
        Scores on the held-out part ("loss", "iou", "ap50"), empty except after a validation.
    best : bool
        True if this validation is the best so far (the checkpoint on disk is then this one).
    """

    iteration: int
    fraction: float
    loss: float
    learning_rate: float
    seconds: float
    validation: dict[str, float] = field(default_factory=dict)
    best: bool = False
