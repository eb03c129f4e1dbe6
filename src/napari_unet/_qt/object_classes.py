"""Of which class each object of a labels layer is: a column of the table that napari shows of it.

The pointer's place says so in the status bar, and Segment fills the same column.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

from napari.layers import Labels

from napari_unet._qt.layers import pixels
from napari_unet.config import Target

INDEX, CLASS = "index", "class"
LABEL = "label"
"""Column of Measure, whose table of a stack has a row for each plane that an object is in."""


def kinds_in(labels: Labels) -> dict[int, str]:
    """Return the class of each label that has one, and not another in another plane."""
    table = labels.features
    if CLASS not in table:
        return {}
    found: dict[int, set[str]] = {}
    for number, kind in zip(_numbers(labels), table[CLASS].tolist(), strict=True):
        if number > 0 and isinstance(kind, str) and kind:
            found.setdefault(number, set()).add(kind)
    return {number: kinds.pop() for number, kinds in found.items() if len(kinds) == 1}


def numbers_in(labels: Labels) -> set[int]:
    """Return the labels that a layer's table has rows of."""
    return set(_numbers(labels))


def show_kinds(labels: Labels, kinds: Mapping[int, str]) -> None:
    """Let each label have its class, and the others none.

    The table's other columns stay, unless its rows are of single planes.
    """
    table = labels.features
    if not kinds and CLASS not in table:
        return
    numbers = _numbers(labels)
    known = set(numbers)
    if len(known) < len(numbers):
        labels.features = {INDEX: sorted(kinds), CLASS: [kinds[n] for n in sorted(kinds)]}
        return
    more = [number for number in sorted(kinds) if number not in known]
    columns = {name: [*table[name], *[nan] * len(more)] for name in table}
    numbers += more
    columns |= {INDEX: numbers, CLASS: [kinds.get(number, "") for number in numbers]}
    labels.features = columns


def _numbers(labels: Labels) -> list[int]:
    """Return which label each row of the table is of, 0 where it does not say so."""
    table = labels.features
    column = table.get(INDEX, table.index)
    if column.isna().any():
        column = table.get(LABEL, column)
    return [0 if number != number else int(number) for number in column]


def tells_kinds(target: Target) -> bool:
    """Say whether a network tells objects of several classes apart."""
    return target.instances and len(target.classes) > 2


def class_numbers(labels: Labels, target: Target) -> dict[int, int] | None:
    """Return the number of each object's class, from 1, as a training takes it.

    Returns
    -------
    dict of int to int, or None
        None for networks that do not tell objects apart by class.

    Raises
    ------
    ValueError
        If no object has a class, or one has a class that the network does not know.
    """
    if not tells_kinds(target):
        return None
    kinds, known = kinds_in(labels), target.classes
    if not kinds and (pixels(labels) > 0).any():
        raise ValueError(
            f"No object of {labels.name} has a class: give each one its own ({_listed(known)}) with"
            " Set class in the dock Annotate."
        )
    for number, kind in kinds.items():
        if kind not in known[1:]:
            raise ValueError(
                f"Object {number} of {labels.name} is of the class {kind}, which is none of"
                f" {_listed(known)}: correct its class in the dock Annotate, or the names of the"
                " classes."
            )
    return {number: known.index(kind) for number, kind in kinds.items()}


def _listed(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[1:])
