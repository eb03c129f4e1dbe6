"""The dock widget "Evaluate": how well a prediction agrees with the truth, in words and colours."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import napari
from magicgui.widgets import CheckBox
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_unet._qt.dock import button, put_into
from napari_unet._qt.evaluate.outcome_layer import show
from napari_unet._qt.evaluate.pair import Pair, is_numbered_by_plane
from napari_unet._qt.evaluate.report import Report, evaluate_steps
from napari_unet._qt.evaluate.request import Request, Wish, request
from napari_unet._qt.evaluate.results import Results
from napari_unet._qt.evaluate.watching import emitters, reading
from napari_unet._qt.message import Message
from napari_unet._qt.watching import Watch
from napari_unet._qt.worker import Job, UserErrors, sentence
from napari_unet.files import write_whole

AT_FIRST = "Compares predicted objects with true ones, and colours what was missed or invented."
NO_PAIR = (
    "There are no two labels layers to compare yet: segment an image, and open its true labels or"
    " annotate it."
)
EVALUATING = "Evaluating…"


class EvaluateWidget(QWidget):
    """Compares two labels layers.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where it is docked.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._job: Job | None = None
        self._wanted: Request | None = None  # what is to follow the job at hand
        self._report: Report | None = None
        self._is_true = True  # whether its layers still hold what it is of
        self._problem = ""
        self.pair = Pair(napari_viewer)
        self.plane_only = CheckBox(
            name="plane_only",
            text="This plane only",
            tooltip="Compare what is in view, not all planes of the stack.",
        )
        self.by_plane = CheckBox(
            name="by_plane",
            text="Objects are numbered in each plane",
            tooltip="A number is another object in each plane, as in what Segment and Annotate"
            " make. Uncheck it where an object keeps its number through the planes, as in labels"
            " of volumes or of tracks.",
        )
        self.button = button("Evaluate", "Count which objects were found, missed and invented.")
        self.message = Message(napari_viewer)
        self.results = Results(napari_viewer)
        self._watch = Watch(partial(emitters, napari_viewer), partial(reading, napari_viewer), self)
        self._lay_out()
        self._connect()
        self.message.tell(AT_FIRST)
        self.reset_choices()

    def _lay_out(self) -> None:
        self.button.setStyleSheet("font-weight: bold")
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(self.pair)
        column.addWidget(self.plane_only.native)
        column.addWidget(self.by_plane.native)
        column.addWidget(self.button)
        column.addWidget(self.message)
        column.addWidget(self.results)
        column.addStretch()
        put_into(self, content)

    def _connect(self) -> None:
        self.pair.changed.connect(self._on_pair)
        self.plane_only.changed.connect(self._on_way)
        self.by_plane.changed.connect(self._on_way)
        self.button.clicked.connect(self._evaluate)
        self.results.threshold.changed.connect(lambda _: self._on_threshold())
        self.results.save_wanted.connect(self._save)
        self._watch.told.connect(self._on_told)

    @property
    def is_running(self) -> bool:
        """Whether something is computed, or is still to be looked at."""
        return self._job is not None or self._watch.is_running

    @property
    def report(self) -> Report | None:
        """What was found last."""
        return self._report

    def reset_choices(self, _: object = None) -> None:
        """Follow the viewer's layers; napari calls this whenever they change."""
        report, layers = self._report, self._viewer.layers
        if report is not None and not report.request.is_in(layers):
            self._drop_report()
        self.pair.reset_choices()
        self._watch.look_again()
        self._show_state()

    def wish(self) -> Wish:
        """Return how to compare."""
        stack = self.pair.is_stack
        plane_only = stack and self.plane_only.value
        by_plane = stack and not plane_only and self.by_plane.value
        return Wish(plane_only, by_plane, round(self.results.threshold.value, 2))

    def _on_pair(self) -> None:
        layers = [layer for layer in self.pair.layers if layer is not None]
        with self.by_plane.changed.blocked():
            self.by_plane.value = any(is_numbered_by_plane(layer) for layer in layers)
        self._on_way()

    def _on_way(self, _: object = None) -> None:
        self._problem = ""
        self._show_state()

    def _evaluate(self) -> None:
        self.pair.keep()
        try:
            self._begin(request(self._viewer, *self.pair.layers, self.wish()))
        except UserErrors as error:
            self._on_failed(sentence(error))

    def _on_threshold(self) -> None:
        """Colour and tell anew; what is shown of other layers or planes waits for the button."""
        report, wish = self._report, self.wish()
        if report is None or self._is_of_others(report, wish):
            self._show_state()
            return
        try:
            self._begin(replace(report.request.again(self._viewer), wish=wish))
        except UserErrors as error:
            self._on_failed(sentence(error))

    def _begin(self, asked: Request) -> None:
        """Start on what is asked for, or let what runs end after the step at hand, and then."""
        self._problem, self._wanted = "", asked
        if self._job is None:
            self._begin_wanted()
        else:
            self._job.abandon()

    def _begin_wanted(self) -> None:
        asked, self._wanted = self._wanted, None
        if asked is not None:
            self._job = job = Job(lambda: evaluate_steps(asked), self)
            job.returned.connect(self._on_evaluated)
            job.failed.connect(self._on_failed)
            job.ended.connect(self._on_ended)
            job.start()
        self._show_state()

    def _on_evaluated(self, report: Report) -> None:
        if not report.request.is_in(self._viewer.layers):
            self._problem = "A layer was removed meanwhile: choose others."
            return
        self._report, self._is_true = report, True
        show(self._viewer, report)
        self.results.show_report(report)
        self._watch.follow(report)

    def _on_failed(self, problem: str) -> None:
        self._problem = problem
        self._show_state()

    def _on_ended(self) -> None:
        self._job = None
        self._begin_wanted()

    def _on_told(self, is_true: bool) -> None:
        self._is_true = is_true
        self._show_state()

    def _drop_report(self) -> None:
        self._report = None
        self._watch.follow(None)
        self.results.hide()

    def _is_of_others(self, report: Report, wish: Wish) -> bool:
        """Say whether a report is of other layers, or of them in another way, but for its IoU."""
        asked = report.request
        same = asked.wish._replace(threshold=0) == wish._replace(threshold=0)
        return not same or self.pair.layers != (asked.prediction, asked.truth)

    def _why_old(self, report: Report) -> str:
        """Return why a report is not of what is chosen now, "" if it is."""
        name, wish = report.request.name, self.wish()
        if self._is_of_others(report, wish) or report.request.wish != wish:
            return f"Below is what was found of {name}: press Evaluate for what is chosen now."
        return "" if self._is_true else "The labels have changed since: press Evaluate again."

    def _show_state(self, _: object = None) -> None:
        stack, report = self.pair.is_stack, self._report
        self.plane_only.native.setVisible(stack)
        self.by_plane.native.setVisible(stack and not self.plane_only.value)
        self.button.setEnabled(self._job is None)
        if self._job is not None:
            self._tell(EVALUATING)
            return
        why = self._why_old(report) if report is not None else ""
        self.results.show_old(bool(why))
        if self._problem:
            self.message.warn(self._problem)
        elif report is not None:
            self._tell(why or report.sentence())
        else:
            self._tell(NO_PAIR if None in self.pair.layers else AT_FIRST)

    def _tell(self, text: str) -> None:
        if text != self.message.text():  # else what is selected in it would not stay so
            self.message.tell(text)

    def _save(self) -> None:
        report = self._report
        if report is None:
            return
        source = report.request.prediction.source.path
        folder = Path(source).parent if source else Path()
        suggested = str(folder / f"{_as_file_name(report.request.name)}.csv")
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the table", suggested, "Tables (*.csv)")
        if chosen:
            self.save(Path(chosen))

    def save(self, path: Path) -> None:
        """Write the numbers to a path, in a thread: it may be that of a slow disk."""
        if self._report is None:
            return
        text = self._report.csv()
        path = path if path.suffix else path.with_suffix(".csv")
        job = Job(lambda: _save_steps(path, text), self, keeps_window=True)
        job.returned.connect(lambda _: self.message.tell(f"Saved to {path}"))
        job.failed.connect(self._on_failed)
        job.start()

    def changeEvent(self, event: Any) -> None:
        """End what runs when the dock is closed, as napari takes the widget out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._wanted = None
            if self._job is not None:
                self._job.abandon()
            self._drop_report()


def _as_file_name(name: str) -> str:
    """Return a name without what no file name may hold."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name)


def _save_steps(path: Path, text: str) -> Generator[None, None, None]:
    """Run in the thread."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(text.encode())

    yield
    write_whole(path, write)
