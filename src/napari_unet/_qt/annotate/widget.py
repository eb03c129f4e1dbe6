"""The dock widget "Annotate": what a network shall learn, painted on an image and always saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from napari.layers import Image, Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_unet._qt import annotation_layers
from napari_unet._qt.annotate import joining, start
from napari_unet._qt.annotate.chooser import Chooser
from napari_unet._qt.annotate.counting import Amount, Counter
from napari_unet._qt.annotate.drawing import Drawing
from napari_unet._qt.annotate.folder import Folder
from napari_unet._qt.annotate.joining import Answer, Joined
from napari_unet._qt.annotate.keeping import Keeper
from napari_unet._qt.annotate.start import Start, subject_of
from napari_unet._qt.annotate.tools import Tools
from napari_unet._qt.dock import put_into
from napari_unet._qt.layers import annotated_shape, pixels
from napari_unet._qt.message import Message
from napari_unet._qt.object_classes import kinds_in
from napari_unet._qt.segment.inputs import NO_IMAGE
from napari_unet._qt.worker import Job, Steps
from napari_unet.annotations import Annotation
from napari_unet.wording import counted

if TYPE_CHECKING:  # loads TIFF libraries
    from napari_unet.annotations import Autosave, Entry, Project


PAUSE = 300
"""Milliseconds from a change to what is shown of the project's files."""


