"""What was measured, and how it is shown: as a sentence, a layer's features, a file."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_unet._qt import plots
from napari_unet._qt.layers import axes_of, pixel_sides, pixels
from napari_unet._qt.object_classes import kinds_in
from napari_unet._qt.watching import fingerprint
from napari_unet.provenance import KEY, Provenance
from napari_unet.wording import counted

Table = dict[str, NDArray[Any]]
_UNITS = {"_px": " (px)", "_um2": " (µm²)", "_um": " (µm)", "_deg": " (°)"}
NO_FEATURES = ("label", "class", "touches_border")
"""Columns that are not worth a plot."""
KNOWN = ("class", "score")
"""Features of labels that a measurement does not find out, and keeps."""


def in_words(column: str) -> str:
    """Return what a column is called where it is read: "area_um2" is "area (µm²)"."""
    for ending, unit in _UNITS.items():
        if column.endswith(ending):
            return column.removesuffix(ending).replace("_", " ") + unit
    return column.replace("_", " ")


@dataclass(frozen=True, eq=False)
class Report:
    """The measurements of a layer's objects.

    Parameters
    ----------
    labels : Labels
        The layer.
    table : dict of str to array
        As of :func:`napari_unet.measurements.measure`.
    features : dict of str to array
        The same as napari's features. Their column `index` says which number a row is of; where
        objects are numbered anew in each plane, no number is of one row, and it is NaN.
    fingerprint : tuple
        Of the labels that were measured, if they were in memory.
    """

    labels: Labels
    table: Table
    features: Table
    fingerprint: tuple[Any, ...]

    @property
    def planes(self) -> list[str]:
        """Columns that say in which plane an object is."""
        names = list(self.table)
        return [name for name in names[1 : names.index("area_px")] if name not in KNOWN]

    @property
    def plottable(self) -> list[str]:
        """Columns that a plot may show."""
        return [name for name in self.table if name not in (*NO_FEATURES, *self.planes)]

    def sentence(self) -> str:
        """Say it in plain words."""
        count = self.table["label"].size
        if not count:
            return f"{self.labels.name} holds no object."
        area = f"{np.median(self.table['area_px']):,.0f} px"
        if "area_um2" in self.table:
            area += f" ({np.median(self.table['area_um2']):,.4g} µm²)"
        at_border = int(self.table["touches_border"].sum())
        return f"{counted(count)} measured: median area {area}, {at_border:,} at the border."


def measuring(labels: Labels, image: Image | None) -> Callable[[], Generator[float, None, Report]]:
    """Return the steps of a job that measures what the layers hold; it touches no layer."""
    array, gray = pixels(labels), pixels(image) if image is not None else None
    axes = axes_of(image) if image is not None else axes_of(labels).replace("C", "Q")
    size, known = pixel_sides(labels), known_of(labels)

    def steps() -> Generator[float, None, Report]:
        plots.load()
        from napari_unet.measurements import measure_steps

        print_ = fingerprint(array) if isinstance(array, np.ndarray) else ()
        table = yield from measure_steps(array, gray, axes=axes, pixel_size=size, known=known)
        numbers = table["label"]
        is_unique = np.unique(numbers).size == numbers.size
        index = numbers if is_unique else np.full(numbers.size, np.nan)
        return Report(labels, table, {"index": index, **table}, print_)

    return steps


def known_of(labels: Labels) -> dict[int, Table]:
    """Return what features say of the objects already, for each plane.

    Where objects are numbered anew in each plane, no feature is of one of them; but an object that
    goes on through planes has one class.
    """
    features = labels.features
    names = [name for name in KNOWN if name in features]
    if names and "index" in features and not features["index"].isna().any():
        table = {"index": np.asarray(features["index"], np.int64)}
        for name in names:
            column = features[name]
            table[name] = np.asarray(column, float) if name == "score" else _texts(column)
    elif kinds := kinds_in(labels):
        table = {"index": np.array(list(kinds)), "class": np.array(list(kinds.values()))}
    else:
        return {}
    return {plane: table for plane in range(prod(pixels(labels).shape[:-2]))}


def _texts(column: Any) -> NDArray[Any]:
    return np.asarray(column.astype(object).where(column.notna(), ""), str)


def made_of(labels: Labels) -> Provenance | None:
    """Return how a layer's labels were made, where it says so."""
    try:
        return Provenance.from_dict(labels.metadata[KEY])
    except (KeyError, ValueError):
        return None


def saving(report: Report, path: Path) -> Callable[[], Generator[None, None, Path]]:
    """Return the steps of a job that writes the table as a CSV file."""
    name, path = report.labels.name, path if path.suffix else path.with_suffix(".csv")
    made = made_of(report.labels)

    def steps() -> Generator[None, None, Path]:
        from napari_unet.measurements import write_table

        yield
        return write_table(path, {name: report.table}, {name: made} if made else {})

    return steps
