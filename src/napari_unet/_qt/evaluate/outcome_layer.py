"""Matched, missed and invented objects, each in a colour, as a layer on the truth's place."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_unet._qt.evaluate.report import Report
from napari_unet._qt.layers import MADE_HERE, geometry

KIND = "comparison"
OF = "of"
"""Entry in the metadata: what is compared, in words."""
OPACITY = 0.7
MATCHED, MISSED, INVENTED, BOTH = "found", "missed", "invented", "missed under invented"
COLOURS = {MATCHED: "#1fa36b", MISSED: "#3b8fe0", INVENTED: "#e8820c", BOTH: "#b45fc8"}
"""In the order of their numbers in the layer; they can be told apart by the colour-blind, and seen
on dark and light."""


def legend(report: Report) -> str:
    """Return what the colours mean, as rich text."""
    counts = {MATCHED: report.chosen.tp, MISSED: report.chosen.fn, INVENTED: report.chosen.fp}
    entries = [
        f'<span style="color: {colour}">■</span>&nbsp;{what}'
        + (f"&nbsp;{counts[what]:,}" if what in counts else "")
        for what, colour in COLOURS.items()
    ]
    return " &nbsp; ".join(entries)


def show(viewer: napari.viewer.ViewerModel, report: Report) -> Labels:
    """Show which objects were found, in the layer of this pair, or in a new one.

    Those of other pairs are hidden, and by a new one both layers, too: their colours would shine
    through.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers of the report still are.
    report : Report
        What was found.
    """
    request = report.request
    truth, plane = request.truth, request.wish.plane_only
    first = np.zeros(truth.ndim)
    data = report.outcome
    if plane:
        first[:-2] = request.drawn.at
        data = data.reshape((1,) * (truth.ndim - 2) + data.shape)
    place, layer = _place(truth, first), _found(viewer, request.name)
    if layer is not None and layer.ndim == truth.ndim:
        layer.data = data
        if not _lies(layer, truth, first):
            for name, value in place.items():
                setattr(layer, name, value)
    else:
        if layer is not None:
            viewer.layers.remove(layer)
        layer = _added(viewer, request.name, data, place)
        request.prediction.visible = truth.visible = False
    for other in viewer.layers:
        if other.metadata.get(MADE_HERE) == KIND:
            other.visible = other == layer
    layer.editable = False
    return layer


def _found(viewer: napari.viewer.ViewerModel, name: str) -> Labels | None:
    made = [layer for layer in viewer.layers if layer.metadata.get(MADE_HERE) == KIND]
    return next((layer for layer in made if layer.metadata.get(OF) == name), None)


def _lies(layer: Labels, truth: Labels, first: NDArray[np.float64]) -> bool:
    """Say whether a layer's first pixel is that one of the truth, and the others follow it."""
    steps = [np.zeros(truth.ndim), *np.eye(truth.ndim)]
    return all(
        np.allclose(layer.data_to_world(step), truth.data_to_world(first + step)) for step in steps
    )


def _place(truth: Labels, first: NDArray[np.float64]) -> dict[str, Any]:
    """Return what places a layer on the truth, whose first pixel is one of the truth's."""
    place = geometry(truth)
    away = np.subtract(truth.data_to_world(first), truth.data_to_world(np.zeros(truth.ndim)))
    affine = np.array(truth.affine.affine_matrix)
    affine[:-1, -1] += away
    return {**place, "affine": affine}


def _added(
    viewer: napari.viewer.ViewerModel, name: str, data: NDArray[np.uint8], place: dict[str, Any]
) -> Labels:
    """Add a layer; what was selected, such as labels that are being painted, stays so."""
    layers = viewer.layers
    selected, active = set(layers.selection), layers.selection.active
    colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    colours |= dict(enumerate(COLOURS.values(), 1))
    layer: Labels = viewer.add_labels(
        data,
        name=name,
        opacity=OPACITY,
        colormap=DirectLabelColormap(color_dict=colours),
        metadata={MADE_HERE: KIND, OF: name},
        **place,
    )
    layers.selection = selected & set(layers)
    layers.selection.active = active
    return layer