class AnnotateWidget(QWidget):
    """Makes the layers of an annotation, and keeps what is drawn in them on disk.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where it is docked.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._current: Drawing | None = None
        self._page: Image | None = None  # the image that the project's list has opened
        self._left: Entry | None = None  # of which the list may not know yet that it was begun
        self._job: Job | None = None
        self.chooser = Chooser(napari_viewer)
        self.message = Message(napari_viewer)
        self.tools = Tools(napari_viewer)
        self.counts, self.state = QLabel(), QLabel()
        self.folder = Folder()
        self._keeper = Keeper(napari_viewer, self)
        self._counter = Counter(self._to_count, self)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(PAUSE)
        self._soon.timeout.connect(self._show_entries)
        self._lay_out()
        self._connect()
        self._show_state()
        self.message.tell("" if napari_viewer.layers else NO_IMAGE)
        job = Job(_prepare, self)
        job.failed.connect(self.message.warn)
        job.start()

    def _lay_out(self) -> None:
        self.counts.setToolTip("What counts for a training, in this image and in all of them.")
        self.state.setToolTip("Whatever is drawn is on disk within a few seconds.")
        for label in (self.counts, self.state):
            label.setWordWrap(True)
        content = QWidget()
        column = QVBoxLayout(content)
        for part in (self.chooser, self.message, self.tools, self.counts, self.state, self.folder):
            column.addWidget(part)
        column.addStretch()
        put_into(self, content)

    def _connect(self) -> None:
        chooser, keeper, folder = self.chooser, self._keeper, self.folder
        chooser.new_button.clicked.connect(lambda: self._begin(None))
        chooser.correct_button.clicked.connect(self._correct)
        chooser.region_button.clicked.connect(self._add_region)
        chooser.image.changed.connect(self._on_image)
        chooser.mode.changed.connect(self._on_mode)
        for part in (self.tools, folder):
            part.told.connect(self.message.tell)
            part.problem.connect(self.message.warn)
        self._counter.failed.connect(self.message.warn)
        self._counter.counted.connect(lambda amount: self.counts.setText(_describe(amount)))
        keeper.changed.connect(self._on_changed)
        keeper.told.connect(self.message.warn)
        keeper.lost.connect(self._on_lost)
        keeper.bounded.connect(lambda drawing: QTimer.singleShot(0, partial(self._leave, drawing)))
        folder.opened.connect(self._on_opened)
        folder.closed.connect(self._on_closed)
        folder.marked.connect(self._on_marked)
        self._viewer.layers.selection.events.active.connect(self._on_active)

    @property
    def is_busy(self) -> bool:
        """Whether an annotation is about to begin."""
        return self._job is not None

    @property
    def autosave(self) -> Autosave:
        """What writes the drawings; it may be flushed in a thread."""
        return self._keeper.autosave

    def open_project(self, folder: str | Path) -> None:
        """Open a project, and the image of it that was shown last; what fails is told."""
        self.folder.open_project(folder)

    # -- beginning

    def _begin(self, result: Labels | None) -> None:
        """Look for what is annotated already, then show it or begin anew."""
        image = self.chooser.image.value
        if image is None:
            self.message.warn(NO_IMAGE)
            return
        drawing = self._keeper.of_image(image)
        if drawing is not None and result is None:
            self._select(drawing)
            self.tools.take_next()
            self.message.tell(f"Go on in {drawing.labels.name}.")
            return
        data, mode = (None if result is None else pixels(result)), self.chooser.chosen_mode
        project, saver = self.folder.project, self._keeper.autosave
        steps = partial(start.begin, subject_of(image), project, mode, data, saver)
        self._run(steps, lambda begun: self._on_begun(image, begun, result))

    def _correct(self) -> None:
        self._begin(self.chooser.result)

    def _run(self, steps: Callable[[], Steps], on_returned: Callable[[Any], None]) -> None:
        if self._job is not None:
            self._job.abandon()
        job = Job(steps, self)
        job.progressed.connect(lambda text: self.message.tell(text) if text else None)
        job.returned.connect(on_returned)
        job.failed.connect(self.message.warn)
        job.ended.connect(lambda: self._on_ended(job))
        self._job = job
        self._show_state()
        job.start()

    def _on_ended(self, job: Job) -> None:
        if self._job is job:
            self._job = None
            self._show_state()

    def _on_begun(self, image: Image, begun: Start, result: Labels | None) -> None:
        if image not in self._viewer.layers:
            self.message.warn(f"{begun.entry.name} was removed: open it again to annotate it.")
            return
        if annotated_shape(image) != begun.annotation.labels.shape:
            self.message.warn(f"{image.name} has another shape now: press New annotation again.")
            return
        drawing = self._keeper.of_path(begun.path) or self._keeper.show(image, begun)
        if drawing.image not in self._viewer.layers:  # it was removed, and opened again
            drawing.image = image
        show = partial(self._show_begun, image, drawing, begun, result)
        if result is None or begun.result is None:
            show()
        elif drawing.is_touched and drawing.labels.data.any():
            self._join(drawing, begun, result, show)
        else:
            joining.put_into_empty(drawing, begun.result, kinds_in(result))
            show()

    def _join(
        self, drawing: Drawing, begun: Start, result: Labels, show: Callable[[], None]
    ) -> None:
        """Put objects into what is drawn already, not without asking."""
        answer = joining.ask_about_drawn(drawing.labels.name, self)
        if answer is Answer.CANCEL or begun.result is None:
            self._select(drawing)
            self.message.tell(f"{drawing.labels.name} stays as it was.")
            return
        steps = partial(joining.join, drawing.snapshot(), begun.result, answer, begun.path)
        on_joined = partial(self._on_joined, drawing, kinds_in(result), show)
        self._run(steps, on_joined)

    def _on_joined(
        self, drawing: Drawing, kinds: Mapping[int, str], show: Callable[[], None], joined: Joined
    ) -> None:
        if not drawing.is_paintable:  # what became of it has been told
            return
        joining.put_in(drawing, joined, kinds)
        show()
        if joined.aside is not None:
            self.message.tell(
                "Undo does not take so large a step back: what was drawn before is kept as"
                f" {joined.aside.name}, beside {drawing.labels.name}'s own file."
            )

    def _show_begun(
        self, image: Image, drawing: Drawing, begun: Start, result: Labels | None
    ) -> None:
        if self._is_ours(begun):
            self.folder.list.fill(begun.project, begun.project.entries)
        self._select(drawing)
        self.tools.take_next()
        if result is not None:
            result.visible = False
            self.message.tell(
                f"Correct the objects of {result.name}, which is hidden and stays as it is."
            )
        elif drawing.image != image:
            self.message.tell(f"{image.name} is the same image as {drawing.image.name}.")
        elif begun.found:
            self.message.tell(
                f"The annotation of this image is here again, as it was saved in {begun.path.name}."
            )
        else:
            self.message.tell(
                "Paint an object; N takes the brush for the next one. To annotate a part of the"
                " image, add a region first."
            )

    # -- the images of a project

    def _on_opened(self, entry: Entry) -> None:
        project = self.folder.project
        assert project is not None
        drawing = self._keeper.of_path(project.annotation_path(entry))
        if drawing is not None:
            self._select(drawing)
            self.tools.take_next()
            return
        mode, model, saver = self.chooser.chosen_mode, self.folder.model, self._keeper.autosave
        steps = partial(start.open_entry, project, entry, mode, model, saver)
        self._run(steps, self._on_read)

    def _on_read(self, begun: Start) -> None:
        """Show an image of the project in place of the one before."""
        if self.folder.entry != begun.entry:
            return
        before = self._keeper.of_image(self._page)
        self._select(None)
        if before is not None:
            self._keeper.remove(before)
        elif self._page is not None and self._page in self._viewer.layers:
            self._viewer.layers.remove(self._page)
        assert begun.image is not None
        self._page = image = annotation_layers.add_image(
            self._viewer, begun.image, begun.entry.name
        )
        image.metadata = {start.SOURCE: str(begun.entry.image)}
        drawing = self._keeper.show(image, begun)
        is_predicted = False
        if begun.result is not None and not drawing.is_touched:
            is_predicted = True
            drawing.show_prediction(begun.result, begun.result_kinds)
        self._select(drawing)
        self.tools.take_next()
        if is_predicted:
            text = "was predicted: correct its objects, or say that it is Done."
        else:
            text = "is here again." if begun.found else "is new: paint its objects."
        self.message.tell(f"{begun.entry.name} {text}")

    def _on_closed(self, entry: Entry) -> None:
        self._left = entry
        self.tools.stop()

    def _on_marked(self, entry: Entry) -> None:
        """Write what is done, also if nothing is drawn: it teaches that there is no object."""
        project = self.folder.project
        drawing = project and self._keeper.of_path(project.annotation_path(entry))
        if drawing:
            drawing.is_touched = True
            self._keeper.save(drawing)

    # -- while it is drawn

    def _select(self, drawing: Drawing | None) -> None:
        self._current = drawing
        if drawing is not None:
            self.chooser.show_choice(drawing.image, drawing.mode)
            begun = self._keeper.start_of(drawing)
            self.folder.follow(begun.entry if self._is_ours(begun) else None)
            self.tools.class_box.offer(begun.kinds)
        self.tools.follow(drawing)
        self._show_state()
        self._on_changed()
        self._show_entries()

    def _is_ours(self, begun: Start) -> bool:
        """Say whether an image is of the project that is open, which may have been opened anew."""
        project = self.folder.project
        return project is not None and begun.project.folder == project.folder

    def _on_image(self, image: Image | None) -> None:
        drawing = self._keeper.of_image(image) if image is not None else None
        if drawing is not self._current:
            self._select(drawing)
        self._show_state()

    def _on_active(self) -> None:
        """Follow the user to the layers of another annotation."""
        drawing = self._keeper.of_layer(self._viewer.layers.selection.active)
        if drawing is not None and drawing is not self._current:
            self._select(drawing)
        self._show_state()

    def _on_mode(self) -> None:
        if self._current is not None:
            self._current.set_mode(self.chooser.chosen_mode)
            self.tools.follow(self._current)

    def _add_region(self) -> None:
        if self._current is not None:
            self.tools.stop()
            self._current.add_region()
            self.message.tell("Draw a rectangle: press, drag, release.")

    def _leave(self, drawing: Drawing) -> None:
        """Go on painting after a region; called when napari is through with the rectangle."""
        if drawing is self._current and drawing.is_paintable:
            drawing.take_brush(drawing.labels.selected_label)
            self.message.tell(
                "Paint every object in the region. It can be moved and deleted in the layer"
                f" {drawing.image.name} regions."
            )

    def _on_lost(self, drawing: Drawing, text: str) -> None:
        if drawing is self._current:
            self._select(None)
        project, entry = self.folder.project, self.folder.entry
        if project and entry and not self._keeper.of_path(project.annotation_path(entry)):
            self.folder.follow(entry, is_shown=False)  # a click on it opens it again
        self.message.warn(text)

    # -- what is shown

    def _to_count(self) -> tuple[Annotation, Project] | None:
        if self._current is None or annotation_layers.PREDICTED in self._current.labels.metadata:
            self.counts.setText("")
            return None
        return self._current.snapshot(), self._keeper.start_of(self._current).project

    def _on_changed(self) -> None:
        self.state.setText(self._keeper.status(self._current) if self._current else "")
        self._counter.want()
        if not self._soon.isActive():
            self._soon.start()

    def _show_entries(self) -> None:
        """Show how far the images are, by their files: too slow for each move of a brush."""
        if self.folder.project is not None:
            self.folder.refresh()
            if self._left is not None:
                self.folder.list.show_entry(self.folder.project, self._left)
                if self._left != self.folder.entry and not self._keeper.autosave.pending:
                    self._left = None

    def _show_state(self) -> None:
        self.chooser.show_state(not self.is_busy, self._current is not None)

    def reset_choices(self, _: object = None) -> None:
        """Follow the viewer's layers; napari calls this whenever they change."""
        self.chooser.reset_choices()
        self._show_state()

    # -- ending

    def hideEvent(self, event: Any) -> None:
        """Write what is drawn when the window closes, of which this is all that a widget hears."""
        super().hideEvent(event)
        self._keeper.hurry()

    def changeEvent(self, event: Any) -> None:
        """Write what is drawn when the dock is closed, as napari takes the widget out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._end()

    def _end(self) -> None:
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        self._select(None)
        self._counter.stop()
        self._soon.stop()
        if self._job is not None:
            self._job.abandon()
        for labels in self._keeper.end():
            labels.mode = "pan_zoom"
            show_warning(
                f"What is painted in {labels.name} from now on is not saved: open the dock Annotate"
                " and press New annotation to go on."
            )


def _describe(amount: Amount) -> str:
    here, all_ = amount.image, amount.project
    share = f"{here.pixels:,} pixels annotated"
    return (
        f"{counted(here.objects)}, {share}\n"
        f"In the project: {counted(all_.objects)} in"
        f" {counted(amount.images, 'image')}"
    )


def _prepare() -> Steps:
    """Load what the first correction and the first saving need."""
    from napari_unet.annotations import Autosave, edits, storage  # noqa: F401

    yield
