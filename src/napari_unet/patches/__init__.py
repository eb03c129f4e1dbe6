"""Annotated images as what a network learns from: examples, windows of them, what is held out."""

from napari_unet.patches.examples import (
    Example,
    Origin,
    Plane,
    annotated_planes,
    prepare,
    teach,
)
from napari_unet.patches.holding import hold_out, limited, richest
from napari_unet.patches.windows import sample_windows

__all__ = [
    "Example",
    "Origin",
    "Plane",
    "annotated_planes",
    "hold_out",
    "limited",
    "prepare",
    "richest",
    "sample_windows",
    "teach",
]
