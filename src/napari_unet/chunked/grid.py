"""Which chunks there are, and which of them a rectangle lies in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_unet.tiling import Region

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """The square chunks that each plane of an image is cut into, numbered plane by plane in rows.

    Parameters
    ----------
    planes : int
        How many there are.
    shape : tuple of int
        Height and width of each.
    side : int
        Of the chunks, in pixels; the last ones of an axis have what is left.
    """

    planes: int
    shape: tuple[int, ...]
    side: int

    @property
    def counts(self) -> tuple[int, int, int]:
        """Planes, and chunks along the rows and the columns of one."""
        height, width = self.shape
        return self.planes, -(-height // self.side), -(-width // self.side)

    def __len__(self) -> int:
        planes, rows, columns = self.counts
        return planes * rows * columns

    def place(self, index: int) -> tuple[int, int, int]:
        """Return a chunk's plane, and its row and column among the chunks."""
        plane, row, column = (int(i) for i in np.unravel_index(index, self.counts))
        return plane, row, column

    def at(self, plane: int, row: int, column: int) -> int:
        """Return the number of the chunk there."""
        return int(np.ravel_multi_index((plane, row, column), self.counts))

    def region(self, index: int) -> Region:
        """Return the pixels of a chunk."""
        _, *steps = self.place(index)
        return tuple(
            slice(step * self.side, min((step + 1) * self.side, size))
            for step, size in zip(steps, self.shape, strict=True)
        )

    def around(self, index: int, reach: int) -> Region:
        """Return the pixels of a chunk and those as near as `reach`, as far as there are any."""
        return tuple(
            slice(max(part.start - reach, 0), min(part.stop + reach, size))
            for part, size in zip(self.region(index), self.shape, strict=True)
        )

    def covering(self, plane: int, region: Region) -> list[int]:
        """Return the chunks that a rectangle of a plane lies in."""
        rows, columns = (
            range(part.start // self.side, (part.stop - 1) // self.side + 1) for part in region
        )
        return [self.at(plane, row, column) for row, column in product(rows, columns)]

    def of_plane(self, plane: int) -> range:
        """Return the chunks of a plane."""
        each = len(self) // self.planes
        return range(plane * each, (plane + 1) * each)

    def neighbours(self, index: int) -> Iterator[tuple[int, int]]:
        """Yield 0 and the chunk below, 1 and the chunk to the right, where there is one."""
        plane, row, column = self.place(index)
        _, rows, columns = self.counts
        if row + 1 < rows:
            yield 0, self.at(plane, row + 1, column)
        if column + 1 < columns:
            yield 1, self.at(plane, row, column + 1)

    def flat(self, rows: Ints, columns: Ints) -> Ints:
        """Return the index of pixels in a plane counted through row by row: an object's key."""
        keys: Ints = rows * self.shape[1] + columns
        return keys


def shared(one: Region, other: Region) -> Region:
    """Return what two rectangles have in common, which is something."""
    return tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
