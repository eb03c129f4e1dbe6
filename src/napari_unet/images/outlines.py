"""Objects as outlines along the edges of their pixels, and outlines as pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil, floor, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.number[Any]]
"""A closed line, shape (V, 2): x and y of its corners. Pixel (y, x) is the square from (x, y) to
(x + 1, y + 1), as for ImageJ's area selections."""
Box = tuple[slice, slice]

CROSSINGS = 2**25
"""Of outlines and rows; more are no outline of an object."""


def trace(plane: NDArray[Any]) -> Iterator[tuple[int, list[Outline]]]:
    """Yield the number of each object of a plane, ascending, and its outlines.

    Outlines have the object on their right: they go clockwise (as seen) around its parts, and
    counter-clockwise around its holes. So whether a pixel belongs to the object may be told by
    counting windings or crossings alike. Parts that share no more than a corner have outlines of
    their own.

    Parameters
    ----------
    plane : integer array, shape (Y, X)
        Labels; objects are above 0.
    """
    padded = np.pad(plane, 1)
    edge, follower, straight = _edges(padded)
    if not edge.size:
        return
    order, ends = _loops(follower)
    corner = np.empty(edge.size, bool)
    corner[follower] = ~straight
    pixel, side = np.divmod(edge[order], 4)
    row, column = np.divmod(pixel, padded.shape[1])
    # Of a pixel's sides top, right, bottom and left, the corner where each begins, clockwise.
    corners = np.stack((column - 1 + ((side == 1) | (side == 2)), row - 1 + (side > 1)), axis=1)
    numbers = padded.ravel()[pixel[ends[:-1]]]
    found: dict[int, list[Outline]] = {}
    for number, (start, end) in zip(numbers.tolist(), pairwise(ends), strict=True):
        loop = slice(start, end)
        found.setdefault(number, []).append(corners[loop][corner[order[loop]]])
    for number in sorted(found):
        yield number, found[number]


def _edges(
    padded: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Find the edges between objects and what is around them.

    An edge is a side of an object's pixel: 0 its top, walked to the right, 1 its right, walked
    down, 2 its bottom and 3 its left.

    Returns
    -------
    edge : int64 array, shape (E,)
        Flat index of the pixel times 4, plus the side; ascending.
    follower : int64 array, shape (E,)
        Position of the edge that goes on from each.
    straight : bool array, shape (E,)
        Whether it goes on in the same direction.
    """
    flat = padded.ravel()
    step = np.array([1, padded.shape[1], -1, -padded.shape[1]])  # along sides 0 to 3
    inside = np.flatnonzero(flat > 0)
    sides = [inside[flat[inside] != flat[inside + step[side - 1]]] * 4 + side for side in range(4)]
    edge = np.sort(np.concatenate(sides))
    pixel, side = edge // 4, edge % 4
    ahead = pixel + step[side]
    beside = ahead + step[side - 1]  # ahead on the left
    turns_right = flat[ahead] != flat[pixel]
    straight = ~turns_right & (flat[beside] != flat[pixel])
    after = np.where(straight, ahead * 4 + side, beside * 4 + (side - 1) % 4)
    after = np.where(turns_right, pixel * 4 + (side + 1) % 4, after)
    return edge, np.searchsorted(edge, after), straight


def _loops(follower: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Put edges into the order in which they are walked, loop after loop; return it, and the ends.

    The ends begin with 0, where the first loop starts.
    """
    after = follower.tolist()
    seen = bytearray(len(after))
    order, ends = [], [0]
    for first in range(len(after)):
        at = first
        while not seen[at]:
            seen[at] = True
            order.append(at)
            at = after[at]
        if len(order) > ends[-1]:
            ends.append(len(order))
    return np.array(order), ends


def fill(outlines: Sequence[Outline], shape: tuple[int, int]) -> tuple[Box, NDArray[np.bool_]]:
    """Return the pixels whose centres lie within outlines: a box of the plane, and a mask of it.

    A centre lies within if the way to it from the left crosses an odd number of lines, so what is
    within two outlines is a hole.

    Parameters
    ----------
    outlines : sequence of array, shape (V, 2)
        Closed lines.
    shape : (int, int)
        Height and width of the plane; what lies outside of it is left out.

    Raises
    ------
    ValueError
        If a corner is no number, or the lines cross rows more often than :data:`CROSSINGS`.
    """
    ends = [np.concatenate((outline[1:], outline[:1])) for outline in outlines]
    starts = np.concatenate([*outlines, np.empty((0, 2))]).astype(np.float64)
    if not starts.size:
        return (slice(0), slice(0)), np.zeros((0, 0), bool)
    (x0, y0), (x1, y1) = starts.min(axis=0).tolist(), starts.max(axis=0).tolist()
    if not isfinite(x0 + y0 + x1 + y1):
        raise ValueError("a corner is no number")
    top, bottom = _clipped(y0, y1, shape[0])
    left, right = _clipped(x0, x1, shape[1])
    row, x = _crossings(starts, np.concatenate(ends).astype(np.float64), top, bottom)
    height, width = bottom - top, right - left
    column = (np.minimum(np.maximum(np.ceil(x - 0.5), left), right) - left).astype(np.int64)
    crossed = np.bincount((row - top) * (width + 1) + column, minlength=height * (width + 1))
    mask = np.cumsum(crossed.reshape(height, width + 1), axis=1)[:, :-1] % 2 == 1
    return (slice(top, bottom), slice(left, right)), mask


def _clipped(low: float, high: float, length: int) -> tuple[int, int]:
    """Return the first pixel that an interval meets, and the one after its last."""
    first = min(max(floor(low), 0), length)
    return first, max(min(ceil(high), length), first)


def _crossings(
    starts: NDArray[np.float64], stops: NDArray[np.float64], top: int, bottom: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return in which rows, and at which x, lines cross the middle of pixel rows."""
    y = np.minimum(np.maximum(np.ceil(np.stack((starts[:, 1], stops[:, 1])) - 0.5), top), bottom)
    first = y.min(axis=0).astype(np.int64)
    count = y.max(axis=0).astype(np.int64) - first
    total = int(count.sum())
    if total > CROSSINGS:
        raise ValueError(f"its lines cross rows {total} times")
    line = np.repeat(np.arange(count.size), count)
    row = np.arange(total) + np.repeat(first - (np.cumsum(count) - count), count)
    (x0, y0), (x1, y1) = starts[line].T, stops[line].T
    return row, x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
