"""The dock widget "Fine-tune": teach a network on what is annotated; keep the better one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from magicgui.widgets import ComboBox
from napari.layers import Labels
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.dock import button, put_into
from napari_unet._qt.fine_tune.curves import Curves
from napari_unet._qt.fine_tune.forecast import Forecast
from napari_unet._qt.fine_tune.lesson import STOPPING, Lesson, in_a_line, load_all, tune_steps
from napari_unet._qt.fine_tune.neighbours import (
    choose_for_segmenting,
    open_project,
    show_weights,
    show_zoom,
)
from napari_unet._qt.fine_tune.overlays import Origin, Overlays
from napari_unet._qt.fine_tune.pairs import NO_PAIR, Pairs
from napari_unet._qt.fine_tune.plan import Plan
from napari_unet._qt.fine_tune.sources import (
    from_layers,
    from_project,
    names_in_layers,
    names_in_project,
)
from napari_unet._qt.fine_tune.verdict import Verdict, keep_old
from napari_unet._qt.message import Message
from napari_unet._qt.progress import Progress
from napari_unet._qt.worker import Job, UserErrors, sentence
from napari_unet.library import drop_aside, is_aside, is_held, list_models

if TYPE_CHECKING:  # loads torch
    from napari_unet.training import Tuned, TuneProgress

LAYERS, PROJECT = "Layers of this window", "Images of the project"
AGAIN = 2000
"""Milliseconds without a stroke after which a forecast that failed is tried again."""


class FineTuneWidget(QWidget):
    """Teaches a network on annotated layers or a project, and asks which one is kept.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where it is docked.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._job: Job | None = None
        self._path: Path | None = None  # of the model that a run makes
        self._told_preview = ""
        self.source = ComboBox(
            name="source",
            label="Learn from",
            tooltip="Images and labels that are layers here, or all annotated images of the project"
            " that is open in the dock Annotate.",
            choices=(LAYERS, PROJECT),
        )
        self.pairs = Pairs(napari_viewer)
        self.plan = Plan()
        self.tune_button = button(
            "Fine-tune", "Teach the network; the window can be used meanwhile."
        )
        self.stop_button = button("Stop", "End after this step, and keep the best so far.")
        self.resume_button = button(
            "Resume",
            "Go on with the run of that name, exactly where it was stopped, with the annotations"
            " that it had.",
        )
        self.status = QLabel()  # what a run will take; how far it is
        self.progress = TuneBar()
        self.message = Message(napari_viewer)
        self.curves = Curves(napari_viewer)
        self.verdict = Verdict()
        self._overlays = Overlays(napari_viewer, self)
        self._forecast = Forecast(self)
        self._watched: list[Labels] = []
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN)
        self._lay_out()
        self._connect()
        self._on_choice()
        self._get_ready()

    def _lay_out(self) -> None:
        self.tune_button.setStyleSheet("font-weight: bold")
        self.status.setWordWrap(True)
        run = QHBoxLayout()
        run.addWidget(self.tune_button, stretch=2)
        run.addWidget(self.stop_button, stretch=1)
        run.addWidget(self.resume_button, stretch=1)
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(form.lay_out(self.source))
        column.addWidget(self.pairs)
        column.addWidget(self.plan)
        column.addLayout(run)
        column.addWidget(self.status)
        column.addWidget(self.progress)
        column.addWidget(self.message)
        column.addWidget(self.verdict)
        column.addWidget(self.curves)
        column.addStretch()
        put_into(self, content)

    def _connect(self) -> None:
        self.tune_button.clicked.connect(lambda: self._start(resume=False))
        self.resume_button.clicked.connect(lambda: self._start(resume=True))
        self.stop_button.clicked.connect(self._stop)
        self.source.changed.connect(self._on_source)
        self.pairs.changed.connect(self._on_choice)
        self.plan.changed.connect(self._on_settings)
        self.plan.renamed.connect(self._show_state)
        self._forecast.told.connect(self._tell_forecast)
        self._forecast.zoomed.connect(lambda zoom: show_zoom(self._viewer, zoom))
        self._again.timeout.connect(self._expect)
        self.verdict.flipped.connect(self._flip)
        self.verdict.decided.connect(self._decide)

    def _get_ready(self) -> None:
        """Import torch and the plots in a thread: the first run then starts at once."""
        job = Job(load_all, self)
        job.returned.connect(self.plan.offer_devices)
        job.failed.connect(self.message.warn)
        job.start()

    @property
    def is_running(self) -> bool:
        """Whether a network is being taught."""
        return self._job is not None

    def _on_source(self) -> None:
        self._follow_project()
        self._on_choice()

    def _follow_project(self) -> None:
        """Put the model into the project that is open now, if its images are learnt from."""
        project = open_project(self._viewer) if self.source.value == PROJECT else None
        self.plan.put_into(project.models if project is not None else None)

    def _on_choice(self, _: object = None) -> None:
        self._show_state()
        self._watch([pair.labels for pair in self.pairs.chosen()])
        self._expect()

    def _on_settings(self) -> None:
        with suppress(ValueError, OSError):  # which is told when a run is to begin
            show_weights(self._viewer, self.plan.config, self.plan.begin)
        self._on_choice()

    def _watch(self, labels: Sequence[Labels]) -> None:
        """Notice strokes in other labels than before."""
        for layer in self._watched:
            layer.events.paint.disconnect(self._on_stroke)
        self._watched = list(labels)
        for layer in self._watched:
            layer.events.paint.connect(self._on_stroke)

    def _on_stroke(self) -> None:
        if self._forecast.has_failed and not self.is_running:  # as long as nothing is labelled
            self._again.start()

    def _expect(self) -> None:
        """Tell what the run that is chosen will take, if somebody looks."""
        if self.is_running or not self.isVisible() or not self._is_complete:
            self._forecast.expect(None)
            if not self.is_running:
                self.status.clear()
            return
        try:
            lesson = self._lesson(resume=False)
        except UserErrors as error:
            self._forecast.expect(None)
            self.status.setText(sentence(error))
            return
        self.status.clear()
        self._forecast.expect(lesson)

    def _tell_forecast(self, text: str) -> None:
        if not self.is_running:
            self.status.setText(text)

    @property
    def _is_complete(self) -> bool:
        return self.source.value == PROJECT or bool(self.pairs.chosen())

    def _lesson(self, resume: bool) -> Lesson:
        """Return what is chosen now.

        Raises
        ------
        ValueError, OSError
            If something is missing, or not possible.
        """
        plan = self.plan
        if not plan.start.value:  # only a new network shows the names, found in all labels
            self._suggest_classes()
        card = plan.card(resume)
        if self.source.value == PROJECT:
            learn = from_project(self._viewer, open_project(self._viewer), card)
        elif not self.pairs.chosen():
            raise ValueError(NO_PAIR)
        else:
            which = str(self.pairs.channels.value)
            learn = from_layers(self._viewer, self.pairs.chosen(), card, which)
        start, device = None if resume else plan.begin, str(plan.device.value)
        return Lesson(learn, start, plan.output, plan.config, device, card.target, resume)

    def _suggest_classes(self) -> None:
        """Propose names for the classes that there are in what is learnt from."""
        means = self.plan.network.means
        if self.source.value == PROJECT:
            names = names_in_project(open_project(self._viewer), means)
        else:
            names = names_in_layers([pair.labels for pair in self.pairs.chosen()], means)
        self.plan.network.suggest(names)

    def _start(self, resume: bool) -> None:
        self.pairs.reset_choices()  # a layer's shape may be another one now
        self._follow_project()
        if not resume:
            self.plan.take_free_name()
        try:
            lesson = self._lesson(resume)
        except UserErrors as error:
            self.message.warn(sentence(error))
            return
        self._let_go()
        self._path = lesson.output
        self._forecast.expect(None)
        self.verdict.hide()
        self._overlays.drop()
        if self.source.value == LAYERS:
            self._overlays.prepare(Origin.of(self.pairs.chosen()[0].image))
        self._told_preview = ""
        self._job = job = Job(lambda: tune_steps(lesson), self, keeps_window=True, saves=True)
        job.progressed.connect(self._on_progress)
        job.returned.connect(self._on_tuned)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        self.progress.begin(f"Fine-tune {self._path.stem}")
        self.curves.begin(goes_on=resume, of_areas=not lesson.target.instances)
        self.message.tell("")
        self.status.setText("Getting ready…")
        self._show_state()
        job.start()

    def _stop(self) -> None:
        if self._job is not None:
            self._job.stop()
            self.stop_button.setEnabled(False)
            self.status.setText(STOPPING)

    def _on_progress(self, step: TuneProgress | tuple[Origin, ...]) -> None:
        if isinstance(step, tuple):
            self._overlays.begin(step)
            return
        if step.progress is not None:
            now = step.progress
            self.curves.add(now.iteration, now.loss, now.validation)
        self.progress.reach(step.share)
        stopping = not self.stop_button.isEnabled()
        self.status.setText(in_a_line(step, stopping))
        if step.message:
            self.message.warn(step.message)
        if step.preview is not None:
            self._show_preview(step)

    def _show_preview(self, step: TuneProgress) -> None:
        assert step.preview is not None
        problem = self._overlays.preview(step.preview)
        if problem and problem != self._told_preview:
            self.message.tell(problem)
        self._told_preview = problem

    def _on_tuned(self, tuned: Tuned | None) -> None:
        if tuned is None:
            self._overlays.drop()
            self.message.tell("Stopped before anything was learnt: there is no new model.")
            return
        name = tuned.path.stem
        text = f"{name} is ready."
        if tuned.stopped:
            text = f"Stopped: {name} is the best so far. Resume goes on with the same annotations."
        self.message.tell(text)
        if tuned.comparison is None:
            self._overlays.drop()
        else:
            self._overlays.compare(tuned.comparison.overlays)
            side = self._overlays.shown if self._overlays.can_flip else ""
            self.verdict.ask(tuned.comparison.sentence(), side, is_aside(tuned.path))
        if not tuned.stopped:
            self.plan.propose()

    def _on_failed(self, message: str) -> None:
        self._overlays.drop()
        if self._path is not None and self._path.stem in self.plan.stopped_runs():
            message += " Resume goes on from what was saved."
        self.message.warn(message)

    def _on_ended(self) -> None:
        self._job = None
        if self.verdict.isHidden():  # nothing is to be decided
            self._let_go()
        self.progress.end()
        self.curves.end()
        self.status.clear()
        self.plan.reset_choices()
        self._show_state()

    def _flip(self) -> None:
        self._overlays.flip()
        self.verdict.show_side(self._overlays.shown if self._overlays.can_flip else "")

    def _decide(self, keeps_new: bool) -> None:
        """Keep the new network and choose it for segmenting, or go back to the old one."""
        path = self._path
        assert path is not None
        if keeps_new:
            name = path.stem if list_models().get(path.stem) == path else str(path)
            choose_for_segmenting(self._viewer, name, str(self.plan.device.value))
            self.message.tell(f"{path.stem} is kept, and chosen in the dock Segment.")
        else:
            try:
                self.message.tell(keep_old(path))
            except UserErrors as error:
                self.message.warn(sentence(error))
                return
        self._let_go()
        self._overlays.drop()
        self.verdict.hide()
        self.plan.reset_choices()
        self.plan.propose()
        self._show_state()

    def _let_go(self) -> None:
        """Delete what was set aside for a decision that is made, or is not asked for any more."""
        if self._path is not None and not is_held(self._path):  # it is of the one who trains it
            with suppress(OSError):  # it is overwritten the next time
                drop_aside(self._path)

    def reset_choices(self, _: object = None) -> None:
        """Follow the viewer's layers; napari calls this whenever they change."""
        self.pairs.reset_choices()
        if not self.is_running:  # an image of another project may have been opened
            self._follow_project()
        if self.verdict.isVisible() and not self._overlays.can_flip:
            self.verdict.show_side("")

    def showEvent(self, event: Any) -> None:
        """Tell what a run will take, as somebody looks now."""
        super().showEvent(event)
        self._expect()

    def changeEvent(self, event: Any) -> None:
        """End what runs when the dock is closed, as napari takes the widget out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._forecast.expect(None)
            self._watch([])
            self._overlays.drop()
            if self._job is not None:
                self._job.abandon()  # which saves what it has
            else:
                self._let_go()

    def _show_state(self) -> None:
        running = self.is_running
        for part in (self.pairs, self.plan, self.source.native):
            part.setEnabled(not running)
        self.pairs.setVisible(self.source.value == LAYERS)
        self.tune_button.setEnabled(not running and self._is_complete)
        self.stop_button.setEnabled(running)
        self.resume_button.setEnabled(not running and self.plan.can_resume and self._is_complete)


class TuneBar(Progress):
    """The bar of a training, which leaves no gap when it is over."""

    def __init__(self) -> None:
        super().__init__()
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(False)
        self.setSizePolicy(policy)
