"""How a network is to see the images that it learns from: their size, and what is bright."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.config import Preprocessing
from napari_unet.preprocessing import Array, as_planes, background

LARGEST_NEW = 32.0
"""Pixels across that a new network sees an object at most: a few minutes teach it these sooner than
larger ones, of which it takes in less at a glance."""
SAME_SIZE = 1.25
"""Ratio of diameters up to which images are left as they are: augmentation resizes by as much."""

UNCLEAR = 0.15
"""Distance from the rule's `bright_field` within which a background is neither dark nor bright."""


@dataclass(frozen=True)
class Pair:
    """An image and its annotation.

    Parameters
    ----------
    image : array-like
        The image, of any axes that :func:`napari_unet.preprocessing.as_planes` takes.
    labels : integer array
        0 background, 1.. objects, -1 not annotated; the image's shape without channels.
    axes : str or None
        A letter per dimension of the image; None: guessed from the shape.
    channel : tuple of int or None
        Channels to use; needed where an image has more than the network takes.
    pixel_size : float or None
        Micrometres per pixel, if that is known.
    classes : mapping of int to int, or None
        Class of each object, counted from 1, for models that tell several kinds apart.
    name : str
        What errors call it.
    """

    image: Array
    labels: NDArray[np.integer[Any]]
    axes: str | None = None
    channel: tuple[int, ...] | None = None
    pixel_size: float | None = None
    classes: Mapping[int, int] | None = None
    name: str = ""


def object_areas(labels: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Return the area of each annotated object of a plane (or stack of them), in pixels."""
    areas: NDArray[np.intp] = np.unique(labels[labels > 0], return_counts=True)[1]
    return areas


def typical_diameter(annotations: Sequence[NDArray[np.integer[Any]]]) -> float | None:
    """Return the median diameter, in pixels, of disks with the areas of the annotated objects.

    Objects beside pixels that are not annotated do not count: they may go on there, as a stroke
    of a scribble does on all sides.

    Parameters
    ----------
    annotations : sequence of integer arrays (..., Y, X)
        An object is what has one number in one plane.

    Returns
    -------
    float or None
        None if there is no object whose outline is annotated.
    """
    planes = [plane for a in annotations for plane in np.reshape(a, (-1, *np.shape(a)[-2:]))]
    whole = (object_areas(_outlined(plane)) for plane in planes)
    areas = np.concatenate([np.zeros(0, np.intp), *whole])
    return round(float(np.median(np.sqrt(4 * areas / np.pi))), 1) if areas.size else None


def _outlined(labels: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return the labels of a plane without objects that touch what is not annotated."""
    unknown = labels < 0
    if not unknown.any():
        return labels
    open_ended = np.unique(labels[ndimage.binary_dilation(unknown) & (labels > 0)])
    return np.where(np.isin(labels, open_ended), 0, labels)


def sizes_to_try(
    rule: Preprocessing, diameter: float | None, is_trained: bool
) -> tuple[float, ...]:
    """Return factors by which images may be resized, so that their objects suit a network.

    Parameters
    ----------
    rule : Preprocessing
        Of the network: `diameter` is what it knows, `zoom` what images it knows are resized by.
    diameter : float or None
        Typical diameter of the annotated objects, in image pixels.
    is_trained : bool
        Whether the network has learnt anything yet.

    Returns
    -------
    tuple of float
        One that is to be taken; or three: as images were shown to it so far, half-way, and so that
        objects get the size that it knows.
    """
    if diameter is None:
        return (rule.zoom,)
    if not is_trained:
        return (LARGEST_NEW / diameter if diameter > SAME_SIZE * LARGEST_NEW else 1.0,)
    if rule.diameter is None:
        return (rule.zoom,)
    change = rule.diameter / (diameter * rule.zoom)
    if 1 / SAME_SIZE <= change <= SAME_SIZE:
        return (rule.zoom,)
    return (rule.zoom, rule.zoom * change**0.5, rule.zoom * change)


def settle_polarity(rule: Preprocessing, pairs: Sequence[Pair]) -> Preprocessing:
    """Let chance not decide, image by image, whether bright and dark are exchanged.

    Where the background is neither dark nor bright, as in phase contrast, no image is inverted.
    """
    if not rule.invert_bright:
        return rule
    backgrounds = [
        background(as_planes(pair.image, rule, pair.axes, pair.channel), rule) for pair in pairs
    ]
    clear = all(abs(value - rule.bright_field) > UNCLEAR for value in backgrounds)
    return rule if clear else replace(rule, invert_bright=False)
