"""Labels and images as planes, and the rows that each plane gives as one table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.measurements.runs import Ints, Runs
from napari_unet.preprocessing import Planes

Table = dict[str, NDArray[Any]]
"""Columns by their names, each an array with an entry per row."""
Known = Mapping[int, Mapping[str, NDArray[Any]]]
"""What is known of the objects of a plane already, by the plane's index: columns, of which "index"
has the numbers of the objects."""
NOTHING: Known = MappingProxyType({})
INDEX = "index"


def tabulate(
    planes: Planes, known: Known, measure: Callable[[int, NDArray[Any], Runs], Table]
) -> Generator[float, None, Table]:
    """Measure plane after plane, and yield the share that is done.

    Parameters
    ----------
    planes : Planes
        Labels.
    known : mapping
        What is known already: columns of the table, too.
    measure : callable
        Takes the index of a plane, its labels and the runs of its objects, of which there is one at
        least; returns columns.
    """
    letters = [letter for letter in planes.axes if letter not in "YX"]
    names = _names_of_planes(letters)
    parts: list[Table] = []
    for number in range(len(planes)):
        plane = np.array(planes[number][0])  # a copy, which nobody paints in meanwhile
        plane = plane.view(np.uint8) if plane.dtype == bool else plane
        runs = Runs.of(plane)
        rows = (
            measure(number, plane, runs) if runs.labels.size else _no_rows(measure, number, plane)
        )
        at = np.unravel_index(number, planes.leading) if planes.leading else ()
        where = {n: np.full(runs.labels.size, int(i)) for n, i in zip(names, at, strict=True)}
        told = _look_up(runs.labels, known.get(number), known)
        parts.append({"label": runs.labels, **where, **told, **rows})
        yield (number + 1) / len(planes)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def run_to_table(steps: Generator[float, None, Table]) -> Table:
    """Go through `steps`; returns what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            table: Table = end.value
            return table


def _no_rows(
    measure: Callable[[int, NDArray[Any], Runs], Table], number: int, plane: NDArray[Any]
) -> Table:
    """Measure a stand-in for a plane without objects, and tell of none."""
    stand_in = np.zeros_like(plane)
    stand_in[:1, :1] = 1
    rows = measure(number, stand_in, Runs.of(stand_in))
    return {name: column[:0] for name, column in rows.items()}


def _look_up(labels: Ints, own: Mapping[str, NDArray[Any]] | None, known: Known) -> Table:
    """Return the columns that are known of any plane, for the objects of one."""
    columns: Table = {}
    for name in dict.fromkeys(name for table in known.values() for name in table):
        kind = np.result_type(*(table[name] for table in known.values() if name in table))
        is_number = kind.kind in "buif"
        columns[name] = np.full(
            labels.size, np.nan if is_number else "", np.float64 if is_number else kind
        )
    columns.pop(INDEX, None)
    if own is None or not own[INDEX].size:
        return columns
    order = np.argsort(own[INDEX], kind="stable")
    at = order[np.searchsorted(own[INDEX], labels, sorter=order).clip(max=order.size - 1)]
    found = own[INDEX][at] == labels
    for name in columns.keys() & own.keys():
        columns[name][found] = own[name][at[found]]
    return columns


def as_planes(labels: Any, image: Any, axes: str | None) -> tuple[Planes, Planes | None]:
    """See labels and image as planes, and make sure that they fit."""
    of = labels if image is None else image
    if labels.dtype.kind not in "bui":
        raise ValueError(f"The labels hold {labels.dtype}: give labels, which are integers.")
    if of.dtype.kind not in "buif":
        raise ValueError(
            f"An image of type {of.dtype} cannot be measured: convert it to real numbers (for"
            " complex data, take the magnitude)."
        )
    axes = (axes or "Q" * (of.ndim - 2) + "YX").upper()
    if len(axes) != of.ndim or any(axes.count(letter) != 1 for letter in "YX"):
        raise ValueError(
            f"axes = {axes!r} do not fit an array of shape {of.shape}: give one letter a dimension,"
            " with Y and X once each."
        )
    own = "".join(letter for letter in axes if letter not in "CSYX") + "YX"
    if image is None:
        own = axes
    elif Planes(image, axes).leading + Planes(image, axes).plane_shape != labels.shape:
        raise ValueError(
            f"The labels have the shape {labels.shape} and the image {image.shape} with axes"
            f" {axes}: measure labels in the image that they are of."
        )
    if 0 in labels.shape or "C" in own or "S" in own:
        raise ValueError(
            f"Labels of shape {labels.shape} with axes {own} cannot be measured: give planes of"
            " height and width, without channels."
        )
    return Planes(labels, own), None if image is None else Planes(image, axes)


def _names_of_planes(letters: list[str]) -> list[str]:
    """Name a column for each dimension that is walked."""
    known = [letter if letter in "TZ" and letters.count(letter) == 1 else "" for letter in letters]
    nameless = known.count("")
    numbers = iter(range(1, nameless + 1))
    return [
        letter.lower() or ("plane" if nameless == 1 else f"plane_{next(numbers)}")
        for letter in known
    ]
