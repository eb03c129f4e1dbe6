"""What a run by chunks has found so far, as a layer of fewer pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer

from napari_unet._qt.layers import MADE_HERE
from napari_unet._qt.segment.request import Request, moved

if TYPE_CHECKING:  # loads torch
    from napari_unet.chunked import Sketch

KIND = "found so far"
PIXELS = 2**24
"""That the layer has at most, in all planes together, about."""
PAUSE = 250
"""Milliseconds between redrawings: chunks of an earlier run come all at once."""


def step_of(request: Request) -> int:
    """Return how many rows and columns of the image one pixel of the layer stands for."""
    from napari_unet.chunked import sketch_step  # loaded by the run, long ago

    return sketch_step(request.shape, PIXELS)


class SoFar(QObject):
    """Shows chunks as they are predicted; what is saved and measured is written later.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the image is.
    request : Request
        What was asked for.
    opacity : float
        Of the layer.
    parent : QObject or None
        Whoever owns this.
    """

    def __init__(
        self,
        viewer: napari.viewer.ViewerModel,
        request: Request,
        opacity: float,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._request, self._opacity = viewer, request, opacity
        self._layer: Labels | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._refresh)

    def draw(self, sketch: Sketch) -> None:
        """Show a chunk, in a layer that is made for the first one and not made again."""
        if self._layer is None:
            self._layer = self._add_layer()
        self._layer.data[sketch.plane][sketch.region] = sketch.labels
        if not self._soon.isActive():
            self._soon.start(PAUSE)

    def end(self) -> None:
        """Take the layer away: its labels are of no further use."""
        self._soon.stop()
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None

    def _refresh(self) -> None:
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.refresh(extent=False)

    def _add_layer(self) -> Labels:
        from napari_unet.chunked import sketch_shape  # loaded by the run, long ago

        request, active = self._request, self._viewer.layers.selection.active
        step = step_of(request)
        placed = _coarser(request.geometry, step)
        layer = self._viewer.add_labels(
            np.zeros(sketch_shape(request.shape, step), np.uint8),
            name=f"{request.name} so far",
            opacity=self._opacity,
            metadata={MADE_HERE: KIND},
            **placed,
        )
        layer.editable = False
        self._viewer.layers.selection.active = active
        return layer


def _coarser(placed: dict[str, Any], step: int) -> dict[str, Any]:
    """Return what places labels of which a pixel is as large as `step` times `step` of others."""
    scale = np.array(placed["scale"], float)
    first = np.zeros(len(scale))
    first[-2:] = (step - 1) / 2  # the middle of the pixel
    scale[-2:] *= step
    return {**moved(placed, first.tolist()), "scale": scale}
