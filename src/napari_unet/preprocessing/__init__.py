"""Any microscopy image to the network's input, and labels back to the image.

Training and prediction both come through here, so an image is never normalised in two ways.
Arrays may be memory-mapped or dask: only what is used is read.
"""

from napari_unet.preprocessing.normalisation import Normalisation, background, measure
from napari_unet.preprocessing.planes import (
    Array,
    ChannelStack,
    Planes,
    as_planes,
    computed_here,
    guess_axes,
)
from napari_unet.preprocessing.scale import (
    Frame,
    ScaledPlane,
    rescale,
    restore,
    scaled_shape,
    zoom_factor,
)

__all__ = [
    "Array",
    "ChannelStack",
    "Frame",
    "Normalisation",
    "Planes",
    "ScaledPlane",
    "as_planes",
    "background",
    "computed_here",
    "guess_axes",
    "measure",
    "rescale",
    "restore",
    "scaled_shape",
    "zoom_factor",
]
