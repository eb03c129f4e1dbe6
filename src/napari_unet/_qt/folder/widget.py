"""The dock widget "Segment Folder": all images of a folder, in the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt import preferences
from napari_unet._qt.dock import button, put_into
from napari_unet._qt.folder.opening import Opened
from napari_unet._qt.folder.places import Places
from napari_unet._qt.folder.settings import Settings
from napari_unet._qt.folder.table import FilesTable
from napari_unet._qt.folder.work import (
    Found,
    Step,
    Task,
    looking,
    reading,
    reading_sheet,
    segmenting,
)
from napari_unet._qt.message import Message, Notes
from napari_unet._qt.progress import Progress
from napari_unet._qt.segment.steps import prepare
from napari_unet._qt.worker import Job, Steps, UserErrors, sentence

if TYPE_CHECKING:  # loads torch
    from napari_unet.batch import Outcome

AT_FIRST = "Choose a folder of images, or drop one here."
LOOKING = "Looking for images…"
STOPPING = "Stopping after this tile…"


class FolderWidget(QWidget):
    """Segments the images of a folder, and shows how far each is.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where it is docked.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._run: Job | None = None
        self._look: Job | None = None
        self._opening: Job | None = None
        self._looks_again = False
        self._found: Found | None = None
        self._outcomes: list[Outcome] = []
        self._notes = Notes()
        self._left = ""
        self._opened = Opened(napari_viewer)
        self.setAcceptDrops(True)
        self.places = Places()
        self.settings = Settings()
        self.segment_button = button(
            "Segment Folder", "Segment all images that are not done yet, one after the other."
        )
        self.stop_button = button(
            "Stop", "End after this tile. What is done is kept, and the rest can be done later."
        )
        self.progress = Progress()
        self.message = Message(napari_viewer)
        self.table = FilesTable()
        self.summary = QLabel()
        self.overview_button = button(
            "Show Overview", "Show all images, with the outlines of their objects, on one sheet."
        )
        self._lay_out()
        self._connect()
        self._show_state()
        self.message.tell(AT_FIRST)
        job = Job(prepare, self)  # torch is imported in a thread
        job.returned.connect(self._on_prepared)
        job.failed.connect(self.message.warn)
        job.start()

    def _lay_out(self) -> None:
        self.segment_button.setStyleSheet("font-weight: bold")
        self.summary.setWordWrap(True)
        run = QHBoxLayout()
        run.addWidget(self.segment_button, stretch=2)
        run.addWidget(self.stop_button, stretch=1)
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(self.places)
        column.addWidget(self.settings)
        column.addLayout(run)
        column.addWidget(self.progress)
        column.addWidget(self.message)
        column.addWidget(self.table, stretch=1)
        column.addWidget(self.summary)
        column.addWidget(self.overview_button)
        put_into(self, content)

    def _connect(self) -> None:
        self.places.changed.connect(self.look)
        self.settings.changed.connect(self.look)
        self.settings.problem.connect(self.message.warn)
        self.segment_button.clicked.connect(self._start)
        self.stop_button.clicked.connect(self._stop)
        self.table.chosen.connect(self._open)
        self.overview_button.clicked.connect(self._open_overview)

    def _on_prepared(self, found: tuple[list[str], dict[str, str]]) -> None:
        devices, remembered = found
        if not self.is_running:
            self.settings.prefer(remembered)
        self.settings.offer_devices(devices)

    @property
    def is_running(self) -> bool:
        """Whether a folder is being segmented."""
        return self._run is not None

    @property
    def is_busy(self) -> bool:
        """Whether anything runs in a thread."""
        return self.is_running or self._look is not None or self._opening is not None

    # -- which images there are

    def _task(self) -> Task | None:
        """Return what is asked for; None where that cannot be, which is told."""
        place, settings = self.places.place, self.settings
        if place is None:
            self.message.tell(AT_FIRST)
            return None
        try:
            config = settings.config()
        except UserErrors as error:
            self.message.warn(sentence(error))
            return None
        also = {name: bool(box.value) for name, box in settings.also.items()}
        return Task(place, config, **also)

    def look(self) -> None:
        """Find out, in a thread, which images there are and how far each is."""
        if self.is_running:
            return
        if self._look is not None:  # what was chosen last counts
            self._looks_again = True
            self._look.abandon()
            return
        task = self._task()
        if task is None:
            self._show_found(None)
            return
        self._look = job = Job(looking(task), self)
        job.returned.connect(self._on_found)
        job.failed.connect(self._on_not_found)
        job.ended.connect(self._on_looked)
        if self._found is None:
            self.message.tell(LOOKING)
        job.start()

    def _on_found(self, found: Found) -> None:
        self._show_found(found)
        self.message.tell(f"Results go into {_short(found.task.place.output)}.")

    def _on_not_found(self, problem: str) -> None:
        self._show_found(None)
        self.message.warn(problem)

    def _on_looked(self) -> None:
        self._look = None
        if self._looks_again:
            self._looks_again = False
            self.look()

    def _show_found(self, found: Found | None) -> None:
        self._found = found
        self._outcomes = list(found.outcomes) if found is not None else []
        self.table.show_rows(found.rows if found is not None else ())
        self._show_state()

    # -- segmenting them

    def _start(self) -> None:
        task = self._task()
        if task is None or self.is_running:
            return
        if self._look is not None:
            self._look.abandon()
        preferences.remember(task.config.model, task.config.device)
        self._notes = Notes()
        self._run = job = Job(segmenting(task), self, keeps_window=True, saves=True)
        job.progressed.connect(self._on_progress)
        job.returned.connect(self._on_returned)
        job.failed.connect(self.message.warn)
        job.ended.connect(self._on_ended)
        self.progress.begin(f"Segment {task.place.folder.name}")
        self.message.tell(LOOKING)
        self._show_state()
        job.start()

    def _stop(self) -> None:
        if self._run is not None:
            self._run.stop()
            self.stop_button.setEnabled(False)
            self.message.tell(STOPPING)

    def _on_progress(self, step: Found | Step | str) -> None:
        if isinstance(step, Found):
            self._show_found(step)
        elif isinstance(step, Step):
            self._show_step(step)
        elif self.stop_button.isEnabled():
            self.message.tell(step)

    def _show_step(self, step: Step) -> None:
        is_new = self.table.files.rows[step.number].state != step.row.state
        self.table.files.change(step.number, step.row)
        self.progress.reach(step.share)
        self._left = self.progress.left(step.share)
        if step.outcome is not None:
            self._outcomes[step.number] = step.outcome
            if not step.outcome.before:
                self._opened.forget(step.outcome.job.labels)
        elif is_new:
            self.table.follow(step.number)
        self._notes.add(step.message)
        if self.stop_button.isEnabled() and step.outcome is None:
            self.message.tell(self._notes.after(f"Segmenting {step.row.name}…"))
        self._show_summary()

    def _on_returned(self, is_all: bool) -> None:
        found = self._found
        assert found is not None
        what = "Done" if is_all else "Stopped; press Segment Folder to go on"
        text = f"{what}. Results are in {_short(found.task.place.output)}."
        self.message.tell(self._notes.after(text))

    def _on_ended(self) -> None:
        self._run, self._left = None, ""
        self.progress.end()
        found = self._found
        if found is not None:  # one that was at work when a stop came waits again
            for number, outcome in enumerate(self._outcomes):
                if str(outcome.state) != self.table.files.rows[number].state:
                    self.table.files.change(number, found.rows[number])
        self._show_state()

    # -- looking at them

    def _open(self, number: int) -> None:
        found = self._found
        if found is not None:
            job = found.jobs[number]
            if not self._opened.show_again(job.labels):
                self._read(reading(job), self._opened.show_pair)

    def _open_overview(self) -> None:
        if self._found is not None:
            path = self._found.task.sheet
            self._read(reading_sheet(path), lambda sheet: self._opened.show_sheet(path, sheet))

    def _read(self, steps: Callable[[], Steps], show: Callable[[Any], None]) -> None:
        """Read in a thread, and show what was read."""
        if self._opening is not None:
            return

        def try_to_show(read: Any) -> None:
            try:
                show(read)
            except UserErrors as error:
                self.message.warn(sentence(error))

        self._opening = job = Job(steps, self)
        job.returned.connect(try_to_show)
        job.failed.connect(self.message.warn)
        job.ended.connect(self._on_opened)
        job.start()

    def _on_opened(self) -> None:
        self._opening = None

    # -- what is shown

    def _show_summary(self) -> None:
        if not self._outcomes:
            self.summary.setText("")
            return
        from napari_unet.batch import Tally  # loaded by now, in a thread

        self.summary.setText(f"{Tally.of(self._outcomes).in_words}{self._left}")

    def _show_state(self) -> None:
        running, found = self.is_running, self._found
        self.segment_button.setEnabled(not running)
        self.stop_button.setEnabled(running)
        self.places.setEnabled(not running)
        self.settings.setEnabled(not running)
        self.overview_button.setEnabled(found is not None and found.task.sheet.is_file())
        self._show_summary()

    def dragEnterEvent(self, event: Any) -> None:
        """Take folders, and images of one."""
        if not self.is_running and _dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Choose the folder that is dropped, or that of an image."""
        folder = _dropped(event)
        if folder is not None and not self.is_running:
            event.acceptProposedAction()
            self.places.choose(folder)

    def changeEvent(self, event: Any) -> None:
        """End what runs when the dock is closed, as napari takes the widget out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._looks_again = False
            for job in (self._run, self._look, self._opening):
                if job is not None:
                    job.abandon()


def _short(path: Path) -> str:
    """Return the end of a path, for which there is room."""
    return str(Path(*path.parts[-2:]))


def _dropped(event: Any) -> Path | None:
    """Return the folder that a drag holds, if it holds one."""
    for url in event.mimeData().urls():
        path = Path(url.toLocalFile()) if url.isLocalFile() else None
        if path is not None and path.exists():
            return path if path.is_dir() else path.parent
    return None
