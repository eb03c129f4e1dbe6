"""The table of a label image's objects that was written beside it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.images.classes import LABEL
from napari_unet.images.finding import LABELS_MARK
from napari_unet.images.ome import stem_of
from napari_unet.images.records import find_provenance
from napari_unet.provenance import Provenance

OBJECTS = "_objects.csv"
"""What follows an image's name in that of the table."""


def read_objects(labels: Path, made: Provenance | None = None) -> dict[str, NDArray[Any]]:
    """Read the measurements of a label image's objects, where they are beside it.

    Parameters
    ----------
    labels : Path
        The label image, ``NAME_labels`` with any ending; the table is ``NAME_objects.csv``.
    made : Provenance or None
        How the labels were made. A table that says it is of others is left aside.

    Returns
    -------
    dict of str to array
        A row per object, of numbers where there are only such. Empty without a table, or if it is
        damaged or numbers the objects of several planes anew.
    """
    path = labels.with_name(f"{stem_of(labels).removesuffix(LABELS_MARK)}{OBJECTS}")
    if find_provenance(path) not in (None, made):
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
        table = {name: _column([row[name] for row in rows]) for name in rows[0]}
    except (OSError, ValueError, IndexError, TypeError, csv.Error):
        return {}
    numbers = table.get(LABEL, np.empty(0))
    told = numbers.dtype.kind == "i" and np.unique(numbers).size == len(rows)
    return table if told else {}


def _column(texts: list[str]) -> NDArray[Any]:
    for kind in (np.int64, np.float64):
        try:
            return np.array(texts).astype(kind)
        except ValueError:
            continue
    return np.array(texts, object)
