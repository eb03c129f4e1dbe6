"""Components of the foreground that seams cut, joined across them: exactly, face by face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unet.chunked.plan import Plan

Ints = NDArray[np.int64]

LARGEST = 2**23
"""Pixels of the box around a component (2,900 squared) up to which it is split whole, and so as in
memory, which takes 60 bytes for each. A larger one is split window by window: approximately."""
FACING = (("bottom", "top"), ("right", "left"))
"""The sides on which a chunk and its neighbour face one another, by axis."""


@dataclass(frozen=True)
class _Pieces:
    """The N cut components of a plane's chunks, chunk after chunk.

    Parameters
    ----------
    chunk, number : int array, shape (N,)
        Where each is, and its number there, from 1.
    boxes : int array, shape (N, 4)
        (top, left, bottom, right) in the plane.
    pairs : int array, shape (2, P)
        Which share a face across a seam.
    """

    chunk: Ints
    number: Ints
    boxes: Ints
    pairs: Ints


def join(plan: Plan) -> dict[str, Any]:
    """Find out which cut components are one, and who is to split them.

    For each chunk with something to do, `groups/CHUNK` says what: the groups whose boxes begin in
    it, and those of its components that belong to groups too large to be split whole.
    """
    tasks: list[int] = []
    approximate = 0
    for plane in range(plan.seen.planes):
        pieces = _gather(plan, plane)
        if pieces.chunk.size:
            approximate += _share_out(plan, plane, pieces, tasks)
    found = {"tasks": sorted(tasks), "approximate": approximate}
    plan.work.tell("groups", found)
    return found


def _gather(plan: Plan, plane: int) -> _Pieces:
    """Read what the chunks of a plane cut, and which of it meets; a row of chunks at a time."""
    grid, total = plan.seen, 0
    chunk, number, boxes, pairs = [], [], [], []
    faces: dict[int, dict[str, NDArray[Any]]] = {}
    offset: dict[int, int] = {}
    waiting: dict[int, list[tuple[int, int]]] = {}
    for index in grid.of_plane(plane):
        part = plan.work.load(f"parts/{index}", "boxes", "top", "bottom", "left", "right")
        count = len(part["boxes"])
        top, left = (axis.start for axis in grid.region(index))
        chunk.append(np.full(count, index))
        number.append(np.arange(1, count + 1))
        boxes.append(part["boxes"] + (top, left, top, left))
        faces[index], offset[index] = dict(part), total
        total += count
        for axis, other in waiting.pop(index, []):
            mine, its = FACING[axis][1], FACING[axis][0]
            pairs.append(_meet(faces[other][its], offset[other], part[mine], offset[index]))
        for axis, other in grid.neighbours(index):
            waiting.setdefault(other, []).append((axis, index))
        faces.pop(index - grid.counts[2], None)  # the chunk above has met all its neighbours
    return _Pieces(
        np.concatenate(chunk),
        np.concatenate(number),
        np.concatenate(boxes),
        np.hstack(pairs or [_NO_PAIRS]),
    )


_NO_PAIRS = np.zeros((2, 0), np.int64)


def _meet(one: Ints, first: int, other: Ints, second: int) -> Ints:
    """Return the pairs of components that face each other on a seam, (2, n)."""
    both = (one > 0) & (other > 0)
    facing = np.stack([one[both].astype(np.int64) + first, other[both].astype(np.int64) + second])
    return np.unique(facing, axis=1) - 1


def _share_out(plan: Plan, plane: int, pieces: _Pieces, tasks: list[int]) -> int:
    """Write for each chunk what it is to do; return how many groups are too large."""
    count = pieces.chunk.size
    ones = np.ones(pieces.pairs.shape[1], bool)
    graph = coo_array((ones, (pieces.pairs[0], pieces.pairs[1])), shape=(count, count))
    groups, group = connected_components(graph, directed=False)
    boxes = np.empty((groups, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, 0
    np.minimum.at(boxes[:, :2], group, pieces.boxes[:, :2])
    np.maximum.at(boxes[:, 2:], group, pieces.boxes[:, 2:])
    too_large = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) > LARGEST
    side, columns = plan.seen.side, plan.seen.counts[2]
    home = plan.seen.at(plane, 0, 0) + boxes[:, 0] // side * columns + boxes[:, 1] // side
    where = np.where(too_large[group], pieces.chunk, home[group])  # who deals with each piece
    order = np.lexsort((group, where))
    ends = np.append(np.flatnonzero(np.diff(where[order])) + 1, count)
    for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        own = order[start:end]
        large = too_large[group[own]]
        mine = own[~large]
        plan.work.save(
            f"groups/{where[own[0]]}",
            groups=np.unique(group[mine], return_inverse=True)[1],
            chunks=pieces.chunk[mine],
            numbers=pieces.number[mine],
            boxes=boxes[np.unique(group[mine])],
            giants=pieces.number[own[large]],
            giant_keys=-1 - group[own[large]].astype(np.int64),
        )
        tasks.append(int(where[own[0]]))
    return int(too_large.sum())
