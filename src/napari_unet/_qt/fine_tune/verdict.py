"""Better than before or not: what held-out annotations say of a run, and the choice."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget


class Verdict(QWidget):
    """Says how a network did before and after a run, and asks which is to be kept."""

    flipped = Signal()
    """The other side is to be shown."""
    decided = Signal(bool)
    """True: the new network is kept; False: the old one, and the new one is deleted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel("<b>Before and after</b>, on what was held out")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.flip_button = _button(
            "Flip", "Show in the image what the network found before, or after."
        )
        self.side = QLabel()
        self.new_button = _button(
            "Keep new", "Keep the new model, and choose it in the dock Segment."
        )
        self.old_button = _button(
            "Keep old", "Delete the new model; the one that it started from stays as it was."
        )
        flip, keep = QHBoxLayout(), QHBoxLayout()
        flip.addWidget(self.flip_button)
        flip.addWidget(self.side, stretch=1)
        keep.addWidget(self.new_button)
        keep.addWidget(self.old_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(title)
        layout.addWidget(self.text)
        layout.addLayout(flip)
        layout.addLayout(keep)
        self.flip_button.clicked.connect(self.flipped)
        self.new_button.clicked.connect(lambda: self.decided.emit(True))
        self.old_button.clicked.connect(lambda: self.decided.emit(False))
        self.hide()

    def ask(self, sentence: str, side: str) -> None:
        """Say what was found, and ask; `side` is what the image shows, "" for nothing."""
        self.text.setText(sentence)
        self.show_side(side)
        self.show()

    def show_side(self, side: str) -> None:
        """Say which side the image shows now."""
        self.side.setText(f"The image shows: {side}" if side else "")
        self.flip_button.setEnabled(bool(side))


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    return button
