"""A network from elsewhere: what its ONNX graph takes and gives, and the tiles that suit it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from math import ceil
from typing import Literal, get_args

from napari_unet.config.network import NetworkConfig
from napari_unet.config.record import require

Squash = Literal["none", "sigmoid", "softmax"]
BACKGROUND, BOUNDARY, DISTANCE, UNUSED = "background", "boundary", "distance", "unused"
SPECIAL = (BACKGROUND, BOUNDARY, DISTANCE, UNUSED)
"""What an output of a foreign network can be, other than a class of things to find."""


@dataclass(frozen=True)
class ONNXConfig(NetworkConfig):
    """A network that is known by its ONNX graph alone: it can be run, and not be trained.

    Parameters
    ----------
    outputs : tuple of str
        What each of the graph's outputs is: "background", "boundary" (of objects), "distance" (to
        their border), "unused", or else the class that it is the score of.
    squash : {"none", "sigmoid", "softmax"}
        What makes scores of them, if they are none yet.
    step : int
        Heights and widths that it takes are multiples of this.
    reach : int
        Pixels a side that an output depends on.
    least : int
        Smallest height and width.
    peak : int
        Channels as large as the input that a pass has in memory at a time.

    Notes
    -----
    The other parameters are those of :class:`NetworkConfig`; `out_channels` counts what the engine
    makes of the outputs, as the target names them.
    """

    architecture = "onnx"

    _: KW_ONLY
    outputs: tuple[str, ...] = ("object",)
    squash: Squash = "none"
    step: int = 1
    reach: int = 0
    least: int = 1
    peak: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("step", "least", "peak"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use 1 or more")
        require(self.reach >= 0, "reach", self.reach, "use 0 or more pixels")
        known = get_args(Squash)
        require(self.squash in known, "squash", self.squash, f"use one of {', '.join(known)}")
        found = [name for name in self.outputs if name not in SPECIAL]
        require(bool(found), "outputs", self.outputs, "name one that is the score of objects")
        named = [name for name in self.outputs if name != UNUSED]
        once = len(set(named)) == len(named)
        require(once, "outputs", self.outputs, "give each of them another name")
        parted = len(found) == 1 or not {BOUNDARY, DISTANCE} & set(self.outputs)
        require(parted, "outputs", self.outputs, "only objects of one class have a boundary")
        alone = not {BOUNDARY, DISTANCE} <= set(self.outputs)
        require(alone, "outputs", self.outputs, "call the boundary or the distance unused")

    @property
    def alignment(self) -> int:
        """Pooling grid in pixels: tiles whose offsets are multiples of it see the same poolings."""
        return self.step

    @property
    def halo(self) -> int:
        """Pixels read before the first written one: its reach, on the pooling grid."""
        least = (self.least - self.step) / 2  # of the smallest tile, which has a halo twice
        return ceil(max(self.reach, least) / self.step) * self.step

    @property
    def smallest_size(self) -> int:
        """Smallest input length that has an output."""
        return ceil(self.least / self.step) * self.step

    @property
    def peak_channels(self) -> int:
        """Channels as large as the input that a pass has in memory at a time, at most."""
        return self.peak
