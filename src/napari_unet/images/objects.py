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

OBJECTS = "_objects.csv"
"""What follows an image's name in that of the table."""


def read_objects(labels: Path) -> dict[str, NDArray[Any]]:
    """Read the measurements of a label image's objects, where they are beside it.

    Parameters
    ----------
    labels : Path
        The label image, ``NAME_labels`` with any ending; the table is ``NAME_objects.csv``.

    Returns
    -------
    dict of str to array
        A row per object, of numbers where there are only such. Empty without a table, or if it is
        damaged or numbers the objects of several planes anew.
    """
    name = stem_of(labels).removesuffix(LABELS_MARK)
    try:
        with labels.with_name(f"{name}{OBJECTS}").open(newline="", encoding="utf-8-sig") as file:
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
