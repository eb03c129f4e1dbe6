"""Which labels are measured, and in which image."""

from __future__ import annotations

from collections.abc import Sequence

import napari
from magicgui.widgets import ComboBox
from napari.layers import Image, Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.evaluate.pair import labels_of
from napari_unet._qt.layers import annotated_shape, images_of, pixels
from napari_unet._qt.pairing import image_of


class Sources(QWidget):
    """Offers the viewer's labels layers, and for each the images that it fits.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are.
    """

    changed = Signal()
    """Other layers are chosen."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.labels = ComboBox(
            name="labels",
            label="Labels",
            tooltip="The layer whose objects are measured, in each plane by itself. The results"
            " become its features, in place of those that it has.",
            choices=self._labels_layers,
            nullable=True,
        )
        self.image = ComboBox(
            name="image",
            label="Image",
            tooltip="The image in whose pixels intensity is measured; without one, shapes alone"
            " are. Images of the labels' shape are offered.",
            choices=self._image_layers,
            nullable=True,
        )
        self.image.native.setPlaceholderText("none")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.lay_out(self.labels, self.image))
        self.labels.changed.connect(self._on_labels)
        self.image.changed.connect(lambda _: self.changed.emit())

    def _labels_layers(self, _: object = None) -> list[tuple[str, Labels]]:
        return [(layer.name, layer) for layer in labels_of(self._viewer)]

    def _image_layers(self, _: object = None) -> list[tuple[str, Image]]:
        return [(layer.name, layer) for layer in self._fitting()]

    def _fitting(self) -> list[Image]:
        labels = self.labels.value
        if labels is None:
            return []
        shape = tuple(pixels(labels).shape)
        return [image for image in images_of(self._viewer) if annotated_shape(image) == shape]

    def reset_choices(self) -> None:
        """Offer the layers that there are now; what is chosen stays, if it can."""
        before = self.labels.value, self.image.value
        there = labels_of(self._viewer)
        with self.labels.changed.blocked(), self.image.changed.blocked():
            self.labels.reset_choices()
            self.labels.value = before[0] if before[0] in there else next(iter(there), None)
            self.image.reset_choices()
            fitting = self._fitting()
            is_kept = self.labels.value == before[0] and before[1] in (None, *fitting)
            had_choice = before[0] is not None and before[1] is not None
            self.image.value = before[1] if is_kept and had_choice else self._guess(fitting)
        if before != (self.labels.value, self.image.value):
            self.changed.emit()

    def _on_labels(self, _: object = None) -> None:
        with self.image.changed.blocked():
            self.image.reset_choices()
            self.image.value = self._guess(self._fitting())
        self.changed.emit()

    def _guess(self, images: Sequence[Image]) -> Image | None:
        """Return the image that the labels are known to be of, else the topmost."""
        labels = self.labels.value
        known = image_of(labels, images) if labels is not None else None
        return known or next(iter(images), None)
