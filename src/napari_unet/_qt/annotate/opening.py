"""A project folder in a window: from a command, or dropped on napari."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari

from napari_unet._qt.preferences import PLUGIN

if TYPE_CHECKING:
    from napari_unet._qt.annotate.widget import AnnotateWidget

PROJECT = "project.json"
"""The file that makes a folder a project."""
DOCK = "Annotate"


def open_project(viewer: napari.viewer.Viewer, folder: str | Path) -> AnnotateWidget:
    """Open a project in the dock Annotate, which is docked unless it is there already.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    folder : str or Path
        The project. What is wrong with it is told in the dock.
    """
    dock: AnnotateWidget
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    dock.open_project(folder)
    return dock


def get_project_reader(path: str | Sequence[str]) -> Callable[[Any], list[tuple[None]]] | None:
    """Return what napari reads a project folder with; None for anything else.

    Parameters
    ----------
    path : str or list of str
        What was dropped.
    """
    if not isinstance(path, str) or not (Path(path) / PROJECT).is_file():
        return None
    return _read_project


def _read_project(path: Any) -> list[tuple[None]]:
    """Open a project in the current window; there are no layers to add for napari."""
    viewer = napari.current_viewer()
    if viewer is None:
        raise ValueError(f"{path} is a project and needs a window: open it in napari.")
    open_project(viewer, str(path))
    return [(None,)]
