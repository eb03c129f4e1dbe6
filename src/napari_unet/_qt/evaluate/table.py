"""The numbers of an evaluation, a row per IoU threshold; to be read, and copied."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QGuiApplication, QKeySequence
from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_unet._qt.evaluate.report import COUNTS, RATIOS, Report
from napari_unet._qt.tables import lower_rows, make_plain

COLUMNS = {
    "IoU": "From this overlap on (intersection over union), a predicted and a true object match.",
    "AP": "Average precision: found / (found + missed + invented).",
    "Prec.": "Precision: the share of the predicted objects that are right.",
    "Rec.": "Recall: the share of the true objects that were found.",
    "F1": "Harmonic mean of precision and recall.",
    "PQ": "Panoptic quality: F1 times the mean IoU of the objects that match.",
    "TP": "Objects found (true positives).",
    "FP": "Objects invented: predicted ones that match no true one (false positives).",
    "FN": "Objects missed: true ones that match no predicted one (false negatives).",
}
FONT = 0.88
"""Of the dock's: nine columns are to be read in its width."""
NARROWEST = 28
"""Pixels of a column: a ratio fits in."""


class MatchTable(QTableWidget):
    """Shows how many objects match at each threshold."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self.setHorizontalHeaderLabels(list(COLUMNS))
        for column, tooltip in enumerate(COLUMNS.values()):
            item = self.horizontalHeaderItem(column)
            assert item is not None
            item.setToolTip(tooltip)
        header = make_plain(self)
        self.setStyleSheet(
            f"font-size: {FONT * self.font().pointSizeF():.1f}pt;"
            " QTableView::item, QHeaderView::section { padding: 0 }"
        )
        header.setMinimumSectionSize(NARROWEST)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for column in range(len(COLUMNS) - len(COUNTS), len(COLUMNS)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        lower_rows(self)
        self.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # keys do it
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def show_report(self, report: Report) -> None:
        """Show these numbers."""
        self.setRowCount(len(report.matchings))
        for row, matching in enumerate(report.matchings):
            ratios = [getattr(matching, name) for name in ("threshold", *RATIOS)]
            counts = [getattr(matching, name) for name in COUNTS]
            texts = [f"{ratio:.2f}" for ratio in ratios] + [str(count) for count in counts]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(row, column, item)
        self._fit()

    def _fit(self) -> None:
        """Be as high as all rows, which are few."""
        header, vertical = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert vertical is not None
        height = header.sizeHint().height() + vertical.length() + 2 * self.frameWidth()
        self.setFixedHeight(height)

    def copy(self) -> None:
        """Put the selected rows, else all, on the clipboard, for a spreadsheet."""
        rows = sorted({item.row() for item in self.selectedItems()}) or range(self.rowCount())
        lines = ["\t".join(COLUMNS), *("\t".join(self._texts(row)) for row in rows)]
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setText("\n".join(lines))

    def _texts(self, row: int) -> list[str]:
        items = [self.item(row, column) for column in range(self.columnCount())]
        return [item.text() if item is not None else "" for item in items]

    def event(self, event: Any) -> bool:
        """Keep the keys that copy for itself, whatever shortcuts the window has."""
        if event.type() == QEvent.Type.ShortcutOverride and event.matches(
            QKeySequence.StandardKey.Copy
        ):
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: Any) -> None:
        """Copy."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)
