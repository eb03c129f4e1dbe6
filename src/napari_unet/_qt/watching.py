"""Whether layers still hold what a report was made of."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, Protocol, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt.worker import Job, UserErrors

EVENTS = ("paint", "set_data", "data")
"""Of a labels layer, after one of which it may hold other labels."""
PAUSE = 200
"""Milliseconds after which several changes count as one."""

Print = tuple[Any, ...]
Reading = Callable[[], Generator[None, None, Print]]
"""What runs in a thread, and returns the fingerprint of what is there now."""


def fingerprint(*arrays: NDArray[Any]) -> Print:
    """Return what two sets of arrays have in common only if they are equal (but for 1 in 2^32)."""
    return tuple((a.shape, crc32(np.ascontiguousarray(a).data)) for a in arrays)


class Fingerprinted(Protocol):
    """A report that knows what it was made of."""

    @property
    def fingerprint(self) -> Print:
        """Of the layers' data, when it was made."""


R = TypeVar("R", bound=Fingerprinted)


class Watch(QObject, Generic[R]):
    """Tells whether a report is still true, whenever its layers may have changed.

    napari tells of a stroke, but not of its undo, nor of labels that are drawn past it: so what is
    there now is read again, in a thread.

    Parameters
    ----------
    emitters : callable
        Returns the emitters of a report's layers whose events may mean a change.
    reading : callable
        Returns what reads a report's layers again, or None where that would take too long; a user
        error says that they cannot be those of the report any more.
    parent : QObject
        Whoever owns this.
    """

    told = Signal(bool)
    """Whether the layers hold what the report is of."""

    def __init__(
        self,
        emitters: Callable[[R], Iterable[Any]],
        reading: Callable[[R], Reading | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._emitters_of, self._reading = emitters, reading
        self._report: R | None = None
        self._emitters: list[Any] = []
        self._job: Job | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._look)

    @property
    def is_running(self) -> bool:
        """Whether a change is still to be looked at."""
        return self._job is not None or self._soon.isActive()

    def follow(self, report: R | None) -> None:
        """Watch the layers of a report from now on; None: nothing."""
        for emitter in self._emitters:
            emitter.disconnect(self._on_change)
        self._emitters = []
        self._report = report
        self._soon.stop()
        if self._job is not None:
            self._job.abandon()
        self.look_again()

    def look_again(self) -> None:
        """Look soon, also at what was added to the report's layers since."""
        if self._report is None:
            return
        for emitter in self._emitters_of(self._report):
            if emitter not in self._emitters:
                self._emitters.append(emitter)
                emitter.connect(self._on_change)
        self._on_change()

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
            reading = self._reading(report)
        except UserErrors:
            self.told.emit(False)
            return
        if reading is None:
            return
        self._job = job = Job(reading, self)
        job.returned.connect(lambda print_: self._on_read(report, print_))
        job.failed.connect(lambda _: self._on_read(report, ()))
        job.ended.connect(self._on_ended)
        job.start()

    def _on_read(self, report: R, print_: Print) -> None:
        if report is self._report:
            self.told.emit(print_ == report.fingerprint)

    def _on_ended(self) -> None:
        self._job = None
