"""Numbered objects to labels of the image in an OME-Zarr, and its coarser levels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.chunked.grid import Grid, shared
from napari_unet.chunked.plan import Plan
from napari_unet.chunked.runs import Runs
from napari_unet.images.ngff import CHUNK, level_shapes, open_level, writable
from napari_unet.preprocessing import Frame
from napari_unet.tiling import Region, extent, within

SIDE = 2 * CHUNK
"""Of what is written at a time: whole chunks of the Zarr, so that nobody else writes into them."""


def write(plan: Plan, index: int) -> str:
    """Write the labels of a chunk of the image, of `plan.shown`."""
    plane, *_ = plan.shown.place(index)
    frame = Frame(plan.shown.shape, plan.shown.region(index), plan.zoom)
    labels = frame.restore(_numbered(plan, plane, frame.seen))
    with writable(plan.labels):
        array = open_level(plan.labels, 0)
        where: Any = (*plan.position(plane), *frame.region)
        array[where] = labels.astype(array.dtype)
    return ""


def _numbered(plan: Plan, plane: int, region: Region) -> NDArray[np.int32]:
    """Return the labels in a rectangle of network pixels."""
    labels = np.zeros(extent(region), np.int32)
    for index in plan.seen.covering(plane, region):
        chunk = plan.seen.region(index)
        common = shared(chunk, region)
        rows, columns = within(common, chunk)
        if plan.card.target.instances:
            runs = Runs.load(plan.work.load(f"grown/{index}", "lengths", "values", "shape"))
            numbers = np.append(0, plan.work.load(f"numbers/{index}")["numbers"])
            part = numbers[runs.rows(rows.start, rows.stop)]
        else:
            part = Runs.load(plan.work.load(f"parts/{index}")).rows(rows.start, rows.stop)
        labels[within(common, region)] = part[:, columns]
    return labels


def levels(plan: Plan) -> list[Grid]:
    """Return the chunks that each of the coarser levels is written in, the finest first."""
    shapes = level_shapes(plan.shown.shape)[1:]
    return [Grid(plan.shown.planes, shape, SIDE) for shape in shapes]


def coarsen(plan: Plan, level: int, index: int) -> str:
    """Write a chunk of a coarser level: every second row and column of the level before."""
    grid = levels(plan)[level - 1]
    plane, *_ = grid.place(index)
    leading, region = plan.position(plane), grid.region(index)
    where: Any = (*leading, *region)
    finer: Any = (*leading, *(slice(2 * part.start, 2 * part.stop, 2) for part in region))
    with writable(plan.labels):
        labels = open_level(plan.labels, level - 1)[finer]
        open_level(plan.labels, level)[where] = labels
    return ""
