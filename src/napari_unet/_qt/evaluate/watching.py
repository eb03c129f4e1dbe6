"""Whether layers still hold what was evaluated."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import napari
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt.annotated_plane import regions_layers
from napari_unet._qt.evaluate.report import Report
from napari_unet._qt.evaluate.request import Request, fingerprint
from napari_unet._qt.worker import Job, UserErrors

PAUSE = 200
"""Milliseconds after which several changes count as one."""


class Watch(QObject):
    """Tells whether a report is still true, whenever its layers may have changed.

    napari tells of a stroke, but not of its undo: so what is there now is read again, in a thread.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are.
    parent : QObject
        Whoever owns this.
    """

    told = Signal(bool)
    """Whether the layers hold what the report is of."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._report: Report | None = None
        self._emitters: list[Any] = []
        self._job: Job | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._look)

    @property
    def is_running(self) -> bool:
        """Whether a change is still to be looked at."""
        return self._job is not None or self._soon.isActive()

    def follow(self, report: Report | None) -> None:
        """Watch the layers of a report from now on; None: nothing."""
        for emitter in self._emitters:
            emitter.disconnect(self._on_change)
        self._emitters = []
        self._report = report
        self._soon.stop()
        if self._job is not None:
            self._job.abandon()
        if report is not None:
            for layer in (report.request.prediction, report.request.truth):
                for name in ("paint", "set_data", "data"):
                    self._connect(getattr(layer.events, name))
            self.look_again()

    def look_again(self) -> None:
        """Look soon, also at regions that were added since."""
        report = self._report
        if report is None:
            return
        for layer in regions_layers(self._viewer, report.request.truth):
            self._connect(layer.events.data)
        self._on_change()

    def _connect(self, emitter: Any) -> None:
        if emitter not in self._emitters:
            self._emitters.append(emitter)
            emitter.connect(self._on_change)

    def _on_change(self, _: object = None) -> None:
        self._soon.start(PAUSE)

    def _look(self) -> None:
        report = self._report
        if report is None:
            return
        if self._job is not None:  # which may have read before the change
            self._soon.start(PAUSE)
            return
        try:
            now = report.request.again(self._viewer)
        except UserErrors:
            self.told.emit(False)
            return
        self._job = job = Job(lambda: _print_steps(now), self)
        job.returned.connect(lambda print_: self._on_read(report, print_))
        job.failed.connect(lambda _: self._on_read(report, ()))
        job.ended.connect(self._on_ended)
        job.start()

    def _on_read(self, report: Report, print_: tuple[Any, ...]) -> None:
        if report is self._report:
            self.told.emit(print_ == report.fingerprint)

    def _on_ended(self) -> None:
        self._job = None


def _print_steps(request: Request) -> Generator[None, None, tuple[Any, ...]]:
    """Run in the thread."""
    yield
    pair = request.read()
    yield
    return fingerprint(*pair)
