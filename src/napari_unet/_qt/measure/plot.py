"""How a measure is distributed, or one over another."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from magicgui.widgets import ComboBox
from numpy.typing import NDArray
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.measure.report import Report, in_words
from napari_unet._qt.plots import SIDES, follow_theme, make_still

HEIGHT = 170
"""Pixels."""
COLOUR, MARK = "#3b8fe0", "#e8820c"
"""Of the objects, and of the one that is chosen."""
POINTS = 4000
"""More take the window too long to draw."""
BINS = (8, 40)
"""Fewest and most bars."""


class MeasuresPlot(QWidget):
    """Draws a histogram of a column, or points of two.

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
        self._report: Report | None = None
        self._chosen: int | None = None
        self._area: Any = None
        self.shown = ComboBox(
            name="shown",
            label="Plot",
            tooltip="The measure whose distribution is drawn: how many objects have which value.",
            choices=self._choices,
        )
        self.against = ComboBox(
            name="against",
            label="over",
            tooltip="A second measure: each object is then a point. Of many thousands, some are"
            " drawn.",
            choices=self._choices,
            nullable=True,
        )
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(form.lay_out(self.shown, self.against))
        self.shown.changed.connect(lambda _: self._draw())
        self.against.changed.connect(lambda _: self._draw())

    def _choices(self, _: object = None) -> list[tuple[str, str]]:
        names = self._report.plottable if self._report is not None else []
        return [(in_words(name), name) for name in names]

    def show_report(self, report: Report) -> None:
        """Draw another report: the columns that are chosen, if it has them."""
        before = self.shown.value, self.against.value
        self._report, self._chosen = report, None
        names = report.plottable
        first = "area_um2" if "area_um2" in names else "area_px"
        with self.shown.changed.blocked(), self.against.changed.blocked():
            self.shown.reset_choices()
            self.against.reset_choices()
            self.shown.value = before[0] if before[0] in names else first
            self.against.value = before[1] if before[1] in names else None
        if self._area is None:
            self._make()
        self._draw()

    def choose(self, number: int | None) -> None:
        """Mark an object of the report, by its number counted from 0."""
        self._chosen = number
        self._mark()

    def drawn(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of what is drawn: edges and heights of bars, or points."""
        item = self._bars if self.against.value is None else self._points
        x, y = item.getData()
        return np.asarray(x), np.asarray(y)

    def _make(self) -> None:
        import pyqtgraph

        self._area = area = pyqtgraph.PlotWidget()
        area.setFixedHeight(HEIGHT)
        plot = area.getPlotItem()
        make_still(plot)
        for side in SIDES:
            plot.getAxis(side).enableAutoSIPrefix(False)
        none = np.zeros(0)
        self._bars = pyqtgraph.PlotCurveItem(none, none, fillLevel=0, brush=COLOUR, pen=None)
        self._points = pyqtgraph.ScatterPlotItem(size=4, pen=None, brush=f"{COLOUR}a0")
        self._line = pyqtgraph.InfiniteLine(angle=90, pen=pyqtgraph.mkPen(MARK, width=2))
        self._mark_point = pyqtgraph.ScatterPlotItem(size=10, pen=None, brush=MARK)
        for item in (self._bars, self._points, self._line, self._mark_point):
            plot.addItem(item)
        self._layout.addWidget(area)
        self._recolour()

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        assert self._report is not None
        table, against = self._report.table, self.against.value
        shown = table[self.shown.value].astype(np.float64)
        return shown, table[against].astype(np.float64) if against is not None else None

    def _draw(self) -> None:
        if self._report is None or self.shown.value is None:
            return
        shown, against = self._columns()
        is_histogram = against is None
        self._bars.setVisible(is_histogram)
        self._points.setVisible(not is_histogram)
        plot, name = self._area.getPlotItem(), in_words(self.shown.value)
        if against is None:
            heights, edges = histogram(shown)
            self._bars.setData(edges, heights, stepMode="center")
            self._points.setData([], [])
        else:
            finite = np.flatnonzero(np.isfinite(shown) & np.isfinite(against))
            if finite.size > POINTS:
                finite = np.random.default_rng(0).choice(finite, POINTS, replace=False)
            self._bars.setData(np.zeros(1), np.zeros(0), stepMode="center")
            self._points.setData(against[finite], shown[finite])
        plot.setLabel("bottom", name if against is None else in_words(self.against.value))
        plot.setLabel("left", "objects" if against is None else name)
        self._mark()
        plot.autoRange()

    def _mark(self) -> None:
        if self._area is None or self._report is None:
            return
        shown, against = self._columns()
        number = self._chosen
        self._line.setVisible(number is not None and against is None)
        self._mark_point.setVisible(number is not None and against is not None)
        if number is not None and against is None:
            self._line.setValue(shown[number])
        elif number is not None and against is not None:
            self._mark_point.setData([against[number]], [shown[number]])

    def _recolour(self) -> None:
        follow_theme(self._area, [self._area.getPlotItem()], self._viewer.theme)

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and self._area is not None:
            self._recolour()


def histogram(values: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return how many values are in each of some equal intervals, and the ends of those."""
    values = values[np.isfinite(values)]
    bins = int(np.clip(np.sqrt(values.size), *BINS))
    return np.histogram(values, bins)
