"""The dock widget "Measure": objects in numbers, each a click away from its place in the image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import napari
from napari.layers import Shapes
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from napari_unet._qt.dock import button, put_into
from napari_unet._qt.measure.boxes import drawing, put_boxes
from napari_unet._qt.measure.plot import MeasuresPlot
from napari_unet._qt.measure.report import Report, measuring, saving
from napari_unet._qt.measure.showing import go_to, selected
from napari_unet._qt.measure.sources import Sources
from napari_unet._qt.measure.table import ObjectsTable
from napari_unet._qt.measure.watching import emitters, reading
from napari_unet._qt.message import Message
from napari_unet._qt.object_classes import kinds_in, show_kinds
from napari_unet._qt.progress import Progress
from napari_unet._qt.watching import Watch
from napari_unet._qt.worker import Job

AT_FIRST = "Measures area, shape and intensity of each object."
NO_LABELS = "There is no labels layer to measure yet: segment an image, or open its labels."
MEASURING = "Measuring…"
DRAWING = "Drawing the boxes…"
CHANGED = "The labels have changed since: press Measure again."


class MeasureWidget(QWidget):
    """Measures the objects of a labels layer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where it is docked.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._job: Job | None = None
        self._drawing: Job | None = None
        self._report: Report | None = None
        self._is_old = False
        self._problem = ""
        self.sources = Sources(napari_viewer)
        self.button = button("Measure", "Measure each object, in each plane.")
        self.message = Message(napari_viewer)
        self.progress = Progress()
        self.table = ObjectsTable()
        self.plot = MeasuresPlot(napari_viewer)
        self.save_button = button("Save CSV…", "Save the whole table for a spreadsheet.")
        self.boxes_button = button(
            "Add Boxes", "Draw the box around each object, in a new layer, coloured by class."
        )
        self._results = QWidget()
        self._watch = Watch(emitters, reading, self)
        self._lay_out()
        self._connect()
        self.reset_choices()

    def _lay_out(self) -> None:
        self.button.setStyleSheet("font-weight: bold")
        results = QVBoxLayout(self._results)
        results.setContentsMargins(0, 0, 0, 0)
        results.addWidget(self.table)
        below = QHBoxLayout()
        below.addWidget(self.save_button)
        below.addWidget(self.boxes_button)
        results.addLayout(below)
        results.addWidget(self.plot)
        self._results.hide()
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(self.sources)
        column.addWidget(self.button)
        column.addWidget(self.progress)
        column.addWidget(self.message)
        column.addWidget(self._results)
        column.addStretch()
        put_into(self, content)

    def _connect(self) -> None:
        self.sources.changed.connect(self._on_sources)
        self.button.clicked.connect(self._measure)
        self.table.chosen.connect(self._on_chosen)
        self.save_button.clicked.connect(self._save)
        self.boxes_button.clicked.connect(self._add_boxes)
        self._watch.told.connect(self._on_told)

    @property
    def is_running(self) -> bool:
        """Whether something is being measured, or is still to be looked at."""
        jobs = (self._job, self._drawing)
        return any(job is not None for job in jobs) or self._watch.is_running

    @property
    def report(self) -> Report | None:
        """What was measured last."""
        return self._report

    def reset_choices(self, _: object = None) -> None:
        """Follow the viewer's layers; napari calls this whenever they change."""
        if self._report is not None and self._report.labels not in self._viewer.layers:
            self._drop_report()
        self.sources.reset_choices()
        self._show_state()

    def _on_sources(self) -> None:
        self._problem = ""
        self._show_state()

    def _measure(self) -> None:
        labels = self.sources.labels.value
        if labels is None:
            self._on_failed(NO_LABELS)
            return
        self._problem = ""
        self._job = job = Job(measuring(labels, self.sources.image.value), self)
        job.progressed.connect(self.progress.reach)
        job.returned.connect(self._on_measured)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        if labels.ndim > 2:  # one plane takes no longer than its bar would
            self.progress.begin("Measuring")
        job.start()
        self._show_state()

    def _on_measured(self, report: Report) -> None:
        if report.labels not in self._viewer.layers:
            self._problem = f"{report.labels.name} was removed meanwhile: choose others."
            return
        kinds = kinds_in(report.labels)  # they may be others than when it began
        report.labels.features = report.features
        if kinds_in(report.labels) != kinds:
            show_kinds(report.labels, kinds)
        self._follow(report)
        self.table.show_report(report)
        self._results.setVisible(bool(report.table["label"].size))
        if report.table["label"].size:
            self.plot.show_report(report)

    def _on_failed(self, problem: str) -> None:
        self._problem = problem
        self._show_state()

    def _on_ended(self) -> None:
        self._job = None
        self.progress.end()
        self._show_state()

    def _follow(self, report: Report | None) -> None:
        """Follow what happens to the layer of a report, and let go of the last one's."""
        if self._report is not None:
            self._report.labels.events.selected_label.disconnect(self._on_selected)
        self._report, self._is_old = report, False
        self._watch.follow(report)
        if report is not None:
            report.labels.events.selected_label.connect(self._on_selected)

    def _on_told(self, is_true: bool) -> None:
        self._is_old = not is_true
        self._show_state()

    def _on_chosen(self, number: int) -> None:
        if self._report is not None:
            self.plot.choose(number)
            go_to(self._viewer, self._report, number)

    def _on_selected(self, _: object = None) -> None:
        """Show the row of an object that was picked in the image."""
        report = self._report
        if report is None or self._is_old:
            return
        number = selected(self._viewer, report)
        if number is not None:
            self.table.choose(number)
            self.plot.choose(number)

    def _drop_report(self) -> None:
        self._follow(None)
        self._results.hide()

    def _show_state(self) -> None:
        report = self._report
        self.button.setEnabled(self._job is None)
        self._results.setEnabled(not self._is_old)
        if self._job is not None:
            text = MEASURING
        elif self._drawing is not None:
            text = DRAWING
        elif self._problem:
            self.message.warn(self._problem)
            return
        elif report is not None:
            is_other = self.sources.labels.value != report.labels
            of = f"Below are the objects of {report.labels.name}. " if is_other else ""
            text = CHANGED if self._is_old else of + report.sentence()
        else:
            text = NO_LABELS if self.sources.labels.value is None else AT_FIRST
        if text != self.message.text():  # else what is selected in it would not stay so
            self.message.tell(text)

    def _save(self) -> None:
        report = self._report
        if report is None:
            return
        source = report.labels.source.path
        name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", report.labels.name)
        suggested = str((Path(source).parent if source else Path()) / f"{name}_objects.csv")
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the table", suggested, "Tables (*.csv)")
        if chosen:
            self.save(Path(chosen))

    def save(self, path: Path) -> None:
        """Write the table to a path, in a thread."""
        if self._report is None:
            return
        job = Job(saving(self._report, path), self, keeps_window=True)
        job.returned.connect(lambda written: self.message.tell(f"Saved to {written}"))
        job.failed.connect(self._on_failed)
        job.start()

    def _add_boxes(self) -> None:
        report = self._report
        if report is None:
            return
        try:
            steps = drawing(self._viewer, report)
        except ValueError as error:
            self._on_failed(str(error))
            return
        self._problem = ""
        self.boxes_button.setEnabled(False)
        job = Job(steps, self)
        job.returned.connect(lambda boxes: self._on_boxes(report, boxes))
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_boxes_ended)
        self._drawing = job
        job.start()
        self._show_state()

    def _on_boxes(self, report: Report, boxes: Shapes) -> None:
        if report is self._report and not self._is_old:
            put_boxes(self._viewer, boxes)

    def _on_boxes_ended(self) -> None:
        self._drawing = None
        self.boxes_button.setEnabled(True)
        self._show_state()

    def changeEvent(self, event: Any) -> None:
        """End what runs when the dock is closed, as napari takes the widget out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            for job in (self._job, self._drawing):
                if job is not None:
                    job.abandon()
            self._drop_report()
