"""Asks the user to point at something: by clicks on a labels layer, or by a line across it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import napari
import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt import annotation_layers
from napari_unet._qt.layers import shows_planes

LINE = "Cut"
LINE_COLOUR = "#ff00aa"
DRAG = 4.0
"""Pixels of the canvas that a mouse may move in a click."""


class Clicks(QObject):
    """Waits for clicks on a labels layer, in which nothing is painted meanwhile.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layer is.
    parent : QObject
        Whoever owns this.
    """

    clicked = Signal(object)
    """Where, in the world."""
    ended = Signal()
    """The user has gone on to something else, or has pressed Escape."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._labels: Labels | None = None
        self._mode = ""

    def start(self, labels: Labels) -> None:
        """Wait for clicks on a layer."""
        self.stop()
        self._viewer.layers.selection.active = labels
        self._labels, self._mode = labels, str(labels.mode)
        labels.mode = "pan_zoom"
        labels.cursor = "pointing"
        labels.mouse_drag_callbacks.append(self._on_press)
        labels.bind_key("Escape", self._on_escape, overwrite=True)
        labels.events.mode.connect(self._on_leave)
        self._viewer.layers.selection.events.active.connect(self._on_leave)

    def stop(self) -> None:
        """Wait no more; the layer's tool is again what it was."""
        labels, self._labels = self._labels, None
        if labels is None:
            return
        self._viewer.layers.selection.events.active.disconnect(self._on_leave)
        labels.events.mode.disconnect(self._on_leave)
        labels.bind_key("Escape", None)
        labels.mouse_drag_callbacks.remove(self._on_press)
        if str(labels.mode) == "pan_zoom":
            labels.mode = self._mode

    def _on_press(self, _: Labels, event: Any) -> Generator[None, None, None]:
        start = np.array(event.pos)
        position = tuple(event.position)
        yield
        while event.type == "mouse_move":
            yield
        if np.linalg.norm(np.array(event.pos) - start) <= DRAG:
            self.clicked.emit(position)

    def _on_escape(self, _: Labels) -> None:
        self._on_leave()

    def _on_leave(self) -> None:
        self.stop()
        self.ended.emit()


class Line(QObject):
    """Lets the user draw a line on the place of a labels layer.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layer is.
    parent : QObject
        Whoever owns this.
    """

    drawn = Signal(object)
    """Its two ends, (2, ndim), in pixels of the labels."""
    ended = Signal()
    """The user has gone on to something else, or has pressed Escape."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._labels: Labels | None = None
        self._layer: Any = None
        self._connections: list[tuple[Any, Callable[..., None]]] = []
        # napari announces shapes and removed layers in the middle of handling them.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._settle)

    @property
    def is_active(self) -> bool:
        """Whether a line is being waited for."""
        return self._layer is not None

    def start(self, labels: Labels) -> None:
        """Add a layer for the line.

        Raises
        ------
        ValueError
            If the canvas does not show planes.
        """
        self.stop()
        if not shows_planes(self._viewer, transposed=True):
            raise ValueError("Objects are split in 2D: switch the view to 2D first.")
        self._labels = labels
        self._layer = layer = annotation_layers.add_regions(self._viewer, labels, LINE)
        layer.current_edge_color = LINE_COLOUR
        annotation_layers.widen(self._viewer, layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "add_line"
        layer.bind_key("Escape", self._on_escape, overwrite=True)
        layers = self._viewer.layers
        self._connections = [
            (layer.events.data, self._on_data),
            (layers.selection.events.active, self._on_change),
            (layers.events.removed, self._on_change),
        ]
        for emitter, slot in self._connections:
            emitter.connect(slot)

    def stop(self) -> None:
        """Take the layer away, and select the labels again."""
        self._soon.stop()
        layer, self._layer = self._layer, None
        if layer is None:
            return
        for emitter, slot in self._connections:
            emitter.disconnect(slot)
        layers = self._viewer.layers
        left = layer in layers and layers.selection.active != layer
        if layer in layers:
            layers.remove(layer)
        if not left and self._labels in layers:  # else the user has gone to another layer
            layers.selection.active = self._labels

    def _on_data(self, event: Any) -> None:
        if event.action == "added":
            self._soon.start()

    def _on_change(self) -> None:
        self._soon.start()

    def _on_escape(self, _: Any) -> None:
        self.stop()
        self.ended.emit()

    def _settle(self) -> None:
        ends: list[NDArray[np.float64]] = []
        layers, layer = self._viewer.layers, self._layer
        if layer is not None and layer in layers and layers.selection.active == layer:
            if not len(layer.data):
                return
            ends = [np.asarray(layer.data[0], float)]
        self.stop()
        if ends:
            self.drawn.emit(ends[0])
        else:
            self.ended.emit()
