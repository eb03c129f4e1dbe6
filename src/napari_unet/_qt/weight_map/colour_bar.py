"""What the colours of an image layer mean, in numbers."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QPointF, QRect, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

BAR = 14
"""Pixels of its height."""
GAP = 3
ARROW = 5
"""Pixels above the bar, for the arrow at the value under the cursor."""
MOST_NUMBERS = 7


class ColourBar(QWidget):
    """Shows the colours of a layer and the numbers they stand for, and follows both."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layer: Image | None = None
        self._value: float | None = None
        self.setToolTip("What the colours of the weight map mean; the arrow is under the cursor.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def follow(self, layer: Image | None) -> None:
        """Show the colours of a layer; of None, nothing."""
        if layer is self._layer:
            return
        for emitter in self._emitters():
            emitter.disconnect(self._on_change)
        self._layer = layer
        for emitter in self._emitters():
            emitter.connect(self._on_change)
        self.point_at(None)
        self.update()

    def _emitters(self) -> list[Any]:
        names = ("colormap", "contrast_limits", "gamma")
        return [getattr(self._layer.events, name) for name in names] if self._layer else []

    def _on_change(self) -> None:
        self.update()

    def point_at(self, value: float | None) -> None:
        """Point at a number; None takes the arrow away."""
        if value != self._value:
            self._value = value
            self.update()

    def numbers(self) -> list[float]:
        """Return the numbers that are written under the bar."""
        if self._layer is None:
            return []
        low, high = self._layer.contrast_limits
        step = _round_step((high - low) / MOST_NUMBERS)
        return [step * n for n in range(ceil(low / step - 1e-6), floor(high / step + 1e-6) + 1)]

    def sizeHint(self) -> QSize:
        """Return the least size that shows the numbers."""
        return QSize(160, ARROW + BAR + GAP + self.fontMetrics().height())

    minimumSizeHint = sizeHint

    def paintEvent(self, _: Any) -> None:
        """Draw the bar, the numbers, and the arrow."""
        if self._layer is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawImage(self._bar, self._colours())
        ink = self.palette().color(self.foregroundRole())
        painter.setPen(ink)
        self._write_numbers(painter)
        if self._value is not None:
            self._draw_arrow(painter, ink, self._value)
        painter.end()

    @property
    def _bar(self) -> QRect:
        margin = self.fontMetrics().horizontalAdvance("0")
        return QRect(margin, ARROW, max(self.width() - 2 * margin, 1), BAR)

    def _colours(self) -> QImage:
        assert self._layer is not None
        shares = np.linspace(0, 1, 256) ** self._layer.gamma
        rgba = np.ascontiguousarray(np.round(255 * self._layer.colormap.map(shares)), np.uint8)
        image = QImage(rgba.tobytes(), len(rgba), 1, 4 * len(rgba), QImage.Format.Format_RGBA8888)
        return image.copy()  # which keeps the bytes

    def _x(self, value: float) -> float:
        assert self._layer is not None
        low, high = self._layer.contrast_limits
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return float(self._bar.left() + share * self._bar.width())

    def _write_numbers(self, painter: QPainter) -> None:
        metrics = self.fontMetrics()
        top = ARROW + BAR + GAP
        for number in self.numbers():
            text = f"{number:g}"
            width = metrics.horizontalAdvance(text) + 2
            left = min(max(round(self._x(number) - width / 2), 0), self.width() - width)
            box = QRect(left, top, width, metrics.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, text)

    def _draw_arrow(self, painter: QPainter, ink: QColor, value: float) -> None:
        x = self._x(value)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        corners = ((x, ARROW), (x - ARROW, 0), (x + ARROW, 0))
        painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))


def _round_step(least: float) -> float:
    """Return the least of 1, 2, 5, 10 and so on that is as large."""
    power = 10.0 ** floor(log10(least))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= least * 0.999)
