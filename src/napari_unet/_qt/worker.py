"""Generators of the core in napari's thread pool."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, ClassVar

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QObject, QThreadPool, Signal

Steps = Generator[Any, Any, Any]
UserErrors = (ValueError, OSError, MemoryError, RuntimeError, ImportError)
"""What an image, a file, an option or a machine can be to blame for."""

THREADS = 16
"""That run at a time, at least. Qt's own number is that of the cores: on two of them, a training
and a folder to segment would let nothing else begin."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Failure:
    message: str


class Job(QObject):
    """A generator that runs in a thread; its signals arrive in the thread of the window.

    What it raises becomes a sentence. (Left to itself, napari's worker swallows a RuntimeError, and
    under PySide6 fails on any other.)

    Parameters
    ----------
    make_steps : callable
        Returns the generator; called in the thread, so it may import what is slow to load.
    parent : QObject
        Whoever owns it.
    keeps_window : bool
        Whether napari asks before its window is closed while this runs.
    saves : bool
        Whether the generator has something to save: it is then stopped, rather than dropped, when
        the window closes or the job is abandoned.
    """

    progressed = Signal(object)
    """What the generator yields."""
    returned = Signal(object)
    """What it returns."""
    failed = Signal(str)
    """What to tell the user instead."""
    ended = Signal()
    """After `returned`, `failed`, or a call of `abandon`; nothing runs any more."""

    def __init__(
        self,
        make_steps: Callable[[], Steps],
        parent: QObject,
        keeps_window: bool = False,
        saves: bool = False,
    ) -> None:
        super().__init__(parent)
        self._stopping = Event()
        kind = _SavingWorker if saves else _Worker
        create = partial(create_worker, _worker_class=kind) if keeps_window else kind
        self._worker = create(_guarded, make_steps, self._stopping, Event())
        self._worker.yielded.connect(self._on_yielded)
        self._worker.returned.connect(self._on_returned)
        self._worker.finished.connect(self._on_finished)
        # A window that closes takes its widgets with it, and waits for no worker.
        parent.destroyed.connect(self._worker.quit)

    def start(self) -> None:
        """Run it, whatever else runs: there are threads for a few long jobs and the short ones."""
        pool = QThreadPool.globalInstance()
        assert pool is not None
        pool.setMaxThreadCount(max(pool.maxThreadCount(), THREADS))
        self._worker.start()

    def stop(self) -> None:
        """Ask the generator to end after the step at hand, and to return what it has."""
        self._stopping.set()

    def abandon(self) -> None:
        """End after the step at hand; nothing but `ended` is heard of it any more."""
        self._worker.quit()
        self.blockSignals(True)

    def _on_yielded(self, value: object) -> None:
        self.progressed.emit(value)

    def _on_returned(self, value: object) -> None:
        if isinstance(value, _Failure):
            self.failed.emit(value.message)
        else:
            self.returned.emit(value)

    def _on_finished(self) -> None:
        self.blockSignals(False)
        self.ended.emit()
        self.deleteLater()


class _Worker(GeneratorWorker):  # type: ignore[misc]
    """A worker that a program which ends waits for: what it would tell then is gone, and it fails.

    It ends after the step at hand.
    """

    at_work: ClassVar[set[_Worker]] = set()

    def __init__(
        self,
        steps: Callable[..., Steps],
        make_steps: Callable[[], Steps],
        stopping: Event,
        leaving: Event,
    ) -> None:
        super().__init__(steps, make_steps, stopping, leaving)
        self._stopping, self._leaving = stopping, leaving

    def work(self) -> Any:
        """Run the generator."""
        self.at_work.add(self)
        try:
            return super().work()
        finally:
            self.at_work.discard(self)


class _SavingWorker(_Worker):
    """A worker whose generator is stopped where napari would have it dropped.

    One that is dropped stays at its `yield` for good, and saves nothing.
    """

    def quit(self) -> None:
        """Ask the generator to end; nothing is heard of it any more."""
        self._leaving.set()
        self._stopping.set()


@atexit.register
def _wait_for_workers() -> None:
    at_work = tuple(_Worker.at_work)
    for worker in at_work:
        worker.quit()
    pool = QThreadPool.globalInstance()
    if at_work and pool is not None:
        pool.waitForDone()


def _guarded(make_steps: Callable[[], Steps], stopping: Event, leaving: Event) -> Steps:
    """Pass on what the generator yields and returns, and stops; no error leaves the thread."""
    try:
        steps = make_steps()
        stop: bool | None = None
        while True:
            try:
                value = steps.send(stop)
            except StopIteration as end:
                return end.value
            if not leaving.is_set():  # else there may be no window to tell
                yield value
            stop = stopping.is_set() or None
    except Exception as error:
        return _Failure(sentence(error))


def sentence(error: Exception) -> str:
    """Return what an error says to a user; one that is nobody's fault but ours is logged, too."""
    if isinstance(error, UserErrors) and str(error):
        if isinstance(error, MemoryError) and "nable to allocate" in str(error):
            return f"Memory is not enough ({error}): segment the current view, or a smaller image."
        return str(error)
    _log.error("unexpected", exc_info=error)
    return (
        f"Something failed that should not have ({type(error).__name__}: {error}). Please report it"
        " with what is written on the terminal."
    )
