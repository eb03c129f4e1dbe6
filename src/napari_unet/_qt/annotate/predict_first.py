"""Whether each image is predicted when it is first shown, and by which model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QWidget

from napari_unet._qt.model_box import model_choices
from napari_unet.library import own_models

if TYPE_CHECKING:
    from napari_unet.annotations import Project

PREDICT, MODEL = "predict", "model"
"""Settings of a project."""


class _Models(QComboBox):
    """A box that says when its list is about to be seen: models come and go meanwhile."""

    opening = Signal()

    def showPopup(self) -> None:
        self.opening.emit()
        super().showPopup()


class PredictFirst(QWidget):
    """A check box and the models.

    Parameters
    ----------
    parent : QWidget, optional
        Its place.
    """

    changed = Signal(object)
    """What is chosen, by the names of a project's settings."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QCheckBox("Predict each first")
        self.box.setToolTip(
            "Segment each image that has no annotation yet when it is shown, so that annotating is"
            " correcting."
        )
        self._project: Project | None = None
        self.models = _Models()
        self.models.setToolTip("The model that predicts.")
        self.models.setMinimumContentsLength(8)
        self.models.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box)
        row.addWidget(self.models, 1)
        self.box.clicked.connect(self._on_changed)
        self.models.activated.connect(self._on_changed)
        self.models.opening.connect(lambda: self.reset(self._project))

    @property
    def model(self) -> str | None:
        """The model, by its name or its path; None if nothing is to be predicted."""
        value = self.models.currentData()
        return str(value) if value and self.box.isChecked() else None

    def reset(self, project: Project | None) -> None:
        """Offer the models that there are now; what was chosen stays, if it can."""
        chosen = self.models.currentData() if project is self._project else None
        self._project = project
        own = own_models(project.models).values() if project is not None else ()
        self.models.clear()
        for name, value in model_choices(own):
            self.models.addItem(name, value)
        self._choose(chosen)

    def show_settings(self, settings: Mapping[str, Any]) -> None:
        """Show what a project's settings say."""
        self.box.setChecked(bool(settings.get(PREDICT)))
        self._choose(settings.get(MODEL))

    def _choose(self, value: Any) -> None:
        if value and self.models.findData(value) < 0:  # no other one in its place, without a word
            self.models.addItem(f"{Path(str(value)).stem} (gone)", value)
        self.models.setCurrentIndex(max(self.models.findData(value), 0))

    def _on_changed(self) -> None:
        self.changed.emit({PREDICT: self.box.isChecked(), MODEL: self.models.currentData()})
