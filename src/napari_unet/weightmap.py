"""Instance labels to what a network learns: classes with a separation ridge, and loss weights.

    w(x) = w_c(x) + w0 * exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

(Ronneberger et al., 2015, equation 2): w_c balances the classes, d1 and d2 are the distances to the
nearest and the second nearest object. Narrow gaps between touching objects weigh most, so that the
network learns to keep them open.

Labels are integers: 0 background, 1.. objects, -1 not annotated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, isfinite, log, sqrt
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.integer[Any]]
Box = tuple[slice, ...]
Mask = NDArray[np.bool_]

TOLERANCE = 1e-3
"""Largest error of a weight: the separation term is left out where it is smaller."""
LARGEST_CLASS_WEIGHT = 5.0
"""Of w_c: a single object in a large image would otherwise outweigh everything it borders on."""
BLOCK = 2**16
"""Pixels whose distances are taken at a time: what is worked on then fits a processor's cache."""
CELL = 4
"""Side, in pixels, of the cells that say which objects are near each other."""
LARGE = 256
"""Objects of a longer side may wind round others: their cells count, not their bounding box."""
COLOURS = 64
"""Bits of the integers in which a cell holds the colours it sees."""


def weight_map(
    labels: Labels,
    w0: float = 10.0,
    sigma: float = 5.0,
    *,
    spacing: Sequence[float] | None = None,
    balance: bool = True,
) -> NDArray[np.float32]:
    """Compute the loss weight of each pixel.

    Parameters
    ----------
    labels : integer array of any dimensions
        Touching objects are parted first, by :func:`separate`.
    w0 : float
        Height of the separation term.
    sigma : float
        Its width, in pixels (or in the unit of `spacing`).
    spacing : sequence of float or None
        Pixel size on each axis; None: 1.
    balance : bool
        Whether w_c is n / (2 n_class), at most 5, so that both classes weigh as much in sum; else,
        and where a class is absent, it is 1.

    Returns
    -------
    float32 array of the labels' shape
        The separation term is on background only, 0 with fewer than two objects; pixels of -1
        weigh 0.

    Raises
    ------
    ValueError
        If the labels are not whole numbers, or `w0`, `sigma` or `spacing` is impossible.
    """
    return _weights(separate(labels), w0, sigma, spacing, balance)


