"""Which image to annotate, and how: the upper part of the dock Annotate."""

from __future__ import annotations

import napari
from magicgui.widgets import ComboBox
from napari.layers import Image, Labels
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from napari_unet._qt import annotation_layers, form
from napari_unet._qt.dock import button
from napari_unet._qt.layers import images_of
from napari_unet.annotations import Mode


class Chooser(QWidget):
    """Boxes for the image and the mode, and the buttons that begin an annotation.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose image layers can be chosen.
    parent : QWidget, optional
        Its place.
    """

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.image = ComboBox(
            name="image",
            label="Image",
            tooltip="The layer to annotate.",
            choices=self._images,
            nullable=True,
        )
        self.mode = ComboBox(
            name="mode",
            label="Unpainted is",
            tooltip="Background: paint every object, of the whole image or of the regions."
            " Not annotated: scribble a little on objects and on background; only what is painted"
            " counts.",
            choices=[("Background", Mode.REGIONS), ("Not annotated", Mode.SCRIBBLES)],
        )
        self.mode.native.installEventFilter(_NoWheel(self))
        self.new_button = button(
            "New annotation",
            "Make a labels layer on the image and take the brush. An annotation of this image that"
            " was begun before is found again.",
        )
        self.new_button.setStyleSheet("font-weight: bold")
        self.correct_button = button("Correct this result", "")
        self.region_button = button(
            "Add region",
            "Draw a rectangle in which every object will be painted. What is outside of all regions"
            " does not count. Without a region the whole image counts; of a stack, the planes with"
            " an object. A region belongs to the plane in which it is drawn.",
        )
        buttons = QGridLayout()
        buttons.addWidget(self.new_button, 0, 0)
        buttons.addWidget(self.correct_button, 0, 1)
        buttons.addWidget(self.region_button, 1, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.lay_out(self.image, self.mode))
        layout.addLayout(buttons)
        self.reset_choices()

    def _images(self, _: object = None) -> list[tuple[str, Image]]:
        return [(layer.name, layer) for layer in images_of(self._viewer)]

    def reset_choices(self) -> None:
        """Offer the layers that there are now; what was chosen stays, if it can."""
        before, chosen = set(self.image.choices), self.image.value
        self.image.reset_choices()
        new = [layer for layer in images_of(self._viewer) if layer not in before]
        if new:
            self.image.value = new[0]  # the one just opened
        elif chosen is not None and chosen in self.image.choices:
            self.image.value = chosen  # which a new name would otherwise lose
        elif len(self.image.choices) > 1:
            self.image.value = self.image.choices[1]

    def show_choice(self, image: Image, mode: Mode) -> None:
        """Show what is chosen elsewhere, without a signal that it changed."""
        with self.image.changed.blocked():
            if image in self.image.choices:
                self.image.value = image
        with self.mode.changed.blocked():
            self.mode.value = mode

    @property
    def chosen_mode(self) -> Mode:
        """What unpainted pixels of a new annotation are to mean."""
        return Mode(self.mode.value)  # PySide6 gives a bare string back

    @property
    def result(self) -> Labels | None:
        """The labels layer that an annotation of the image can begin from."""
        image = self.image.value
        results = annotation_layers.find_results(self._viewer, image) if image else []
        return results[0] if results else None

    def show_state(self, idle: bool, drawing: bool) -> None:
        """Let go of what does not apply.

        Parameters
        ----------
        idle : bool
            Whether no annotation is about to begin.
        drawing : bool
            Whether there is one to add a region to.
        """
        result = self.result
        name = result.name if result else "a labels layer of the image's shape"
        self.correct_button.setToolTip(
            f"Copy the objects of {name} to an annotation, to correct them there."
        )
        self.correct_button.setEnabled(idle and result is not None)
        self.new_button.setEnabled(idle)
        self.region_button.setEnabled(drawing)


class _NoWheel(QObject):
    """Lets the mouse wheel scroll the dock, and change no box on its way."""

    def eventFilter(self, _: QObject | None, event: QEvent | None) -> bool:
        """Leave the wheel to whoever is behind."""
        is_wheel = event is not None and event.type() == QEvent.Type.Wheel
        if event is not None and is_wheel:
            event.ignore()
        return is_wheel
