"""Which image a labels layer is of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari.layers import Image, Labels

from napari_unet._qt.annotation_layers import IMAGE_ID, RESULT
from napari_unet._qt.layers import annotated_shape, pixels

_ANNOTATION = re.compile(r"(.+) annotation(?: \[\d+\])?")


def image_of(labels: Labels, images: Sequence[Image]) -> Image | None:
    """Return the image that labels are known to be of, None if that cannot be told.

    By the id that the dock Annotate gives to both, which stays when one of them is renamed; where
    no image or several of them have it, by the name of the labels ("NAME annotation" is of NAME).

    Parameters
    ----------
    labels : Labels
        The labels.
    images : sequence of Image
        Those to choose from.
    """
    possible = possible_images(labels, images)
    if len(possible) == 1 and IMAGE_ID in labels.metadata.keys() & possible[0].metadata.keys():
        return possible[0]
    parts = _ANNOTATION.fullmatch(labels.name) or RESULT.fullmatch(labels.name)
    return next((image for image in possible if parts and image.name == parts[1]), None)


def possible_images(labels: Labels, images: Sequence[Image]) -> list[Image]:
    """Return the images that labels may be of: of their shape, and without another id than theirs.

    If some have the id of the labels (that of a duplicated image is its own, too), these alone.
    """
    own = labels.metadata.get(IMAGE_ID)
    fitting = [image for image in images if fits(image, labels)]
    if own is None:
        return fitting
    tied = [image for image in fitting if image.metadata.get(IMAGE_ID) == own]
    return tied or [image for image in fitting if IMAGE_ID not in image.metadata]


def fits(image: Image, labels: Labels) -> bool:
    """Say whether there is a label for each pixel."""
    return annotated_shape(image) == tuple(pixels(labels).shape)
