"""What chunks hold, in fewer pixels, to be looked at while others are still to come."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod, sqrt

import numpy as np
from numpy.typing import NDArray

from napari_unet.chunked.plan import Plan
from napari_unet.chunked.runs import Runs
from napari_unet.tiling import Region

NUMBERS = 250
"""That objects of a chunk have in a sketch, again and again."""


@dataclass(frozen=True)
class Sketch:
    """The objects of a chunk as its network sees them: not yet joined with those of others.

    Parameters
    ----------
    plane : tuple of int
        Index of the plane along the leading axes.
    region : tuple of slice
        Rows and columns, in pixels of the sketch.
    labels : uint8 array
        Objects, by numbers that others may have, too; or the numbers of the classes.
    """

    plane: tuple[int, ...]
    region: Region
    labels: NDArray[np.uint8]


def sketch_step(shape: tuple[int, ...], pixels: int) -> int:
    """Return how many rows and columns one pixel stands for, so that there are not too many.

    Parameters
    ----------
    shape : tuple of int
        Of the labels, (..., Y, X).
    pixels : int
        About how many pixels a sketch of all planes may have.
    """
    return max(ceil(sqrt(prod(shape) / pixels)), 1)


def sketch_shape(shape: tuple[int, ...], step: int) -> tuple[int, ...]:
    """Return the shape of a sketch of all of the labels."""
    return (*shape[:-2], *(ceil(n / step) for n in shape[-2:]))


def draw_sketch(plan: Plan, index: int, step: int) -> Sketch:
    """Sketch a chunk that is predicted: of every `step` rows and columns, that in the middle."""
    part = plan.work.load(f"parts/{index}")
    plane, *_ = plan.seen.place(index)
    rows, columns = (
        _met(*sides, plan.zoom, step)
        for sides in zip(plan.shown.shape, plan.seen.shape, plan.seen.region(index), strict=True)
    )
    (from_row, at_rows), (from_column, at_columns) = rows, columns
    labels = Runs.load(part).rows(0, int(part["shape"][0]))[np.ix_(at_rows, at_columns)]
    if plan.card.target.instances:
        small = (labels > int(part["kept"])) & (labels <= int(part["whole"]))
        labels = np.where(small | (labels == 0), 0, labels % NUMBERS + 1)
    region = tuple(
        slice(start, start + count)
        for start, count in zip((from_row, from_column), labels.shape, strict=True)
    )
    return Sketch(plan.position(plane), region, labels.astype(np.uint8))


def _met(
    shown: int, seen: int, chunk: slice, zoom: float, step: int
) -> tuple[int, NDArray[np.int64]]:
    """Return the first pixel of a sketch whose middle lies in a chunk, and where these middles are.

    The latter are pixels of the chunk.
    """
    middles = (np.arange(ceil(shown / step)) + 0.5) * step * zoom
    at = np.minimum(middles.astype(np.int64), seen - 1)
    inside = np.flatnonzero((at >= chunk.start) & (at < chunk.stop))
    return int(inside[0]) if inside.size else 0, at[inside] - chunk.start
