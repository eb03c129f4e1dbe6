"""Corrections of one object of a plane of labels: merge, split, fill, smooth, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import measure

from napari_unet.annotations.cutting import divided

Plane = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]

LARGEST = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class Edit:
    """Pixels of a plane that change, and to what.

    Parameters
    ----------
    rows, columns : intp arrays, shape (N,)
        Where; at least one.
    values : int32 array, shape (N,)
        The new labels.
    label : int
        The object that the edit leaves selected: of a split, the new one.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: NDArray[np.int32]
    label: int

    def indices(self, plane: Sequence[int] = ()) -> tuple[NDArray[np.intp], ...]:
        """Return an index array for each axis of the layer, as `Labels.data_setitem` takes them.

        Parameters
        ----------
        plane : sequence of int
            An index for each axis before Y and X.
        """
        leading = tuple(np.full(self.rows.size, at, np.intp) for at in plane)
        return (*leading, self.rows, self.columns)

    def apply(self, plane: Plane) -> None:
        """Change a plane in place."""
        plane[self.rows, self.columns] = self.values


def next_label(labels: Plane) -> int:
    """Return a label that is not used: one above the largest."""
    largest = int(labels.max(initial=0))
    if largest < LARGEST:
        return max(largest, 0) + 1
    used = np.unique(labels[labels > 0])
    gaps = np.flatnonzero(used != np.arange(1, used.size + 1))
    return int(gaps[0]) + 1 if gaps.size else used.size + 1


def delete(plane: Plane, label: int) -> Edit:
    """Make an object unpainted (0). As for all edits, ValueError if it is not in the plane."""
    box, inside = _find(plane, label)
    return _edit(box, inside, 0, 0)


def merge(plane: Plane, kept: int, other: int) -> Edit:
    """Give an object the label of another, near or far; ValueError if they are the same."""
    if kept == other:
        raise ValueError(f"Both are object {kept}: click on two objects.")
    if kept <= 0 or not (plane == kept).any():
        raise ValueError(_missing(kept))
    box, inside = _find(plane, other)
    return _edit(box, inside, kept, kept)


def split(plane: Plane, label: int, line: NDArray[Any], new: int | None = None) -> Edit:
    """Cut an object in two along a line; the side without its largest piece gets the new label.

    Parameters
    ----------
    plane : integer array, shape (Y, X)
    label : int
        The object.
    line : array, shape (N, 2)
        Rows and columns of the points of a polyline, N >= 2. Where it ends inside the object it is
        continued straight on to the object's edge.
    new : int, optional
        A label that is used nowhere in the layer; of the plane's own, the next free one.

    Raises
    ------
    ValueError
        If the line does not cut the object in two.
    """
    line = np.asarray(line, float)
    if line.ndim != 2 or line.shape[1] != 2 or len(line) < 2 or not np.isfinite(line).all():
        raise ValueError("A line of two points at least is needed: draw it across the object.")
    box, inside = _find(plane, label)
    parts = divided(inside, line - (box[0].start, box[1].start))
    if parts is None:
        raise ValueError(
            f"The line does not cut object {label} in two: draw it across the object, from one side"
            " to the other."
        )
    new = next_label(plane) if new is None else new
    return _edit(box, parts, new, new)


def fill_holes(plane: Plane, label: int) -> Edit:
    """Fill what an object encloses, other objects excepted; ValueError if it has no holes."""
    box, inside = _find(plane, label)
    holes = ndimage.binary_fill_holes(inside) & (plane[box] <= 0)
    if not holes.any():
        raise ValueError(f"Object {label} has no holes to fill.")
    return _edit(box, holes, label, label)


def smooth(plane: Plane, label: int, radius: float = 2.0) -> Edit:
    """Smooth an object's outline by a Gaussian of that many pixels, over no other object.

    Its area stays, about.

    Raises
    ------
    ValueError
        If nothing would change, or nothing of the object would remain.
    """
    box, inside = _find(plane, label, margin=ceil(2 * radius) + 1)
    blurred = ndimage.gaussian_filter(inside.astype(np.float32), radius, mode="nearest")
    blurred[(plane[box] > 0) & ~inside] = 0
    # One threshold for all would make small objects smaller at each press.
    size = int(inside.sum())
    area_kept = float(np.partition(blurred.ravel(), -size)[-size])
    smoothed = blurred >= min(max(area_kept, 0.3), 0.7)
    if not smoothed.any():
        raise ValueError(f"Object {label} is too small to be smoothed: nothing would remain.")
    changed = smoothed != inside
    if not changed.any():
        raise ValueError(f"Object {label} is as smooth as it can be.")
    return _edit(box, changed, np.where(smoothed[changed], label, 0), label)


def remove_specks(plane: Plane, label: int | None = None, smallest: int = 20) -> Edit:
    """Remove connected pieces of fewer than `smallest` pixels.

    Parameters
    ----------
    plane : integer array, shape (Y, X)
    label : int or None
        Of one object, whose largest piece is kept anyway (quick); None: of all objects, however
        few pixels that leaves of them (about a second for 4096 x 4096 pixels: not in the window's
        thread).
    smallest : int
        Pixels of the smallest piece that is kept.

    Raises
    ------
    ValueError
        If there are none.
    """
    if label is None:
        pieces = measure.label(np.maximum(plane, 0), connectivity=2)
        box: Box = (slice(0, plane.shape[0]), slice(0, plane.shape[1]))
    else:
        box, inside = _find(plane, label)
        pieces = measure.label(inside, connectivity=2)
    sizes = np.bincount(pieces.ravel())
    specks = sizes < smallest
    specks[0] = False
    if label is not None:
        specks[1 + np.argmax(sizes[1:])] = False
    if not specks.any():
        where = "The plane" if label is None else f"Object {label}"
        raise ValueError(f"{where} has no specks of fewer than {smallest} pixels.")
    return _edit(box, specks[pieces], 0, label or 0)


def _find(plane: Plane, label: int, margin: int = 0) -> tuple[Box, Mask]:
    """Return the bounding box of an object, and the object in it."""
    everywhere = plane == label
    rows = np.flatnonzero(everywhere.any(axis=1))
    if label <= 0 or not rows.size:
        raise ValueError(_missing(label))
    columns = np.flatnonzero(everywhere[rows[0] : rows[-1] + 1].any(axis=0))
    sides = ((rows, plane.shape[0]), (columns, plane.shape[1]))
    box = tuple(
        slice(max(int(at[0]) - margin, 0), min(int(at[-1]) + 1 + margin, n)) for at, n in sides
    )
    return (box[0], box[1]), everywhere[box]


def _missing(label: int) -> str:
    if label <= 0:
        return "There is no object: click on one."
    return f"Object {label} is not in this plane: click on an object that is."


def _edit(box: Box, where: Mask, values: int | NDArray[Any], label: int) -> Edit:
    rows, columns = np.nonzero(where)
    changed = np.broadcast_to(np.asarray(values, np.int32), rows.shape).copy()
    return Edit(rows + box[0].start, columns + box[1].start, changed, label)
