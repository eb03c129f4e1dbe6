"""Labels of a plane while its tiles come in: shown at once, objects joined across the seams.

The final labels are made of the scores of the whole plane (:mod:`napari_unet.instances`). Until
these are complete, each tile is labelled by itself, and objects that a seam cuts are made one.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from napari_unet.tiling import Region

Labels = NDArray[np.int32]
Indices = NDArray[np.intp]

CONTACT = 0.5
"""Two objects are one from contact along this part of the shorter of their faces on a seam."""


class Mosaic:
    """Labels of tiles put together, objects that meet across a seam made one.

    Tiles may come in any order, have any sizes, and cover others. `labels` is the plane, int32
    (Y, X): 0 is background, ids are not consecutive, and none is used again. What a tile costs
    depends on its size and on the boxes around the objects it joins, not on the plane.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the plane.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels: Labels = np.zeros(shape, np.int32)
        self._boxes = np.zeros((1, 4), np.intp)  # of each id, the background's unused; see _boxes

    def add(self, write: Region, tile: Labels) -> list[Region]:
        """Put the labels of a tile in place of what is at `write`.

        An object on one side of the tile's outline and one on the other are joined if they are in
        contact (by faces) along half of the shorter of their two faces: their pixels along that
        side of the tile, within its length. So objects that brush each other stay apart. The
        oldest id wins: what is on display keeps its colour.

        Parameters
        ----------
        write : tuple of slice
            Start and stop of the tile's rows and columns in the plane.
        tile : int32 array of that shape
            Objects 1..n of the tile's own; 0 is background.

        Returns
        -------
        list of tuple of slice
            The parts of the plane that changed: `write`, then the boxes of older objects that
            were given the id of one older still.
        """
        known = len(self._boxes)
        starts, lengths, numbers = _runs(tile)  # far fewer than pixels, and found without the GIL
        self._boxes = np.concatenate([self._boxes, _boxes(starts, lengths, numbers, write)[1:]])
        ids = np.arange(known - 1, len(self._boxes), dtype=np.int32)  # by the tile's numbers
        ids[0] = 0
        joined = [pair for seam in self._seams(write, tile, ids) for pair in _in_contact(seam)]
        changed = [write]
        for young, old in _oldest(joined).items():
            self._boxes[old] = np.minimum(self._boxes[old], self._boxes[young])
            if young >= known:
                ids[young - known + 1] = old
            else:
                changed.append(self._repaint(young, old))
        self.labels[write] = np.repeat(ids[numbers], lengths).reshape(tile.shape)
        return changed

    def _repaint(self, young: int, old: int) -> Region:
        """Give the pixels of an id to an older one; return the box they lie in."""
        top, left, bottom, right = abs(self._boxes[young]).tolist()
        part = self.labels[top:bottom, left:right]
        np.copyto(part, old, where=part == young)
        return slice(top, bottom), slice(left, right)

    def _seams(self, write: Region, tile: Labels, ids: Labels) -> Iterator[Labels]:
        """Yield for each side within the plane the ids just outside and just inside, (2, n)."""
        for axis in (0, 1):
            plane, own = self.labels.swapaxes(0, axis), tile.swapaxes(0, axis)
            for outside, inside in ((write[axis].start - 1, 0), (write[axis].stop, -1)):
                if 0 <= outside < len(plane):
                    yield np.stack([plane[outside, write[1 - axis]], ids[own[inside]]])


def _runs(tile: Labels) -> tuple[Indices, Indices, Labels]:
    """Return start, length and number of the runs of equal labels within the rows."""
    begins = np.ones(tile.shape, bool)
    np.not_equal(tile[:, 1:], tile[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    return starts, np.diff(starts, append=tile.size), tile.take(starts)


def _boxes(starts: Indices, lengths: Indices, numbers: Labels, write: Region) -> Indices:
    """Return (top, left, -bottom, -right) of each number: the minimum of two boxes holds both."""
    top, left = np.divmod(starts, write[1].stop - write[1].start)
    top, left = top + write[0].start, left + write[1].start
    boxes = np.full((4, numbers.max() + 1), np.iinfo(np.int32).max, np.intp)
    for side, ends in zip(boxes, (top, left, -top - 1, -left - lengths), strict=True):
        np.minimum.at(side, numbers, ends)
    return boxes.T


def _in_contact(seam: Labels) -> list[tuple[int, int]]:
    """Return the ids that are to be one, of two lines of pixels that face each other."""
    pairs, contact = np.unique(seam[:, seam.all(axis=0)], axis=1, return_counts=True)
    faces = (pairs[:, :, None] == seam[:, None]).sum(axis=2)
    return [(a, b) for a, b in pairs.T[contact >= CONTACT * faces.min(axis=0)].tolist()]


def _oldest(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return the smallest of the ids that `pairs` tie together, for each of the others."""
    smaller: dict[int, int] = {}

    def root(number: int) -> int:
        while number in smaller:
            number = smaller[number]
        return number

    for pair in pairs:
        old, young = sorted(map(root, pair))
        if old != young:
            smaller[young] = old
    return {number: root(number) for number in smaller}
