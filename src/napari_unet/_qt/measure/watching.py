"""Whether a layer still holds the labels that were measured."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt.evaluate.request import fingerprint
from napari_unet._qt.layers import pixels
from napari_unet._qt.measure.report import Report
from napari_unet._qt.worker import Job

EVENTS = ("paint", "set_data", "data")
"""Of a layer, after one of which it may hold other labels."""
PAUSE = 200
"""Milliseconds after which several changes count as one."""


class Watch(QObject):
    """Tells whether a report is still true, whenever its layer may have changed.

    Neither an undo nor a threshold that is moved in Segment tells of new labels; so what is there
    is read again, in a thread. Of labels that are not in memory, nothing is told.

    Parameters
    ----------
    parent : QObject
        Whoever owns this.
    """

    told = Signal(bool)
    """Whether the layer holds what was measured."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._report: Report | None = None
        self._job: Job | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._look)

    @property
    def is_running(self) -> bool:
        """Whether a change is still to be looked at."""
        return self._job is not None or self._soon.isActive()

    def follow(self, report: Report | None) -> None:
        """Watch the layer of a report from now on; None: nothing."""
        if self._report is not None:
            for name in EVENTS:
                getattr(self._report.labels.events, name).disconnect(self._on_change)
        self._report = report
        self._soon.stop()
        if self._job is not None:
            self._job.abandon()
        if report is not None:
            for name in EVENTS:
                getattr(report.labels.events, name).connect(self._on_change)
            self._on_change()  # it may have changed while it was measured

    def _on_change(self, _: object = None) -> None:
        self._soon.start(PAUSE)

    def _look(self) -> None:
        report = self._report
        if report is None:
            return
        if self._job is not None:  # which may have read before the change
            self._soon.start(PAUSE)
            return
        labels = pixels(report.labels)
        if not is_watched(labels):
            return
        self._job = job = Job(lambda: _print_steps(labels), self)
        job.returned.connect(lambda print_: self._on_read(report, print_))
        job.ended.connect(self._on_ended)
        job.start()

    def _on_read(self, report: Report, print_: tuple[Any, ...]) -> None:
        if report is self._report:
            self.told.emit(print_ == report.fingerprint)

    def _on_ended(self) -> None:
        self._job = None


def is_watched(labels: Any) -> bool:
    """Say whether labels are in memory, and so quick to read again."""
    return isinstance(labels, np.ndarray) and not isinstance(labels, np.memmap)


def _print_steps(labels: Any) -> Generator[None, None, tuple[Any, ...]]:
    """Run in the thread."""
    yield
    return fingerprint(labels)
