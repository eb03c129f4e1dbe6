"""Live curves of a training: its loss, and the scores on what is held out."""

from __future__ import annotations

from math import isfinite
from typing import Any

import napari
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_unet._qt.plots import follow_theme, make_still

INTERVAL = 250
"""Milliseconds between two drawings, however fast the training is."""
HEIGHT = 190
"""Of both plots, in pixels."""
AXIS_WIDTH = 40
LOSS, IOU, AP = "Loss", "IoU", "AP@0.5"
COLOURS = {LOSS: "#e07b00", IOU: "#2f8fd8", AP: "#1fa36b"}
"""They can be told apart by the colour-blind, and seen on dark and light."""
TOOLTIP = (
    "Above, how wrong the network is on what it learns from (a mean over neighbouring steps).\n"
    "Below, how good it is on what was held out: IoU, the overlap of what it finds with the\n"
    "annotation (of areas the mean over their classes), and AP@0.5, the share of objects found by\n"
    "half at least. 1 is perfect."
)


class Trace:
    """Values over steps, in at most so many points: beyond, neighbours become their mean.

    Parameters
    ----------
    most : int
        Points that are kept; an even number.
    """

    def __init__(self, most: int = 300) -> None:
        self._most = most
        self._bin = 1  # values in a point
        self._open: list[tuple[float, float]] = []  # what will be the next point
        self.steps: list[float] = []
        self.values: list[float] = []
        self.last: float | None = None

    def add(self, step: float, value: float) -> None:
        """Add a value; one that is no number is left out."""
        if not isfinite(value):
            return
        self.last = value
        self._open.append((step, value))
        if len(self._open) < self._bin:
            return
        self.steps.append(sum(s for s, _ in self._open) / self._bin)
        self.values.append(sum(v for _, v in self._open) / self._bin)
        self._open = []
        if len(self.steps) >= self._most:
            self.steps, self.values = _halved(self.steps), _halved(self.values)
            self._bin *= 2


def _halved(numbers: list[float]) -> list[float]:
    return [(a + b) / 2 for a, b in zip(numbers[::2], numbers[1::2], strict=True)]


class Curves(QWidget):
    """Draws the loss above, IoU and AP@0.5 below, and says their last values.

    pyqtgraph takes half a second to load: let a thread do so before :meth:`begin`
    (:func:`napari_unet._qt.plots.load`).

    Parameters
    ----------
    viewer : napari.Viewer
        Whose theme it follows.
    """

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._traces = {name: Trace() for name in COLOURS}
        self._plots: list[Any] = []
        self._lines: dict[str, Any] = {}
        self._area: Any = None
        self._stale = False
        self._hidden: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL)
        self._timer.timeout.connect(self._show)
        self.legend = QLabel()
        self.setToolTip(TOOLTIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.legend)
        self.hide()

    def begin(self, goes_on: bool = False, of_areas: bool = False) -> None:
        """Get ready for a run; of one that goes on, what was drawn stays.

        Areas are not counted, so that there is no AP of them.
        """
        self._hidden = {AP} if of_areas else set()
        if self._area is None:
            self._make_plots()
        if not goes_on:
            self._traces = {name: Trace() for name in COLOURS}
        self._stale = True
        self._show()
        self._timer.start()
        self.show()

    def add(self, step: int, loss: float, validation: dict[str, float]) -> None:
        """Add what a step has brought; it is drawn a few times a second."""
        self._traces[LOSS].add(step, loss)
        for name, key in ((IOU, "iou"), (AP, "ap50")):
            if key in validation and name not in self._hidden:
                self._traces[name].add(step, validation[key])
        self._stale = True

    def end(self) -> None:
        """Draw what came last, and no more."""
        self._timer.stop()
        self._show()

    def drawn(self, name: str) -> tuple[list[float], list[float]]:
        """Return the steps and the values of a curve."""
        steps, values = self._lines[name].getData() if name in self._lines else (None, None)
        return ([], []) if steps is None or values is None else (list(steps), list(values))

    def _make_plots(self) -> None:
        import pyqtgraph

        self._area = area = pyqtgraph.GraphicsLayoutWidget()
        area.setFixedHeight(HEIGHT)
        area.setToolTip(TOOLTIP)
        area.ci.layout.setContentsMargins(0, 6, 6, 0)  # room for the outermost numbers
        area.ci.layout.setVerticalSpacing(2)
        for row in (0, 1):
            plot = area.addPlot(row=row, col=0)
            make_still(plot)
            plot.getAxis("left").setWidth(AXIS_WIDTH)
            self._plots.append(plot)
        above, below = self._plots
        above.getAxis("bottom").setStyle(showValues=False)
        above.setXLink(below)
        below.setYRange(0, 1)
        below.setLimits(xMin=0, minXRange=10)
        for name, plot in ((LOSS, above), (IOU, below), (AP, below)):
            pen = pyqtgraph.mkPen(COLOURS[name], width=2)
            marks = {} if name == LOSS else {"symbol": "o", "symbolSize": 4, "symbolPen": None}
            self._lines[name] = plot.plot(pen=pen, **marks)
            if marks:
                self._lines[name].setSymbolBrush(COLOURS[name])
        layout = self.layout()
        assert layout is not None
        layout.addWidget(area)
        self._recolour()

    def _recolour(self) -> None:
        follow_theme(self._area, self._plots, self._viewer.theme)

    def _show(self) -> None:
        if not self._stale or self._area is None:
            return
        self._stale = False
        for name, line in self._lines.items():
            trace = self._traces[name]
            line.setData(trace.steps, trace.values)
        shown = [name for name in COLOURS if name not in self._hidden]
        self.legend.setText(" &nbsp; ".join(self._entry(name) for name in shown))

    def _entry(self, name: str) -> str:
        last = self._traces[name].last
        value = "" if last is None else f" {last:.3f}" if name == LOSS else f" {last:.2f}"
        return f'<span style="color: {COLOURS[name]}">■</span> {name}{value}'

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and self._area is not None:
            self._recolour()
