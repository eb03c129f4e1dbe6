"""Few colours for many objects: near ones differ, so one distance transform does for a colour."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.weightmap.labels import Box, Mask, objects

CELL = 4
"""Side, in pixels, of the cells that say which objects are near each other."""
LARGE = 256
"""Objects of a longer side may wind round others: their cells count, not their bounding box."""
COLOURS = 64
"""Bits of the integers in which a cell holds the colours it sees."""


def paint(labels: NDArray[np.int32], margin: Sequence[int]) -> NDArray[np.unsignedinteger[Any]]:
    """Paint objects so that two of one colour are more than `margin` pixels apart on some axis.

    Greedy: each takes the first colour that no cell in its neighbourhood holds yet.

    Returns
    -------
    array of the smallest unsigned integers
        0 where there is no object, colours from 1.
    """
    palette = np.zeros(labels.max(initial=0) + 2, np.uint16)  # the last is for -1
    waiting, base = objects(labels), 0
    while waiting:
        taken = np.zeros([ceil(n / CELL) for n in labels.shape], np.uint64)
        crowded_out = []
        for number, box in waiting:
            if colour := _take_colour(taken, labels, number, box, margin):
                palette[number] = base + colour
            else:
                crowded_out.append((number, box))
        waiting, base = crowded_out, base + COLOURS
    return palette.astype(np.min_scalar_type(palette.max()))[labels]


def _take_colour(
    taken: NDArray[np.uint64],
    labels: NDArray[np.int32],
    number: int,
    box: Box,
    margin: Sequence[int],
) -> int:
    """Return an object's colour, having marked its cells as taken; 0 if none is free."""
    own = _cells(box, [0] * len(box), taken.shape)
    near = _cells(box, margin, taken.shape)
    here: Mask | EllipsisType = ...
    around: Mask | EllipsisType = ...
    if any(s.stop - s.start > LARGE for s in box):
        here, around = _footprint(labels, number, own, near, margin)
    free = ~int(np.bitwise_or.reduce(taken[near][around], axis=None)) & ((1 << COLOURS) - 1)
    first = free & -free
    taken[own][here] |= np.uint64(first)
    return first.bit_length()


def _cells(box: Box, margin: Sequence[int], shape: tuple[int, ...]) -> Box:
    return tuple(
        slice(max(s.start - m, 0) // CELL, min((s.stop - 1 + m) // CELL + 1, n))
        for s, m, n in zip(box, margin, shape, strict=True)
    )


def _footprint(
    labels: NDArray[np.int32], number: int, own: Box, near: Box, margin: Sequence[int]
) -> tuple[Mask, Mask]:
    """Return the cells an object has pixels in (of `own`), and those near them (of `near`)."""
    here = labels[tuple(slice(s.start * CELL, s.stop * CELL) for s in own)] == number
    for axis, n in enumerate(here.shape):
        here = np.logical_or.reduceat(here, range(0, n, CELL), axis=axis)
    beside = [(o.start - n.start, n.stop - o.stop) for o, n in zip(own, near, strict=True)]
    size = [2 * ceil(m / CELL) + 1 for m in margin]
    return here, ndimage.maximum_filter(np.pad(here, beside), size)
