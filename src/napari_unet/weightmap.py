"""Instance labels to what a network learns: classes with a separation ridge, and loss weights.

    w(x) = w_c(x) + w0 * exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

(Ronneberger et al., 2015, equation 2): w_c balances the classes, d1 and d2 are the distances to the
nearest and the second nearest object. Narrow gaps between touching objects weigh most, so that the
network learns to keep them open.

Labels are integers: 0 background, 1.. objects, -1 not annotated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import ceil, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.integer[Any]]
Box = tuple[slice, ...]

TOLERANCE = 1e-3
"""Largest error of a weight: the separation term is left out where it is smaller."""
LARGEST_CLASS_WEIGHT = 5.0
"""Of w_c: a single object in a large image would otherwise outweigh everything it borders on."""
LARGEST_WINDOW = 256
"""Side of the windows that a distance transform is taken in; larger objects take several."""


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
        Whether w_c is n / (2 n_class), at most 5, so that both classes weigh as much in sum; else 1.

    Returns
    -------
    float32 array of the labels' shape
        The separation term is on background only, 0 with fewer than two objects; pixels of -1
        weigh 0.

    Raises
    ------
    ValueError
        If the labels are not whole numbers, or `w0`, `sigma` or `spacing` is impossible.

    Notes
    -----
    Equal to the formula with one distance transform for each object to 1e-3. A distance matters
    only where the term exceeds that, so each object is looked at in its neighbourhood alone.
    """
    labels = _checked(labels)
    steps = _check_shape_of_term(labels.ndim, w0, sigma, spacing)
    parted = separate(labels)
    weights = _class_weights(parted) if balance else np.ones(labels.shape, np.float32)
    if w0 > TOLERANCE:
        _add_separation(weights, parted, w0, sigma, steps)
    weights[labels < 0] = 0
    return weights


