"""The box that shows classes by colours."""

from __future__ import annotations

from typing import Any

from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_unet._qt.annotate.class_box import ClassBox
from napari_unet._qt.annotate.drawing import Drawing
from napari_unet._qt.class_colours import colours_by_class


class ColourBox(QCheckBox):
    """Shows the objects of a drawing in the colours of their classes while it is checked.

    Parameters
    ----------
    classes : ClassBox
        Names the classes, in the order of their colours.
    parent : QWidget or None
        Its place.
    """

    def __init__(self, classes: ClassBox, parent: QWidget | None = None) -> None:
        super().__init__("Colour by class", parent)
        self.setToolTip(
            "Show all objects of a class in one colour, and those of none in white. Else each"
            " object has a colour of its own."
        )
        self._classes = classes
        self._drawing: Drawing | None = None
        self._usual: Any = None
        self.toggled.connect(self._colour)

    def follow(self, drawing: Drawing | None) -> None:
        """Colour another drawing from now on, and leave the last one as it was; None: none."""
        if drawing is not self._drawing:
            if self._drawing is not None:
                self._drawing.labels.events.features.disconnect(self._colour)
                self._restore(self._drawing)
            if drawing is not None:
                drawing.labels.events.features.connect(self._colour)
            self._drawing = drawing
        self._colour()

    def _colour(self) -> None:
        """Show classes by colours, or no longer; as classes change, colours do."""
        drawing = self._drawing
        if drawing is None:
            return
        if not self.isChecked():
            self._restore(drawing)
            return
        before = drawing.labels.colormap
        if self._usual is None or not isinstance(before, DirectLabelColormap):
            self._usual = before  # also where the mode has brought other ones
        self._classes.offer(drawing.kinds.values())
        colours = colours_by_class(drawing.kinds, self._classes.known, has_background=True)
        if colours is None:
            self.setChecked(False)
            show_warning(
                "Classes are not shown by colours: of labels as large as these, napari needs the"
                " package numba for it (pip install numba)."
            )
        else:
            drawing.labels.colormap = colours

    def _restore(self, drawing: Drawing) -> None:
        if self._usual is not None:
            drawing.labels.colormap = self._usual
            self._usual = None
