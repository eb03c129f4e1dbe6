"""The objects of a plane as runs of pixels in its rows: some tens of times fewer than pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Runs:
    """R runs of N objects, sorted by object, row and column.

    Parameters
    ----------
    labels : int64 array, shape (N,)
        Numbers of the objects, ascending.
    owner : int64 array, shape (R,)
        Position among `labels` of the object that each run is of.
    row, start, stop : int64 array, shape (R,)
        A run covers the columns from `start` to before `stop` of a row.
    shape : tuple of int
        Height and width of the plane.
    """

    labels: Ints
    owner: Ints
    row: Ints
    start: Ints
    stop: Ints
    shape: tuple[int, int]

    @classmethod
    def of(cls, plane: NDArray[Any]) -> Runs:
        """Find the runs of a plane of labels, shape (Y, X)."""
        height, width = plane.shape
        begins = np.ones(plane.shape, bool)
        np.not_equal(plane[:, 1:], plane[:, :-1], out=begins[:, 1:])
        first = np.flatnonzero(begins)
        values = plane.ravel()[first]
        end = np.append(first[1:], plane.size)
        inside = values > 0
        first, end, values = first[inside], end[inside], values[inside].astype(np.int64)
        labels, owner = np.unique(values, return_inverse=True)
        order = np.argsort(owner, kind="stable")  # rows stay in their order within an object
        first, end = first[order], end[order]
        row = first // max(width, 1)
        offset = row * width
        return cls(labels, owner[order], row, first - offset, end - offset, (height, width))

    @property
    def length(self) -> Ints:
        """Pixels in each run."""
        return self.stop - self.start

    @property
    def first(self) -> Ints:
        """Position of the first run of each object, shape (N,)."""
        return np.searchsorted(self.owner, np.arange(self.labels.size))

    def total(self, values: NDArray[Any]) -> Floats:
        """Sum what each run has, object by object: (R,) to (N,)."""
        return np.bincount(self.owner, values, self.labels.size).astype(np.float64)

    def pixels(self) -> Ints:
        """Return the flat indices of all pixels of objects, object after object."""
        length = self.length
        before = np.cumsum(length) - length
        shift = self.row * self.shape[1] + self.start - before
        return np.repeat(shift, length) + np.arange(length.sum())
