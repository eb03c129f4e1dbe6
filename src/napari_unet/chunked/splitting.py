"""Joined components to objects: each is split and filled from its own pixels, as in memory.

An object's key is the index in its plane of one of its pixels, so that no two have the same and
nobody has to hand out numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.chunked.grid import shared
from napari_unet.chunked.plan import Plan
from napari_unet.chunked.runs import Runs
from napari_unet.instances import fill_object_holes, split_touching
from napari_unet.tiling import Region, extent, within

Labels = NDArray[np.int32]
Ints = NDArray[np.int64]

REACH = 256
"""Pixels around a chunk that are seen where a component is too large to be split whole: some ten
typical objects. One that reaches further may come out cut."""
OPEN = 32
"""Chunks that are kept in memory at a time; most components lie in two, or four."""


def settle(plan: Plan, index: int) -> str:
    """Split the joined components that are this chunk's to split; see `seams.join`."""
    groups = plan.work.load(f"groups/{index}")
    plane, *_ = plan.seen.place(index)
    part = lru_cache(maxsize=OPEN)(lambda chunk: _Part(plan, chunk))
    painted: dict[int, list[Ints]] = {}

    def paint(region: Region, pieces: Labels, keys: Ints) -> None:
        for chunk, runs in _runs(plan, plane, region, pieces, keys):
            painted.setdefault(chunk, []).append(runs)

    starts, ends = (
        np.searchsorted(groups["groups"], np.arange(len(groups["boxes"])), side)
        for side in ("left", "right")
    )
    for box, start, stop in zip(groups["boxes"].tolist(), starts, ends, strict=True):
        region: Region = (slice(box[0], box[2]), slice(box[1], box[3]))
        window = _Window(plan, plane, region, part)
        mine = slice(start, stop)
        pieces = window.split(window.members(groups["chunks"][mine], groups["numbers"][mine]))
        paint(region, pieces, _first_pixels(plan, region, pieces))
    if groups["giants"].size:
        region = plan.seen.around(index, REACH)
        window = _Window(plan, plane, region, part)
        pieces, keys = _split_giants(plan, window)
        core = within(plan.seen.region(index), region)
        paint(plan.seen.region(index), pieces[core], keys)
    for chunk, found in painted.items():
        starts, lengths, keys = np.concatenate(found, axis=1)
        plan.work.save(f"settled/{chunk}/{index}", starts=starts, lengths=lengths, keys=keys)
    return ""


class _Part:
    """What was found in a chunk."""

    def __init__(self, plan: Plan, index: int) -> None:
        fields = ("lengths", "values", "shape", "whole", "distances")
        part = plan.work.load(f"parts/{index}", *fields)
        self.runs = Runs.load(part)
        self.region = plan.seen.region(index)
        self.whole = int(part["whole"])
        self.count = int(self.runs.values.max(initial=0))
        self._distances = part["distances"]

    def labels(self, rows: slice) -> Labels:
        """Return the labels of some rows; those above `whole` are cut."""
        return self.runs.rows(rows.start, rows.stop)

    def distance(self, rows: slice, labels: Labels) -> NDArray[np.float32]:
        """Return the distances of some rows: 0 but for components that are cut."""
        is_cut = labels > self.whole
        first = self.runs.before(rows.start, self.whole)
        distance = np.zeros(labels.shape, np.float32)
        distance[is_cut] = self._distances[first : first + np.count_nonzero(is_cut)]
        return distance