def training_target(
    labels: Labels, w0: float = 10.0, sigma: float = 5.0
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the class (0 background and ridges, 1 object) and the weight of each pixel.

    The weights are those of :func:`weight_map`, which says what is raised.
    """
    parted = separate(labels)
    return (parted > 0).astype(np.uint8), _weights(parted, w0, sigma, None, balance=True)


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
    labels = _checked(labels)
    ridge = _ridge(labels)
    parted = np.where(ridge, 0, labels)
    thinned = np.unique(labels[ridge])
    vanished = thinned[~np.isin(thinned, parted)]
    if vanished.size:
        parted = np.where(np.isin(labels, vanished), labels, parted)
    return parted


def separation_term(
    parted: Labels, w0: float, sigma: float, spacing: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """Compute w0 * exp(-(d1 + d2)^2 / (2 sigma^2)) on background, 0 elsewhere.

    Parameters
    ----------
    parted : integer array of any dimensions
        Labels whose objects are apart already.
    w0, sigma, spacing
        See :func:`weight_map`.

    Returns
    -------
    float32 array
        Equal to the formula with one distance transform for each object, to 1e-3.

    Raises
    ------
    ValueError
        See :func:`weight_map`.

    Notes
    -----
    The term exceeds 1e-3 only where d1 + d2 <= :func:`reach`. Two objects farther apart than that
    never meet in one pixel, so they may share a distance transform: objects are coloured, near ones
    differently, and each block of the image takes one short transform a colour that it sees. Five
    colours do for cells side by side, whatever their number.

    A pixel depends on the labels within reach alone: to renew a region, grow it by the reach.
    """
    parted = _numbered_closely(_checked(parted))
    steps = _checked_steps(parted.ndim, w0, sigma, spacing)
    term = np.zeros(parted.shape, np.float32)
    far = reach(w0, sigma)
    colours = _colours(parted, [int(far / step) for step in steps])
    if colours.max(initial=0) < 2:
        return term
    transform = _Transform.within(far, steps, parted.shape)
    colours = np.pad(colours, [(m, m) for m in transform.margin])
    for block in _blocks(parted.shape):
        margins = zip(block, transform.margin, strict=True)
        source = tuple(slice(s.start, s.stop + 2 * m) for s, m in margins)
        first, second = _two_nearest(colours[source], transform)
        gap = (second <= second.dtype.type(far**2)) & (parted[block] == 0)
        total = np.sqrt(first[gap], dtype=np.float32) + np.sqrt(second[gap], dtype=np.float32)
        term[block][gap] = w0 * np.exp(np.square(total) / np.float32(-2 * sigma**2))
    return term


def reach(w0: float, sigma: float) -> float:
    """Return the largest d1 + d2 at which the separation term is at least 1e-3."""
    return sigma * sqrt(2 * log(w0 / TOLERANCE)) if w0 > TOLERANCE else 0.0


def distance_target(labels: Labels) -> NDArray[np.float32]:
    """Return, inside each object, the distance to its border divided by its maximum there.

    The border of an object is the nearest pixel that is not of it, so touching objects rise apart.

    Returns
    -------
    float32 array
        1 in the middle of an object, 0 on background and where nothing is annotated. An object
        that the image cuts off is taken to go on beyond it.

    Raises
    ------
    ValueError
        If the labels are not whole numbers from -1 to 2147483647.
    """
    labels = _numbered_closely(_checked(labels))
    depth = np.zeros(labels.shape, np.float32)
    for window, member in _members_apart(labels):
        # A transform without any border measures to nowhere.
        inside = member if member.all() else ndimage.distance_transform_edt(member)
        depth[window] += inside
    inside = labels > 0
    deepest = np.zeros(labels.max(initial=0) + 1, np.float32)
    np.maximum.at(deepest, labels[inside], depth[inside])
    depth[inside] /= deepest[labels[inside]]
    return depth


def _checked(labels: Labels) -> NDArray[np.int32]:
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


def _checked_steps(
    ndim: int, w0: float, sigma: float, spacing: Sequence[float] | None
) -> tuple[float, ...]:
    """Return the spacing of each axis, or say which number is impossible."""
    if not (w0 >= 0 and isfinite(w0)):
        raise ValueError(f"w0 = {w0} is not possible: use 0 or more.")
    if not (sigma > 0 and isfinite(sigma)):
        raise ValueError(f"sigma = {sigma} is not possible: use a positive number of pixels.")
    steps = (1.0,) * ndim if spacing is None else tuple(float(step) for step in spacing)
    if len(steps) != ndim or not all(step > 0 and isfinite(step) for step in steps):
        raise ValueError(
            f"spacing = {steps} does not fit labels of {ndim} dimensions: give a positive number"
            " for each."
        )
    return steps


def _numbered_closely(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Renumber objects if their numbers are so far apart that a table of them would not fit."""
    if labels.max(initial=0) <= labels.size:
        return labels
    numbers, index = np.unique(np.maximum(labels, 0), return_inverse=True)
    close = index.reshape(labels.shape) + (numbers[0] > 0)
    return np.where(labels < 0, -1, close).astype(np.int32)


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


def _weights(
    parted: NDArray[np.int32],
    w0: float,
    sigma: float,
    spacing: Sequence[float] | None,
    balance: bool,
) -> NDArray[np.float32]:
    weights = separation_term(parted, w0, sigma, spacing)
    background, foreground = _class_weights(parted) if balance else (1.0, 1.0)
    weights += np.where(parted > 0, np.float32(foreground), np.float32(background))
    weights[parted < 0] = 0
    return weights


def _class_weights(parted: NDArray[np.int32]) -> tuple[float, float]:
    """Return w_c of background and of objects."""
    foreground, counted = np.count_nonzero(parted > 0), np.count_nonzero(parted >= 0)
    if foreground in (0, counted):
        return 1.0, 1.0
    background, foreground = (
        min(counted / (2 * n), LARGEST_CLASS_WEIGHT) for n in (counted - foreground, foreground)
    )
    return background, foreground


def _objects(labels: NDArray[np.int32]) -> list[tuple[int, Box]]:
    """Return each object's number and bounding box."""
    boxes = ndimage.find_objects(np.maximum(labels, 0)) if labels.size else []
    return [(number, box) for number, box in enumerate(boxes, 1) if box is not None]


def _members_apart(labels: NDArray[np.int32]) -> Iterator[tuple[Box, Mask]]:
    """Yield windows, and in each the pixels of one object or of several that do not touch.

    A window for each object, unless objects lie in others (as rings do) and their windows would
    hold many times the image: then the whole image for each of few colours.
    """
    windows = [
        (number, tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box))
        for number, box in _objects(labels)
    ]
    if sum(labels[window].size for _, window in windows) <= 4 * labels.size:
        yield from ((window, labels[window] == number) for number, window in windows)
        return
    colours = _colours(labels, [1] * labels.ndim)
    for colour in range(1, colours.max() + 1):
        yield (...,), colours == colour