def training_target(
    labels: Labels, w0: float = 10.0, sigma: float = 5.0
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the class (0 background and ridges, 1 object) and the weight of each pixel."""
    return (separate(labels) > 0).astype(np.uint8), weight_map(labels, w0, sigma)


def separate(labels: Labels) -> NDArray[np.int32]:
    """Part touching objects by a background ridge.

    Pixels of an object that have a pixel of another one among their neighbours (8 in 2D) become
    background, so that a ridge is two pixels wide. Objects that would vanish are kept whole.

    Returns
    -------
    int32 array
        -1 is kept, and no object.
    """
    labels = _checked(labels)
    ridge = np.zeros(labels.shape, bool)
    for offset in _half_neighbourhood(labels.ndim):
        here, there = _shifted(offset)
        a, b = labels[here], labels[there]
        touching = (a != b) & (a > 0) & (b > 0)
        ridge[here] |= touching
        ridge[there] |= touching
    parted = np.where(ridge, 0, labels)
    if ridge.any():
        affected = np.unique(labels[ridge])
        vanished = affected[~np.isin(affected, parted)]
        if vanished.size:
            parted = np.where(np.isin(labels, vanished), labels, parted)
    return parted


def distance_target(labels: Labels) -> NDArray[np.float32]:
    """Return, inside each object, the distance to its border divided by its maximum there.

    Returns
    -------
    float32 array
        1 in the middle of an object, 0 on background and where nothing is annotated. An object
        that the image cuts off is taken to go on beyond it.
    """
    labels = _checked(labels)
    target = np.zeros(labels.shape, np.float32)
    for number, box in _objects(labels):
        window = _grown(box, (1,) * labels.ndim, labels.shape)
        member = labels[window] == number
        if member.all():
            target[window] = 1
            continue
        distance = ndimage.distance_transform_edt(member)
        target[window] += np.where(member, distance / distance.max(), 0).astype(np.float32)
    return target


def _checked(labels: Labels) -> NDArray[np.int32]:
    """Return labels as native int32.

    Raises
    ------
    ValueError
        If they are not whole numbers that fit.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "bui":
        if labels.dtype.kind != "f" or not np.array_equal(labels, np.round(labels)):
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


def _check_shape_of_term(
    ndim: int, w0: float, sigma: float, spacing: Sequence[float] | None
) -> tuple[float, ...]:
    """Return the spacing of each axis."""
    if not w0 >= 0:
        raise ValueError(f"w0 = {w0} is not possible: use 0 or more.")
    if not sigma > 0:
        raise ValueError(f"sigma = {sigma} is not possible: use a positive number of pixels.")
    steps = tuple(spacing) if spacing is not None else (1.0,) * ndim
    if len(steps) != ndim or not all(s > 0 for s in steps):
        raise ValueError(
            f"spacing = {steps} does not fit labels of {ndim} dimensions: give a positive number"
            " for each."
        )
    return steps


def _class_weights(parted: NDArray[np.int32]) -> NDArray[np.float32]:
    foreground, counted = np.count_nonzero(parted > 0), np.count_nonzero(parted >= 0)
    parts = {True: foreground, False: counted - foreground}
    weight = {
        k: min(counted / (2 * n), LARGEST_CLASS_WEIGHT) if 0 < n < counted else 1.0
        for k, n in parts.items()
    }
    return np.where(parted > 0, np.float32(weight[True]), np.float32(weight[False]))


def _add_separation(
    weights: NDArray[np.float32],
    parted: NDArray[np.int32],
    w0: float,
    sigma: float,
    steps: tuple[float, ...],
) -> None:
    """Add the separation term to `weights`, in place, on background."""
    reach = sigma * sqrt(2 * log(w0 / TOLERANCE))  # of d1 + d2
    first, second = _two_squared_distances(parted, reach, steps)
    gap = np.flatnonzero((second <= reach**2) & (parted == 0))
    d = np.sqrt(first.ravel()[gap]) + np.sqrt(second.ravel()[gap])
    term = w0 * np.exp(-(d**2) / (2 * sigma**2))
    weights.ravel()[gap] += np.where(d <= reach, term, 0)


def _two_squared_distances(
    parted: NDArray[np.int32], reach: float, steps: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the squares of the distances to the nearest and the second nearest object.

    They are right where the distances' sum is at most `reach`, and may be too large elsewhere.
    """
    first = np.full(parted.shape, np.inf, np.float32)
    second = np.full(parted.shape, np.inf, np.float32)
    margin = tuple(ceil(reach / s) for s in steps)
    for number, box in _objects(parted):
        for window, source in _windows(_grown(box, margin, parted.shape), margin, parted.shape):
            near = parted[source]
            other = near != number
            # Without a second object in reach there is no gap to weigh.
            if other.all() or not (near[other] > 0).any():
                continue
            squared = _squared_distance(other, steps)[_within(window, source)]
            a, b = first[window], second[window]
            np.minimum(b, np.maximum(a, squared), out=b)
            np.minimum(a, squared, out=a)
    return first, second


def _squared_distance(
    outside: NDArray[np.bool_], steps: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return the squared distance of each pixel to the nearest one that is not `outside`.

    From the nearest pixel's indices: scipy's own distances take as long again, in double precision.
    """
    nearest = ndimage.distance_transform_edt(
        outside, sampling=steps, return_distances=False, return_indices=True
    )
    squared = np.zeros(outside.shape, np.float32)
    for axis, (index, step) in enumerate(zip(nearest, steps, strict=True)):
        own = np.arange(outside.shape[axis], dtype=np.int32)
        index -= own.reshape([-1 if a == axis else 1 for a in range(outside.ndim)])
        squared += np.square(index * np.float32(step))
    return squared


def _objects(labels: NDArray[np.int32]) -> Iterator[tuple[int, Box]]:
    """Yield each object's number and bounding box."""
    if labels.max(initial=0) > labels.size:  # numbers with large gaps would make a long list
        numbers, labels = np.unique(np.maximum(labels, 0), return_inverse=True)
        labels = labels.reshape(labels.shape)
        boxes = ndimage.find_objects(labels.astype(np.int32))
        return ((int(numbers[i]), box) for i, box in enumerate(boxes, 1) if box is not None)
    boxes = ndimage.find_objects(np.maximum(labels, 0))
    return ((i, box) for i, box in enumerate(boxes, 1) if box is not None)


def _windows(
    region: Box, margin: tuple[int, ...], shape: tuple[int, ...]
) -> Iterator[tuple[Box, Box]]:
    """Cut a region into windows; yields each with the source of its distances, a margin wider."""
    if all(s.stop - s.start <= LARGEST_WINDOW for s in region):
        yield region, region
        return
    cuts = [
        [
            slice(start, min(start + LARGEST_WINDOW, s.stop))
            for start in range(s.start, s.stop, LARGEST_WINDOW)
        ]
        for s in region
    ]
    for window in product(*cuts):
        yield window, _grown(window, margin, shape)


def _grown(box: Box, margin: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    return tuple(
        slice(max(s.start - m, 0), min(s.stop + m, n))
        for s, m, n in zip(box, margin, shape, strict=True)
    )


def _within(window: Box, source: Box) -> Box:
    return tuple(
        slice(w.start - s.start, w.stop - s.start) for w, s in zip(window, source, strict=True)
    )


def _half_neighbourhood(ndim: int) -> list[tuple[int, ...]]:
    """Return one of each two opposite offsets to the neighbours (4 in 2D, 13 in 3D)."""
    offsets = product((-1, 0, 1), repeat=ndim)
    return [offset for offset in offsets if offset > (0,) * ndim]


def _shifted(offset: tuple[int, ...]) -> tuple[Box, Box]:
    """Return the slices of all pixels that have a neighbour at `offset`, and of the neighbours."""
    here = tuple(slice(max(-o, 0), -o if o > 0 else None) for o in offset)
    there = tuple(slice(max(o, 0), o if o < 0 else None) for o in offset)
    return here, there
