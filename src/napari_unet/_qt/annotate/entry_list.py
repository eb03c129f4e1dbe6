"""The list of a project's images, each with a mark of how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QWidget

from napari_unet.wording import counted

if TYPE_CHECKING:
    from napari_unet.annotations import Entry, Project

ROWS = 5
"""Of the list that are in view."""
COLOURS = {"untouched": "#808080", "begun": "#c77700", "done": "#2e9e44"}
"""Seen on a dark background as on a light one; the shapes differ, too."""
_SIDE, _SHARP = 16, 3


class EntryList(QListWidget):
    """Lists entries by name; a click or Enter chooses one.

    Parameters
    ----------
    parent : QWidget, optional
        Its place.
    """

    chosen = Signal(object)
    """An Entry."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip("The images of the project: click on one to annotate it.")
        self.setUniformItemSizes(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._fit()
        self.entries: list[Entry] = []
        self._states: list[str] = []
        self._marks = {state: mark(state) for state in COLOURS}
        self.itemClicked.connect(self._on_item)
        self.itemActivated.connect(self._on_item)  # by Enter

    def fill(self, project: Project | None, entries: Sequence[Entry]) -> None:
        """List a project's entries, and none else."""
        self.clear()
        self.entries = list(entries)
        self._states = [""] * len(self.entries)
        self.addItems([entry.name for entry in entries])
        for entry in self.entries:
            self.show_entry(project, entry)
        self._fit()

    def _fit(self) -> None:
        row = self.sizeHintForRow(0) if self.count() else self.fontMetrics().lineSpacing()
        self.setFixedHeight(ROWS * row + 2 * self.frameWidth() + 4)

    def show_entry(self, project: Project | None, entry: Entry | None) -> None:
        """Show how far an entry is now; nothing if it is not listed."""
        row = self.row_of(entry)
        if project is None or entry is None or row < 0:
            return
        state = self._states[row] = str(project.state(entry))
        item = self.item(row)
        assert item is not None
        item.setIcon(self._marks[state])
        item.setText(entry.name + " (missing)" * (not entry.image.is_file()))
        item.setToolTip(f"{state.capitalize()}: {entry.image}")

    def row_of(self, entry: Entry | None) -> int:
        """Return where an entry is; -1 if it is not listed."""
        names = [own.name for own in self.entries]
        return names.index(entry.name) if entry is not None and entry.name in names else -1

    def state_of(self, entry: Entry | None) -> str:
        """Return the state that is shown for an entry; "" if it is not listed."""
        row = self.row_of(entry)
        return self._states[row] if row >= 0 else ""

    def summary(self) -> str:
        """Return how many there are, and how far they are."""
        number = len(self._states)
        counts = [f"{n} {s}" for s in ("done", "begun") if (n := self._states.count(s))]
        return counted(number, "image") + ": " * bool(counts) + ", ".join(counts)

    def _on_item(self, item: QListWidgetItem) -> None:
        self.chosen.emit(self.entries[self.row(item)])


def mark(state: str) -> QIcon:
    """Return the mark of a state: a ring, a half-filled one, or a disc with a tick."""
    pixmap = QPixmap(_SIDE * _SHARP, _SIDE * _SHARP)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(_SHARP, _SHARP)
    colour = QColor(COLOURS[state])
    painter.setPen(QPen(colour, 1.8))
    circle = QRectF(2.5, 2.5, 11, 11)
    if state == "done":
        painter.setBrush(colour)
    painter.drawEllipse(circle)
    if state == "begun":
        painter.setBrush(colour)
        painter.drawPie(circle, 90 * 16, 180 * 16)  # in sixteenths of a degree: the left half
    elif state == "done":
        painter.setPen(QPen(QColor("white"), 1.8))
        painter.drawPolyline(QPolygonF([QPointF(5, 8.2), QPointF(7.2, 10.4), QPointF(11, 5.8)]))
    painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # Qt would tint it
    return icon
