"""Average precision over the IoU threshold, as a curve."""

from __future__ import annotations

from typing import Any

import napari
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet._qt.evaluate.report import Report
from napari_unet._qt.plots import SIDES, follow_theme, make_still

HEIGHT = 140
"""Pixels."""
COLOUR = "#1fa36b"
TOOLTIP = (
    "AP over the IoU threshold: the share of objects that are found, and not invented, if so much"
    " overlap is asked for. A curve that falls late tells of outlines that fit."
)


class PrecisionPlot(QWidget):
    """Draws AP over thresholds.

    pyqtgraph takes half a second to load: let a thread do so before :meth:`show_report`
    (:func:`napari_unet._qt.plots.load`).

    Parameters
    ----------
    viewer : napari.Viewer
        Whose theme it follows.
    """

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._area: Any = None
        self._curve: Any = None
        self.setFixedHeight(HEIGHT)
        self.setToolTip(TOOLTIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    def show_report(self, report: Report) -> None:
        """Draw these numbers."""
        if self._area is None:
            self._make()
        thresholds = [matching.threshold for matching in report.matchings]
        self._curve.setData(thresholds, [matching.ap for matching in report.matchings])

    def drawn(self) -> tuple[list[float], list[float]]:
        """Return the thresholds and the values of the curve."""
        thresholds, values = self._curve.getData()
        return list(thresholds), list(values)

    def _make(self) -> None:
        import pyqtgraph

        self._area = area = pyqtgraph.PlotWidget()
        area.setToolTip(TOOLTIP)
        plot = area.getPlotItem()
        make_still(plot)
        plot.setRange(xRange=(0.5, 0.95), yRange=(0, 1))
        plot.setLabel("left", "AP")
        for side in SIDES:
            plot.getAxis(side).enableAutoSIPrefix(False)
        plot.setLabel("bottom", "IoU threshold")
        plot.getAxis("bottom").setTicks([[(t, f"{t:g}") for t in (0.5, 0.6, 0.7, 0.8, 0.9)]])
        self._curve = plot.plot(symbol="o", symbolSize=5, symbolPen=None)
        layout = self.layout()
        assert layout is not None
        layout.addWidget(area)
        self._recolour()

    def _recolour(self) -> None:
        """Follow the theme, and be gray when disabled."""
        import pyqtgraph

        theme = follow_theme(self._area, [self._area.getPlotItem()], self._viewer.theme)
        colour = COLOUR if self.isEnabled() else theme.secondary.as_hex()
        self._curve.setPen(pyqtgraph.mkPen(colour, width=2))
        self._curve.setSymbolBrush(colour)

    def changeEvent(self, event: Any) -> None:
        """Follow the theme, and whether it is enabled."""
        super().changeEvent(event)
        kinds = (QEvent.Type.StyleChange, QEvent.Type.EnabledChange)
        if event.type() in kinds and self._area is not None:
            self._recolour()
