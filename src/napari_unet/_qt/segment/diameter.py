"""Asks the user for the diameter of an object: by a line drawn across it in the viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import ViewerModel
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt.layers import shows_planes

MEASURED = "Object diameter"
EXPECTED = "Size the model expects"
# Seen on dark, bright and stained images; the circle is dashed for who sees one colour.
COLOURS = {EXPECTED: "#009dff", MEASURED: "#ff00aa"}
WIDTHS = (2.0, 3.0)  # pixels of the canvas
DASHES = 24
CLICK = 4.0  # pixels of the canvas: of a click without a drag napari makes a line of 3.5


class DiameterTool(QObject):
    """Measures objects on an image layer, next to a circle of the size the model expects.

    Parameters
    ----------
    viewer : napari.viewer.ViewerModel
        The viewer to draw in.
    parent : QObject, optional
        The Qt parent.
    """

    measured = Signal(float)
    """Diameter in pixels of the image, each time a shape was drawn, edited or deleted."""
    ended = Signal()
    """Nobody is asked any more: by `stop`, or as layers were removed or the axes shown changed."""

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        # napari 0.9 warns of viewer.camera, 0.7 has no viewer.scene.
        self._camera = getattr(viewer, "scene", viewer).camera
        self._image: Any = None
        self._lines: Any = None
        self._ghost: Any = None
        self._drawn = ""
        # napari announces shapes and removed layers in the middle of handling them.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._settle)

    @property
    def is_active(self) -> bool:
        """Whether the user is being asked."""
        return self._lines is not None

    def start(self, image: Image, expected: float | None) -> None:
        """Let the user draw lines over an image; ends at once where its (Y, X) are not shown.

        Parameters
        ----------
        image : napari.layers.Image
            The layer in whose pixels diameters are measured.
        expected : float or None
            Diameter of the circle shown for comparison in the middle of the view.
        """
        self._clear()
        if not shows_planes(self._viewer, transposed=True):
            self.ended.emit()
            return
        layers, dims = self._viewer.layers, self._viewer.dims
        self._image, self._selected, self._point = image, set(layers.selection), dims.point[-2:]
        self._add_layers()
        self.expect(expected)
        emitters = layers.events.removed, dims.events.ndisplay, dims.events.order
        self._connections = [
            (self._lines.events.data, self._on_data),
            (self._camera.events.zoom, self._on_zoom),
            *((emitter, self._on_change) for emitter in emitters),
        ]
        for emitter, slot in self._connections:
            emitter.connect(slot)

    def expect(self, diameter: float | None) -> None:
        """Show another expected diameter, in pixels of the image; None shows no circle."""
        if self.is_active:
            dashes = _dashes(self._centre, diameter) if diameter else []
            self._ghost.data = [(dash, "path") for dash in dashes]
            self._ghost.editable = False  # new data make a layer editable
            self._on_zoom()

    def stop(self) -> None:
        """Remove the layers, and select again what was selected before."""
        if self.is_active:
            self._clear()
            self.ended.emit()

    def _clear(self) -> None:
        self._soon.stop()
        if not self.is_active:
            return
        for emitter, slot in self._connections:
            emitter.disconnect(slot)
        layers, dims = self._viewer.layers, self._viewer.dims
        left = self._lines in layers and self._lines not in layers.selection
        for layer in (self._ghost, self._lines):
            if layer in layers:
                layers.remove(layer)
        if not left:  # else the user has gone to another layer
            layers.selection = self._selected.intersection(layers)
        # A line beyond the image has moved it.
        dims.set_point((dims.ndim - 2, dims.ndim - 1), self._point)
        self._image = self._ghost = self._lines = None
        self._drawn = ""

    def _add_layers(self) -> None:
        """Add two empty layers whose data coordinates are the pixels of the image."""
        units = (self._viewer.layers.units or self._image.units)[-2:]
        matrix = _to_world(self._image, units)
        self._side = float(np.sqrt(abs(np.linalg.det(matrix))))  # of an image pixel, in the world
        scale = np.full(2, self._side)  # napari sizes its handles by it, whatever `affine`
        options = {"scale": scale, "affine": matrix @ np.diag([*1 / scale, 1]), "units": units}
        self._ghost, self._lines = (
            self._viewer.add_shapes(
                name=name, ndim=2, edge_color=colour, face_color="transparent", opacity=1, **options
            )
            for name, colour in COLOURS.items()
        )
        self._viewer.layers.selection.active = self._lines
        self._lines.mode = "add_line"
        self._centre = self._lines.world_to_data(self._camera.center[-2:])

    def _canvas_pixel(self) -> float:
        """Return the width of a pixel of the canvas in pixels of the image."""
        return 1 / (float(self._camera.zoom) * self._side)

    def _on_zoom(self) -> None:
        for layer, width in zip((self._ghost, self._lines), WIDTHS, strict=True):
            layer.edge_width = width * self._canvas_pixel()
            layer.current_edge_width = width * self._canvas_pixel()  # redraws, too

    def _on_change(self) -> None:
        self._soon.start()

    def _on_data(self, event: Any) -> None:
        if event.action in ("added", "changed", "removed"):
            self._drawn = str(event.action)
            self._soon.start()

    def _settle(self) -> None:
        ours = {self._image, self._ghost, self._lines}
        if not shows_planes(self._viewer, transposed=True) or not ours.issubset(
            self._viewer.layers
        ):
            self.stop()
        elif self._drawn:
            self._measure()

    def _measure(self) -> None:
        sizes = [_size(*s) for s in zip(self._lines.data, self._lines.shape_type, strict=True)]
        drawn, self._drawn = self._drawn, ""
        if drawn == "added" and sizes and sizes[-1] < CLICK * self._canvas_pixel():
            with self._lines.events.data.blocker(self._on_data):
                self._lines.remove([len(sizes) - 1])
        elif diameters := [size for size in sizes if size >= 1]:
            self.measured.emit(float(np.median(diameters)))


def _to_world(image: Image, units: Any) -> NDArray[np.float64]:
    """Return the 3 × 3 matrix from pixels on the last two axes to the world in `units`."""
    first = (0,) * (image.ndim - 2)
    points = [image.data_to_world((*first, *p))[-2:] for p in ((1, 0), (0, 1), (0, 0))]
    # The mouse moves in the viewer's units, which need not be the layer's.
    factors = [(1.0 * u).to(to).magnitude for u, to in zip(image.units[-2:], units, strict=True)]
    matrix = np.eye(3)
    matrix[:2] = np.transpose(points) * np.transpose([factors])
    matrix[:2, :2] -= matrix[:2, 2:]
    return matrix


def _dashes(centre: NDArray[np.float64], diameter: float) -> list[NDArray[np.float64]]:
    """Return the dashes of a circle."""
    angles = (np.arange(DASHES)[:, None] + np.linspace(0, 0.5, 4)) * (2 * np.pi / DASHES)
    return list(centre + diameter / 2 * np.stack([np.sin(angles), np.cos(angles)], axis=-1))


def _size(vertices: NDArray[np.float64], shape_type: str) -> float:
    """Return the length of a line; of other shapes, the mean of their two sides."""
    if shape_type in ("line", "ellipse", "rectangle"):
        return float(np.linalg.norm(np.diff(vertices[:3], axis=0), axis=1).mean())
    return float(np.ptp(vertices, axis=0).mean())
