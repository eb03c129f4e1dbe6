"""Labels to a file, in a thread: compressing a large stack takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Generator
from copy import copy
from pathlib import Path

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_unet._qt.layers import pixels


def ask_for_path(layer: Labels, folder: Path, parent: QWidget) -> Path | None:
    """Ask where to save a layer's labels; None if nowhere."""
    name = f"{layer.name.split(' [')[0]}_labels.tif"
    kinds = "Label images (*.tif *.tiff)"
    chosen, _ = QFileDialog.getSaveFileName(parent, "Save labels", str(folder / name), kinds)
    return Path(chosen) if chosen else None


def save_steps(layer: Labels, path: Path) -> Callable[[], Generator[None, None, str]]:
    """Return the steps of a job that writes the labels as they are now."""
    data = pixels(layer)
    labels = data.copy() if isinstance(data, np.ndarray) else data  # else read in the thread
    names = ("scale", "units", "axis_labels", "metadata")
    attributes = {name: copy(getattr(layer, name)) for name in names}
    path = path if path.suffix else path.with_suffix(".tif")

    def steps() -> Generator[None, None, str]:
        from napari_unet._qt.contributions import save_labels

        yield
        return save_labels(str(path), np.asarray(labels), attributes)[0]

    return steps
