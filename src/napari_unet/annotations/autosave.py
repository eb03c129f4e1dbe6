"""Annotations to disk in the background, soon after they changed."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 (what writes needs it, and it cannot be loaded at exit)
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from threading import Condition, Thread, current_thread
from typing import TYPE_CHECKING

from napari_unet.annotations.annotation import Annotation
from napari_unet.annotations.copies import PLANES, Copies, Copy

if TYPE_CHECKING:  # loads a TIFF library
    from napari_unet.annotations.versions import Version

Snapshot = Annotation | Callable[[], Annotation]
NOW = -inf
"""When that is due which somebody waits for."""
SETTLING = 10.0
"""Seconds without a change after which a large stack, written plane by plane, is written whole."""

_log = logging.getLogger(__name__)


@dataclass
class _Change:
    """What is to be written, and when."""

    snapshot: Snapshot
    due: float
    keeps: bool = False
    """Whether what the file holds is kept beside it, where this is something else."""

    def drawn(self) -> Annotation:
        """Return what is drawn."""
        return self.snapshot() if callable(self.snapshot) else self.snapshot


class Autosave:
    """A thread that writes what changed, at most `interval` seconds after its first change.

    Nothing is lost when a file cannot be written: it is said, tried again every `interval`, and the
    latest state is what is written then. At the interpreter's end what is pending is written. Of a
    large stack only the planes that changed are written, and all of it once nothing changes.

    Parameters
    ----------
    interval : float
        Seconds from a first change to its writing; what comes meanwhile is written with it.
    report : callable, optional
        Takes a sentence when something cannot be written, and "" when all is written again. Called
        in the writer's thread, also when a window is gone: let it touch neither widget nor signal.
    """

    def __init__(self, interval: float = 2.0, report: Callable[[str], None] | None = None) -> None:
        self._interval = interval
        self._report = report
        self._changes: dict[Path, _Change] = {}
        self._at_hand: tuple[Path, _Change] | None = None
        """What is being written."""
        self._settling: dict[Path, float] = {}
        """When to write whole what was written by planes."""
        self._copies = Copies()
        self._begun = self._ended = 0
        """Writings."""
        self._is_hurrying = False
        """Whether somebody waits for the one that is under way."""
        self._versions: dict[Path, Version] = {}
        """What each file held when it was read or written last."""
        self._failures: dict[Path, tuple[float, str]] = {}
        """When each file could not be written last, and why."""
        self._told = ""
        self._changed = Condition()
        self._thread: Thread | None = None

    @property
    def problem(self) -> str:
        """What is wrong, as a sentence; "" if nothing is."""
        with self._changed:
            return next((sentence for _, sentence in self._failures.values()), "")

    @property
    def pending(self) -> bool:
        """Whether something has changed that is not on disk yet."""
        with self._changed:
            return bool(self._changes) or self._ended < self._begun

    def pending_of(self, path: str | Path) -> Annotation | None:
        """Return what is not on disk yet of an annotation; None if all of it is.

        Its labels may be an array that goes on changing. To be called in a thread.
        """
        path = Path(path)
        with self._changed:
            change = self._changes.get(path)
            if change is None and self._at_hand is not None and self._at_hand[0] == path:
                change = self._at_hand[1]
        return None if change is None else change.drawn()

    def submit(self, path: str | Path, snapshot: Snapshot, keeps: bool = False) -> None:
        """Say that an annotation has changed; returns at once.

        Parameters
        ----------
        path : str or Path
            Its label TIFF.
        snapshot : Annotation or callable returning one
            Its labels may be the layer's own array, which may go on changing: they are copied when
            they are written, in the writer's thread, and each change is to be submitted. A callable
            is called in that thread, so it may touch no layer: bind the layer's array before.
        keeps : bool
            Whether this may not come of what the file holds; where it is something else, the file
            is kept under another name beside it before it is written over.
        """
        path = Path(path)
        with self._changed:
            change = self._changes.get(path)
            if change:
                change.snapshot = snapshot
                change.keeps |= keeps
                return
            self._changes[path] = _Change(snapshot, time.monotonic() + self._interval, keeps)
            self._start()
            self._changed.notify_all()

    def known(
        self, path: str | Path, annotation: Annotation, version: Version | None = None
    ) -> None:
        """Say what a file holds (it was just read), so that the same is not written again.

        Takes about 0.1 s for 4096 x 4096 pixels; may be called in any thread. A version that was
        asked for before it was read tells what somebody writes meanwhile from what was read.
        """
        from napari_unet.annotations.versions import version_of

        path, copy = Path(path), Copy(annotation)
        version = version_of(path) if version is None else version
        by_planes = path.with_suffix(PLANES).exists()  # a crash left them
        copy.written(by_planes)
        with self._changed:
            if not self._is_unsaved(path):
                self._versions[path] = version
            if path in self._changes or self._ended < self._begun:
                return  # it is not to be forgotten what is not on disk
            self._copies.know(path, copy)
            if by_planes:
                self._settling[path] = time.monotonic() + SETTLING
                self._start()
                self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Write all that is pending now, and wait for it; False if it is not all on disk.

        What is submitted meanwhile is not waited for.
        """
        start = time.monotonic()
        with self._changed:
            for change in self._changes.values():
                change.due = NOW
            for _ in range(2):  # again for what was being written by planes just then
                self._settling = dict.fromkeys(self._settling, NOW)
                if self._changes or self._settling:
                    self._start()
                begun = self._begun
                self._changed.notify_all()
                left = None if timeout is None else start + timeout - time.monotonic()
                if not self._changed.wait_for(partial(self._is_through, begun), left):
                    return False
            return all(when < start for when, _ in self._failures.values())

    def close(self, timeout: float | None = None) -> bool:
        """Flush, then end the thread; returns what :meth:`flush` does.

        If that is False the thread goes on, and the interpreter waits for it at its end. A later
        :meth:`submit` starts it again.
        """
        if not self.flush(timeout):
            return False
        with self._changed:
            thread, self._thread = self._thread, None  # by which it sees that it is to end
            self._changed.notify_all()
        if thread is not None:
            thread.join(timeout)
        atexit.unregister(self.close)
        return True

    def _is_unsaved(self, path: Path) -> bool:
        """Say whether a file waits to be written, or is; called with the lock held."""
        return path in self._changes or (self._at_hand is not None and self._at_hand[0] == path)

    def _start(self) -> None:
        """Have a thread; called with the lock held."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="napari-unet autosave", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def _is_through(self, begun: int) -> bool:
        """Say whether nothing in a hurry is left, nor what was begun by then; with the lock held.

        What changes meanwhile is not waited for: somebody may paint all the time.
        """
        due = (*(change.due for change in self._changes.values()), *self._settling.values())
        return self._ended >= begun and not self._is_hurrying and NOW not in due

    def _run(self) -> None:
        from napari_unet.annotations import versions  # noqa: F401 (slow: before it is needed)

        while True:
            with self._changed:
                if not self._wait():
                    return
                # Out of the list first: what changes from here on is written once more.
                due, path, is_change = self._next()
                assert path is not None
                change = self._changes.pop(path) if is_change else None
                if change is None:
                    del self._settling[path]
                else:
                    self._at_hand = path, change
                self._begun += 1
                self._is_hurrying = due == NOW
            failure = self._attempt(path, change)
            with self._changed:
                self._ended += 1
                self._is_hurrying = False
                self._at_hand = None
                self._note(path, change, failure)
                self._changed.notify_all()
            self._tell()

    def _next(self) -> tuple[float, Path | None, bool]:
        """Return when to write next, what, and whether it is a change rather than all of it."""
        changes = [(change.due, path, True) for path, change in self._changes.items()]
        settling = [
            (due, path, False)
            for path, due in self._settling.items()
            if due == NOW or path not in self._changes  # what changes is not settled
        ]
        return min(changes + settling, key=lambda task: task[0], default=(inf, None, False))

    def _wait(self) -> bool:
        """Wait until something is due; False if the thread is to end."""
        while self._thread is current_thread():
            left = self._next()[0] - time.monotonic()
            if left <= 0:
                return True
            self._changed.wait(None if left == inf else left)
        return False

    def _attempt(self, path: Path, change: _Change | None) -> str:
        """Write what changed in a file, or all of it once it is settled; returns what is wrong."""
        try:
            if change is None:
                self._write(path, self._copies.copy(path), NOW, whole=True)
            else:
                copy = self._copies.take(path, change.drawn())
                if change.keeps and copy.is_changed:
                    self._keep_found(path)
                    change.keeps = False  # also if the writing fails, and is tried again
                self._write(path, copy, change.due)
        except (OSError, MemoryError, ValueError) as error:
            return f"{error} What was drawn since is kept in memory, and saved when that is mended."
        except Exception as error:
            _log.error("unexpected", exc_info=error)
            return (
                f"{path} could not be written ({type(error).__name__}: {error}). Please report it"
                " with what is written on the terminal, and save the layer by hand."
            )
        return ""

    def _write(self, path: Path, copy: Copy, due: float, whole: bool = False) -> None:
        from napari_unet.annotations import storage
        from napari_unet.annotations.versions import NO_FILE, version_of

        version = version_of(path)
        is_there = version != NO_FILE
        if is_there and not copy.is_changed and (copy.is_settled or not whole):
            return
        is_ours = not is_there or version == self._versions.get(path)
        if not is_ours:
            aside = self._keep_aside(path, version)
            self._say(
                f"{path.name} was changed by another window or program: that version is kept as"
                f" {aside.name} beside it; annotate an image in one window only."
            )
        by_planes = is_there and is_ours and not whole and copy.is_by_planes
        try:
            by_planes = by_planes and storage.write_planes(path, copy.annotation, copy.planes)
            if not by_planes:
                storage.write_annotation(path, copy.annotation)
        finally:  # a part of it may be written where the rest cannot be
            self._versions[path] = version_of(path)
        copy.written(by_planes)
        with self._changed:
            settled = self._settling.pop(path, due)
            if by_planes:
                # Even in a hurry the planes come first: all of it may take too long.
                hurries = NOW in (due, settled)
                self._settling[path] = NOW if hurries else time.monotonic() + SETTLING

    def _keep_found(self, path: Path) -> None:
        """Save what a file holds that may be no earlier state of what is drawn."""
        from napari_unet.annotations.versions import NO_FILE, version_of

        version = version_of(path)
        if version != NO_FILE:
            aside = self._keep_aside(path, version)
            self._say(
                f"The layer is not what {path.name} held: that is kept as {aside.name} beside it."
            )

    def _keep_aside(self, path: Path, version: Version) -> Path:
        """Save what a file holds under another name, before it is written over."""
        from napari_unet.annotations.versions import keep_aside

        aside = keep_aside(path)
        self._versions[path] = version  # it is not kept again if the writing fails
        return aside

    def _note(self, path: Path, change: _Change | None, failure: str) -> None:
        """Keep what became of a file; called with the lock held."""
        if not failure:
            self._failures.pop(path, None)
            return
        now = time.monotonic()
        self._failures[path] = (now, failure)
        if change is None:
            self._settling[path] = now + SETTLING
            return
        newer = self._changes.setdefault(path, change)
        newer.keeps |= change.keeps
        if newer is change or newer.due > NOW:
            newer.due = now + self._interval

    def _tell(self) -> None:
        problem = self.problem
        if problem == self._told:
            return
        self._told = problem
        self._say(problem)

    def _say(self, sentence: str) -> None:
        if sentence:
            _log.warning(sentence)
        if self._report is not None:
            try:
                self._report(sentence)
            except Exception as error:  # a window that is gone; the files are still written
                _log.debug("report failed", exc_info=error)
