"""The weight map, and the targets that go with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import isfinite, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.weightmap.colouring import paint
from napari_unet.weightmap.distances import Transform, two_nearest
from napari_unet.weightmap.labels import (
    Box,
    Labels,
    Mask,
    as_labels,
    numbered_closely,
    objects,
    separate,
)

TOLERANCE = 1e-3
"""Largest error of a weight: the separation term is left out where it is smaller."""
LARGEST_CLASS_WEIGHT = 5.0
"""Of w_c: a single object in a large image would otherwise outweigh everything it borders on."""
BLOCK = 2**16
"""Pixels whose distances are taken at a time: what is worked on then fits a processor's cache."""


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
    labels: Labels, w0: float = 10.0, sigma: float = 5.0, *, balance: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the class (0 background and ridges, 1 object) and the weight of each pixel.

    The weights are those of :func:`weight_map`, which says what is raised.
    """
    parted = separate(labels)
    return (parted > 0).astype(np.uint8), _weights(parted, w0, sigma, None, balance)


def area_target(
    labels: Labels, classes: int, *, balance: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the class and the weight of each pixel where labels are classes, not objects.

    Parameters
    ----------
    labels : integer array of any dimensions
        -1 not annotated, 0 background, 1.. the other classes.
    classes : int
        How many there are, background included.
    balance : bool
        Whether the weight of class c is n / (k n_c), at most 5, of the k classes that the image
        has, so that they weigh as much in sum; else it is 1.

    Raises
    ------
    ValueError
        If the labels are not whole numbers, or of more classes.
    """
    labels = as_labels(labels)
    largest = int(labels.max(initial=0))
    if largest >= classes:
        raise ValueError(
            f"The labels go up to {largest}, but of {classes} classes, background included, the"
            f" last is {classes - 1}: give each pixel its class, or name more classes."
        )
    known = labels >= 0
    counts = np.bincount(labels[known], minlength=classes)
    weights = np.ones(classes, np.float32)
    if balance:
        fair = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
        weights = np.minimum(fair, LARGEST_CLASS_WEIGHT).astype(np.float32)
    found = np.where(known, labels, 0).astype(np.int32)
    return found, weights[found] * known


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
    parted = numbered_closely(as_labels(parted))
    steps = checked_steps(parted.ndim, w0, sigma, spacing)
    term = np.zeros(parted.shape, np.float32)
    far = reach(w0, sigma)
    if far < 2 * min(steps):  # both objects are a pixel away at least
        return term
    colours = paint(parted, [int(far / step) for step in steps])
    if colours.max(initial=0) < 2:
        return term
    transform = Transform.within(far, steps, parted.shape)
    colours = np.pad(colours, [(m, m) for m in transform.margin])
    for block in _blocks(parted.shape):
        margins = zip(block, transform.margin, strict=True)
        source = tuple(slice(s.start, s.stop + 2 * m) for s, m in margins)
        first, second = two_nearest(colours[source], transform)
        gap = (second <= second.dtype.type(far**2)) & (parted[block] == 0)
        total = np.sqrt(first, dtype=np.float32) + np.sqrt(second, dtype=np.float32)
        exponent = np.square(total, out=total) / np.float32(-2 * sigma**2)
        np.multiply(np.exp(exponent, out=exponent) * np.float32(w0), gap, out=term[block])
    return term


def reach(w0: float, sigma: float) -> float:
    """Return the largest d1 + d2 at which the separation term is at least 1e-3."""
    return sigma * sqrt(2 * log(w0 / TOLERANCE)) if w0 > TOLERANCE else 0.0


