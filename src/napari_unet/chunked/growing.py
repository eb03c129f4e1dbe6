"""Objects of all chunks put together: grown into the ridges between them, and numbered."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.chunked.grid import shared
from napari_unet.chunked.plan import Plan
from napari_unet.chunked.runs import Runs
from napari_unet.instances import RIDGE_REACH, grow_into_ridges
from napari_unet.tiling import Region, extent, within

Labels = NDArray[np.int32]
Ints = NDArray[np.int64]


def grow(plan: Plan, index: int) -> str:
    """Grow the objects of a chunk, and note which they are and where each begins."""
    plane, *_ = plan.seen.place(index)
    region, around = plan.seen.region(index), plan.seen.around(index, RIDGE_REACH)
    labels, keys = _compose(plan, plane, around)
    if plan.card.target.has_ridges:
        labels = grow_into_ridges(labels)
    grown = labels[within(region, around)]
    present = np.bincount(grown.ravel(), minlength=keys.size + 1) > 0
    present[0] = False
    numbers = (np.cumsum(present) * present).astype(np.int32)
    runs = Runs.of(numbers[grown])
    rows, columns = np.divmod(runs.first(int(present.sum())), runs.shape[1])
    plan.work.save(
        f"grown/{index}",
        **runs.arrays(),
        keys=keys[present[1:]],
        first=plan.seen.flat(rows + region[0].start, columns + region[1].start),
        border=_at_border(plan, region, numbers[grown], int(present.sum())),
    )
    return ""


def _compose(plan: Plan, plane: int, region: Region) -> tuple[Labels, Ints]:
    """Return the objects in a rectangle before they grow, and the key of each."""
    labels: Labels = np.zeros(extent(region), np.int32)
    keys: list[Ints] = []
    count = 0
    for index in plan.seen.covering(plane, region):
        chunk = plan.seen.region(index)
        common = shared(chunk, region)
        there = labels[within(common, region)]
        for add in (_add_whole, _add_settled):
            found = add(plan, index, within(common, chunk), there, count)
            keys.append(found)
            count += found.size
    unique, number = np.unique(np.concatenate(keys), return_inverse=True)
    return np.append(0, number + 1).astype(np.int32)[labels], unique


def _add_whole(plan: Plan, index: int, part: Region, there: Labels, count: int) -> Ints:
    """Paint the objects that a chunk holds whole, from number `count` on; return their keys."""
    found = plan.work.load(f"parts/{index}", "lengths", "values", "shape", "kept")
    runs, kept = Runs.load(found), int(found["kept"])
    rows, columns = part
    labels = runs.rows(rows.start, rows.stop)[:, columns]
    there[...] = np.where((labels > 0) & (labels <= kept), labels + count, 0)
    chunk = plan.seen.region(index)
    y, x = np.divmod(runs.first(kept), runs.shape[1])
    keys: Ints = plan.seen.flat(y + chunk[0].start, x + chunk[1].start)
    return keys


def _add_settled(plan: Plan, index: int, part: Region, there: Labels, count: int) -> Ints:
    """Paint what lies in a chunk of objects that were joined; return their keys."""
    found = [plan.work.load(name) for name in plan.work.within(f"settled/{index}")]
    if not found:
        return np.zeros(0, np.int64)
    starts, lengths, keys = (
        np.concatenate([f[name] for f in found]) for name in ("starts", "lengths", "keys")
    )
    unique, number = np.unique(keys, return_inverse=True)
    chunk = plan.seen.region(index)
    rows, columns = np.divmod(starts, chunk[1].stop - chunk[1].start)
    inside = (rows >= part[0].start) & (rows < part[0].stop)
    rows, columns, lengths = rows[inside], columns[inside], lengths[inside]
    steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    x = np.repeat(columns, lengths) + steps - part[1].start
    y = np.repeat(rows, lengths) - part[0].start
    value = np.repeat(number[inside] + count + 1, lengths)
    seen = (x >= 0) & (x < there.shape[1])
    there[y[seen], x[seen]] = value[seen]
    return unique


def _at_border(plan: Plan, region: Region, labels: Labels, count: int) -> NDArray[np.bool_]:
    """Return which of a chunk's objects touch the border of the plane, shape (count,)."""
    touches = np.zeros(count + 1, bool)
    for axis, (part, size) in enumerate(zip(region, plan.seen.shape, strict=True)):
        lines = np.moveaxis(labels, axis, 0)
        if part.start == 0:
            touches[lines[0]] = True
        if part.stop == size:
            touches[lines[-1]] = True
    return touches[1:]


def number(plan: Plan) -> list[int]:
    """Give the objects of each plane the numbers 1..n in scan order; return n of each.

    The table has a few words for each object and chunk that it is in: the only thing that grows
    with the image.
    """
    counts = []
    for plane in range(plan.seen.planes):
        chunks = plan.seen.of_plane(plane)
        tables = [plan.work.load(f"grown/{i}", "keys", "first", "border") for i in chunks]
        keys, first, border = (
            np.concatenate([table[name] for table in tables])
            for name in ("keys", "first", "border")
        )
        numbers, count = _numbers(keys, first, border & plan.config.remove_border)
        counts.append(count)
        ends = np.cumsum([table["keys"].size for table in tables])
        for chunk, own in zip(chunks, np.split(numbers, ends[:-1]), strict=True):
            plan.work.save(f"numbers/{chunk}", numbers=own)
    plan.work.tell("numbers", counts)
    return counts


def _numbers(keys: Ints, first: Ints, dropped: NDArray[np.bool_]) -> tuple[NDArray[Any], int]:
    """Return the number of each entry of the table, 0 for objects to drop, and the largest."""
    unique, entry = np.unique(keys, return_inverse=True)
    begins = np.full(unique.size, np.iinfo(np.int64).max)
    np.minimum.at(begins, entry, first)
    kept = np.ones(unique.size, bool)
    kept[entry[dropped]] = False
    order = np.argsort(begins)
    numbers = np.zeros(unique.size, np.int32)
    numbers[order] = np.cumsum(kept[order]) * kept[order]
    return numbers[entry], int(kept.sum())
