"""Drawing the core's labels into a layer, and telling them from what its user drew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari
import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from napari_unet._qt.layers import position, shows_planes
from napari_unet.tiling import Region

if TYPE_CHECKING:  # loads torch
    from napari_unet.segmentation import Piece

BAND = 2**21
"""Pixels that are drawn at a time: a whole slide at once would stall the window."""
COMPARED = 2**26
"""Pixels that are compared in some fifty milliseconds."""
DRAWN = np.uint16
"""Type of new labels: napari draws it twenty times faster than int32."""


class Painter(QObject):
    """Draws pieces into a labels layer.

    What is drawn leaves no undo steps behind, so Ctrl-Z takes back nothing but what the user did.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layer is.
    layer : Labels
        A single-scale layer, all background.
    parent : QObject
        Whoever owns this.
    """

    def __init__(
        self, viewer: napari.viewer.ViewerModel, layer: Labels, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.layer = layer
        self._viewer = viewer
        self._written: NDArray[np.integer] = np.zeros(layer.data.shape, layer.data.dtype)
        self._touched = False
        self._bands: list[tuple[tuple[int, ...], Region]] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._show_next)
        layer.events.paint.connect(self._on_paint)

    def _on_paint(self) -> None:
        self._touched = True

    def draw(self, piece: Piece) -> None:
        """Put a piece in place, and on the canvas if its plane is shown."""
        if not np.can_cast(piece.labels.dtype, self._written.dtype):
            self._widen(piece.labels.dtype)
        plane = self._plane(piece)
        for array in (self.layer.data, self._written):
            array[plane][piece.where] = piece.labels
        if plane == position(self._viewer, self.layer) or not shows_planes(self._viewer):
            self._show(piece, plane)

    def _show(self, piece: Piece, plane: tuple[int, ...]) -> None:
        layer = self.layer
        plain = layer.data.dtype == DRAWN and not layer.contour and not layer.show_selected_label
        if not plain or not shows_planes(self._viewer):
            if piece.final:  # these are drawn anew as a whole, which takes a while
                layer.refresh()
            return
        rows, columns = piece.where
        height = max(1, BAND // (columns.stop - columns.start))
        starts = range(rows.start, rows.stop, height)
        bands = [(slice(start, min(start + height, rows.stop)), columns) for start in starts]
        self._bands += [(plane, band) for band in bands]
        self._show_next()

    def _show_next(self) -> None:
        """Draw a band, and the next one when the window has had its turn."""
        (plane, band), *self._bands = self._bands
        layer, viewer = self.layer, self._viewer
        if layer not in viewer.layers or not self.fits():
            self._bands = []
            return
        if shows_planes(viewer) and plane == position(viewer, layer):
            # What data_setitem does for the pixels it sets, but without its undo step.
            offset = [part.start for part in band]
            layer.events.labels_update(data=layer.data[plane][band], offset=offset)
        if self._bands:
            self._timer.start(0)
        else:
            layer.refresh(data_displayed=False, thumbnail=True, highlight=False, extent=False)

    def _widen(self, dtype: np.dtype[np.integer]) -> None:
        self._written = self._written.astype(dtype)
        self.layer.data = self.layer.data.astype(dtype)

    def fits(self) -> bool:
        """Say whether the layer's array is still one to draw into."""
        data = self.layer.data
        return isinstance(data, np.ndarray) and data.shape == self._written.shape

    def is_edited(self, piece: Piece) -> bool:
        """Say whether somebody else has changed labels where a piece is to be drawn."""
        plane = self._plane(piece)
        now, then = (array[plane][piece.where] for array in (self.layer.data, self._written))
        return not np.array_equal(now, then)

    def _plane(self, piece: Piece) -> tuple[int, ...]:
        leading = self._written.shape[:-2]
        return tuple(int(i) for i in np.unravel_index(piece.plane, leading)) if leading else ()

    def has_edits(self) -> bool:
        """Say whether somebody else has changed labels.

        Brush, fill and polygon are noticed in any plane; what a script writes into a stack of more
        than 64 megapixels, only in the plane in view.
        """
        if not self.fits():
            return True
        now, then = self.layer.data, self._written
        if now.size > COMPARED and not self._touched:
            plane = position(self._viewer, self.layer)
            now, then = now[plane], then[plane]
        return not np.array_equal(now, then)

    def overwrite_edits(self) -> None:
        """Give up what somebody else has drawn: the next pieces go over it."""
        self._written = np.array(self.layer.data)
        self._touched = False
        # Undo would put pixels of before into labels of after; a layer that cannot be edited has
        # nothing to undo.
        mode = self.layer.mode
        self.layer.editable = False
        self.layer.editable, self.layer.mode = True, mode
