"""How an image becomes the input of a network."""

from __future__ import annotations

from dataclasses import dataclass

from napari_unet.config.record import Record, require, require_positive


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
