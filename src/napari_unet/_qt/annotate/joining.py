"""A result put into an annotation that holds objects already."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from napari_unet._qt.annotate.drawing import Drawing
from napari_unet._qt.question import ask
from napari_unet.annotations import Annotation

UNDOABLE = 2**20
"""Pixels up to which a change is a step of undo: napari takes some 0.2 s for so many."""


class Answer(Enum):
    """What is to become of an annotation when a result is to be corrected."""

    ADD = "Add what is missing"
    REPLACE = "Replace mine"
    CANCEL = "Leave mine as it is"


@dataclass(frozen=True, eq=False)
class Joined:
    """What an annotation is to become.

    Parameters
    ----------
    labels : int32 array
        All of it.
    where : bool array
        Where that is another label than before.
    indices : tuple of int arrays, or None
        The same as undo takes it; None: too many pixels.
    shift : int
        How much greater labels of the result are here.
    aside : Path or None
        Where what was drawn before is kept, if undo does not bring it back.
    """

    labels: NDArray[np.int32]
    where: NDArray[np.bool_]
    indices: tuple[NDArray[np.intp], ...] | None
    shift: int = 0
    aside: Path | None = None


def join(
    drawn: Annotation, result: NDArray[np.int32], answer: Answer, path: Path
) -> Generator[str, None, Joined]:
    """Find out what an annotation becomes with a result; where undo cannot, a file keeps the old.

    Parameters
    ----------
    drawn : Annotation
        What there is; its labels may be the layer's own.
    result : int32 array
        Labels of that shape.
    answer : Answer
        How to join them.
    path : Path
        Where the annotation is saved.

    Yields
    ------
    str
        What takes its time.

    Raises
    ------
    OSError
        If what is drawn cannot be kept.
    """
    from napari_unet.annotations.versions import write_aside

    yield "Putting the objects into the annotation…"
    adds = answer is Answer.ADD
    shift = int(drawn.labels.max(initial=0)) if adds else 0
    labels = combine(drawn.labels, result) if adds else result
    where = labels != drawn.labels
    if np.count_nonzero(where) <= UNDOABLE:
        return Joined(labels, where, where.nonzero(), shift)
    return Joined(labels, where, None, shift, write_aside(path, drawn))


def combine(drawn: NDArray[np.int32], result: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return what is drawn, and the objects of a result that touch nothing of it."""
    combined = drawn.copy()
    last = int(drawn.max(initial=0))
    for plane in np.ndindex(drawn.shape[:-2]):  # objects are numbered anew in each
        found = result[plane]
        touched = np.unique(found[drawn[plane] != 0])
        new = (found > 0) & ~np.isin(found, touched)
        combined[plane][new] = found[new] + last
    return combined


def put_in(drawing: Drawing, joined: Joined, kinds: Mapping[int, str]) -> None:
    """Let a drawing become what it is joined to; of a result that has classes by label."""
    if joined.indices is None:
        drawing.put(joined.labels, joined.where)
    else:
        drawing.labels.data_setitem(joined.indices, joined.labels[joined.indices])
    before = drawing.kinds if joined.shift else dict.fromkeys(drawing.kinds, "")
    drawing.set_kinds({**before, **{joined.shift + n: kind for n, kind in kinds.items()}})


def put_into_empty(drawing: Drawing, result: Any, kinds: Mapping[int, str]) -> None:
    """Let a drawing without any object become a result."""
    drawing.labels.data = result
    drawing.forget_steps()
    drawing.set_kinds({**dict.fromkeys(drawing.kinds, ""), **kinds})


def ask_about_drawn(name: str, parent: QWidget) -> Answer:
    """Ask what is to become of what is drawn already."""
    text = (
        f"{name} holds objects already. Those of the result can be added where they touch none of"
        " them, or take their place."
    )
    return ask("Your annotation", text, Answer, parent)
