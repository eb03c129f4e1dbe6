"""What a network is: its shape, what it predicts, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from napari_unet.config.record import Record, require, require_positive

Padding = Literal["valid", "same"]


@dataclass(frozen=True)
class UNetConfig(Record):
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
            require(value >= 1, name, value, "use 1 or more")
        require(1 <= self.depth <= 8, "depth", self.depth, "use 1 to 8 levels")
        paddings = get_args(Padding)
        require(self.padding in paddings, "padding", self.padding, "use 'valid' or 'same'")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "use a value from 0 to below 1")

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
class Target(Record):
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
        require(len(self.classes) >= 2, "classes", self.classes, "name background and one more")
        unknown = sorted(set(self.extras) - {"distance"})
        require(not unknown, "extras", self.extras, "the only extra output known is 'distance'")

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return len(self.classes) + len(self.extras)


@dataclass(frozen=True)
class Preprocessing(Record):
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
        Typical object diameter, in network pixels, that the network was trained at.
    pixel_size : float or None
        Pixel size of the training data in micrometres, if it had one.
    zoom : float
        Network pixels per pixel of the images that it was trained on; `diameter` and `pixel_size`
        are those of network pixels. Images of which nothing else is known are resized by it.
    """

    channels: int = 1
    low: float = 1.0
    high: float = 99.8
    invert_bright: bool = True
    bright_field: float = 0.4
    diameter: float | None = None
    pixel_size: float | None = None
    zoom: float = 1.0

    def __post_init__(self) -> None:
        require(self.channels >= 1, "channels", self.channels, "use 1 or more")
        ordered = 0 <= self.low < self.high <= 100
        require(ordered, "low, high", (self.low, self.high), "use 0 <= low < high <= 100")
        require(0 < self.bright_field < 1, "bright_field", self.bright_field, "use 0 to 1")
        require_positive(self, "diameter", "pixel_size", "zoom")

    def expected_diameter(self, pixel_size: float | None = None) -> float | None:
        """Return the diameter, in image pixels, of the objects that the network looks for.

        Parameters
        ----------
        pixel_size : float or None
            Of the image, in micrometres; it counts where the training data had one, too.
        """
        if self.diameter is None:
            return None
        if pixel_size is None or self.pixel_size is None:
            return self.diameter / self.zoom
        return self.diameter * self.pixel_size / pixel_size
