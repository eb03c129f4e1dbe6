"""Which class each object of a label image is of, as a table beside it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from napari_unet.images.ome import stem_of

LABEL, CLASS = "label", "class"


def table_of(labels: Path) -> Path:
    """Return where the table of a label image's objects is: beside it, with the same stem."""
    return labels.with_name(f"{stem_of(labels)}.csv")


def read_classes(path: Path, classes: Sequence[str]) -> dict[int, int]:
    """Read the class of each object.

    Parameters
    ----------
    path : Path
        CSV with the columns "label" and "class", the latter a name or a number from 1; further
        columns are not looked at.
    classes : sequence of str
        Names, background first.

    Returns
    -------
    dict of int to int
        From an object's number to its class, counted from 1.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such table, it lacks a column, or says what is no class.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: write a table with the columns {LABEL} and {CLASS}, one line"
            " an object."
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            rows, names = list(table), set(table.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} cannot be read as a table ({error}): save it as CSV in UTF-8."
        ) from error
    missing = {LABEL, CLASS} - names
    if missing:
        raise ValueError(f"{path} has no column {' and '.join(sorted(missing))}: add it.")
    return {
        _number(row[LABEL], path): _class(row[CLASS], classes, path) for row in rows if row[LABEL]
    }


def _number(text: str, path: Path) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{path}: label {text!r} is no whole number.") from None


def _class(text: str | None, classes: Sequence[str], path: Path) -> int:
    name = (text or "").strip()
    if name in classes[1:]:
        return classes.index(name)
    if name.isdecimal() and 1 <= int(name) < len(classes):
        return int(name)
    raise ValueError(
        f"{path}: {name!r} is none of the classes {', '.join(classes[1:])}, nor the number of one."
    )
