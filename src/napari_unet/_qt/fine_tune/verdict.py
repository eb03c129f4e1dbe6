"""Better than before or not: what held-out annotations say of a run, and the choice."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt.dock import button
from napari_unet.library import check_own, delete, is_aside, put_back

DELETES = "Delete the new model; the one that it started from stays as it was."
GOES_BACK = "Let the model be again as it was before Resume; what was learnt since then is lost."


class Verdict(QWidget):
    """Says how a network did before and after a run, and asks which is to be kept."""

    flipped = Signal()
    """The other side is to be shown."""
    decided = Signal(bool)
    """True: the new network is kept; False: the old one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel("<b>Before and after</b>, on what was held out")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.flip_button = button(
            "Flip", "Show in the image what the network found before, or after."
        )
        self.side = QLabel()
        self.new_button = button(
            "Keep new", "Keep the new model, and choose it in the dock Segment."
        )
        self.old_button = button("Keep old", DELETES)
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

    def ask(self, sentence: str, side: str, goes_back: bool) -> None:
        """Say what was found, and ask which network is to be kept.

        Parameters
        ----------
        sentence : str
            What was found.
        side : str
            What the image shows, "" for nothing.
        goes_back : bool
            Whether the old one is the new one as it was before it was resumed.
        """
        self.text.setText(sentence)
        self.old_button.setToolTip(GOES_BACK if goes_back else DELETES)
        self.show_side(side)
        self.show()

    def show_side(self, side: str) -> None:
        """Say which side the image shows now."""
        self.side.setText(f"The image shows: {side}" if side else "")
        self.flip_button.setEnabled(bool(side))


def keep_old(model: Path) -> str:
    """Delete a new model, or let one that was resumed be as it was before; return what was done.

    Raises
    ------
    ValueError, OSError
        If that cannot be done.
    """
    if is_aside(model):
        check_own(model.stem, model.parent)  # nobody trains it
        put_back(model)
        return f"{model.stem} is again as it was before Resume."
    delete(model.stem, model.parent)
    return f"{model.stem} is deleted."
