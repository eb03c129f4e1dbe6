"""The table as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from napari_unet.files import write_whole
from napari_unet.images.records import write_beside
from napari_unet.measurements.planes import Table
from napari_unet.provenance import Provenance

NONE: Mapping[str, Provenance] = MappingProxyType({})
DIGITS = 10
"""Significant ones of a number that is not whole."""


def as_csv(tables: Mapping[str, Table]) -> str:
    """Return tables of several images as one, whose first column says which.

    Columns that a table lacks, such as those in micrometres, are empty in its rows.

    Parameters
    ----------
    tables : dict of str to dict of str to array
        Tables of :func:`napari_unet.measurements.measure` by the names of their images.
    """
    columns = list(dict.fromkeys(name for table in tables.values() for name in table))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *columns])
    for image, table in tables.items():
        count = len(next(iter(table.values())))
        texts = [_texts(table[name]) if name in table else [""] * count for name in columns]
        writer.writerows(zip([image] * count, *texts, strict=True))
    return text.getvalue()


def _texts(column: NDArray[Any]) -> list[str]:
    if column.dtype.kind != "f":
        return [str(value) for value in column.tolist()]
    return ["" if value != value else f"{value:.{DIGITS}g}" for value in column.tolist()]


def write_table(
    path: str | Path, tables: Mapping[str, Table], made: Mapping[str, Provenance] = NONE
) -> Path:
    """Write what :func:`as_csv` returns.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` path.
    tables : dict of str to dict of str to array
        Tables by the names of their images.
    made : dict of str to Provenance
        How the labels of an image were made, where that is known: written beside the table, into
        the file of its name with ``-metadata.json`` at the end.

    Raises
    ------
    ValueError
        If the name does not end in ``.csv``.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise ValueError(f"{path} cannot hold a table: let its name end in .csv.")

    def write(temporary: Path) -> None:
        # The name of an image may hold bytes that are no letters: they are written as numbers.
        temporary.write_bytes(as_csv(tables).encode(errors="backslashreplace"))

    write_whole(path, write)
    write_beside(path, made)
    return path
