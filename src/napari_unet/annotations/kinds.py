"""Which class each annotated object is of, as a table beside its annotation."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_unet.files import write_whole
from napari_unet.images.classes import CLASS, LABEL, table_of


def read_kinds(path: Path) -> dict[int, str]:
    """Read the class of each object of an annotation, by its label; empty without a table.

    Parameters
    ----------
    path : Path
        Of the annotation; the table is ``NAME.csv``, with the columns "label" and "class". Lines
        that name no object, or no class, are passed over, and so is a table of something else.
    """
    return _read(table_of(path)) or {}


def known_kinds(paths: Iterable[Path]) -> list[str]:
    """Return the names of the classes in several annotations, sorted; quick."""
    return sorted({kind for path in paths for kind in read_kinds(path).values()})


def write_kinds(path: Path, kinds: Mapping[int, str]) -> None:
    """Write the classes of an annotation's objects as :func:`read_kinds` reads them.

    A table that says just that is left as it is; without any class there is none.

    Raises
    ------
    ValueError
        If a table of something else is in its place.
    OSError
        If it cannot be written.
    """
    table = table_of(path)
    written = _read(table)
    if (written or {}) == kinds:
        return
    if not kinds:
        table.unlink(missing_ok=True)
        return
    if written is None and table.exists():
        raise ValueError(
            f"{table} is no table of classes (it lacks the columns {LABEL} and {CLASS}), and is in"
            " the place of one: move it away."
        )

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow((LABEL, CLASS))
            rows.writerows(sorted(kinds.items()))

    write_whole(table, write)


def _read(table: Path) -> dict[int, str] | None:
    """Return what a table says; None if there is none, or of something else."""
    if not table.is_file():
        return None
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {LABEL, CLASS} <= set(rows.fieldnames or ()):
                return None
            said = [((row[LABEL] or "").strip(), (row[CLASS] or "").strip()) for row in rows]
    except (UnicodeDecodeError, csv.Error):  # of another program
        return None
    return {int(label): kind for label, kind in said if label.isdecimal() and kind}
