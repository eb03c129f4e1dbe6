"""How an image becomes the input of a network."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

from napari_unet.config.record import Record, require, require_positive

Statistic = Literal["percentiles", "moments", "none"]


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
        Where, between the low (0) and the high percentile (1), the gray value that most pixels
        have begins to be that of a bright background. Of the 664 annotated images of DSB 2018, 107
        in colour and 16 bright gray ones lie above 0.45, all but one, and none of the 541 dark
        ones does, nor does the most crowded part of 128x128 pixels of any.
    diameter : float or None
        Typical object diameter, in network pixels, that the network was trained at.
    pixel_size : float or None
        Pixel size of the training data in micrometres, if it had one.
    zoom : float
        Network pixels per pixel of the images that it was trained on; `diameter` and `pixel_size`
        are those of network pixels. Images of which nothing else is known are resized by it.
    auto_size : bool
        Where nothing states the size of objects, look for it in parts of the image first, and show
        the network objects much smaller than `diameter` enlarged, and much larger ones shrunk: it
        has learnt from images that were, and not at a single size.
    statistic : {"percentiles", "moments", "none"}
        Which gray values of an image become 0 and 1: the percentiles; its mean, and that plus its
        standard deviation; or, whatever the image, 0 and 1 themselves. The last two, and all that
        follows, are for networks from elsewhere.
    gain, offset : tuple of float
        What comes of that is multiplied by the one and added to the other: a number for each
        channel, or one for all.
    clip : tuple of float or None
        Least and largest value in the end.
    """

    channels: int = 1
    low: float = 1.0
    high: float = 99.8
    invert_bright: bool = True
    bright_field: float = 0.45
    diameter: float | None = None
    pixel_size: float | None = None
    zoom: float = 1.0
    auto_size: bool = False
    statistic: Statistic = "percentiles"
    gain: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    clip: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        require(self.channels >= 1, "channels", self.channels, "use 1 or more")
        ordered = 0 <= self.low < self.high <= 100
        require(ordered, "low, high", (self.low, self.high), "use 0 <= low < high <= 100")
        require(0 < self.bright_field < 1, "bright_field", self.bright_field, "use 0 to 1")
        require_positive(self, "diameter", "pixel_size", "zoom")
        known = get_args(Statistic)
        require(
            self.statistic in known, "statistic", self.statistic, f"use one of {', '.join(known)}"
        )
        for name in ("gain", "offset"):
            values = getattr(self, name)
            each = len(values) in (1, self.channels) and all(map(isfinite, values))
            require(each, name, values, "give a number, or one for each channel")
        require(all(self.gain), "gain", self.gain, "use numbers other than 0")
        turned = self.statistic == "percentiles" or not self.invert_bright
        why = "only percentiles tell what is bright; set invert_bright to False"
        require(turned, "statistic", self.statistic, why)
        ordered = self.clip is None or self.clip[0] < self.clip[1]
        require(ordered, "clip", self.clip, "give the smaller one first")

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