def distance_target(labels: Labels) -> NDArray[np.float32]:
    """Return, inside each object, the distance to its border divided by its maximum there.

    The border of an object is the nearest pixel that is not of it, so touching objects rise apart.
    Pixels that are not annotated are no border: there, an object may go on.

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
    labels = numbered_closely(as_labels(labels))
    depth = np.zeros(labels.shape, np.float32)
    for window, member in _members_apart(labels):
        # A transform without any border measures to nowhere.
        inside = member if member.all() else ndimage.distance_transform_edt(member)
        depth[window] += inside
    for window, member, to_others in _open_ended(labels):
        depth[window][member] = to_others[member]
    inside = labels > 0
    deepest = np.zeros(labels.max(initial=0) + 1, np.float32)
    np.maximum.at(deepest, labels[inside], depth[inside])
    depth[inside] /= deepest[labels[inside]]
    return depth


def _open_ended(labels: NDArray[np.int32]) -> Iterator[tuple[Box, Mask, NDArray[np.floating]]]:
    """Yield objects that touch pixels without annotation, by window, pixels and distances.

    These are to what is annotated as something else, which may lie beyond the window.
    """
    unknown = labels < 0
    if not unknown.any():
        return
    beside = ndimage.binary_dilation(unknown, np.ones((3,) * labels.ndim, bool))
    numbers = set(np.unique(labels[beside & (labels > 0)]).tolist())
    for number, window in objects(labels):
        if number in numbers:
            member = labels[window] == number
            yield window, member, _distances(window, member, unknown)


def _distances(window: Box, member: Mask, unknown: Mask) -> NDArray[np.floating]:
    """Return how far an object's pixels are from annotated ones that are not its own."""
    margin = 1
    while True:
        wide = tuple(
            slice(max(s.start - margin, 0), min(s.stop + margin, n))
            for s, n in zip(window, unknown.shape, strict=True)
        )
        own = tuple(
            slice(s.start - w.start, s.stop - w.start) for s, w in zip(window, wide, strict=True)
        )
        inside = unknown[wide].copy()
        inside[own] |= member
        is_whole = inside.shape == unknown.shape
        if not inside.all():
            far: NDArray[np.floating] = ndimage.distance_transform_edt(inside)[own]
            if is_whole or far[member].max() <= margin:
                return far
        elif is_whole:
            return member.astype(np.float32)
        margin = max(2 * margin, *member.shape)


def checked_steps(
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


def _weights(
    parted: NDArray[np.int32],
    w0: float,
    sigma: float,
    spacing: Sequence[float] | None,
    balance: bool,
) -> NDArray[np.float32]:
    weights = separation_term(parted, w0, sigma, spacing)
    background, foreground = class_weights(parted) if balance else (1.0, 1.0)
    weights += np.where(parted > 0, np.float32(foreground), np.float32(background))
    weights[parted < 0] = 0
    return weights


def class_weights(parted: NDArray[np.int32]) -> tuple[float, float]:
    """Return w_c of background and of objects."""
    foreground, counted = np.count_nonzero(parted > 0), np.count_nonzero(parted >= 0)
    if foreground in (0, counted):
        return 1.0, 1.0
    return (
        min(float(counted / (2 * (counted - foreground))), LARGEST_CLASS_WEIGHT),
        min(float(counted / (2 * foreground)), LARGEST_CLASS_WEIGHT),
    )


def _members_apart(labels: NDArray[np.int32]) -> Iterator[tuple[Box, Mask]]:
    """Yield windows, and in each the pixels of one object or of several that do not touch.

    A window for each object, unless objects lie in others (as rings do) and their windows would
    hold many times the image: then the whole image for each of few colours.
    """
    windows = [
        (number, tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box))
        for number, box in objects(labels)
    ]
    if sum(labels[window].size for _, window in windows) <= 4 * labels.size:
        yield from ((window, labels[window] == number) for number, window in windows)
        return
    colours = paint(labels, [1] * labels.ndim)
    for colour in range(1, colours.max() + 1):
        yield (slice(None),) * labels.ndim, colours == colour


def _blocks(shape: tuple[int, ...]) -> Iterator[Box]:
    side = round(BLOCK ** (1 / len(shape)))
    for starts in product(*(range(0, n, side) for n in shape)):
        yield tuple(slice(a, min(a + side, n)) for a, n in zip(starts, shape, strict=True))
