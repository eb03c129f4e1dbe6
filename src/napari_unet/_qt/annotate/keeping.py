"""All that is being drawn in a viewer, and its way to disk."""

from __future__ import annotations

from collections import deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils.events import Event
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt import annotation_layers
from napari_unet._qt.annotate.drawing import Drawing
from napari_unet._qt.annotate.start import Start
from napari_unet._qt.object_classes import show_kinds

if TYPE_CHECKING:  # load TIFF libraries
    from napari_unet.annotations import Autosave

CLOSING = 5.0
"""Seconds that the last writing may keep a dock from closing."""
PACE = 500
"""Milliseconds between looks at what is on disk."""


class Keeper(QObject):
    """Keeps drawings on disk, as they change.

    Parameters
    ----------
    viewer : napari.Viewer
        Where they are.
    parent : QObject
        The dock.
    """

    changed = Signal()
    """Something was drawn, or is on disk now."""
    told = Signal(str)
    """What went wrong, or may surprise."""
    lost = Signal(object, str)
    """A drawing of which the layer is gone, and what to say."""
    bounded = Signal(object)
    """A drawing to which a region was added."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._starts: dict[Drawing, Start] = {}
        self._autosave: Autosave | None = None
        # From the thread that writes, which may outlive the window: a signal of an object that is
        # gone, sent from there, ends the program.
        self._reports: deque[str] = deque()
        self._status = ""
        self._ticks = QTimer(self)
        self._ticks.timeout.connect(self._look)
        for layer in reversed(list(viewer.layers)):  # copies are above what they are copies of
            annotation_layers.disown_copy(viewer, layer)
        viewer.layers.events.inserted.connect(self._on_inserted)

    def _on_inserted(self, event: Event) -> None:
        annotation_layers.disown_copy(self._viewer, event.value)

    @property
    def autosave(self) -> Autosave:
        """What writes, in a thread of its own."""
        if self._autosave is None:
            from napari_unet.annotations import Autosave

            self._autosave = Autosave(report=self._reports.append)
            self._ticks.start(PACE)
        return self._autosave

    def start_of(self, drawing: Drawing) -> Start:
        """Return what a drawing began with."""
        return self._starts[drawing]

    def of_path(self, path: Path) -> Drawing | None:
        """Return what is being drawn into a file."""
        return next((d for d, s in self._starts.items() if s.path == path and d.is_paintable), None)

    def of_image(self, image: Image | None) -> Drawing | None:
        """Return what is being drawn on an image."""
        return next((d for d in self._starts if d.image == image and d.is_paintable), None)

    def of_layer(self, layer: Layer | None) -> Drawing | None:
        """Return the drawing that a layer is part of."""
        return next((d for d in self._starts if layer is not None and layer in d.layers), None)

    def show(self, image: Image, start: Start) -> Drawing:
        """Add the layers of an annotation, or find those that the viewer still has."""
        annotation, path = start.annotation, str(start.path)
        labels = annotation_layers.find_layer(self._viewer, Labels, path)
        kept = labels is not None and annotation_layers.is_paintable(
            labels, annotation.labels.shape
        )
        if kept:
            annotation_layers.tie(labels, image)  # which may have been opened again
        else:
            if labels is not None:
                annotation_layers.disown(labels)
            labels = annotation_layers.add_labels(self._viewer, image, annotation.labels, path)
            show_kinds(labels, annotation.classes)
        drawing = Drawing(self._viewer, image, labels, annotation.mode, start.found or kept, self)
        self._starts[drawing] = start
        drawing.regions = annotation.regions
        drawing.changed.connect(partial(self.save, drawing))
        drawing.told.connect(self.told)
        drawing.bounded.connect(partial(self.bounded.emit, drawing))
        drawing.lost.connect(partial(self._on_lost, drawing))
        shapes = annotation_layers.find_layer(self._viewer, Shapes, path)
        if shapes is None:
            drawing.show_regions(annotation.regions)
        else:
            drawing.follow_shapes(shapes)
            drawing.read_shapes()
        if kept or (shapes is not None and start.found):
            # Something may have been drawn while nobody looked, or not in what the file is of.
            self.save(drawing, keeps=True)
        return drawing

    def save(self, drawing: Drawing, keeps: bool = False) -> None:
        """Let what is drawn be written soon; where it differs, what is on disk may be kept, too."""
        start = self._starts.get(drawing)
        if start is not None:
            self.autosave.submit(start.path, drawing.snapshot(), keeps)
            self._status = ""  # also tell if it is written before the next look
            self.changed.emit()

    def _on_lost(self, drawing: Drawing, text: str) -> None:
        self.forget(drawing)
        self.lost.emit(drawing, f"{text} {self.autosave.problem}".rstrip())

    def forget(self, drawing: Drawing) -> None:
        """Follow a drawing no longer; its last changes are on their way to disk."""
        if self._starts.pop(drawing, None) is not None:
            drawing.end()

    def remove(self, drawing: Drawing) -> None:
        """Take a drawing and its layers out of the viewer; what is drawn is on its way to disk."""
        layers = drawing.layers
        self.forget(drawing)
        for layer in layers:
            self._viewer.layers.remove(layer)

    def status(self, drawing: Drawing) -> str:
        """Say whether all of it is on disk, and where."""
        if self.autosave.problem:
            return self.autosave.problem
        start = self._starts[drawing]
        if self._is_only_predicted(drawing):
            return f"Saved in {start.project.name} once it is corrected, or Done."
        return "Saving…" if self.autosave.pending else f"Saved in {start.project.name}"

    def _is_only_predicted(self, drawing: Drawing) -> bool:
        return self._starts[drawing].result is not None and not drawing.is_touched

    def _look(self) -> None:
        status = f"{self.autosave.problem}{self.autosave.pending}"
        if status != self._status:
            self._status = status
            self.changed.emit()
        while self._reports:
            if problem := self._reports.popleft():
                self.told.emit(problem)

    def hurry(self) -> None:
        """Let all be written at once, without waiting for it."""
        if self._autosave is not None:
            self._autosave.flush(0)

    def end(self) -> list[Labels]:
        """Write all, and follow nothing any more; returns the labels layers, which stay."""
        labels = [drawing.labels for drawing in self._starts]
        self._ticks.stop()
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        for drawing in list(self._starts):
            if self._is_only_predicted(drawing):
                annotation_layers.disown(drawing.labels)  # else it is found again as if drawn
            if drawing.is_touched and drawing.is_paintable:
                self.save(drawing)
            self.forget(drawing)
        if self._autosave is not None:
            self._autosave.close(CLOSING)
        return [layer for layer in labels if layer in self._viewer.layers]
