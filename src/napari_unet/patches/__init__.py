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
from napari_unet.patches.windows import SMALLEST_PATCH, sample_windows, side_of_patches

__all__ = [
    "SMALLEST_PATCH",
    "Example",
    "Origin",
    "Plane",
    "annotated_planes",
    "hold_out",
    "limited",
    "prepare",
    "richest",
    "sample_windows",
    "side_of_patches",
    "teach",
]
