"""Which two labels layers are compared: the prediction, and the truth."""

from __future__ import annotations

import re
from collections.abc import Sequence

import napari
from magicgui.widgets import ComboBox
from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.annotation_layers import PATH, PREDICTED, RESULT
from napari_unet._qt.layers import MADE_HERE, pixels

_ANNOTATION = re.compile(r".+ annotation(?: \[\d+\])?")


class Pair(QWidget):
    """Offers the viewer's labels layers; what nobody has chosen is guessed.

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
        self.prediction = self._box("Prediction", "The labels that are judged, as of Segment.")
        self.truth = self._box(
            "Truth",
            "The labels that are right. Of an annotation, only what is annotated counts: inside of"
            " its regions, or what is painted in scribbles.",
        )
        self._chosen: tuple[Labels | None, Labels | None] = (None, None)
        self._is_sure = False  # whether someone has chosen
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.lay_out(self.prediction, self.truth))
        self.prediction.changed.connect(self._on_choice)
        self.truth.changed.connect(self._on_choice)

    def _box(self, label: str, tooltip: str) -> ComboBox:
        name = label.lower()
        choices = self._labels_layers
        return ComboBox(name=name, label=label, tooltip=tooltip, choices=choices, nullable=True)

    def _labels_layers(self, _: object = None) -> list[tuple[str, Labels]]:
        return [(layer.name, layer) for layer in labels_of(self._viewer)]

    @property
    def layers(self) -> tuple[Labels | None, Labels | None]:
        """The prediction and the truth, None where there is none yet."""
        return self._chosen

    @property
    def is_stack(self) -> bool:
        """Whether one of them has planes."""
        return any(layer is not None and layer.ndim > 2 for layer in self._chosen)

    def reset_choices(self) -> None:
        """Offer the layers that there are now; what someone has chosen stays, if it can."""
        there = labels_of(self._viewer)
        kept = [layer if self._is_sure and layer in there else None for layer in self._chosen]
        for box, layer in zip((self.prediction, self.truth), kept, strict=True):
            with box.changed.blocked():
                box.reset_choices()
                box.value = layer
        self._settle(*guess(there, *kept))

    def keep(self) -> None:
        """Guess no more: what is shown is meant."""
        self._is_sure = None not in self._chosen

    def _on_choice(self, _: object = None) -> None:
        self._is_sure = True
        prediction, truth = self.prediction.value, self.truth.value
        if prediction == truth and prediction is not None:  # they change places
            before = self._chosen
            if before[1] == truth:
                truth = before[0]
            else:
                prediction = before[1]
        self._settle(prediction, truth)

    def _settle(self, prediction: Labels | None, truth: Labels | None) -> None:
        """Show a choice, and tell of it if it is another one."""
        for box, layer in ((self.prediction, prediction), (self.truth, truth)):
            with box.changed.blocked():
                box.value = layer
        if self._chosen != (prediction, truth):
            self._chosen = (prediction, truth)
            self.changed.emit()


def labels_of(viewer: napari.viewer.ViewerModel) -> list[Labels]:
    """Return the viewer's labels layers, the topmost first, but for those that only show."""
    layers = [layer for layer in viewer.layers if isinstance(layer, Labels)]
    return [layer for layer in reversed(layers) if MADE_HERE not in layer.metadata]


def guess(
    layers: Sequence[Labels], prediction: Labels | None = None, truth: Labels | None = None
) -> tuple[Labels | None, Labels | None]:
    """Return the prediction and the truth; what is not known, by names and shapes.

    Parameters
    ----------
    layers : sequence of Labels
        Those that there are; of two that may as well be the prediction, the first one is.
    prediction, truth : Labels or None
        What is known.
    """
    pairs = [
        (one, other)
        for one in layers
        for other in layers
        if one != other  # the same layer may come in several wrappers of napari's
        and pixels(one).shape == pixels(other).shape
        and prediction in (None, one)
        and truth in (None, other)
    ]
    if not pairs:
        return prediction, truth
    return max(pairs, key=lambda pair: _trust(pair[1]) - _trust(pair[0]))


def _trust(layer: Labels) -> int:
    """Say how much a layer looks like the truth."""
    if PREDICTED in layer.metadata:
        return 0
    if PATH in layer.metadata or _ANNOTATION.fullmatch(layer.name):
        return 2
    return 0 if RESULT.fullmatch(layer.name) else 1


def is_numbered_by_plane(layer: Labels) -> bool:
    """Say whether objects are numbered anew in each plane, as the docks of this plugin do."""
    return _trust(layer) != 1
