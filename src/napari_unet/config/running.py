"""How a network is used and trained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal, get_args

from napari_unet.config.network import TrainableConfig, UNetConfig
from napari_unet.config.record import is_number, require, require_positive, require_whole
from napari_unet.config.target import Target

Optimizer = Literal["adamw", "sgd"]
Device = Literal["auto", "cpu", "cuda", "mps"]


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
    averaged : bool
        Average the scores of the eight flips and quarter turns of the image: somewhat better, eight
        times slower.
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
    averaged: bool = False
    threshold: float = 0.4
    min_size: int | None = None
    fill_holes: bool = True
    remove_border: bool = False

    def __post_init__(self) -> None:
        devices = get_args(Device)
        require(self.device in devices, "device", self.device, f"use one of {', '.join(devices)}")
        require_positive(self, "diameter", "pixel_size")
        chosen = self.channel is None or (isinstance(self.channel, tuple) and self.channel != ())
        require(chosen, "channel", self.channel, "use a tuple of numbers from 0, such as (0,)")
        sizes = (self.diameter, self.pixel_size)
        require(None in sizes, "diameter, pixel_size", sizes, "both set the scale; give one")
        require_whole(self, 1, "tile", optional=True)
        between = is_number(self.threshold) and 0 < self.threshold < 1
        require(between, "threshold", self.threshold, "use a value between 0 and 1")
        require_whole(self, 0, "min_size", optional=True)

    @property
    def is_sized(self) -> bool:
        """Whether the scale is stated."""
        return self.diameter is not None or self.pixel_size is not None


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
        Side of a training patch in pixels, rounded up to a size the network accepts; without
        padding, at least so that 64 pixels come out.
    w0 : float
        Height of the separation term of the weight map.
    sigma : float
        Its width in pixels.
    balance : bool
        Whether weights balance how frequent objects and background are in an image, as in the
        paper. Objects then come out wider, the more so the rarer they are.
    val_fraction : float
        Share of the annotated images held out, in (0, 1); with a single one, of the area of its
        objects, at one end of it.
    validate_every : int
        Steps between validations.
    seed : int
        Seed of every random choice.
    patience : int
        Validations without an improvement after which training ends early, counted in the second
        half of the budget, when the learning rate is below half of its peak; 0: never.
    resize : bool
        Where objects are clearly larger or smaller than those that the network knows, resize images
        to where it finds most of them; for a new network, shrink objects wider than 32 pixels to
        that.
    average : float
        Decay of the exponential moving average of the weights, which is what is saved; 0: none.
    elastic : bool
        Deform patches elastically.
    invert : float
        Probability of contrast inversion of a patch, in [0, 1].
    scale : float
        Patches are resized by a random factor between 1/scale and scale.
    sharp : float
        Probability that a patch is only mirrored and turned by right angles, in [0, 1]: its
        outlines are then as sharp as those of the image.
    plain : float
        Probability that the gray values of a patch stay as they are, in [0, 1]: blur and noise move
        apparent outlines, and not the annotated ones.
    compile : bool
        Compile the network first, which needs a C++ compiler and a minute. Steps in float32 are
        then about a quarter faster on the CPU; those in bfloat16 are not.
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
    patience: int = 0
    resize: bool = True
    average: float = 0.995
    elastic: bool = True
    invert: float = 0.1
    scale: float = 1.25
    sharp: float = 0.0
    plain: float = 0.0
    compile: bool = False

    def __post_init__(self) -> None:
        require_whole(self, 1, "iterations", "batch", "patch", "validate_every")
        require(
            self.optimizer in ("adamw", "sgd"), "optimizer", self.optimizer, "use 'adamw' or 'sgd'"
        )
        require_positive(self, "minutes", "learning_rate", "sigma")
        require(0 <= self.w0 < inf, "w0", self.w0, "use 0 or more")
        require_whole(self, 0, "seed", "patience")
        require(
            0 < self.val_fraction < 1, "val_fraction", self.val_fraction, "use a value in (0, 1)"
        )
        require(0 <= self.average < 1, "average", self.average, "use a value in [0, 1)")
        for name in ("invert", "sharp", "plain"):
            value = getattr(self, name)
            require(0 <= value <= 1, name, value, "use a probability")
        require(1 <= self.scale < inf, "scale", self.scale, "use 1 or more")


@dataclass(frozen=True)
class Recipe:
    """A network, what it predicts and how it is trained, under one name."""

    network: TrainableConfig
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
            resize=False,
            average=0.0,
            scale=1.0,
            invert=0.0,
        ),
    ),
    "sigmoid": Recipe(
        UNetConfig(out_channels=1, padding="same"),
        Target(activation="sigmoid"),
        TrainConfig(batch=2, patch=512, learning_rate=1e-4, w0=10.0, balance=True),
    ),
}
RECIPES["few-shot"] = replace(
    RECIPES["standard"],
    training=TrainConfig(
        iterations=600, batch=4, patch=128, validate_every=50, patience=8, average=0.99
    ),
)
"""What training starts from: "standard" (small machines), "paper" (2015), "sigmoid" (the padded
network with one output that many tutorials build), or "few-shot" (a few annotated crops, minutes:
what the window's Fine-tune does)."""

FINE_TUNE = RECIPES["few-shot"].training
"""What the window starts from."""


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
        Scores on the held-out part ("loss", "iou", "ap50", "ap"), empty except after a validation.
    best : bool
        True if this validation is the best so far (the checkpoint on disk is then this one).
    message : str
        What the user should be told, if anything.
    """

    iteration: int
    fraction: float
    loss: float
    learning_rate: float
    seconds: float
    validation: dict[str, float] = field(default_factory=dict)
    best: bool = False
    message: str = ""
