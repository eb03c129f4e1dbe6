"""Moves the view to an object."""

from __future__ import annotations

import napari
import numpy as np
from napari.layers import Labels

from napari_unet._qt.layers import position
from napari_unet._qt.measure.report import Report


def go_to(viewer: napari.viewer.ViewerModel, report: Report, number: int) -> None:
    """Show an object in the middle of the canvas, and select its label.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layer is.
    report : Report
        What was measured.
    number : int
        Of the object, counted from 0 in the report.
    """
    layer, table = report.labels, report.table
    names = [*report.planes, "centroid_y_px", "centroid_x_px"]
    world = np.asarray(layer.data_to_world([float(table[name][number]) for name in names]))
    world = world / _factors(viewer, layer)
    dims = viewer.dims
    first = dims.ndim - layer.ndim
    for axis, at in enumerate(world, start=first):
        if axis not in dims.displayed:
            dims.set_point(axis, at)
    camera = getattr(viewer, "scene", viewer).camera  # napari 0.9 warns of viewer.camera
    centre = np.array(camera.center, float)
    for place, axis in enumerate(reversed(dims.displayed), start=1):
        if axis >= first:
            centre[-place] = world[axis - first]
    camera.center = tuple(centre)
    layer.selected_label = int(table["label"][number])


def _factors(viewer: napari.viewer.ViewerModel, layer: Labels) -> list[float]:
    """Return how many of the layer's units one of the viewer's is, on each axis."""
    units = (viewer.layers.units or layer.units)[-layer.ndim :]
    return [(1.0 * of).to(to).magnitude for of, to in zip(units, layer.units, strict=True)]


def selected(viewer: napari.viewer.ViewerModel, report: Report) -> int | None:
    """Return the number of the object in view that has the layer's selected label, if any."""
    table = report.table
    found = table["label"] == report.labels.selected_label
    for name, at in zip(report.planes, position(viewer, report.labels), strict=True):
        found = found & (table[name] == at)
    numbers = np.flatnonzero(found)
    return int(numbers[0]) if numbers.size else None
