"""What a training will take, told before it begins."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt.fine_tune.lesson import Lesson
from napari_unet._qt.worker import Job

if TYPE_CHECKING:  # loads torch
    from napari_unet.training import Estimate, TuneProgress

DELAY = 1000
"""Milliseconds after the last change of what is chosen."""


class Forecast(QObject):
    """Measures a step of the training that is chosen, once its choice has settled.

    Parameters
    ----------
    parent : QObject
        Whoever owns it.
    """

    told = Signal(str)
    """The sentence, or why there is none."""
    zoomed = Signal(float)
    """Network pixels for one of the images."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._lesson: Lesson | None = None
        self._job: Job | None = None
        self.has_failed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY)
        self._timer.timeout.connect(self._begin)

    def expect(self, lesson: Lesson | None) -> None:
        """Measure another training; None: measure nothing."""
        self._lesson = lesson
        self._timer.stop()
        if self._job is not None:
            self._job.abandon()
        if lesson is not None:
            self._timer.start()

    def _begin(self) -> None:
        if self._job is not None:  # which was abandoned, and ends soon
            self._timer.start()
            return
        lesson = self._lesson
        if lesson is None:
            return
        self.told.emit("Measuring how long it takes…")
        self._job = job = Job(lambda: _measure(lesson), self)
        job.returned.connect(self._on_measured)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        job.start()

    def _on_measured(self, estimate: Estimate | None) -> None:
        self.has_failed = False
        if estimate is not None:
            self.told.emit(estimate.sentence())
            self.zoomed.emit(estimate.zoom)

    def _on_failed(self, message: str) -> None:
        self.has_failed = True
        self.told.emit(message)

    def _on_ended(self) -> None:
        self._job = None


def _measure(lesson: Lesson) -> Generator[TuneProgress | None, bool | None, Estimate | None]:
    from napari_unet.training import estimate

    prepared = yield from lesson.prepare()
    if prepared is None:
        return None
    task, _ = prepared
    return (yield from estimate(task))
