"""The weight map of a plane that is being drawn: renewed only where it changed."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import product
from math import ceil, log, sqrt

import numpy as np
from numpy.typing import NDArray

from napari_unet.weightmap.labels import Labels, Mask, as_labels, separate
from napari_unet.weightmap.weights import (
    TOLERANCE,
    checked_steps,
    class_weights,
    reach,
    separation_term,
)

Region = tuple[slice, slice]

TILE = 1024
"""Side, in pixels, of what is computed between two chances to stop: about a tenth of a second."""
SIGHT = 28.0
"""Pixels up to which gaps are measured at first: those of w0 = 50, sigma = 6."""
FARTHER = 1.5
"""Times as far they are measured once that is not enough."""
FEW = 8
"""Labels that are quicker looked for one by one."""


@dataclass(frozen=True)
class Piece:
    """A part of the map that has changed.

    Parameters
    ----------
    where : tuple of slice
        Rows and columns.
    weights : float32 array
        What stands there now.
    shape : tuple of int
        Of the whole map.
    share : float
        Of the work at hand that is done, in [0, 1].
    """

    where: Region
    weights: NDArray[np.float32]
    shape: tuple[int, ...]
    share: float


class LiveMap:
    """The weight map of one plane, kept up to date.

    Of each gap it keeps how wide it is (d1 + d2), so that another w0 or sigma costs one exponential
    a pixel; and the labels as they were, so that after a stroke only its surroundings are measured
    anew.
    """

    def __init__(self) -> None:
        self._labels = self._parted = np.zeros((0, 0), np.int32)
        self._exponent = np.zeros((0, 0), np.float32)  # -(d1 + d2)^2; -inf where there is no gap
        self._stale: list[Region] = []  # where the exponent is that of earlier labels
        self._sight = SIGHT
        self._drawn: tuple[float, ...] | None = None  # what all that is not stale was yielded with

    def renew(
        self, labels: Labels, w0: float, sigma: float, balance: bool
    ) -> Generator[Piece, bool | None, None]:
        """Bring the map up to date.

        Parameters
        ----------
        labels : integer array, shape (Y, X)
            The plane as it is now; it may be drawn in meanwhile, if it is handed in again then.
        w0, sigma, balance
            As in :func:`napari_unet.weightmap.weight_map`, from which the map differs by 1e-3 at
            most.

        Yields
        ------
        Piece
            What has changed since the last call; all of the plane at first. Send True to stop; the
            next call goes on from there.

        Raises
        ------
        ValueError
            If the labels are not whole numbers from -1, or `w0` or `sigma` is impossible.
        """
        checked_steps(2, w0, sigma, None)
        self._compare(labels)
        self._see(reach(w0, sigma))
        look = (w0, sigma, *(class_weights(self._parted) if balance else (1.0, 1.0)))
        everything = _tiles(_whole(self._labels))
        redrawn = [] if self._drawn == look or self._stale == everything else everything
        self._drawn = look if self._drawn == look else None
        steps = [(region, True) for region in reversed(self._stale)]
        steps += [(region, False) for region in redrawn]
        for number, (region, is_stale) in enumerate(steps, 1):
            if is_stale:
                self._measure(region)
                self._stale.pop()
            weights = self._weights(region, *look)
            if (yield Piece(region, weights, self._labels.shape, number / len(steps))):
                return
        self._drawn = look

    def _compare(self, labels: Labels) -> None:
        """Take in labels, and note where that changes something."""
        if labels.shape != self._labels.shape:
            self._begin(labels)
            return
        changed = _bounds(labels != self._labels)
        if changed is None:
            return
        if 2 * self._labels[changed].size > labels.size:
            self._begin(labels)
        else:
            self._follow(changed, as_labels(labels[changed]))

    def _begin(self, labels: Labels) -> None:
        self._labels = np.array(as_labels(labels))
        self._parted = separate(self._labels)
        self._exponent = np.empty(labels.shape, np.float32)
        self._stale = _tiles(_whole(self._labels))
        self._drawn = None

    def _follow(self, changed: Region, fresh: NDArray[np.int32]) -> None:
        """Take in the labels of a box; what parts objects there may change objects as a whole."""
        near = _grown(changed, 1, self._labels.shape)
        touched = np.unique(self._labels[near])
        self._labels[changed] = fresh
        touched = np.union1d(touched, np.unique(fresh))
        touched = touched[touched > 0]
        region = _around(near, _bounds(_among(self._labels, touched)))
        parted = self._part(region, touched)
        before = self._parted[region]
        different = _bounds(parted != before)
        if different is not None:
            before[...] = parted
            different = _placed(different, region)
            self._stale += _tiles(_grown(different, self._sight, self._labels.shape))

    def _part(self, region: Region, touched: NDArray[np.int32]) -> NDArray[np.int32]:
        """Part objects in a region that holds the touched ones as a whole; others stay parted."""
        source = _grown(region, 1, self._labels.shape)
        parted = separate(self._labels[source])[_within(region, source)]
        labels = self._labels[region]
        others = (labels > 0) & ~_among(labels, touched)
        parted[others] = self._parted[region][others]
        return parted

    def _see(self, far: float) -> None:
        """Measure gaps anew if those measured so far are not wide enough."""
        if far > self._sight:
            self._sight *= FARTHER ** ceil(log(far / self._sight, FARTHER))
            self._stale = _tiles(_whole(self._labels))

    def _measure(self, region: Region) -> None:
        """Measure the gaps of a region.

        The separation terms of all w0 and sigma are powers of one another, so one is enough.
        """
        sigma = self._sight / sqrt(-2 * log(TOLERANCE))  # then this is how far the term of 1 goes
        source = _grown(region, self._sight, self._labels.shape)
        term = separation_term(self._parted[source], 1.0, sigma)[_within(region, source)]
        with np.errstate(divide="ignore"):
            self._exponent[region] = np.log(term) * np.float32(2 * sigma**2)

    def _weights(
        self, region: Region, w0: float, sigma: float, background: float, foreground: float
    ) -> NDArray[np.float32]:
        parted = self._parted[region]
        weights: NDArray[np.float32] = np.exp(self._exponent[region] / np.float32(2 * sigma**2))
        weights *= np.float32(w0)
        weights += np.where(parted > 0, np.float32(foreground), np.float32(background))
        weights[parted < 0] = 0
        return weights


def _among(labels: NDArray[np.int32], numbers: NDArray[np.int32]) -> Mask:
    if len(numbers) > FEW:
        return np.isin(labels, numbers)
    among = np.zeros(labels.shape, bool)
    for number in numbers:
        among |= labels == number
    return among


def _whole(array: NDArray[np.int32]) -> Region:
    height, width = array.shape
    return slice(0, height), slice(0, width)


def _tiles(region: Region) -> list[Region]:
    starts = product(*(range(part.start, part.stop, TILE) for part in region))
    rows, columns = region
    return [
        (slice(y, min(y + TILE, rows.stop)), slice(x, min(x + TILE, columns.stop)))
        for y, x in starts
    ]


def _bounds(mask: Mask) -> Region | None:
    """Return the box around the pixels of a mask, None if there are none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _around(box: Region, other: Region | None) -> Region:
    """Return the box around two."""
    if other is None:
        return box
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, other, strict=True)
    )
    return rows, columns


def _grown(box: Region, by: float, shape: tuple[int, ...]) -> Region:
    rows, columns = (
        slice(max(part.start - ceil(by), 0), min(part.stop + ceil(by), n))
        for part, n in zip(box, shape, strict=True)
    )
    return rows, columns


def _within(box: Region, outer: Region) -> Region:
    """Return a box in the pixels of one around it."""
    rows, columns = (
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, outer, strict=True)
    )
    return rows, columns


def _placed(box: Region, outer: Region) -> Region:
    """Return a box that is given in the pixels of one around it."""
    rows, columns = (
        slice(a.start + b.start, a.stop + b.start) for a, b in zip(box, outer, strict=True)
    )
    return rows, columns
