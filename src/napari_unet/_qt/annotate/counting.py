"""How much is annotated, counted off the window's thread soon after it changed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt.worker import Job
from napari_unet.annotations import Annotation, Counts

if TYPE_CHECKING:  # loads a TIFF library
    from napari_unet.annotations import Project

PAUSE = 300
"""Milliseconds after a change."""
SHARE = 4
"""Times as long as the last count took, the next one waits at least."""


class Amount(NamedTuple):
    """How much is annotated in an image, and in all of its project."""

    image: Counts
    project: Counts
    images: int


class Counter(QObject):
    """Counts again and again what changes.

    Parameters
    ----------
    read : callable
        Returns what there is to count, or None.
    parent : QObject
        Whoever owns this.
    """

    counted = Signal(object)
    """An Amount."""
    failed = Signal(str)
    """Why it cannot be counted."""

    def __init__(
        self, read: Callable[[], tuple[Annotation, Project] | None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._read = read
        self._job: Job | None = None
        self._pause = PAUSE
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._count)

    def want(self) -> None:
        """Count soon."""
        if not self._timer.isActive():
            self._timer.start(self._pause)

    def stop(self) -> None:
        """Count no more."""
        self._timer.stop()
        if self._job is not None:
            self._job.abandon()

    def _count(self) -> None:
        if self._job is not None:
            self.want()
            return
        read = self._read()
        if read is None:
            return
        job = Job(lambda: _count(*read), self)
        job.returned.connect(self._on_counted)
        job.failed.connect(self.failed)
        job.ended.connect(self._on_ended)
        self._job = job
        job.start()

    def _on_counted(self, value: tuple[Amount, float]) -> None:
        amount, seconds = value
        self._pause = max(PAUSE, round(SHARE * 1000 * seconds))
        self.counted.emit(amount)

    def _on_ended(self) -> None:
        self._job = None


def _count(annotation: Annotation, project: Project) -> Generator[None, None, tuple[Amount, float]]:
    from napari_unet.annotations import State

    yield
    start = monotonic()
    image = annotation.counts()
    begun = sum(project.state(entry) is not State.UNTOUCHED for entry in project.entries)
    return Amount(image, project.counts(), begun), monotonic() - start
