"""The bounding boxes of objects as a layer of rectangles over their labels."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import napari
import numpy as np
from napari.layers import Labels, Shapes
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_unet._qt.annotation_layers import canvas_pixel
from napari_unet._qt.class_colours import PALETTE
from napari_unet._qt.layers import MADE_HERE
from napari_unet._qt.measure.report import KNOWN, Report

KIND = "boxes"
LARGEST = 20_000
"""Boxes; of more, napari moves none any more."""
COLOUR = "#ffcc00"
WIDTH = 1.5
"""Pixels of the canvas."""
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def drawing(
    viewer: napari.viewer.ViewerModel, report: Report
) -> Callable[[], Generator[None, None, Shapes]]:
    """Return the steps of a job that makes a layer of a report's boxes.

    The layer is made in the thread, where it is nobody else's yet: napari takes a millisecond for
    each of its shapes, which the window has not.

    Raises
    ------
    ValueError
        If there are too many.
    """
    labels, table = report.labels, report.table
    count = table["label"].size
    if count > LARGEST:
        raise ValueError(
            f"{count:,} boxes are too many to be drawn: save the table, which has them as top,"
            " left, bottom and right."
        )
    corners = box_corners(table, report.planes)
    options: dict[str, Any] = {
        "name": f"{labels.name} boxes",
        "features": {name: table[name] for name in ("label", *KNOWN) if name in table},
        "edge_width": WIDTH * canvas_pixel(viewer, labels),
        "edge_color": COLOUR,
        "face_color": "transparent",
        "metadata": {MADE_HERE: KIND},
        **{name: getattr(labels, name) for name in PLACE},
    }
    if "class" in table:
        colours = _colours(labels, table)
        options |= {"edge_color": "class", "edge_color_cycle": colours}

    def steps() -> Generator[None, None, Shapes]:
        yield
        return Shapes(list(corners), shape_type="rectangle", **options)

    return steps


def box_corners(table: dict[str, NDArray[Any]], planes: list[str]) -> NDArray[np.float64]:
    """Return the corners (N, 4, D) of boxes, on the outer edges of the outermost pixels.

    The centre of a pixel is at a whole number: the first row begins half a pixel before it.
    """
    top, left, bottom, right = (
        table[f"{side}_px"] - 0.5 for side in ("top", "left", "bottom", "right")
    )
    rows = np.stack((top, top, bottom, bottom), axis=1)
    columns = np.stack((left, right, right, left), axis=1)
    leading = [np.repeat(table[name][:, None], 4, axis=1) for name in planes]
    return np.stack((*leading, rows, columns), axis=-1).astype(np.float64)


def _colours(labels: Labels, table: dict[str, NDArray[Any]]) -> list[Any]:
    """Return a colour for each class, in the order of their names: that of its labels."""
    names, first = np.unique(table["class"], return_index=True)
    if not isinstance(labels.colormap, DirectLabelColormap):
        return [PALETTE[i % len(PALETTE)] for i in range(len(names))]
    found = [labels.get_color(int(table["label"][i])) for i in first]
    return [COLOUR if colour is None else colour for colour in found]


def put_boxes(viewer: napari.viewer.ViewerModel, boxes: Shapes) -> None:
    """Show boxes, in place of earlier ones of the same labels; what was selected stays so."""
    layers = viewer.layers
    selected, active = set(layers.selection), layers.selection.active
    for layer in [layer for layer in layers if layer.metadata.get(MADE_HERE) == KIND]:
        if layer.name == boxes.name:
            layers.remove(layer)
    viewer.add_layer(boxes)
    layers.selection = {layer for layer in selected if layer in layers}
    layers.selection.active = active if active in layers else None
