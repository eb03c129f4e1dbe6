"""The images of a project: which there are, how far each is, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt.annotate.entry_list import EntryList
from napari_unet._qt.annotate.predict_first import PredictFirst
from napari_unet._qt.worker import Job, Steps, UserErrors, sentence
from napari_unet.wording import counted

if TYPE_CHECKING:
    from napari_unet.annotations import Entry, Project

CURRENT = "current"
"""Setting of a project: the image that was shown last."""


class Folder(QWidget):
    """Lists the images of a project, and says which one is to be shown; it shows none itself.

    Parameters
    ----------
    parent : QWidget, optional
        Its place.
    """

    opened = Signal(object)
    """An Entry, to be shown; after `closed` of the one before."""
    closed = Signal(object)
    """An Entry that is about to be left: what is drawn is to be written."""
    marked = Signal(object)
    """An Entry that is done, or is not any more. A done one is to be written even if empty."""
    project_changed = Signal(object)
    """The Project that is open now; after `closed`, before `opened`."""
    told = Signal(str)
    problem = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.project: Project | None = None
        self.entry: Entry | None = None
        self._is_shown = False
        self._job: Job | None = None
        self.new_button = _button(
            "New project…",
            "Make a folder for the annotations of many images, their models and settings.",
            self._ask_for_new,
        )
        self.open_button = _button(
            "Open project…", "Go on with a project where it was left.", self._ask_for_project
        )
        self.add_button = _button(
            "Add images…", "Choose TIFF, PNG or JPEG images to annotate.", self._ask_for_images
        )
        self.copy = QCheckBox("Copy them")
        self.copy.setToolTip(
            "Copy images into the project when they are added, so that it can be moved and shared;"
            " otherwise it only keeps where they are."
        )
        self.title, self.summary = QLabel(), QLabel()
        # A long name is cut off rather than the dock made wider.
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.list = EntryList()
        self.list.chosen.connect(self.open_entry)
        self.previous_button = _button(
            "Previous", "Go to the image before; what is drawn is kept.", lambda: self._step(-1)
        )
        self.next_button = _button(
            "Next", "Go to the next image; what is drawn is kept.", lambda: self._step(1)
        )
        self.done = QCheckBox("Done")
        self.done.setToolTip(
            "The image is annotated to the end. One that is done without any object teaches that"
            " there is none."
        )
        self.done.clicked.connect(self._on_done)
        self.predict = PredictFirst()
        self.predict.changed.connect(self._keep)
        self._body = self._lay_out()
        self._show_project()

    def _lay_out(self) -> QWidget:
        body = QWidget()
        grid = QGridLayout(body)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.add_button, 0, 0)
        grid.addWidget(self.copy, 0, 1)
        grid.addWidget(self.list, 1, 0, 1, 2)
        grid.addWidget(self.summary, 2, 0, 1, 2)
        row = QHBoxLayout()
        row.addWidget(self.previous_button, 1)
        row.addWidget(self.next_button, 1)
        row.addWidget(self.done)
        grid.addLayout(row, 3, 0, 1, 2)
        grid.addWidget(self.predict, 4, 0, 1, 2)
        heads = QGridLayout()
        heads.addWidget(self.new_button, 0, 0)
        heads.addWidget(self.open_button, 0, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(heads)
        column.addWidget(self.title)
        column.addWidget(body)
        return body

    @property
    def model(self) -> str | None:
        """The model, by its name or its path, that predicts images without an annotation."""
        return self.predict.model

    # -- projects

    def open_project(self, folder: str | Path) -> None:
        """Open a project, and the image that was shown last, or its first; what fails is told."""
        self._run(lambda: _open(Path(folder)), self._on_project)

    def make_project(self, folder: str | Path) -> None:
        """Make a project, and open it."""
        self._run(lambda: _create(Path(folder)), self._on_project)

    def add(self, images: Sequence[str | Path]) -> None:
        """Add image files to the project; the first is shown if none is."""
        project, copy = self.project, self.copy.isChecked()
        if project is not None and images:
            self._run(lambda: _add(project, images, copy), self._on_added)

    def _ask_for_new(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "New project", "", "Projects (*.unet)")
        if path:
            self.make_project(path)

    def _ask_for_project(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a project (NAME.unet)")
        if path:
            self.open_project(path)

    def _ask_for_images(self) -> None:
        kinds = "Images (*.tif *.tiff *.png *.jpg *.jpeg)"
        paths, _ = QFileDialog.getOpenFileNames(self, "Add images", "", kinds)
        self.add(paths)

    def _run(self, steps: Callable[[], Steps], on_returned: Callable[[Any], None]) -> None:
        if self._job is not None:
            self.problem.emit("The project is still busy: try again in a moment.")
            return
        job = self._job = Job(steps, self)
        job.progressed.connect(lambda text: self.told.emit(text))
        job.returned.connect(on_returned)
        job.failed.connect(self.problem)
        job.ended.connect(self._on_ended)
        self._show_state()
        job.start()

    def _on_ended(self) -> None:
        self._job = None
        self._show_state()

    def _on_project(self, found: tuple[Project, list[Entry], dict[str, Any]]) -> None:
        project, entries, settings = found
        self._leave()
        self.project = project
        self._show_project(entries)
        self.predict.show_settings(settings)
        self.project_changed.emit(project)
        last = [entry for entry in entries if entry.name == settings.get(CURRENT)]
        if entries:
            self.open_entry((last or entries)[0])
        else:
            self.told.emit(f"Add images to the project {project.name}.")

    def _on_added(self, entries: list[Entry]) -> None:
        number = len(entries) - len(self.list.entries)
        self.list.fill(self.project, entries)
        self.follow(self.entry, self._is_shown)
        self.told.emit(f"{counted(number, 'image')} added.")
        if self.entry is None and entries:
            self.open_entry(entries[0])

    # -- images

    def open_entry(self, entry: Entry) -> None:
        """Leave the image at hand, and ask for another one to be shown."""
        if self.entry == entry and self._is_shown:
            return
        self._leave()
        self.follow(entry, is_shown=False)
        self._keep({CURRENT: entry.name})
        self.opened.emit(entry)

    def follow(self, entry: Entry | None, is_shown: bool = True) -> None:
        """Show which image is at hand, without asking for anything; None: none of the project.

        One that is not shown, as it is not read yet, or missing, is not to be marked as done.
        """
        self.entry, self._is_shown = entry, is_shown
        self.list.setCurrentRow(self.list.row_of(entry))
        self.refresh()

    def refresh(self) -> None:
        """Show how far the image at hand is; to be called when something was saved."""
        self.list.show_entry(self.project, self.entry)
        self._show_state()

    def _leave(self) -> None:
        if self.entry is not None:
            entry, self.entry = self.entry, None
            self.closed.emit(entry)
            self.list.show_entry(self.project, entry)

    def _step(self, by: int) -> None:
        row = self.list.row_of(self.entry) + by
        if 0 <= row < len(self.list.entries):
            self.open_entry(self.list.entries[row])

    def _on_done(self, done: bool) -> None:
        from napari_unet.annotations import State

        if self.project is None or self.entry is None:
            return
        try:
            self.project.mark(self.entry, State.DONE if done else State.UNTOUCHED)
        except UserErrors as error:
            self.problem.emit(sentence(error))
        self.refresh()
        self.marked.emit(self.entry)

    # -- what is kept and shown

    def _keep(self, settings: dict[str, Any]) -> None:
        if self.project is not None:
            try:
                self.project.save_settings(settings)
            except UserErrors as error:
                self.problem.emit(sentence(error))

    def _show_project(self, entries: Sequence[Entry] = ()) -> None:
        self._body.setVisible(self.project is not None)
        self.title.setVisible(self.project is not None)
        if self.project is not None:
            self.title.setText(f"Project: <b>{escape(self.project.name)}</b>")
            self.title.setToolTip(str(self.project.folder))
            self.predict.reset(self.project)
        self.list.fill(self.project, entries)
        self.follow(None)

    def _show_state(self) -> None:
        idle, row = self._job is None, self.list.row_of(self.entry)
        for button in (self.new_button, self.open_button, self.add_button):
            button.setEnabled(idle)
        self.summary.setText(self.list.summary())
        self.previous_button.setEnabled(row > 0)
        self.next_button.setEnabled(row + 1 < len(self.list.entries))
        self.done.setEnabled(row >= 0 and self._is_shown)
        self.done.setChecked(self.list.state_of(self.entry) == "done")


def _button(text: str, tooltip: str, on_clicked: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.clicked.connect(lambda: on_clicked())
    return button


def _open(folder: Path) -> Steps:
    """Open a project in a thread: its drive may be slow."""
    from napari_unet.annotations import Project

    yield f"Opening {folder.name}…"
    project = Project.open(folder)
    return project, project.entries, project.settings


def _create(folder: Path) -> Steps:
    from napari_unet.annotations import Project

    yield f"Making {folder.name}…"
    project = Project.create(folder)
    return project, [], {}


def _add(project: Project, images: Sequence[str | Path], copy: bool) -> Steps:
    """Add images in a thread: copying takes as long as it takes."""
    for number, path in enumerate(images, 1):
        yield f"Adding image {number} of {len(images)}…"
        project.add(path, copy)
    return project.entries
