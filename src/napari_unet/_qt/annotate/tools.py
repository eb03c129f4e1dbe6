"""Buttons and keys that correct one object: delete, merge, split, fill, smooth, set its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_unet._qt.annotate.class_box import ClassBox
from napari_unet._qt.annotate.colour_box import ColourBox
from napari_unet._qt.annotate.drawing import Drawing
from napari_unet._qt.annotate.pointing import Clicks, Line
from napari_unet._qt.layers import shows_planes
from napari_unet.annotations import BACKGROUND, Mode

if TYPE_CHECKING:  # loads scipy
    from napari_unet.annotations import Edit

COLUMNS = 2


@dataclass(frozen=True)
class Tool:
    """A correction.

    Parameters
    ----------
    text, key, tooltip : str
        On its button; the key also acts on a labels layer, at the mouse.
    prompts : tuple of str
        What to say before each click that it needs.
    """

    text: str
    key: str
    tooltip: str
    prompts: tuple[str, ...] = ()


NEXT = Tool(
    "Next label", "N", "Take the brush with a label that no object has yet, for a new object."
)
BACKGROUND_BRUSH = Tool(
    "Background brush",
    "Q",
    "Take the brush with the label of background (-1, gray). Where unpainted is 'Not annotated',"
    " background has to be painted, too.",
)
DELETE = Tool(
    "Delete",
    "D",
    "Delete an object: press D with the mouse over it, or this button and then click on it.",
    ("Click on the object to delete.",),
)
MERGE = Tool(
    "Merge",
    "G",
    "Make two objects one: press G with the mouse over the one and again over the other, or this"
    " button and then click on both.",
    ("Click on the first of two objects to merge.", "Now the other one, to become part of {}."),
)
SPLIT = Tool(
    "Split",
    "C",
    "Cut an object in two: press C or this button, then draw a line across it (press, drag,"
    " release).",
    ("Draw a line across the object to split: press, drag, release.",),
)
HOLES = Tool(
    "Fill holes",
    "H",
    "Fill the holes of an object: press H with the mouse over it, or this button and then click on"
    " it.",
    ("Click on the object whose holes to fill.",),
)
SMOOTH = Tool(
    "Smooth",
    "S",
    "Smooth the outline of an object: press S with the mouse over it, or this button and then click"
    " on it.",
    ("Click on the object to smooth.",),
)
SPECKS = Tool(
    "Remove specks",
    "R",
    "Remove the small pieces that lie apart from an object: press R with the mouse over it, or this"
    " button and then click on it.",
    ("Click on the object whose specks to remove.",),
)
SET_CLASS = Tool(
    "Set class",
    "A",
    "Let objects be of the class that is named beside: press A with the mouse over each, or this"
    " button and then click on them. Fine-tune can teach a network to tell the classes apart.",
    ("Click on the objects of the class {}.",),
)
TOOLS = (NEXT, BACKGROUND_BRUSH, DELETE, MERGE, SPLIT, HOLES, SMOOTH, SPECKS)


@dataclass(frozen=True)
class Correction:
    """What a tool does.

    Parameters
    ----------
    edit : Edit
        Of the plane in view.
    text : str
        What to say of it.
    heirs : mapping of int to int
        Objects whose class is that of another one from now on (0: none).
    """

    edit: Edit
    text: str
    heirs: Mapping[int, int] = field(default_factory=dict)


class Tools(QWidget):
    """Corrects the labels of a drawing; what changes pixels is one step of napari's undo.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the drawing is.
    parent : QWidget
        Its place.
    """

    told = Signal(str)
    """What has happened, or what to do."""
    problem = Signal(str)
    """What cannot be done, and the way out."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._drawing: Drawing | None = None
        self._tool: Tool | None = None
        self._first: int | None = None
        self._clicks, self._line = Clicks(viewer, self), Line(viewer, self)
        self.class_box = ClassBox()
        self.colour_box = ColourBox(self.class_box)
        tools = (*TOOLS, SET_CLASS)
        self.buttons = {tool: QPushButton(f"{tool.text}  ({tool.key})") for tool in tools}
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for number, (tool, button) in enumerate(self.buttons.items()):
            button.setToolTip(tool.tooltip)
            button.setCheckable(bool(tool.prompts))
            button.clicked.connect(self._presser(tool))
            at = number if tool in TOOLS else number + 1  # beside the box
            layout.addWidget(button, *divmod(at, COLUMNS))
        layout.addWidget(self.class_box, *divmod(len(TOOLS), COLUMNS))
        layout.addWidget(self.colour_box, len(tools) // COLUMNS + 1, 0, 1, COLUMNS)
        self.class_box.chosen.connect(self._on_class)
        self.class_box.left.connect(self._on_class_left)
        self._clicks.clicked.connect(self._on_click)
        self._clicks.ended.connect(self._rest)
        self._line.drawn.connect(self._cut)
        self._line.ended.connect(self._rest)
        self.follow(None)

    def _presser(self, tool: Tool) -> Callable[[], None]:
        return lambda: self._press(tool)

    def follow(self, drawing: Drawing | None) -> None:
        """Correct another drawing from now on; None: none."""
        if drawing is not self._drawing:
            self.stop()
            for tool in self.buttons:
                if self._drawing is not None:
                    self._drawing.labels.bind_key(tool.key, None)
                if drawing is not None:
                    drawing.labels.bind_key(tool.key, self._key(tool), overwrite=True)
            self._drawing = drawing
        self.class_box.offer(drawing.kinds.values() if drawing is not None else ())
        self.setEnabled(drawing is not None)
        scribbles = drawing is not None and drawing.mode is Mode.SCRIBBLES
        self.buttons[BACKGROUND_BRUSH].setEnabled(scribbles)
        self.colour_box.follow(drawing)

    def stop(self) -> None:
        """Ask for no more clicks."""
        self._clicks.stop()
        self._line.stop()
        self._rest()

    def _rest(self) -> None:
        self._tool = self._first = None
        for button in self.buttons.values():
            button.setChecked(False)

    def _key(self, tool: Tool) -> Callable[[Any], None]:
        """Return what a key does: the tool acts where the mouse is."""

        def act(_: Any) -> None:
            if not tool.prompts or tool is SPLIT:
                self._press(tool)
                return
            if self._tool is not tool:
                self.stop()
                self._tool = tool
            self._point(tuple(self._viewer.cursor.position))

        return act

    def _press(self, tool: Tool) -> None:
        drawing = self._drawing
        again = tool is self._tool
        self.stop()
        if drawing is None or again:
            return
        try:
            if tool is NEXT:
                self.take_next()
            elif tool is BACKGROUND_BRUSH:
                self._take_background(drawing)
            elif tool is SPLIT:
                self._line.start(drawing.labels)
            else:
                self._clicks.start(drawing.labels)
        except ValueError as error:
            self.problem.emit(str(error))
            return
        if tool.prompts:
            self._tool = tool
            self.buttons[tool].setChecked(True)
            self.told.emit(f"{self._first_prompt(tool)} Escape ends it.")

    def take_next(self) -> None:
        """Take the brush for an object of the class that is named, if there is a drawing."""
        from napari_unet.annotations import next_label

        drawing = self._drawing
        if drawing is None:
            return
        label, kind = next_label(drawing.labels.data), self.class_box.kind
        drawing.take_brush(label)
        drawing.name_next(label, kind)
        self._tell_brush(label, kind)

    def _tell_brush(self, label: int, kind: str) -> None:
        self.told.emit(f"The brush paints object {label}{f' ({kind})' if kind else ''}.")

    def _take_background(self, drawing: Drawing) -> None:
        if drawing.mode is not Mode.SCRIBBLES:
            raise ValueError(
                "What is not painted is background here, so it needs no brush: choose 'Not"
                " annotated' for what is unpainted if only painted pixels shall count."
            )
        drawing.take_brush(BACKGROUND)
        self.told.emit("The brush paints background. N takes it for the next object.")

    def _first_prompt(self, tool: Tool) -> str:
        kind = self.class_box.kind
        if tool is SET_CLASS and not kind:
            return "No class is named: objects that you click on will be of none."
        return tool.prompts[0].format(kind)

    def _on_class(self, kind: str) -> None:
        """Let the brush paint an object of that class, if it is not at one of another."""
        drawing, label = self._drawing, self._brush
        if drawing is not None and label and label not in drawing.kinds and drawing.holds(label):
            drawing.set_kinds({label: kind})
            self._tell_brush(label, kind)
        else:
            self._on_class_left(kind)

    def _on_class_left(self, kind: str) -> None:
        """Let what the brush paints next be of that class; an object that is there stays as it is.

        The name may be meant for other objects, which are to be clicked on now.
        """
        drawing, label = self._drawing, self._brush
        is_other = drawing is not None and kind != drawing.kinds.get(label, "")
        if drawing is not None and label and is_other and not drawing.holds(label):
            drawing.name_next(label, kind)
            self._tell_brush(label, kind)

    @property
    def _brush(self) -> int:
        """The object that the brush is at; 0: none."""
        return max(int(self._drawing.labels.selected_label), 0) if self._drawing else 0

    def _classify(self, drawing: Drawing, label: int) -> None:
        kind = self.class_box.kind
        drawing.set_kinds({label: kind})
        self.class_box.offer(drawing.kinds.values())
        is_said = f"is of the class {kind}" if kind else "is of no class any more"
        self.told.emit(f"Object {label} {is_said}.")
        if not self._is_waiting:
            self._rest()

    def _on_click(self, position: tuple[float, ...]) -> None:
        self._point(position)

    def _point(self, position: Sequence[float]) -> None:
        """Let the tool act on what is at a place of the world."""
        drawing, tool = self._drawing, self._tool
        assert drawing is not None
        assert tool is not None
        if not shows_planes(self._viewer, transposed=True):
            self.stop()
            self.problem.emit("Objects are corrected in 2D, plane by plane: switch the view to it.")
            return
        label = self._label_at(drawing, position)
        if label <= 0:
            self.problem.emit(f"There is no object at the mouse. {self._first_prompt(tool)}")
            if not self._is_waiting:
                self._rest()
        elif tool is SET_CLASS:
            self._classify(drawing, label)
        elif tool is MERGE and self._first is None:
            self._first = label
            how = "" if self._is_waiting else " Point at it and press G."
            self.told.emit(tool.prompts[1].format(label) + how)
        else:
            first = self._first
            self.stop()
            self._apply(drawing, lambda plane: _correct(tool, plane, label, first))

    @property
    def _is_waiting(self) -> bool:
        return any(button.isChecked() for button in self.buttons.values())

    def _label_at(self, drawing: Drawing, position: Sequence[float]) -> int:
        labels = drawing.labels
        # As napari's own brush does it, whatever the units of the viewer.
        at = np.round(labels.world_to_data(np.asarray(position)[-labels.ndim :])).astype(int)
        inside = all(0 <= i < n for i, n in zip(at, drawing.shape, strict=True))
        return int(labels.data[tuple(at)]) if inside else 0

    def _cut(self, ends: NDArray[np.float64]) -> None:
        drawing = self._drawing
        self._rest()
        if drawing is not None:
            self._apply(drawing, lambda plane: _cut_longest(plane, ends[:, -2:], drawing))

    def _apply(self, drawing: Drawing, correct: Callable[[Any], Correction]) -> None:
        """Change the plane in view, as one step of undo."""
        labels, plane = drawing.labels, drawing.plane
        try:
            done = correct(labels.data[plane])
        except ValueError as error:
            self.problem.emit(str(error))
            return
        labels.data_setitem(done.edit.indices(plane), done.edit.values)
        # An object may go on in other planes.
        stay = {heir for heir, parent in done.heirs.items() if not parent and drawing.holds(heir)}
        drawing.pass_kinds_on({h: parent for h, parent in done.heirs.items() if h not in stay})
        if done.edit.label > 0:
            labels.selected_label = done.edit.label
        self.told.emit(f"{done.text} Ctrl-Z takes it back.")


def _correct(tool: Tool, plane: NDArray[np.int32], label: int, first: int | None) -> Correction:
    """Return what a tool changes of an object, and what to say of it."""
    from napari_unet.annotations import edits

    if tool is MERGE:
        assert first is not None
        text = f"Objects {first} and {label} are one: {first}."
        return Correction(edits.merge(plane, first, label), text, {label: 0})
    if tool is DELETE:
        return Correction(edits.delete(plane, label), f"Object {label} is deleted.", {label: 0})
    if tool is HOLES:
        return Correction(
            edits.fill_holes(plane, label), f"The holes of object {label} are filled."
        )
    if tool is SMOOTH:
        return Correction(edits.smooth(plane, label), f"Object {label} is smoother.")
    return Correction(edits.remove_specks(plane, label), f"Object {label} has no specks any more.")


def _cut_longest(
    plane: NDArray[np.int32], line: NDArray[np.float64], drawing: Drawing
) -> Correction:
    """Cut the object that a line runs through the longest."""
    from napari_unet.annotations import edits

    steps = int(np.ceil(np.abs(np.diff(line, axis=0)).max())) * 2 + 1
    along = np.round(np.linspace(line[0], line[1], steps)).astype(int)
    inside = ((along >= 0) & (along < plane.shape)).all(axis=1)
    met = plane[tuple(along[inside].T)]
    if not (met > 0).any():
        raise ValueError("The line meets no object: draw it across the object to split.")
    found, counts = np.unique(met[met > 0], return_counts=True)
    label = int(found[counts.argmax()])
    edit = edits.split(plane, label, line, edits.next_label(drawing.labels.data))
    text = f"Object {label} is cut in two: {label} and {edit.label}."
    return Correction(edit, text, {edit.label: label})
