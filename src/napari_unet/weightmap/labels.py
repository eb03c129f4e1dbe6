"""Label images: what is allowed in them, the objects they hold, and ridges between these."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.integer[Any]]
Box = tuple[slice, ...]
Mask = NDArray[np.bool_]


def separate(labels: Labels) -> NDArray[np.int32]:
    """Part touching objects by a background ridge.

    Pixels of an object that have a pixel of another one among their neighbours (8 in 2D) become
    background, so that a ridge is two pixels wide. Objects that would vanish are kept whole.

    Returns
    -------
    int32 array
        A copy; -1 is kept, and no object.

    Raises
    ------
    ValueError
        If the labels are not whole numbers from -1 to 2147483647.
    """
    labels = as_labels(labels)
    ridge = _ridge(labels)
    parted = np.where(ridge, 0, labels)
    vanished = np.unique(labels[ridge])
    for every in (8, 1):  # most objects show at first glance
        if vanished.size:
            glance = parted[(slice(None, None, every),) * labels.ndim]
            vanished = vanished[~np.isin(vanished, glance)]
    if vanished.size:
        parted = np.where(np.isin(labels, vanished), labels, parted)
    return parted


def as_labels(labels: Labels) -> NDArray[np.int32]:
    """Return labels as native int32, or say what is wrong with them."""
    labels = np.asarray(labels)
    whole = labels.dtype.kind in "bui" or (
        labels.dtype.kind == "f" and np.array_equal(labels, np.round(labels))
    )
    if not whole:
        raise ValueError(
            f"Labels of type {labels.dtype} are not whole numbers: 0 is background and each"
            " object has a number from 1."
        )
    if labels.size and (labels.max() > np.iinfo(np.int32).max or labels.min() < -1):
        raise ValueError(
            f"Labels reach from {labels.min()} to {labels.max()}: use -1 (not annotated), 0"
            " (background) and 1 to 2147483647 (objects)."
        )
    return labels.astype(np.int32, copy=False)


def numbered_closely(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber objects if their numbers are so far apart that a table of them would not fit."""
    if labels.max(initial=0) <= labels.size:
        return labels
    numbers, index = np.unique(np.maximum(labels, 0), return_inverse=True)
    close = index.reshape(labels.shape) + (numbers[0] > 0)
    return np.where(labels < 0, -1, close).astype(np.int32)


def objects(labels: NDArray[np.int32]) -> list[tuple[int, Box]]:
    """Return each object's number and bounding box."""
    boxes = ndimage.find_objects(labels) if labels.size else []
    return [(number, box) for number, box in enumerate(boxes, 1) if box is not None]


def _ridge(labels: NDArray[np.int32]) -> Mask:
    """Return which pixels of objects have another object among their neighbours."""
    ridge = np.zeros(labels.shape, bool)
    inside = labels > 0
    for here, there in _neighbours(labels.ndim):
        touching = labels[here] != labels[there]
        touching &= inside[here]
        touching &= inside[there]
        ridge[here] |= touching
        ridge[there] |= touching
    return ridge


def _neighbours(ndim: int) -> Iterator[tuple[Box, Box]]:
    """Yield slices of pixels and of their neighbours: each pair once (4 ways in 2D, 13 in 3D)."""
    for offset in product((-1, 0, 1), repeat=ndim):
        if offset > (0,) * ndim:
            here = tuple(slice(max(-o, 0), -o if o > 0 else None) for o in offset)
            there = tuple(slice(max(o, 0), o if o < 0 else None) for o in offset)
            yield here, there