class _Window:
    """The labels and distances in a rectangle of a plane, put together from its chunks."""

    def __init__(
        self, plan: Plan, plane: int, region: Region, part: Callable[[int], _Part]
    ) -> None:
        self._plan = plan
        self.region = region
        self.labels: Labels = np.zeros(extent(region), np.int32)
        self.distance = np.zeros(extent(region), np.float32) if plan.has_distance else None
        self.cut_from: dict[int, int] = {}
        """Of each chunk, the label before that of its first cut component."""
        count = 0
        for index in plan.seen.covering(plane, region):
            self._add(part(index), count)
            self.cut_from[index] = count + part(index).whole
            count += part(index).count
        self._count = count

    def _add(self, part: _Part, count: int) -> None:
        """Take in a chunk, whose labels go on from `count`."""
        common = shared(part.region, self.region)
        rows, columns = within(common, part.region)
        there = within(common, self.region)
        labels = part.labels(rows)
        self.labels[there] = np.where(labels > 0, labels + count, 0)[:, columns]
        if self.distance is not None:
            self.distance[there] = part.distance(rows, labels)[:, columns]

    def members(self, chunks: Ints, numbers: Ints) -> NDArray[np.bool_]:
        """Return where some of the chunks' cut components are."""
        known = np.zeros(self._count + 1, bool)
        known[
            [self.cut_from[chunk] + n for chunk, n in zip(chunks.tolist(), numbers, strict=True)]
        ] = True
        return known[self.labels]

    def split(self, member: NDArray[np.bool_]) -> Labels:
        """Return the objects that some components are, those that are too small left out."""
        pieces = np.empty(member.shape, np.int32)
        ndimage.label(member, output=pieces)
        if self.distance is not None:
            pieces = split_touching(pieces, self.distance)
        if self._plan.config.fill_holes:
            # Those of a component lie in the box around it, and not at its border.
            filled = fill_object_holes(np.where(member, self._count + pieces, self.labels))
            pieces = np.where(filled > self._count, filled - self._count, 0)
        sizes = np.bincount(pieces.ravel())
        return np.where(sizes[pieces] >= self._plan.min_size, pieces, 0)


def _split_giants(plan: Plan, window: _Window) -> tuple[Labels, Ints]:
    """Split what is seen of components that are too large; return objects and their keys.

    Neighbouring windows see the same objects around their seam and give them the same keys: the
    pixel of the largest distance, or without distances the number of the component.
    """
    keys = np.zeros(int(window.labels.max(initial=0)) + 1, np.int64)
    for chunk, before in window.cut_from.items():
        if plan.work.has(f"groups/{chunk}"):
            groups = plan.work.load(f"groups/{chunk}", "giants", "giant_keys")
            label = before + groups["giants"]
            seen = label < keys.size
            keys[label[seen]] = groups["giant_keys"][seen]
    pieces = window.split((keys < 0)[window.labels])
    return pieces, _peaks(plan, window, pieces) if plan.has_distance else _owners(
        window, pieces, keys
    )


def _peaks(plan: Plan, window: _Window, pieces: Labels) -> Ints:
    """Return for each piece the pixel of the plane at which it is most distant from its border."""
    assert window.distance is not None
    at = np.flatnonzero(pieces)
    piece, distance = pieces.ravel()[at], np.nan_to_num(window.distance.ravel()[at])
    order = np.lexsort((-distance, piece))  # stable: of equal ones the first in scan order
    numbers, first = np.unique(piece[order], return_index=True)
    peaks = np.zeros(int(pieces.max(initial=0)) + 1, np.int64)
    peaks[numbers] = _in_plane(plan, window.region, at[order[first]])
    return peaks[1:]


def _owners(window: _Window, pieces: Labels, keys: Ints) -> Ints:
    """Return for each piece the key of the component that it is of."""
    owners = np.zeros(int(pieces.max(initial=0)) + 1, np.int64)
    np.minimum.at(owners, pieces.ravel(), keys[window.labels].ravel())
    return owners[1:]


def _first_pixels(plan: Plan, region: Region, pieces: Labels) -> Ints:
    """Return for each piece its first pixel in scan order, as an index in the plane."""
    first = Runs.of(pieces).first(int(pieces.max(initial=0)))
    return _in_plane(plan, region, first)


def _in_plane(plan: Plan, region: Region, flat: Ints) -> Ints:
    """Return the index in the plane of pixels of a region."""
    rows, columns = np.divmod(flat, region[1].stop - region[1].start)
    return plan.seen.flat(rows + region[0].start, columns + region[1].start)


def _runs(
    plan: Plan, plane: int, region: Region, pieces: Labels, keys: Ints
) -> Iterator[tuple[int, Ints]]:
    """Yield for each chunk what is to be painted: start in the chunk, length and key, (3, n)."""
    for chunk in plan.seen.covering(plane, region):
        place = plan.seen.region(chunk)
        common = shared(place, region)
        part = pieces[within(common, region)]
        begins = np.ones(part.shape, bool)
        np.not_equal(part[:, 1:], part[:, :-1], out=begins[:, 1:])
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=part.size)
        number = part.ravel()[starts]
        there = number > 0
        if not there.any():
            continue
        rows, columns = np.divmod(starts[there], part.shape[1])
        top, left = (axis.start for axis in within(common, place))
        width = place[1].stop - place[1].start
        flat = (rows + top) * width + columns + left
        yield chunk, np.stack([flat, lengths[there], keys[number[there] - 1]])
