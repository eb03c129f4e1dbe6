"""How far a run is: a bar and a line in the dock, and napari's activity dock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari.utils import progress
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_unet.wording import lasting

if TYPE_CHECKING:  # loads torch
    from napari_unet.segmentation import SegmentProgress

STEPS = 1000
INTERVAL = 250  # milliseconds


class Progress(QWidget):
    """Shows the share that is done."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        stays = self.sizePolicy()
        stays.setRetainSizeWhenHidden(True)  # what is below it does not jump
        self.setSizePolicy(stays)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._bar)
        self._activity: progress | None = None
        self._done = 0
        self._first: tuple[float, float] | None = None
        # Each change of a bar paints the window anew, and that of napari's handles other events
        # in between; so they are changed by themselves, a few times a second.
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._show)
        self.hide()

    def begin(self, title: str) -> None:
        """Show that work has begun, of which nothing is done yet."""
        self._bar.setRange(0, 0)
        self._first, self._done = None, 0
        self._activity = progress(total=STEPS, desc=title)
        self._timer.start(INTERVAL)
        self.show()

    def advance(self, step: SegmentProgress) -> str:
        """Show what is done, and return it in words."""
        self.reach(step.share)
        plane = f"Slice {step.number + 1} of {step.planes}, tile" if step.planes > 1 else "Tile"
        return f"{plane} {step.tile} of {step.tiles}{self.left(step.share)}"

    def reach(self, share: float) -> None:
        """Show the share that is done."""
        self._done = round(STEPS * share)

    def _show(self) -> None:
        if self._done and self._done != self._bar.value():
            self._bar.setRange(0, STEPS)
            self._bar.setValue(self._done)
            if self._activity is not None:
                self._activity.update(self._done - self._activity.n)

    def left(self, share: float) -> str:
        """Say how long it takes, by the speed since the first share, which also warms up."""
        now = time.monotonic()
        if self._first is None or share <= self._first[1]:
            self._first = self._first or (now, share)
            return ""
        began, before = self._first
        left = (now - began) * (1 - share) / (share - before)
        return f", {lasting(left)} left" if share < 1 else ""

    def end(self) -> None:
        """Show nothing any more."""
        self._timer.stop()
        if self._activity is not None:
            self._activity.close()
            self._activity = None
        self.hide()
