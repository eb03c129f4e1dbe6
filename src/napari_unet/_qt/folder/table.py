"""The table: a row per image, with how far it is, what was found and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from napari_unet._qt.tables import lower_rows, make_plain

COLUMNS = {
    "File": "The images of the folder.",
    "State": "How far each is; rest on it with the mouse to see why one failed or is skipped.",
    "Objects": "How many were found.",
    "Time": "How long it took.",
}
FILE, STATE, OBJECTS, TIME = range(4)
HEIGHT = 160
"""Pixels."""
WIDEST = {STATE: "tile 00 of 00", OBJECTS: "00,000", TIME: "000.0 s"}
"""Texts that have room."""
COLOURS = {"done": "#2e9e44", "failed": "#e0453a", "skipped": "#c77700"}
"""Of states; seen on a dark background as on a light one."""
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_ROOT = QModelIndex()


@dataclass(frozen=True)
class Row:
    """What is shown of an image.

    Parameters
    ----------
    name : str
        Its path in the folder.
    state : str
        How far it is.
    objects : int or None
        How many were found; None: it is not done.
    seconds : float or None
        How long it took.
    told : str
        Where it is and what there is to know of it, for a tooltip.
    """

    name: str
    state: str
    objects: int | None = None
    seconds: float | None = None
    told: str = ""

    def keys(self) -> tuple[Any, ...]:
        """Return a value per column, to sort by."""
        none = -1
        return (
            self.name.casefold(),
            self.state,
            none if self.objects is None else self.objects,
            none if self.seconds is None else self.seconds,
        )

    def cells(self) -> tuple[str, ...]:
        """Return a text per column."""
        return (
            self.name,
            self.state,
            "" if self.objects is None else f"{self.objects:,}",
            "" if self.seconds is None else _duration(self.seconds),
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


class FilesModel(QAbstractTableModel):
    """The rows, each of which may change at any time."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[Row] = []

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show others."""
        self.beginResetModel()
        self.rows = list(rows)
        self.endResetModel()

    def change(self, number: int, row: Row) -> None:
        """Show one anew."""
        self.rows[number] = row
        self.dataChanged.emit(self.index(number, 0), self.index(number, len(COLUMNS) - 1))

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of images."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, its place and colour, and what is told of its row."""
        row, column = self.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return row.cells()[column]
        if role == Qt.ItemDataRole.UserRole:
            return row.keys()[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.told
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (OBJECTS, TIME):
            return _RIGHT
        if role == Qt.ItemDataRole.ForegroundRole and column == STATE and row.state in COLOURS:
            return QBrush(QColor(COLOURS[row.state]))
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the name of a column, and what it means."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return list(COLUMNS)[section]
            if role == Qt.ItemDataRole.ToolTipRole:
                return list(COLUMNS.values())[section]
        return None


class FilesTable(QTableView):
    """Lists images; a double click, or Enter, opens one."""

    chosen = Signal(int)
    """The image of this number is to be opened."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.files = FilesModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.files)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self._sorted.setDynamicSortFilter(False)  # rows that change do not jump away
        self.setModel(self._sorted)
        header = make_plain(self)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setSectionResizeMode(FILE, QHeaderView.ResizeMode.Stretch)
        for column, text in WIDEST.items():
            room = self.fontMetrics().horizontalAdvance(f"{text}  ")
            header.resizeSection(column, max(room, header.sectionSizeHint(column)))
        lower_rows(self)
        self.setSortingEnabled(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setMinimumHeight(HEIGHT)
        self.setToolTip("Double click an image to see it with its labels.")
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.activated.connect(self._on_activated)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows, in their order."""
        header = self.horizontalHeader()
        assert header is not None
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.files.show_rows(rows)

    def follow(self, number: int) -> None:
        """Scroll to an image, unless somebody is at work in the table."""
        if not self.hasFocus():
            self.scrollTo(self._sorted.mapFromSource(self.files.index(number, 0)))

    def texts(self, row: int) -> list[str]:
        """Return what the row at this place says."""
        model = self._sorted
        return [str(model.data(model.index(row, i))) for i in range(model.columnCount())]

    def _on_activated(self, index: QModelIndex) -> None:
        self.chosen.emit(self._sorted.mapToSource(index).row())
