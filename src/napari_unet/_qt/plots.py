"""How the docks' plots look and behave: to be read, in the colours of napari's theme."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import qtpy
from napari.utils.theme import get_theme

SIDES = ("left", "bottom")


def load() -> None:
    """Load what draws plots, in a thread: it takes half a second, which the window has not.

    Under PySide6 that is left to the window: it has crashed where pyqtgraph's many classes of Qt
    were made in a thread.
    """
    if not qtpy.PYSIDE6:
        import_module("pyqtgraph")


def make_still(plot: Any) -> None:
    """Take from a pyqtgraph plot its menu, its buttons, and what the mouse would move."""
    plot.setMenuEnabled(False)
    plot.hideButtons()
    plot.setMouseEnabled(False, False)


def follow_theme(area: Any, plots: Sequence[Any], name: str) -> Any:
    """Give a pyqtgraph area and the axes of its plots the colours of a theme, and return it."""
    theme = get_theme(name)
    area.setBackground(theme.background.as_hex())
    for plot in plots:
        for side in SIDES:
            axis = plot.getAxis(side)
            axis.setPen(theme.current.as_hex())
            axis.setTextPen(theme.text.as_hex())
    return theme
