"""The dock widget "Segment": from an image to labels, with one button."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from magicgui.widgets import ComboBox, FloatSlider
from napari.layers import Labels
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt import form, preferences
from napari_unet._qt.dock import button, put_into
from napari_unet._qt.form import Field
from napari_unet._qt.message import Message, Notes
from napari_unet._qt.progress import Progress
from napari_unet._qt.segment.chunks import STORED, Chunks, ask_to_begin_anew
from napari_unet._qt.segment.inputs import NO_IMAGE, Inputs
from napari_unet._qt.segment.painter import DRAWN
from napari_unet._qt.segment.request import Request
from napari_unet._qt.segment.result import Result
from napari_unet._qt.segment.saving import ask_for_path, save_steps
from napari_unet._qt.segment.steps import live_steps, prepare
from napari_unet._qt.worker import Job, UserErrors, sentence
from napari_unet.config import SegmentConfig

if TYPE_CHECKING:  # loads torch
    from napari_unet._qt.segment.steps import Chunked
    from napari_unet.chunked import ChunkProgress
    from napari_unet.segmentation import Segmentation, Shown

__all__ = ["DECISIONS", "SegmentWidget"]

DECISIONS = {
    "threshold": Field(
        "Threshold",
        "How sure the network must be of a pixel. Lower: more and larger objects; higher: fewer and"
        " smaller ones.",
        options={"min": 0.05, "max": 0.95, "step": 0.01},
        widget=FloatSlider,
    ),
    "min_size": Field(
        "Smallest object",
        "Objects with fewer pixels are left out. 0 keeps all.",
        empty="auto",
        options={"min": -1, "max": 1_000_000, "step": 5},
    ),
    "fill_holes": Field("Fill holes", "Fill the holes inside objects."),
    "remove_border": Field(
        "Drop objects at the border", "Leave out objects that the border of the image cuts."
    ),
}
"""What can be changed after a run, without another one."""
OPACITY = 0.5
"""Of new labels: the image stays visible under them."""
OUTLINED_PIXELS = 2**22
"""Pixels up to which napari outlines labels in some tens of milliseconds."""
NO_LABELS = "There are no labels to save: segment an image, or select a labels layer."
FILLED, OUTLINED = "Filled", "Outlined"


class SegmentWidget(QWidget):
    """Segments an image layer, and adjusts and saves the labels.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where it is docked.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._job: Job | None = None
        self._request: Request | None = None
        self._result: Result | None = None
        self._drawing = False  # whether `_result` is that of the run
        self._chunks: Chunks | None = None  # of a run that goes by chunks
        self._stored: Labels | None = None  # what the last of these has made
        self._ending = False  # whether the run was given up, and its thread still ends a tile
        self._share, self._notes = 0.0, Notes()
        self.inputs = Inputs(napari_viewer)
        self.segment_button = button("Segment", "Find the objects, and put them in a new layer.")
        self.stop_button = button("Stop", "End after this tile, and keep what is done.")
        self.progress = Progress()
        self.message = Message(napari_viewer)
        self.decisions = form.build(SegmentConfig, DECISIONS)
        self.view = ComboBox(
            name="view",
            label="Show objects",
            tooltip="Objects filled with their colours, or only their outlines.",
            choices=(FILLED, OUTLINED),
        )
        self.save_button = button("Save labels", "Write the labels to a TIFF, with their scale.")
        self._lay_out()
        self._connect()
        self._show_state()
        self.message.tell("" if napari_viewer.layers else NO_IMAGE)
        self._get_ready()

    def _lay_out(self) -> None:
        self.segment_button.setStyleSheet("font-weight: bold")
        run = QHBoxLayout()
        run.addWidget(self.segment_button, stretch=2)
        run.addWidget(self.stop_button, stretch=1)
        adjust = QLabel("<b>Adjust the labels</b>, without another run")
        adjust.setToolTip("What is set here also counts for the next run.")
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(self.inputs)
        column.addLayout(run)
        column.addWidget(self.progress)
        column.addWidget(self.message)
        column.addWidget(adjust)
        column.addWidget(form.lay_out(*self.decisions.values(), self.view))
        column.addWidget(self.save_button)
        column.addStretch()
        put_into(self, content)

    def _connect(self) -> None:
        self.segment_button.clicked.connect(lambda: self._start())
        self.stop_button.clicked.connect(self._stop)
        self.save_button.clicked.connect(self._save)
        self.inputs.problem.connect(self.message.warn)
        for name in DECISIONS:
            self.decisions[name].changed.connect(self._decide)
        self.view.changed.connect(self._show_view)

    def _get_ready(self) -> None:
        """Import torch in a thread: the first run then starts at once."""
        job = Job(prepare, self)
        job.returned.connect(self._on_prepared)
        job.failed.connect(self.message.warn)
        job.start()

    def _on_prepared(self, found: tuple[list[str], dict[str, str]]) -> None:
        devices, remembered = found
        if not self.is_running:
            self.inputs.prefer(remembered)
        self.inputs.offer_devices(devices)

    @property
    def is_running(self) -> bool:
        """Whether an image is being segmented."""
        return self._job is not None

    def _start(self, force: bool = False) -> None:
        try:
            self._request = request = self.inputs.request(self._decided())
        except UserErrors as error:
            self.message.warn(sentence(error))
            return
        device = str(self.inputs.device.value)
        preferences.remember(request.config.model, device, request.scheduler)
        self._drawing = False
        self._share, self._notes = 0.0, Notes()
        by_chunks = request.output is not None
        self._chunks = Chunks(self._viewer, request, force, OPACITY) if by_chunks else None
        steps = self._chunks.steps if self._chunks else partial(live_steps, request)
        # A client of a scheduler, or a folder of what is done, is not to be left as it stands.
        saves = bool(self._chunks or request.scheduler)
        self._job = job = Job(steps, self, keeps_window=True, saves=saves)
        job.progressed.connect(self._on_chunk if self._chunks else self._on_progress)
        job.returned.connect(self._on_chunked if self._chunks else self._on_segmented)
        job.failed.connect(self._on_failed)
        job.ended.connect(lambda: self._on_ended(job))
        request.layer.events.data.connect(self._on_image_changed)
        self.progress.begin(f"Segment {request.layer.name}")
        there = f"Connecting to {request.scheduler}…" if request.scheduler else ""
        self.message.tell(there or "Loading the model…")
        self._show_state()
        job.start()

    def _decided(self) -> dict[str, Any]:
        return {name: form.value(self.decisions[name]) for name in DECISIONS}

    def _drop_result(self) -> None:
        if self._result is not None:
            self._result.end()
            self._result = None

    def _stop(self) -> None:
        if self._job is not None:
            self._job.stop()
            self.stop_button.setEnabled(False)
            what = "tile" if self._chunks is None else "chunk"
            self.message.tell(f"Stopping after this {what}…")

    def _abort(self, reason: str) -> None:
        """End a run whose layers are gone or changed; its last tile is heard of no more."""
        if self._job is None or self._ending:
            return
        self._job.abandon()
        self._ending = True
        self._end_run(None)
        self.message.warn(reason)

    def _on_chunk(self, progress: ChunkProgress) -> None:
        if self._chunks is not None:
            text = self._chunks.follow(progress, self.progress)
            if self.stop_button.isEnabled():
                self.message.tell(text)

    def _on_progress(self, shown: Shown) -> None:
        try:
            if not self._drawing:
                self._begin_result()
            result = self._result
            if result is None or not result.is_writable():
                name = self._request.name if self._request else "The layer"
                self._abort(f"{name} was changed during the run, which has ended.")
                return
            result.draw(shown.pieces)
        except UserErrors as error:
            self._abort(sentence(error))
            return
        self._share = shown.progress.share
        text = self.progress.advance(shown.progress)
        self._notes.add(shown.progress.message)
        if self.stop_button.isEnabled():
            self.message.tell(self._notes.after(text))

    def _begin_result(self) -> None:
        """Make a layer for what comes; labels of an earlier run are outlined, to compare them."""
        request = self._request
        assert request is not None
        result = Result(self._viewer, partial(self._add_layer, request), self, request.box)
        result.refused.connect(self._show_config)
        result.decided.connect(self._tell_count)
        result.failed.connect(self.message.warn)
        if self._result is not None and np.prod(result.layer.data.shape[-2:]) <= OUTLINED_PIXELS:
            self._result.layer.contour = 1
        self._drop_result()
        self._result, self._drawing = result, True

    def _add_layer(self, request: Request) -> Labels:
        """Add an empty labels layer on the image's place."""
        labels = np.zeros(request.shape, DRAWN)
        options = {"name": request.name, "opacity": OPACITY, **request.geometry}
        return self._viewer.add_labels(labels, **options)

    def _on_segmented(self, segmentation: Segmentation) -> None:
        self._end_run(segmentation)
        self._tell_count(stopped=self._share < 1)
        self.message.tell(self._notes.after(self.message.text()))
        if self._result is not None and not self._result.can_decide:
            self.message.tell(
                f"{self.message.text()} The image is too large to keep what the network said of"
                " it: changes below count from the next run on."
            )

    def _on_chunked(self, written: Chunked | str | None) -> None:
        """Show the labels on disk, or say why there are none yet."""
        chunks = self._chunks
        assert chunks is not None
        self._end_run(None)
        if isinstance(written, str):
            if ask_to_begin_anew(written, self):
                self._start(force=True)
            else:
                self.message.tell(f"{written}: with the same settings, Segment goes on.")
        elif written is None:
            self.message.tell(chunks.stopped)
        else:
            self._drop_result()  # what is changed below would change it, and not these
            result, levels = written
            self._stored = chunks.add_layer(result, levels)
            self._show_view()
            self.message.tell(chunks.in_words(result))
            self.inputs.look_again()

    def _on_failed(self, message: str) -> None:
        self._end_run(None)
        self.message.warn(message)

    def _on_ended(self, job: Job) -> None:
        if self._job is job:  # napari has cancelled it, or it was abandoned
            if not self._ending:
                self._end_run(None)
            self._job, self._ending = None, False
            self._show_state()

    def _end_run(self, segmentation: Segmentation | None) -> None:
        if not self._ending:  # else its thread has still a tile to end
            self._job = None
        request = self._request
        assert request is not None
        request.layer.events.data.disconnect(self._on_image_changed)
        self._request = replace(request, images=())  # a removed image may be let go
        if self._chunks is not None:
            self._chunks.end()
            self._chunks = None
        self.progress.end()
        if self._result is not None and self._drawing:
            self._result.finish(segmentation, request.config)
            self._show_view()
        self._show_state()
        self._decide()  # what was changed meanwhile

    def reset_choices(self, _: object = None) -> None:
        """Follow the viewer's layers; napari calls this whenever they change."""
        self.inputs.reset_choices()
        layers, result, request = self._viewer.layers, self._result, self._request
        if self.is_running and request is not None and request.layer not in layers:
            self._abort(f"{request.layer.name} was removed during the run, which has ended.")
        if self._stored is not None and self._stored not in layers:
            self._stored = None
        if result is not None and result.layer not in layers:
            if self._drawing:
                self._abort(f"{result.layer.name} was removed during the run, which has ended.")
            self._drop_result()

    def changeEvent(self, event: Any) -> None:
        """End what runs when the dock is closed, as napari takes the widget out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._abort("")
            self._drop_result()
            self.inputs.stop_measuring()

    def _on_image_changed(self) -> None:
        request = self._request
        if request is not None:
            self._abort(f"{request.layer.name} was changed during the run: segment it again.")

    def _decide(self) -> None:
        result = self._result
        if self.is_running or result is None or not result.can_decide:
            return
        result.decide(replace(result.config, **self._decided()))

    def _show_config(self) -> None:
        """Let the form say again what the layer shows."""
        if self._result is None:
            return
        for name in DECISIONS:
            form.show(self.decisions[name], getattr(self._result.config, name))

    def _show_view(self) -> None:
        contour = int(self.view.value == OUTLINED)
        for layer in (self._result.layer if self._result else None, self._stored):
            if layer is not None and layer.contour != contour:
                layer.contour = contour

    def _save(self) -> None:
        layer = self._layer_to_save()
        if layer is None:
            self.message.warn(NO_LABELS)
            return
        if STORED in layer.metadata:
            self.message.tell(f"{layer.name} is saved: {layer.metadata[STORED]}")
            return
        source = self._request.layer.source.path if self._request else None
        path = ask_for_path(layer, Path(source).parent if source else Path(), self)
        if path:
            self.save(layer, path)

    def _layer_to_save(self) -> Labels | None:
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels):
            return active
        return self._result.layer if self._result is not None else self._stored

    def save(self, layer: Labels, path: Path) -> None:
        """Write a layer's labels to a path, in a thread."""
        job = Job(save_steps(layer, path), self, keeps_window=True)
        job.returned.connect(lambda written: self.message.tell(f"Saved to {written}"))
        job.failed.connect(self.message.warn)
        job.ended.connect(self._show_state)
        self.message.tell("Saving…")
        self.save_button.setEnabled(False)
        job.start()

    def _tell_count(self, stopped: bool = False) -> None:
        result = self._result
        if result is None:
            return
        text = f"{result.found} in {result.layer.name}"
        if stopped:
            text += ": stopped, what was done is kept"
        elif result.is_empty:
            text += ": lower the threshold, or measure the object diameter and segment again"
        self.message.tell(f"{text}.")

    def _show_state(self) -> None:
        running = self.is_running
        self.segment_button.setEnabled(not running)
        self.inputs.setEnabled(not running)
        self.stop_button.setEnabled(running)
        self.save_button.setEnabled(not running)
        self.view.enabled = not running
