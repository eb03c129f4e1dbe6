"""The table: a row per object, sorted by a click on a column."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_unet._qt.measure.report import Report, in_words
from napari_unet._qt.tables import lower_rows, make_plain

HEIGHT = 190
"""Pixels."""
WIDEST = "-0000.00"
"""A number that has room in each column."""
TOOLTIP = (
    "Click a row to see its object, and the name of a column to sort by it. Planes and pixels are"
    " counted from 0."
)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_ROOT = QModelIndex()


class ObjectsModel(QAbstractTableModel):
    """The columns of a report, in an order of rows; a cell becomes text when it is seen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: list[str] = []
        self._columns: list[Any] = []
        self._order = np.zeros(0, np.intp)

    def show_report(self, report: Report | None) -> None:
        """Show another report, sorted as it is."""
        self.beginResetModel()
        self._names = list(report.table) if report is not None else []
        self._columns = list(report.table.values()) if report is not None else []
        self._order = np.arange(len(self._columns[0]) if self._columns else 0)
        self.endResetModel()

    def row_of(self, number: int) -> int:
        """Return where the object of a number (counted from 0) of the report is shown."""
        return int(np.flatnonzero(self._order == number)[0])

    def object_at(self, row: int) -> int:
        """Return the number of the object in a row."""
        return int(self._order[row])

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of objects."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, and that it stands on the right."""
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(self._columns[index.column()][self._order[index.row()]])
        return _RIGHT if role == Qt.ItemDataRole.TextAlignmentRole else None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the name of a column."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return in_words(self._names[section])
        return None

    def words(self, column: int) -> list[str]:
        """Return the different words in a column, such as classes; none of one of numbers."""
        values = self._columns[column]
        return [] if values.dtype.kind in "buif" else np.unique(values).tolist()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; equal rows, and those without a number, stay as they are."""
        if not 0 <= column < len(self._columns):
            return
        self.beginResetModel()
        values = self._columns[column]
        is_number = values.dtype.kind in "buif"
        keys = (values if is_number else np.unique(values, return_inverse=True)[1]).astype(float)
        self._order = np.argsort(
            -keys if order == Qt.SortOrder.DescendingOrder else keys, kind="stable"
        )
        self.endResetModel()


def _text(value: Any) -> str:
    if isinstance(value, np.bool_):
        return "yes" if value else "no"
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else f"{value:.5g}"
    return str(value)


class ObjectsTable(QTableView):
    """Shows a report."""

    chosen = Signal(int)
    """The user goes to the object of this number, counted from 0 in the report."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = ObjectsModel(self)
        self.setModel(self._model)
        header = make_plain(self)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        lower_rows(self)
        self.setSortingEnabled(True)
        self.setFixedHeight(HEIGHT)
        self.setToolTip(TOOLTIP)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._is_told = True
        selection = self.selectionModel()
        assert selection is not None
        selection.currentRowChanged.connect(self._on_row)

    def show_report(self, report: Report | None) -> None:
        """Show another report; no row is chosen."""
        header = self.horizontalHeader()
        assert header is not None
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self._model.show_report(report)
        room = self.fontMetrics().horizontalAdvance(WIDEST)
        for column in range(self._model.columnCount()):  # by its cells would take too long
            words = self._model.words(column)
            own = [room, *(self.fontMetrics().horizontalAdvance(f"{word}  ") for word in words)]
            header.resizeSection(column, max(header.sectionSizeHint(column), *own))

    def choose(self, number: int) -> None:
        """Select the row of an object, without a signal."""
        self._is_told = False
        self.selectRow(self._model.row_of(number))
        self._is_told = True

    def texts(self, row: int) -> list[str]:
        """Return what a row says."""
        model = self._model
        return [str(model.data(model.index(row, i))) for i in range(model.columnCount())]

    def _on_row(self, current: QModelIndex, _: QModelIndex) -> None:
        if self._is_told and current.isValid():
            self.chosen.emit(self._model.object_at(current.row()))
