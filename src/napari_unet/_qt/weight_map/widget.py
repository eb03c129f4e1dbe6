"""The dock widget "Weight Map": which pixels training will look at most, while they are drawn."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import napari
import numpy as np
from magicgui.widgets import ComboBox, FloatSlider, FloatSpinBox
from napari.layers import Labels
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.dock import put_into
from napari_unet._qt.fine_tune.neighbours import areas_of, training_plan
from napari_unet._qt.form import Field
from napari_unet._qt.layers import MADE_HERE, in_layer
from napari_unet._qt.message import Message
from napari_unet._qt.weight_map.augmentation_preview import AugmentationPreview
from napari_unet._qt.weight_map.colour_bar import ColourBar
from napari_unet._qt.weight_map.map_layer import Look, MapLayer
from napari_unet.config import TrainConfig

SETTINGS = {
    "w0": Field(
        "Gap weight (w0)",
        "How much more a pixel in the narrowest gap between two objects counts. 0: as much as any"
        " other.",
        options={"min": 0.0, "max": 50.0, "step": 0.5},
        widget=FloatSlider,
    ),
    "sigma": Field(
        "Gap width (sigma)",
        "How wide gaps may be that count more, in pixels: at d1 + d2 = sigma from the two nearest"
        " objects it is 61 % of the gap weight, at twice that 14 %.",
        options={"min": 0.5, "max": 20.0, "step": 0.5},
        widget=FloatSlider,
    ),
    "balance": Field(
        "Balance objects and background",
        "Let the rarer of both count more, so that they weigh the same in sum. Objects then come"
        " out wider.",
    ),
}
NO_LABELS = "There are no labels yet: annotate an image, or segment one."
AT_FIRST = "Shows how much each pixel will count in training, live while you draw."
COMPUTING = "Computing the weight map…"
WAITING = "Weight under the mouse: none"


class WeightMapWidget(QWidget):
    """Shows the weight map of a labels layer, and samples as training will draw them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where it is docked.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.labels = ComboBox(
            name="labels",
            label="Annotation",
            tooltip="The labels layer whose weights to show.",
            choices=self._labels_layers,
            nullable=True,
        )
        self.show_button = QPushButton("Show weight map")
        self.show_button.setCheckable(True)
        self.show_button.setToolTip(
            "Show how much each pixel will count in training, in a layer over the annotation. Press"
            " again to take it away."
        )
        self.bar = ColourBar()
        self.value = QLabel(WAITING)
        self.settings = form.build(TrainConfig, SETTINGS)
        self.zoom = FloatSpinBox(
            name="zoom",
            label="Resized by",
            tooltip="Training resizes images whose objects are much larger or smaller than those"
            " that the start model knows, and sigma counts in the pixels of these. The map is shown"
            " as of an image so many times as large; 1: as it is.",
            value=1.0,
            min=0.05,
            max=20.0,
            step=0.05,
        )
        self.message = Message(napari_viewer)
        self.preview = AugmentationPreview(napari_viewer)
        self._map = MapLayer(napari_viewer, self)
        self._areas = 0  # as in Look
        self._lay_out()
        self._connect()
        self.reset_choices()

    def _lay_out(self) -> None:
        self.show_button.setStyleSheet("font-weight: bold")
        self.bar.setVisible(False)
        self.value.setVisible(False)
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(form.lay_out(self.labels))
        column.addWidget(self.show_button)
        column.addWidget(self.bar)
        column.addWidget(self.value)
        column.addWidget(form.lay_out(*self.settings.values()))
        column.addWidget(form.fold("Advanced", form.lay_out(self.zoom)))
        column.addWidget(self.message)
        column.addWidget(self.preview)
        column.addStretch()
        put_into(self, content)

    def _connect(self) -> None:
        self.show_button.toggled.connect(self._on_show)
        self.labels.changed.connect(self._on_labels)
        for widget in (*self.settings.values(), self.zoom):
            widget.changed.connect(self._on_look)
        self._map.advanced.connect(self._on_advanced)
        self._map.failed.connect(self._give_up)
        self.preview.wanted.connect(self._preview)
        self.preview.told.connect(self.message.tell)
        self.preview.warned.connect(self.message.warn)
        self._viewer.cursor.events.position.connect(self._on_cursor)

    def _labels_layers(self, _: object = None) -> list[tuple[str, Labels]]:
        return [
            (layer.name, layer)
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Labels) and MADE_HERE not in layer.metadata
        ]

    @property
    def is_running(self) -> bool:
        """Whether something is being computed or is still to be shown."""
        return not self._map.is_current or self.preview.is_running

    @property
    def layer(self) -> Any:
        """The layer that shows the map, None before there is one."""
        return self._map.layer

    def look(self) -> Look:
        """Return what the map is computed with."""
        return Look(**form.read(self.settings), zoom=self.zoom.value, areas=self._areas)

    def show_at(self, zoom: float) -> None:
        """Show the map of the image as training resizes it.

        Parameters
        ----------
        zoom : float
            Pixels that training sees for one of the image.
        """
        self.zoom.value = round(min(max(zoom, self.zoom.min), self.zoom.max), 3)

    def show_settings(self, config: TrainConfig, areas: int = 0) -> None:
        """Show the map of another config, and of areas of so many classes, or of objects (0)."""
        self._see_areas(areas)
        for name, widget in self.settings.items():
            shown = getattr(config, name)
            if isinstance(widget, FloatSlider):  # which offers less than a form with numbers
                widget.max = max(widget.max, shown)
            form.show(widget, shown)
        self._on_look()

    def _see_areas(self, areas: int) -> None:
        self._areas = areas
        for name in ("w0", "sigma"):
            self.settings[name].enabled = not areas

    def _follow_plan(self) -> None:
        """Take labels for what the network that is to be taught takes them for."""
        with suppress(ValueError, OSError):  # told when a run is to begin
            self._see_areas(areas_of(training_plan(self._viewer)[1]))

    def reset_choices(self, _: object = None) -> None:
        """Follow the viewer's layers; napari calls this whenever they change."""
        followed, chosen = self._map.labels, self.labels.value
        with self.labels.changed.blocked():
            self.labels.reset_choices()
            if (
                chosen is not None and chosen in self.labels.choices
            ):  # which a new name would otherwise lose
                self.labels.value = chosen
            elif self.labels.value is None and len(self.labels.choices) > 1:
                self.labels.value = self.labels.choices[1]
        self.preview.follow(self.labels.value)
        layers, layer = self._viewer.layers, self._map.layer
        if followed is not None and followed not in layers:
            self._give_up(
                f"{followed.name} was removed, so its weight map is not renewed any more: choose"
                " another annotation, and press Show weight map."
            )
        elif followed is not None and layer is not None and layer not in layers:
            self._give_up(f"{layer.name} was removed: press Show weight map to see it again.")
        else:
            self._map.follow_regions()
        if self.message.text() in ("", NO_LABELS, AT_FIRST):
            self.message.tell(NO_LABELS if self.labels.value is None else AT_FIRST)

    def _on_show(self, on: bool) -> None:
        if not on:
            self._map.remove()
            self._show_bar()
            self.message.tell(AT_FIRST)
        elif self.labels.value is None:
            self._give_up(NO_LABELS)
        else:
            self.message.tell(COMPUTING)
            self._follow_plan()
            self._map.follow(self.labels.value, self.look())

    def _on_labels(self, layer: Labels | None) -> None:
        self.preview.follow(layer)
        if self.show_button.isChecked() and layer is not None:
            self._map.follow(layer, self.look())

    def _on_look(self, _: object = None) -> None:
        self._map.look(self.look())

    def _give_up(self, reason: str) -> None:
        """Follow nothing any more, and say why."""
        self._map.stop()
        self.show_button.blockSignals(True)
        self.show_button.setChecked(False)
        self.show_button.blockSignals(False)
        self._show_bar()
        self.message.warn(reason)

    def _on_advanced(self, share: float) -> None:
        self._show_bar()
        if share < 0.9:
            self.message.tell(f"{COMPUTING} {100 * share:.0f} %")
        elif share == 1 and self.message.text().startswith(COMPUTING):
            self.message.tell(self._said())

    def _said(self) -> str:
        labels = self._map.labels
        name = labels.name if labels is not None else "the annotation"
        most = "bright gaps count most"
        if self._areas:
            most = "rare classes count most" if self.look().balance else "all classes count alike"
        return f"Weights of {name}: {most}. What is black (0) is not annotated, and does not count."

    def _show_bar(self) -> None:
        layer = self._map.layer if self._map.labels is not None else None
        self.bar.follow(layer)
        self.bar.setVisible(layer is not None)
        self.value.setVisible(layer is not None)

    def _on_cursor(self, _: object = None) -> None:
        layer = self._map.layer
        if self._map.labels is None or layer is None or layer not in self._viewer.layers:
            return
        at = np.round(in_layer(self._viewer, layer, self._viewer.cursor.position)).astype(int)
        if ((at < 0) | (at >= layer.data.shape)).any():
            self.value.setText(WAITING)
            self.bar.point_at(None)
            return
        weight = float(layer.data[tuple(at)])
        row, column = (int(i / self.zoom.value) for i in at)
        self.value.setText(f"Weight under the mouse: {weight:.2f} at ({row}, {column})")
        self.bar.point_at(weight)

    def _preview(self) -> None:
        if self.labels.value is None:
            self.message.warn(NO_LABELS)
            return
        self.preview.draw(self.labels.value, self.look())

    def changeEvent(self, event: Any) -> None:
        """End what runs when the dock is closed, as napari takes the widget out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._map.stop()
            self.preview.stop()
            with suppress(ValueError, TypeError):
                self._viewer.cursor.events.position.disconnect(self._on_cursor)
