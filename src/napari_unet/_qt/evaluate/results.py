"""What an evaluation has found, as the dock shows it."""

from __future__ import annotations

import napari
from magicgui.widgets import FloatSpinBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.dock import button
from napari_unet._qt.evaluate.outcome_layer import legend
from napari_unet._qt.evaluate.plot import PrecisionPlot
from napari_unet._qt.evaluate.report import Report
from napari_unet._qt.evaluate.table import MatchTable

SCORES = (
    "DSB mean: AP, averaged over the thresholds of the table (score of the Data Science Bowl"
    " 2018).\nDice: overlap of the foregrounds, 2 x common / (predicted + true).\nSEG: overlap"
    " (IoU) of each true object with the predicted one that covers more than half of it, averaged"
    " (Cell Tracking Challenge)."
)


class Results(QWidget):
    """Numbers, curve and legend of a report, gray when it is an old one.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose theme it follows.
    """

    save_wanted = Signal()

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.threshold = FloatSpinBox(
            name="threshold",
            label="Colours at IoU",
            tooltip="From which overlap on an object counts as found, in the layer that colours"
            " found, missed and invented objects, and in the sentence above.",
            value=0.5,
            min=0.05,
            max=1.0,
            step=0.05,
        )
        self.threshold.native.setKeyboardTracking(False)
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.setToolTip("What the colours of the new layer mean, and how many there are.")
        self.scores = QLabel()
        self.scores.setToolTip(SCORES)
        self.table = MatchTable()
        self.copy_button = button(
            "Copy table", "Copy the table for a spreadsheet; Ctrl+C copies the selected rows."
        )
        self.save_button = button("Save table…", "Save all numbers as a CSV file.")
        self.plot = PrecisionPlot(viewer)
        self._lay_out()
        self.copy_button.clicked.connect(self._copy_all)
        self.save_button.clicked.connect(self.save_wanted)
        self.hide()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.copy_button)
        buttons.addWidget(self.save_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(form.lay_out(self.threshold))
        column.addWidget(self.legend)
        column.addWidget(self.scores)
        column.addWidget(self.table)
        column.addLayout(buttons)
        column.addWidget(self.plot)

    def show_report(self, report: Report) -> None:
        """Show these numbers."""
        self.legend.setText(legend(report))
        self.scores.setText(
            f"DSB mean <b>{report.dsb_mean:.3f}</b> &nbsp; Dice <b>{report.dice:.3f}</b>"
            f" &nbsp; SEG <b>{report.seg:.3f}</b>"
        )
        self.table.show_report(report)
        self.plot.show_report(report)
        self.show()

    def show_old(self, is_old: bool) -> None:
        """Be gray where it is not of what is chosen now; the threshold can still be set."""
        gray = (self.legend, self.scores, self.table, self.copy_button, self.save_button, self.plot)
        for widget in gray:
            widget.setEnabled(not is_old)

    def _copy_all(self) -> None:
        self.table.clearSelection()
        self.table.copy()
