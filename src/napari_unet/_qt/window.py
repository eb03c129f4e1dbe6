"""The window of ``napari-unet open``: a project or images, and the docks to teach a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import napari
from qtpy.QtCore import QTimer

from napari_unet._qt.files import open_files
from napari_unet._qt.preferences import PLUGIN

ANNOTATE, FINE_TUNE = "Annotate", "Fine-tune"


def show(project: Path | None, images: Sequence[Path]) -> None:
    """Open napari with the docks; returns when the window is closed.

    Parameters
    ----------
    project : Path or None
        Folder of the project to open; None: that of images which belong to none.
    images : sequence of Path
        Files and Zarrs to open as layers: images, and labels of them.
    """
    furnish(napari.Viewer(title="napari-unet"), project, images)
    napari.run()


def furnish(viewer: napari.viewer.Viewer, project: Path | None, images: Sequence[Path]) -> None:
    """Open the docks in a window, and in them what is to be worked at."""
    open_files(viewer, images)
    annotate, _ = viewer.window.add_plugin_dock_widget(PLUGIN, ANNOTATE)
    viewer.window.add_plugin_dock_widget(PLUGIN, FINE_TUNE, tabify=True)
    QTimer.singleShot(0, annotate.raise_)  # once there are tabs, of which the last is in front
    if project is not None:
        from napari_unet._qt.annotate.opening import open_project

        open_project(viewer, project)
