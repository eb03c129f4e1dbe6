"""What the docks of one window tell each other about a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import napari

from napari_unet._qt import preferences
from napari_unet.config import FINE_TUNE, TrainConfig
from napari_unet.library import Start, card_of, list_models

if TYPE_CHECKING:
    from napari_unet.annotations import Project

D = TypeVar("D")


def docks_of(viewer: napari.viewer.ViewerModel, kind: type[D]) -> Iterator[D]:
    """Return the widgets of a kind that are docked in a viewer's window, if it has one."""
    window: Any = getattr(viewer, "window", None)
    docked: tuple[Any, ...] = ()
    with suppress(RuntimeError):  # one that is closed has lost them
        docked = () if window is None else tuple(window.dock_widgets.values())
    return (widget for widget in docked if isinstance(widget, kind))


def open_project(viewer: napari.viewer.Viewer) -> Project | None:
    """Return the project that is open in the dock Annotate, if there is one."""
    from napari_unet._qt.annotate.widget import AnnotateWidget

    projects = (dock.folder.project for dock in docks_of(viewer, AnnotateWidget))
    return next((project for project in projects if project is not None), None)


def choose_for_segmenting(viewer: napari.viewer.Viewer, model: str, device: str) -> None:
    """Let the dock Segment use a model, also if it is opened later.

    Parameters
    ----------
    viewer : napari.Viewer
        The window.
    model : str
        Its name, or its path.
    device : str
        Where it is to run.
    """
    from napari_unet._qt.segment.widget import SegmentWidget

    preferences.remember(model, device)
    for dock in docks_of(viewer, SegmentWidget):
        if not dock.is_running:
            dock.inputs.reset_choices()
            with suppress(ValueError, OSError):  # it is gone already
                dock.inputs.choose_model(model)


def training_plan(viewer: napari.viewer.ViewerModel) -> tuple[TrainConfig, Start]:
    """Return the settings, and what to start from, that the dock Fine-tune shows.

    Without that dock they are those that it would begin with.

    Raises
    ------
    ValueError
        If one of them is not possible.
    """
    from napari_unet._qt.fine_tune.widget import FineTuneWidget

    for dock in docks_of(viewer, FineTuneWidget):
        return dock.plan.config, dock.plan.begin
    return FINE_TUNE, next(iter(list_models()), None)


def areas_of(start: Start) -> int:
    """Return how many classes what is taught sees as areas; 0 if it sees objects.

    Raises
    ------
    ValueError, OSError
        If it is a model that cannot be read.
    """
    target = card_of(start).target
    return 0 if target.instances else len(target.classes)


def show_weights(viewer: napari.viewer.Viewer, config: TrainConfig, start: Start) -> None:
    """Let the dock Weight Map show the map that is trained with."""
    from napari_unet._qt.weight_map.widget import WeightMapWidget

    for dock in docks_of(viewer, WeightMapWidget):
        dock.show_settings(config, areas_of(start))


def show_zoom(viewer: napari.viewer.Viewer, zoom: float) -> None:
    """Let the dock Weight Map show the images at the size at which they are trained on."""
    from napari_unet._qt.weight_map.widget import WeightMapWidget

    for dock in docks_of(viewer, WeightMapWidget):
        dock.show_at(zoom)
