"""What every dock is made of: a column that scrolls, and buttons that say what they do."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

WIDTH = 330
"""Pixels in which no text of a dock is cut off."""


def put_into(dock: QWidget, content: QWidget) -> None:
    """Fill a dock with a column that scrolls up and down where the window is low."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    area.setMinimumWidth(max(WIDTH, content.minimumSizeHint().width()))
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area)


def button(text: str, tooltip: str) -> QPushButton:
    """Return a button that tells more where the mouse rests on it."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    return made