def _colours(labels: NDArray[np.int32], margin: Sequence[int]) -> NDArray[np.unsignedinteger[Any]]:
    """Paint objects so that two of one colour are more than `margin` pixels apart on some axis.

    Greedy: each takes the first colour that no cell in its neighbourhood holds yet.

    Returns
    -------
    array of the smallest unsigned integers
        0 where there is no object, colours from 1.
    """
    palette = np.zeros(labels.max(initial=0) + 2, np.uint16)  # the last is for -1
    waiting, base = _objects(labels), 0
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
    free = ~int(np.bitwise_or.reduce(taken[near][around], axis=None)) & (2**COLOURS - 1)
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
    """Return which cells an object has pixels in (of `own`), and which are near those (of `near`)."""
    here = labels[tuple(slice(s.start * CELL, s.stop * CELL) for s in own)] == number
    for axis, n in enumerate(here.shape):
        here = np.logical_or.reduceat(here, range(0, n, CELL), axis=axis)
    beside = [(o.start - n.start, n.stop - o.stop) for o, n in zip(own, near, strict=True)]
    size = [2 * ceil(m / CELL) + 1 for m in margin]
    return here, ndimage.maximum_filter(np.pad(here, beside), size)


def _blocks(shape: tuple[int, ...]) -> Iterator[Box]:
    side = round(BLOCK ** (1 / len(shape)))
    for starts in product(*(range(0, n, side) for n in shape)):
        yield tuple(slice(a, min(a + side, n)) for a, n in zip(starts, shape, strict=True))


@dataclass(frozen=True)
class _Transform:
    """Squared distances to the nearest pixel of a mask, up to a reach, one axis after the other.

    Exact integers when pixels are 1 apart. What has nothing in reach on the first axis starts
    beyond it, and so stays.
    """

    margin: tuple[int, ...]
    """Pixels on each axis, on either side, that are looked at and not returned."""
    steps: NDArray[np.uint16] | NDArray[np.float32]
    nowhere: int
    """Pixels on the first axis that are beyond reach."""

    @classmethod
    def within(cls, far: float, steps: Sequence[float], shape: tuple[int, ...]) -> _Transform:
        """Return the transform up to a distance."""
        fits = far < 2**7.5 - 1 and all(step == 1 for step in steps)
        margin = tuple(min(int(far / step), n - 1) for step, n in zip(steps, shape, strict=True))
        dtype = np.uint16 if fits else np.float32
        return cls(margin, np.array(steps, dtype), int(far / steps[0]) + 1)

    def blank(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return squared distances to nothing."""
        shape = tuple(n - 2 * m for n, m in zip(shape, self.margin, strict=True))
        return np.full(shape, np.square(self.nowhere * self.steps[0]))

    def squared(self, member: Mask) -> NDArray[Any]:
        """Return the squared distances to a mask, in its shape less the margin."""
        count = _pixels_to(member, self.margin[0], self.nowhere)
        squared = np.square(count.astype(self.steps.dtype) * self.steps[0])
        for margin, step in zip(self.margin[1:], self.steps[1:], strict=True):
            squared = _lower_envelope(_next_axis_first(squared), margin, step)
        return _next_axis_first(squared)


def _two_nearest(
    colours: NDArray[np.unsignedinteger[Any]], transform: _Transform
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the squared distances to the nearest and the second nearest colour."""
    first, second = transform.blank(colours.shape), transform.blank(colours.shape)
    masks = (colours == colour for colour in range(1, colours.max(initial=0) + 1))
    for mask in masks:
        if mask.any():
            squared = transform.squared(mask)
            np.minimum(second, np.maximum(first, squared), out=second)
            np.minimum(first, squared, out=first)
    return first, second


def _pixels_to(member: Mask, margin: int, nowhere: int) -> NDArray[np.unsignedinteger[Any]]:
    """Count pixels along the first axis to the nearest one of a mask, up to the margin.

    Each round looks as far again as the rounds before it together.
    """
    dtype = np.min_scalar_type(nowhere + margin)
    count = ~member * dtype.type(nowhere)
    seen = 0
    while seen < margin:
        shift = min(seen + 1, margin - seen)
        farther = count + dtype.type(shift)
        np.minimum(count[shift:], farther[:-shift], out=count[shift:])
        np.minimum(count[:-shift], farther[shift:], out=count[:-shift])
        seen += shift
    return count[margin : len(count) - margin]


def _lower_envelope(squared: NDArray[Any], margin: int, step: Any) -> NDArray[Any]:
    """Return the least of squared + (k step)^2 over the pixels k away along the first axis."""
    size = len(squared) - 2 * margin
    least = squared[margin : margin + size].copy()
    sides = np.empty_like(least)
    for k in range(1, margin + 1):
        before, after = margin - k, margin + k
        np.minimum(squared[before : before + size], squared[after : after + size], out=sides)
        sides += np.square(k * step)
        np.minimum(least, sides, out=least)
    return least


def _next_axis_first(array: NDArray[Any]) -> NDArray[Any]:
    """Turn the axes by one, in memory too: passes along the first axis run many times faster."""
    return np.ascontiguousarray(np.moveaxis(array, 0, -1))
