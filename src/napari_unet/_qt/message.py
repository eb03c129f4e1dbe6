"""The line of the dock that talks to its user."""

from __future__ import annotations

import napari
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

LINES = 3
"""Kept free, so that what is below stays in its place."""


class Message(QLabel):
    """Says how things are, and in a louder colour what is wrong.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose theme it follows.
    """

    def __init__(self, viewer: napari.viewer.ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setMinimumHeight(LINES * self.fontMetrics().lineSpacing())

    def tell(self, text: str) -> None:
        """Say how things are."""
        self.setStyleSheet("")
        self.setText(text)

    def warn(self, text: str) -> None:
        """Say what is wrong, and the way out."""
        self.setStyleSheet(f"color: {_loud_colour(self._viewer.theme)}")
        self.setText(text)


class Notes:
    """What a run has to tell besides how far it is: it stays on view until the run is over."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """Keep a sentence, once."""
        if text and text not in self._texts:
            self._texts.append(text)

    def after(self, text: str) -> str:
        """Return a sentence, and the notes behind it."""
        end = "." if self._texts and text and text[-1] not in ".…" else ""
        return " ".join([text + end, *self._texts])


def _loud_colour(theme: str) -> str:
    """Return the colour of a theme's warning or error, whichever can be read on its background."""
    colours = get_theme(theme)

    def brightness(name: str) -> float:
        red, green, blue = getattr(colours, name).as_rgb_tuple()[:3]
        return float(0.3 * red + 0.6 * green + 0.1 * blue)

    def contrast(name: str) -> float:
        return abs(brightness(name) - brightness("background"))

    return str(getattr(colours, max(("warning", "error"), key=contrast)).as_hex())
