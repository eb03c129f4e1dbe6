"""Labels as runs of equal numbers: some forty times fewer than pixels, on disk and to decode."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Runs:
    """Labels of a chunk, counted through row by row.

    Parameters
    ----------
    lengths, values : int32 array, shape (R,)
        How often each number follows on itself, and the number.
    shape : tuple of int
        Height and width.
    """

    lengths: NDArray[np.int32]
    values: NDArray[np.int32]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, labels: NDArray[np.int32]) -> Runs:
        """Encode labels (Y, X)."""
        flat = labels.ravel()
        ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
        return cls(np.diff(ends, prepend=-1).astype(np.int32), flat[ends], labels.shape)

    @classmethod
    def load(cls, arrays: Any) -> Runs:
        """Read what :meth:`arrays` gave."""
        return cls(arrays["lengths"], arrays["values"], tuple(arrays["shape"].tolist()))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a file needs to hold."""
        return {"lengths": self.lengths, "values": self.values, "shape": np.array(self.shape)}

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Pixel at which each run begins."""
        ends = np.cumsum(self.lengths, dtype=np.int64)
        return ends - self.lengths

    def first(self, count: int) -> NDArray[np.int64]:
        """Return the first pixel of each of the numbers 1 to `count`, -1 for those not there."""
        first = np.full(max(count, int(self.values.max(initial=0))) + 1, -1, np.int64)
        first[self.values[::-1]] = self.starts[::-1]  # the last assignment holds
        return first[1 : count + 1]

    def before(self, row: int, above: int) -> int:
        """Count the pixels of numbers above `above` in the rows before one."""
        inside = np.clip(row * self.shape[1] - self.starts, 0, self.lengths)
        return int(inside[self.values > above].sum())

    def rows(self, start: int, stop: int) -> NDArray[np.int32]:
        """Decode the rows from `start` to before `stop`; others cost nothing."""
        width = self.shape[1]
        low, high = start * width, stop * width
        first = int(np.searchsorted(self.starts, low, side="right")) - 1
        last = int(np.searchsorted(self.starts, high, side="left"))
        begins = np.maximum(self.starts[first:last], low)
        lengths = np.diff(begins, append=high)
        return np.repeat(self.values[first:last], lengths).reshape(stop - start, width)
