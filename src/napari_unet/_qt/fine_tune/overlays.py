"""What a network in training says of held-out regions, as labels layers on the images' places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from napari_unet._qt.layers import MADE_HERE, annotated_shape, channel_axis

if TYPE_CHECKING:  # loads torch
    from napari_unet.training import Overlay

OPACITY = 0.5
BEFORE, AFTER, PREVIEW = "before", "after", "preview"
NAMED = ("units", "axis_labels")
PAIR = "pair"
"""Entry in the metadata: the number of the image."""


@dataclass(frozen=True)
class Origin:
    """Where a pair of image and labels is from, which a run learns from.

    Parameters
    ----------
    name : str
        Of the image.
    image : Image or None
        Its layer, if it has one.
    shape : tuple of int
        Of its labels when the run began.
    """

    name: str
    image: Image | None
    shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, image: Image) -> Origin:
        """Return what is to be known of a layer."""
        return cls(image.name, image, annotated_shape(image))


class Overlays(QObject):
    """The layers that show a run: its preview, then what was found before and after it.

    Parameters
    ----------
    viewer : napari.Viewer
        Where they are added.
    parent : QObject
        Whoever owns this.
    """

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._pending: list[Overlay] = []
        # napari takes a tenth of a second to make a layer: the window has its turn in between.
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._add_next)
        self._origins: tuple[Origin, ...] = ()
        self._preview: Labels | None = None
        self._compared: list[Labels] = []
        self._shown = AFTER

    @property
    def shown(self) -> str:
        """Which side of the comparison is shown: "before" or "after"."""
        return self._shown

    @property
    def can_flip(self) -> bool:
        """Whether there are layers to flip between."""
        there = any(layer in self._viewer.layers for layer in self._compared)
        return there or bool(self._pending)

    def prepare(self, origin: Origin) -> None:
        """Forget the last run, and make a layer for the preview of the next one.

        That takes a tenth of a second now, and most of one while the network learns.
        """
        self.drop()
        if origin.image is not None:
            data = np.zeros((1,) * len(origin.shape), np.uint16)
            place = _place(origin.image, np.eye(len(origin.shape) + 1))
            self._preview = self._add(f"{origin.image.name} {PREVIEW}", data, place)
            self._preview.editable = False

    def begin(self, origins: Sequence[Origin]) -> None:
        """Take overlays for those of these images from now on."""
        self._origins = tuple(origins)

    def preview(self, overlay: Overlay) -> str:
        """Show what the network finds now; return why that cannot be shown, if so."""
        origin = self._origins[overlay.pair]
        if not self._is_there(origin):
            self._remove(self._preview)
            self._preview = None
            return f"{_reason(origin)}: the run goes on, but its preview is not shown."
        self._preview = self._show(overlay, self._preview)
        return ""

    def compare(self, overlays: Sequence[Overlay]) -> None:
        """Show what was found after the run, with what was found before it to flip to."""
        seen = [one for one in overlays if self._is_there(self._origins[one.pair])]
        self._pending = sorted(seen, key=lambda one: one.kind == BEFORE)
        self._shown = AFTER
        if self._pending:
            self._timer.start(0)
        else:
            self.drop()

    def _add_next(self) -> None:
        overlay = self._pending.pop(0)
        if not self._pending:
            self._timer.stop()
        if self._is_there(self._origins[overlay.pair]):
            self._compared.append(self._show(overlay, self._preview))
            self._preview = None

    def flip(self) -> None:
        """Show the other side of the comparison."""
        self._shown = BEFORE if self._shown == AFTER else AFTER
        for layer in self._compared:
            layer.visible = layer.metadata.get(MADE_HERE) == self._shown

    def drop(self) -> None:
        """Take all layers away that are still there."""
        for layer in (self._preview, *self._compared):
            self._remove(layer)
        self._preview, self._compared, self._pending = None, [], []
        self._timer.stop()

    def _remove(self, layer: Labels | None) -> None:
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _is_there(self, origin: Origin) -> bool:
        image = origin.image
        return image in self._viewer.layers and annotated_shape(image) == origin.shape

    def _show(self, overlay: Overlay, layer: Labels | None) -> Labels:
        """Put an overlay into a layer, or into a new one if that is gone."""
        origin, kind = self._origins[overlay.pair], str(overlay.kind)
        assert origin.image is not None
        data, place = _data(overlay, origin), placed(overlay, origin.image, origin.shape)
        if layer is None or layer not in self._viewer.layers or layer.ndim != data.ndim:
            self._remove(layer)
            layer = self._add(f"{origin.image.name} {kind}", data, place)
        else:
            _put(layer, data)
            for key in ("scale", "affine"):
                if not np.allclose(np.asarray(getattr(layer, key)), place[key]):
                    setattr(layer, key, place[key])
            if tuple(layer.units) != tuple(place["units"]):
                layer.units = place["units"]
            if layer.metadata != {MADE_HERE: kind, PAIR: overlay.pair}:
                layer.name = f"{origin.image.name} {kind}"
        layer.metadata = {MADE_HERE: kind, PAIR: overlay.pair}
        if kind != PREVIEW:
            layer.visible = kind == self._shown
        layer.editable = False
        return layer

    def _add(self, name: str, data: NDArray[np.integer], place: dict[str, Any]) -> Labels:
        """Add a layer; what was selected, such as labels that are being painted, stays so."""
        layers = self._viewer.layers
        selected, active = set(layers.selection), layers.selection.active
        kept = {MADE_HERE: PREVIEW}  # from the start: docks look at what is added
        layer: Labels = self._viewer.add_labels(
            data, name=name, opacity=OPACITY, metadata=kept, **place
        )
        layers.selection = selected & set(layers)
        layers.selection.active = active
        return layer


def _data(overlay: Overlay, origin: Origin) -> NDArray[np.integer]:
    labels = np.asarray(overlay.labels)
    if labels.max(initial=0) <= np.iinfo(np.uint16).max:
        labels = labels.astype(np.uint16)  # which napari draws much faster
    return labels.reshape((1,) * (len(origin.shape) - 2) + labels.shape)


def _put(layer: Labels, data: NDArray[np.integer]) -> None:
    """Show other labels; napari takes less time for new pixels than for a new array."""
    if layer.data.shape == data.shape and layer.data.dtype == data.dtype:
        layer.data[...] = data
        layer.refresh(extent=False, highlight=False)
    else:
        layer.data = data


def placed(overlay: Overlay, image: Image, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what places an overlay on its region of an image layer, in the plane that it is of.

    Parameters
    ----------
    overlay : Overlay
        Labels of a region, in pixels of the network.
    image : Image
        The layer.
    shape : tuple of int
        Of the image's labels.
    """
    within = np.eye(len(shape) + 1)
    leading = np.unravel_index(overlay.plane, shape[:-2]) if len(shape) > 2 else ()
    for axis, first in zip((-3, -2), (overlay.row, overlay.column), strict=True):
        # Pixel i of an overlay has its centre at first + (i + 0.5) / zoom - 0.5 of the image.
        within[axis, axis] = 1 / overlay.zoom
        within[axis, -1] = first + 0.5 / overlay.zoom - 0.5
    within[: len(leading), -1] = leading
    return _place(image, within)


def _place(image: Image, within: NDArray[np.float64]) -> dict[str, Any]:
    """Return what places a layer whose pixels an affine matrix takes to those of an image."""
    left_out = channel_axis(image)
    kept = [axis for axis in range(image.ndim) if axis != left_out]
    origin = np.asarray(image.data_to_world(np.zeros(image.ndim)))
    steps = [np.asarray(image.data_to_world(unit)) - origin for unit in np.eye(image.ndim)]
    to_world = np.eye(len(kept) + 1)
    to_world[:-1, :-1] = np.stack(steps, axis=1)[np.ix_(kept, kept)]
    to_world[:-1, -1] = origin[kept]
    scale = np.diag(within)[:-1] * np.asarray(image.scale)[kept]  # what files are told
    affine = to_world @ within
    affine[:-1, :-1] /= scale
    named = {name: [getattr(image, name)[axis] for axis in kept] for name in NAMED}
    return {"scale": scale, "affine": affine, **named}


def _reason(origin: Origin) -> str:
    if origin.image is None:
        return f"{origin.name} is not open in the window"
    return f"{origin.name} was removed or has another shape now"
