"""Where the labels of an image go that is segmented by chunks."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path
from weakref import ref

from magicgui.widgets import LineEdit, PushButton
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt.layers import annotated_shape
from napari_unet.library import user_folder

SUFFIX = ".ome.zarr"
SUFFIXES = (".zarr", ".ome", ".tif", ".tiff")
"""What the name of labels does without."""


class Place(QWidget):
    """Says that an image goes by chunks, and into which folder; hidden for other images."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layer: ref[Image] | None = None
        self.line = QLabel()
        self.field = LineEdit(
            name="output",
            tooltip="The OME-Zarr, a folder, that the labels of an image are written to which is"
            " too large for memory. A run that was stopped goes on there.",
        )
        self.browse = PushButton(name="browse", text="…", tooltip="Choose where the labels go.")
        self.browse.native.setMaximumWidth(32)
        row = QHBoxLayout()
        row.addWidget(self.field.native, stretch=1)
        row.addWidget(self.browse.native)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.line)
        column.addLayout(row)
        self.field.changed.connect(self._show_whole)
        self.browse.changed.connect(self._ask)
        self.hide()

    def show_for(self, layer: Image | None) -> None:
        """Ask where the labels of a layer go; None asks nothing."""
        self.setVisible(layer is not None)
        if layer is None:
            return
        if self._layer is None or self._layer() is not layer:
            self._layer = ref(layer)
            self.renew()
        lengths = " x ".join(f"{n:,}" for n in annotated_shape(layer))
        self.line.setText(f"{lengths}: by chunks into")

    def renew(self) -> None:
        """Name a new place for the layer's labels: what stood there is taken by now."""
        layer = self._layer() if self._layer is not None else None
        if layer is not None:
            self.field.value = str(default_path(layer))

    @property
    def path(self) -> Path:
        """The OME-Zarr.

        Raises
        ------
        ValueError
            If none is named, or it is there already.
        """
        text = self.field.value.strip()
        if not text:
            raise ValueError("The labels have no place: type the name of a folder for them.")
        path = Path(text).expanduser()
        path = path if path.suffix == ".zarr" else path.with_name(path.name + SUFFIX)
        if path.exists():
            raise ValueError(f"{path} exists already: choose another name for the labels.")
        return path

    def _show_whole(self, path: str) -> None:
        self.field.native.setToolTip(f"{path}\n{self.field.tooltip}")

    def _ask(self) -> None:
        kinds = "OME-Zarr (*.zarr)"
        chosen, _ = QFileDialog.getSaveFileName(self, "Labels", self.field.value, kinds)
        if chosen:
            self.field.value = chosen


def default_path(layer: Image) -> Path:
    """Return where labels of a layer go that nobody has put elsewhere: beside the image.

    Those of an image of which no file is known go to the user's data folder.
    """
    folder, name = user_folder().parent / "labels", re.sub(r"[^\w.-]+", "_", layer.name)
    source = Path(layer.source.path) if layer.source.path else None
    if source is not None and source.exists():
        # An array inside of a Zarr lies beside the outermost one.
        zarrs = [path for path in (source, *source.parents) if path.suffix == ".zarr"]
        source = zarrs[-1] if zarrs else source
        if os.access(source.parent, os.W_OK):
            folder, name = source.parent, source.name
    while name.lower().endswith(SUFFIXES):
        name = name.rpartition(".")[0]
    names = (f"{name}_labels{f'-{n}' if n > 1 else ''}{SUFFIX}" for n in count(1))
    return next(folder / free for free in names if not (folder / free).exists())
