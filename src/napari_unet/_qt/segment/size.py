"""How much memory an image takes to segment: what is too large for it goes by chunks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from napari.layers import Image

from napari_unet._qt.layers import annotated_shape, pixel_size, pixels
from napari_unet.config import Preprocessing
from napari_unet.memory import free_memory

LAZY_PIXELS = 2**24
"""Up to which an image that is not in memory is segmented there, so that labels can be adjusted:
4096 squared."""
WHOLE_PIXELS = 2**26
"""Of an image, up to which labels of a part of it come in a layer as large as the image."""
SHARE = 0.5
"""Of the free memory that a run may take."""
PLANE_BYTES = 80
"""For each network pixel of a plane: scores, and what splitting touching objects takes."""
PIXEL_BYTES = 10
"""For each pixel: labels as they are computed, as they are shown, and to know the user's own."""


def is_lazy(layer: Image) -> bool:
    """Say whether a layer's pixels are read where they are looked at."""
    return not isinstance(pixels(layer), np.ndarray)


def fits(shape: Sequence[int], zoom: float = 1.0) -> bool:
    """Say whether labels of a shape (*leading, Y, X) can be made in memory.

    Parameters
    ----------
    shape : sequence of int
        Of the part that is asked for.
    zoom : float
        Network pixels per image pixel.
    """
    needed = prod(shape) * PIXEL_BYTES + prod(shape[-2:]) * zoom**2 * PLANE_BYTES
    return needed <= SHARE * free_memory()


def goes_by_chunks(layer: Image, zoom: float = 1.0) -> bool:
    """Say whether a whole layer is segmented by chunks."""
    shape = annotated_shape(layer)
    return (is_lazy(layer) and prod(shape) > LAZY_PIXELS) or not fits(shape, zoom)


def zoom_of(layer: Image, rule: Preprocessing, diameter: float | None) -> float:
    """Return network pixels per pixel of a layer, about.

    Parameters
    ----------
    layer : Image
        The image.
    rule : Preprocessing
        Of the model.
    diameter : float or None
        Of an object in the image, if it was typed.
    """
    seen = diameter or rule.expected_diameter(pixel_size(layer))
    return rule.diameter / seen if rule.diameter and seen else 1.0
