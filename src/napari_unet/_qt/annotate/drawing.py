"""What is being drawn on an image, and noticing when it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

import napari
import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet._qt import annotation_layers
from napari_unet._qt.annotation_layers import MODE, PATH, REGIONS
from napari_unet._qt.layers import pixel_sides, position
from napari_unet._qt.object_classes import CLASS, kinds_in, numbers_in, show_kinds
from napari_unet.annotations import BACKGROUND, Annotation, Mode, Region

POLL = 2000
"""Milliseconds between looks at what scripts may have written."""
POLLED = 2**22
"""Pixels that are looked at in some ten milliseconds."""


class Drawing(QObject):
    """An image, the labels painted on it and the regions in which they are complete.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are.
    image : Image
        What is annotated.
    labels : Labels
        On its place, int32.
    mode : Mode
        What is meant by pixels that nobody painted.
    is_touched : bool
        Whether anything was drawn before.
    parent : QObject
        Whoever owns this.
    """

    changed = Signal()
    """Something may have been drawn; also said when nothing was."""
    told = Signal(str)
    """What is wrong with a region, or with a layer."""
    bounded = Signal()
    """A region was added."""
    lost = Signal(str)
    """The labels layer is gone, or has another shape; nothing is noticed any more."""

    def __init__(
        self,
        viewer: napari.viewer.ViewerModel,
        image: Image,
        labels: Labels,
        mode: Mode,
        is_touched: bool,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.image, self.labels = image, labels
        self.shape: tuple[int, ...] = labels.data.shape
        self.shapes: Shapes | None = None
        self._regions: tuple[Region, ...] = ()
        self._mode = mode
        self._is_touched = is_touched
        self.kinds = kinds_in(labels)
        self._gone: dict[int, str] = {}
        self._data = labels.data
        self._seen: tuple[tuple[int, ...], int] | None = None
        self._shown = self.plane
        self._has_image = True
        # napari announces shapes and removed layers in the middle of handling them.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._settle)
        self._poll = QTimer(self)
        self._poll.timeout.connect(self._look)
        self._poll.start(POLL)
        self._connections: list[tuple[Any, Callable[..., None]]] = []
        events = labels.events
        for emitter in (events.paint, events.labels_update):
            self._connect(emitter, self._on_painted)
        self._connect(events.set_data, self._on_shown)
        self._connect(events.name, self._on_renamed)
        self._connect(events.features, self._on_features)
        for emitter in (events.data, viewer.layers.events.removed):
            self._connect(emitter, self._on_change)
        self._show_mode()
        self._look()

    def _connect(self, emitter: Any, slot: Callable[..., None]) -> None:
        emitter.connect(slot)
        self._connections.append((emitter, slot))

    @property
    def layers(self) -> list[Layer]:
        """Those of its layers that the viewer has."""
        ours = (self.image, self.labels, self.shapes)
        return [layer for layer in ours if layer is not None and layer in self._viewer.layers]

    @property
    def plane(self) -> tuple[int, ...]:
        """Index of the plane in view along the leading axes."""
        return position(self._viewer, self.labels)

    @property
    def is_paintable(self) -> bool:
        """Whether the labels are in the viewer, as they were made."""
        return self.labels in self._viewer.layers and annotation_layers.is_paintable(
            self.labels, self.shape
        )

    def snapshot(self) -> Annotation:
        """Return what is drawn; its labels are the layer's own array."""
        sides = pixel_sides(self.labels)
        return Annotation(self._data, self._mode, self.regions, sides, self.kinds)

    @property
    def mode(self) -> Mode:
        """What is meant by pixels that nobody painted."""
        return self._mode

    @property
    def regions(self) -> tuple[Region, ...]:
        """Where the annotation is complete; the labels layer tells it other docks, too."""
        return self._regions

    @regions.setter
    def regions(self, regions: tuple[Region, ...]) -> None:
        self._regions = regions
        if self.labels.metadata.get(REGIONS, ()) != regions:
            self.labels.metadata = {**self.labels.metadata, REGIONS: regions}

    @property
    def is_touched(self) -> bool:
        """Whether anything was drawn, or what a network has found was accepted."""
        return self._is_touched

    @is_touched.setter
    def is_touched(self, touched: bool) -> None:
        self._is_touched = touched
        metadata = self.labels.metadata
        if touched and annotation_layers.PREDICTED in metadata:
            self.labels.metadata = {
                key: value for key, value in metadata.items() if key != annotation_layers.PREDICTED
            }

    def set_mode(self, mode: Mode) -> None:
        """Mean something else by pixels that nobody painted; what is painted stays as it is."""
        if mode is self._mode:
            return
        self._mode = mode
        self._show_mode()
        if mode is Mode.REGIONS and self.labels.selected_label == BACKGROUND:
            self.labels.selected_label = 1
        if self.is_touched:
            self.changed.emit()

    def _show_mode(self) -> None:
        self.labels.metadata = {**self.labels.metadata, MODE: str(self._mode)}
        if self._mode is Mode.SCRIBBLES:
            annotation_layers.show_background(self.labels)

    def holds(self, label: int) -> bool:
        """Say whether an object of that label is painted."""
        return bool((self._data == label).any())

    def set_kinds(self, changed: Mapping[int, str]) -> None:
        """Say of which class some objects are; "" is none."""
        kinds = {label: kind for label, kind in {**self.kinds, **changed}.items() if kind}
        if kinds != self.kinds:
            show_kinds(self.labels, kinds)

    def name_next(self, label: int, kind: str) -> None:
        """Say of which class an object will be that nobody has painted yet: that draws nothing."""
        kinds = {number: own for number, own in {**self.kinds, label: kind}.items() if own}
        if kinds != self.kinds:
            self.kinds = kinds
            show_kinds(self.labels, kinds)

    def show_prediction(self, labels: NDArray[np.int32], kinds: Mapping[int, str]) -> None:
        """Show what a model has found: it is no annotation until somebody changes something."""
        self.labels.data = labels
        self.labels.metadata = {**self.labels.metadata, annotation_layers.PREDICTED: True}
        self._data, self._seen = self.labels.data, None
        self.kinds = {label: kind for label, kind in kinds.items() if label > 0 and kind}
        show_kinds(self.labels, self.kinds)

    def put(self, labels: NDArray[np.int32], where: NDArray[np.bool_]) -> None:
        """Draw more at once than undo can take back quickly."""
        np.copyto(self.labels.data, labels, where=where)
        self.forget_steps()
        self.labels.refresh()
        self._change()

    def forget_steps(self) -> None:
        """Let undo take no step back that was made in other labels."""
        self.labels.editable = False  # by which napari forgets them
        self.labels.editable = True
        self._gone = {}

    def pass_kinds_on(self, heirs: Mapping[int, int]) -> None:
        """Let objects that were corrected be of the class that others have (0: of none)."""
        changed = {heir: self.kinds.get(parent, "") for heir, parent in heirs.items()}
        before = self.kinds
        self.set_kinds(changed)
        self._gone |= {label: kind for label, kind in before.items() if label not in self.kinds}

    def _bring_kinds_back(self) -> None:
        """Let objects that undo has brought back be of the class that they had."""
        if self._gone:
            plane = self.labels.data[self.plane]
            here = set(np.unique(plane[np.isin(plane, list(self._gone))]).tolist())
            back = {label: kind for label, kind in self._gone.items() if label in here}
            self._gone = {label: self._gone[label] for label in self._gone.keys() - back.keys()}
            self.set_kinds({label: kind for label, kind in back.items() if label not in self.kinds})

    def _on_features(self) -> None:
        """Follow what is said of classes; a table that says nothing of them is completed."""
        if CLASS not in self.labels.features:
            show_kinds(self.labels, self.kinds)
            return
        # Of an object that it does not list, as it is not drawn yet, it says nothing.
        listed = numbers_in(self.labels)
        others = {label: kind for label, kind in self.kinds.items() if label not in listed}
        kinds = others | kinds_in(self.labels)
        if kinds != self.kinds:
            self.kinds = kinds
            self._change()

    def take_brush(self, label: int) -> None:
        """Let the user paint a label at once."""
        labels = self.labels
        if not labels.visible:  # else it would be drawn anew
            labels.visible = True
        self._viewer.layers.selection.active = labels
        labels.selected_label = label
        labels.mode = "paint"

    def show_regions(self, regions: Sequence[Region]) -> None:
        """Draw regions, in the layer that is made for them."""
        self.regions = tuple(regions)
        if regions:
            self._shapes_layer()

    def add_region(self) -> None:
        """Let the user draw a rectangle."""
        layer = self._shapes_layer()
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"

    def _shapes_layer(self) -> Shapes:
        if self.shapes is None or self.shapes not in self._viewer.layers:
            name = f"{self.image.name} regions"
            layer = annotation_layers.add_regions(self._viewer, self.labels, name)
            layer.metadata = {PATH: self.labels.metadata.get(PATH)}
            if self.regions:
                layer.add_rectangles([region.corners() for region in self.regions])
            self.follow_shapes(layer)
        assert self.shapes is not None
        return self.shapes

    def follow_shapes(self, layer: Shapes) -> None:
        """Take the rectangles of a layer for the regions."""
        self.shapes = layer
        self._connect(layer.events.data, self._on_shapes)
        self._connect(getattr(self._viewer, "scene", self._viewer).camera.events.zoom, self._widen)
        self._widen()
        self._soon.start()

    def _widen(self) -> None:
        if self.shapes is not None and self.shapes in self._viewer.layers:
            annotation_layers.widen(self._viewer, self.shapes)

    def _on_painted(self) -> None:
        self._change()

    def _on_shown(self) -> None:
        """Take a redrawing for a change, unless it shows another plane: undo tells nothing else."""
        before, self._shown = self._shown, self.plane
        if self.is_touched and before == self._shown:
            self._bring_kinds_back()
            self._change()

    def _change(self) -> None:
        if self.labels.data is self._data:  # else it has been replaced, and `data` tells so
            self.is_touched = True
            self.changed.emit()

    def _on_renamed(self) -> None:
        self.told.emit(f"{self.labels.name} has a new name; it is saved as before.")

    def _on_shapes(self, event: Any) -> None:
        if event.action in ("added", "changed", "removed"):
            self.is_touched = True
            self._soon.start()
        if event.action == "added":
            self.bounded.emit()

    def _on_change(self) -> None:
        self._soon.start()

    def _look(self) -> None:
        """Notice what a script has written into the plane in view, of which napari says nothing."""
        if not self.is_paintable:
            return
        plane = self.plane
        data = self._data[plane]
        if data.size > POLLED:
            return
        before, self._seen = self._seen, (plane, crc32(np.ascontiguousarray(data).data))
        if before is not None and before[0] == plane and before != self._seen:
            self._change()

    def _settle(self) -> None:
        if not self.is_paintable:
            self.lost.emit(self._loss())
            return
        if self.labels.data is not self._data:
            self._data = self.labels.data
            self.is_touched = True
        self.read_shapes()
        if self._has_image and self.image not in self._viewer.layers:
            self._has_image = False
            self.told.emit(
                f"{self.image.name} was removed. What is drawn in {self.labels.name} is saved, as"
                " before."
            )
        if self.is_touched:
            self.changed.emit()

    def _loss(self) -> str:
        kept = "What was drawn is kept: press New annotation to go on with it."
        name = self.labels.name
        if self.labels not in self._viewer.layers:
            return f"{name} was removed. {kept}"
        return f"{name} has another shape or type now, and is not saved any more. {kept}"

    def read_shapes(self) -> None:
        """Take what is drawn in the layer of regions for them, if there is one."""
        if self.shapes is not None:
            self._read_shapes(self.shapes)

    def _read_shapes(self, layer: Shapes) -> None:
        if layer not in self._viewer.layers:
            self.shapes = None
            if self.regions:
                self.told.emit(
                    f"{layer.name} was removed, but its regions still count. Press Add region to"
                    " see them again; there they can be deleted."
                )
            return
        regions, fault = [], ""
        for vertices, kind in zip(layer.data, layer.shape_type, strict=True):
            try:
                regions.append(annotation_layers.read_region(vertices, kind, self.shape))
            except ValueError as error:
                fault = str(error)
        self.regions = tuple(regions)
        if fault:
            self.told.emit(fault)

    def end(self) -> None:
        """Notice nothing any more; the layers stay."""
        for emitter, slot in self._connections:
            emitter.disconnect(slot)
        self._connections = []
        self._poll.stop()
        self._soon.stop()
        self.deleteLater()
