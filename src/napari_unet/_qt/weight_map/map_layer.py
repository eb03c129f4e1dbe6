"""The weight map of a labels layer, as an image layer that follows what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt.annotated_plane import (
    AnnotatedPlane,
    Place,
    annotated_plane,
    place_on,
    regions_layers,
)
from napari_unet._qt.layers import MADE_HERE, pixels
from napari_unet._qt.worker import Job, UserErrors, sentence

if TYPE_CHECKING:  # loads scipy
    from napari_unet.weightmap.live import LiveMap, Piece

KIND = "weight map"
COLOURS = "inferno"
BLENDING = "translucent"
OPACITY = 0.6
"""The image and the labels stay visible under it."""
LARGEST_CLASS_WEIGHT = 5.0
PAUSE = 15
"""Milliseconds after which several changes count as one."""
REST = 4
"""Times as long as it took to show a large map, until it is shown the next time."""


@dataclass(frozen=True)
class Look:
    """What the map is computed with.

    Parameters
    ----------
    w0, sigma, balance
        As in :class:`napari_unet.config.TrainConfig`.
    zoom : float
        Pixels that training sees for one of the image.
    areas : int
        Classes, background included, if labels are these; 0: they are objects. Between areas there
        are no gaps, and `w0` and `sigma` do not matter.
    """

    w0: float
    sigma: float
    balance: bool
    zoom: float = 1.0
    areas: int = 0

    @property
    def limits(self) -> tuple[float, float]:
        """The weights of the first and the last colour."""
        gaps = 0.0 if self.areas else self.w0
        return 0.0, max(1 + gaps, LARGEST_CLASS_WEIGHT * self.balance)


class MapLayer(QObject):
    """Shows the weight map of the plane in view, and renews it in a thread.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are.
    parent : QObject
        Whoever owns this.
    """

    advanced = Signal(float)
    """Share of the work at hand that is done; 1: the map is up to date."""
    failed = Signal(str)
    """Why there is no map; nothing is followed any more."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._labels: Labels | None = None
        self._look = Look(0, 1, False)
        self._map: LiveMap | None = None
        self._job: Job | None = None
        self._at: tuple[int, ...] | None = None
        self._is_due = False
        self._connections: list[tuple[Any, Callable[..., None]]] = []
        self.layer: Any = None
        self._soon = self._timer(self._renew)
        self._refresh_soon = self._timer(self._refresh)

    def _timer(self, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.timeout.connect(slot)
        return timer

    @property
    def labels(self) -> Labels | None:
        """The layer that is followed, if one is."""
        return self._labels

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to do."""
        return self._job is None and not self._soon.isActive() and not self._refresh_soon.isActive()

    def follow(self, labels: Labels, look: Look) -> None:
        """Show the map of a labels layer from now on."""
        self.stop()
        self._labels, self._look = labels, look
        layer, dims = labels.events, self._viewer.dims.events
        drawn = (layer.paint, layer.set_data, layer.data, dims.current_step)
        moved = (layer.scale, layer.translate, layer.rotate, layer.shear, layer.affine)
        self._connections = [(emitter, self._on_change) for emitter in (*drawn, *moved)]
        for emitter, slot in self._connections:
            emitter.connect(slot)
        self.follow_regions()
        self._renew()

    def follow_regions(self) -> None:
        """Look whether there is a layer of regions, and follow it, too."""
        if self._labels is None:
            return
        for layer in regions_layers(self._viewer, self._labels):
            pair = (layer.events.data, self._on_change)
            if pair not in self._connections:
                self._connections.append(pair)
                layer.events.data.connect(self._on_change)
        self._on_change()

    def look(self, look: Look) -> None:
        """Show the map with other settings; the last ones win."""
        if look != self._look:
            self._look = look
            self._renew()

    def stop(self) -> None:
        """Follow nothing any more; the layer stays as it is."""
        for emitter, slot in self._connections:
            emitter.disconnect(slot)
        self._connections = []
        self._labels = self._map = self._at = None
        self._is_due = False
        self._soon.stop()
        if self._job is not None:
            self._job.abandon()

    def remove(self) -> None:
        """Take the layer away."""
        self.stop()
        if self._has_layer():
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def _on_change(self, _: object = None) -> None:
        if self._labels is not None and not self._soon.isActive():
            self._soon.start(PAUSE)

    def _renew(self) -> None:
        """Start on what is drawn now, or let what runs end after the piece at hand, and then."""
        if self._labels is None:
            return
        if self._job is not None:
            self._is_due = True
            self._job.stop()
            return
        self._is_due = False
        try:
            plane = annotated_plane(self._viewer, self._labels)
        except UserErrors as error:
            self._fail(sentence(error))
            return
        if self._at not in (None, plane.at):
            self._blank()
        self._at = plane.at
        if self._has_layer():
            self._settle(self._labels)
        live, self._map = self._map, None  # it comes back with all its pieces drawn, or not at all
        look = self._look
        self._job = job = Job(lambda: _steps(live, plane, look), self)
        job.progressed.connect(self._draw)
        job.failed.connect(self._fail)
        job.returned.connect(self._on_returned)
        job.ended.connect(self._on_ended)
        job.start()

    def _on_returned(self, live: LiveMap | None) -> None:
        self._map = live
        if not self._is_due:
            self.advanced.emit(1.0)

    def _on_ended(self) -> None:
        self._job = None
        if self._is_due:
            self._renew()

    def _fail(self, message: str) -> None:
        self.stop()
        self.failed.emit(message)

    def _draw(self, piece: Piece) -> None:
        if self._labels is None:
            return
        layer = self._prepared(self._labels, piece.shape)
        layer.data[piece.where] = piece.weights
        if not self._refresh_soon.isActive():
            self._refresh_soon.start(0)
        self.advanced.emit(min(piece.share, 0.99))

    def _refresh(self) -> None:
        if not self._has_layer():
            return
        start = perf_counter()
        self.layer.refresh(extent=False, highlight=False)
        if self._job is not None:
            self._refresh_soon.start(int(1000 * REST * (perf_counter() - start)))

    def _has_layer(self) -> bool:
        return self.layer is not None and self.layer in self._viewer.layers

    def _blank(self) -> None:
        """Show nothing of another plane."""
        self._map = None
        if self._has_layer():
            self.layer.data[...] = 0
            self.layer.refresh(extent=False, highlight=False)

    def _prepared(self, labels: Labels, shape: tuple[int, ...]) -> Image:
        """Return the layer, made or changed so that a map of that shape fits in."""
        if not self._has_layer():
            self.layer = None  # else the dock would miss it while napari tells of the new one
            self.layer = self._found() or self._added(labels, shape)
        if self.layer.data.shape != shape:
            self.layer.data = np.zeros(shape, np.float32)
        self._settle(labels)
        return self.layer

    def _settle(self, labels: Labels) -> None:
        """Let the layer lie on the labels, under their name and with the colours of the look."""
        layer, name = self.layer, name_of(labels)
        place_on(layer, self._place(labels, layer.data.shape), labels)
        if tuple(layer.contrast_limits) != self._look.limits:
            layer.contrast_limits = self._look.limits
        if not layer.name.startswith(name):
            layer.name = name

    def _place(self, labels: Labels, shape: tuple[int, ...]) -> Place:
        height, width = (n / m for n, m in zip(pixels(labels).shape[-2:], shape, strict=True))
        return Place(self._at or (), (height, width))

    def _found(self) -> Image | None:
        """Return the layer of an earlier dock."""
        made = [layer for layer in self._viewer.layers if layer.metadata.get(MADE_HERE) == KIND]
        return made[-1] if made else None

    def _added(self, labels: Labels, shape: tuple[int, ...]) -> Image:
        layers = self._viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        layer = self._viewer.add_image(
            np.zeros(shape, np.float32),
            name=name_of(labels),
            colormap=COLOURS,
            blending=BLENDING,
            opacity=OPACITY,
            contrast_limits=self._look.limits,
            metadata={MADE_HERE: KIND},
            **self._place(labels, shape).geometry(labels),
        )
        layers.selection = selected & set(layers)  # who paints goes on painting
        layers.selection.active = active
        return layer


def name_of(labels: Labels) -> str:
    """Return what the map of a labels layer is called: after the image, where it is known."""
    return f"{labels.name.removesuffix(' annotation')} {KIND}"


def _steps(
    live: LiveMap | None, plane: AnnotatedPlane, look: Look
) -> Generator[Piece, bool | None, LiveMap | None]:
    """Run in the thread."""
    from napari_unet.preprocessing import restore, scaled_shape
    from napari_unet.weightmap import area_target
    from napari_unet.weightmap.live import LiveMap, Piece

    target = plane.target()
    seen = restore(target, scaled_shape(target.shape, look.zoom))
    if look.areas:
        _, weights = area_target(seen, look.areas, balance=look.balance)
        yield Piece(np.s_[:, :], weights, weights.shape, 1.0)
        return None
    live = live or LiveMap()
    yield from live.renew(seen, look.w0, look.sigma, look.balance)
    return live
