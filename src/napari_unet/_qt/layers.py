"""napari's layers as the core takes images, and the core's labels as layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil, floor, prod, sqrt
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_unet.tiling import Region

MADE_HERE = "napari-unet"
"""Key in the metadata of layers that show what a network or a training sees: nobody has taken these
images, and nobody has annotated them."""
LETTERS = {"t": "T", "time": "T", "z": "Z", "c": "C", "channel": "C", "channels": "C"}


def images_of(viewer: napari.viewer.ViewerModel) -> list[Image]:
    """Return the viewer's image layers, the topmost first, but for what the plugin has made."""
    layers = [layer for layer in viewer.layers if isinstance(layer, Image)]
    return [layer for layer in reversed(layers) if MADE_HERE not in layer.metadata]


def pixels(layer: Layer) -> Any:
    """Return a layer's array; of a multiscale one, the finest."""
    return layer.data[0] if layer.multiscale else layer.data


def labels_name(image: str, model: str) -> str:
    """Return the name of the layer of what a model finds in an image."""
    return f"{image} [{Path(model).stem}]"


def axes_of(layer: Layer) -> str:
    """Return a letter per dimension of an image layer's array, as the core names them.

    napari displays the last two dimensions at first: they are Y and X. One that its axis labels
    call c or channel holds channels; any other has a slider, and is walked plane by plane.
    """
    leading = [LETTERS.get(str(label).lower(), "Q") for label in layer.axis_labels[:-2]]
    if leading.count("C") > 1:
        leading = ["Q" if letter == "C" else letter for letter in leading]
    return "".join(leading) + "YX" + "S" * bool(getattr(layer, "rgb", False))


def channel_axis(image: Image) -> int | None:
    """Return the axis of an image layer that its labels do not have."""
    axes = axes_of(image)
    return axes.index("C") if "C" in axes else None


def labels_shape(shape: Sequence[int], axes: str) -> tuple[int, ...]:
    """Return the shape of an image's labels: the image's without channels and colours."""
    return tuple(n for n, letter in zip(shape, axes, strict=True) if letter not in "CS")


def annotated_shape(image: Image) -> tuple[int, ...]:
    """Return the shape of an image layer's labels."""
    return labels_shape(pixels(image).shape, axes_of(image))


def pixel_size(layer: Layer) -> float | None:
    """Return the micrometres per pixel of a layer that has a unit of length, else None."""
    sides = pixel_sides(layer)
    return sides and sqrt(prod(sides))


def pixel_sides(layer: Layer) -> tuple[float, float] | None:
    """Return height and width of a layer's pixels in micrometres, None without a unit of length."""
    height, width = micrometres(layer.scale, layer.units)[-2:]
    return (height, width) if height and width else None


def micrometres(scale: Sequence[float], units: Sequence[Any]) -> list[float | None]:
    """Return the pixel size on each axis, None where the unit is no length."""
    return [  # the steps of a mirrored axis are below 0
        float((abs(float(step)) * unit).to("um").magnitude)
        if getattr(unit, "is_compatible_with", lambda _: False)("um")
        else None
        for step, unit in zip(scale, units, strict=True)
    ]


def position(viewer: napari.viewer.ViewerModel, layer: Layer) -> tuple[int, ...]:
    """Return where the sliders stand along each leading axis of a layer, in its pixels."""
    point = in_layer(viewer, layer, viewer.dims.point)[:-2]
    lengths = pixels(layer).shape[: layer.ndim - 2]
    return tuple(
        min(max(round(float(at)), 0), length - 1) for at, length in zip(point, lengths, strict=True)
    )


def in_layer(
    viewer: napari.viewer.ViewerModel, layer: Layer, point: Sequence[float] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where a point of the viewer is in a layer's pixels, also if their units differ."""
    own, units = layer.units, (viewer.layers.units or layer.units)[-layer.ndim :]
    factors = [(1.0 * of).to(to).magnitude for of, to in zip(units, own, strict=True)]
    return np.asarray(layer.world_to_data(np.asarray(point)[-layer.ndim :] * factors))


def shows_planes(viewer: napari.viewer.ViewerModel, transposed: bool = False) -> bool:
    """Say whether the canvas shows planes of the last two axes, rows downwards (or sidewards)."""
    last_two, displayed = [viewer.dims.ndim - 2, viewer.dims.ndim - 1], list(viewer.dims.displayed)
    return viewer.dims.ndisplay == 2 and last_two == (
        sorted(displayed) if transposed else displayed
    )


def visible_region(viewer: napari.viewer.ViewerModel, layer: Layer) -> Region:
    """Return the rows and columns of a layer that the canvas shows; of a rotated one, around them.

    Raises
    ------
    ValueError
        If the canvas shows the layer's planes from the side or in 3D, or the layer is out of sight.
    """
    if not shows_planes(viewer, transposed=True):
        raise ValueError(
            "The current view is not a plane of Y and X: show it in 2D with the axes in their first"
            " order, or segment the whole layer."
        )
    first, last = _view_corners(viewer, layer)
    lengths = pixels(layer).shape[layer.ndim - 2 : layer.ndim]
    region = tuple(
        slice(max(floor(a), 0), min(ceil(b), length))
        for a, b, length in zip(first, last, lengths, strict=True)
    )
    if any(part.start >= part.stop for part in region):
        raise ValueError(f"{layer.name} is out of sight: move the view onto it (Home shows all).")
    return region


def _view_corners(
    viewer: napari.viewer.ViewerModel, layer: Layer
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the largest position in view, in pixel edges of rows and columns."""
    if not hasattr(viewer, "canvas"):  # napari before 0.9: what was drawn last
        factors = layer.downsample_factors[layer.data_level] if layer.multiscale else 1
        first, last = np.asarray(layer.corner_pixels)
        return (first * factors)[-2:], ((last + 1) * factors)[-2:]
    camera, size = viewer.scene.camera, np.array(viewer.canvas.size)
    half = size / 2 / camera.zoom
    displayed = list(viewer.dims.displayed)
    corners = []
    for signs in product((-1, 1), repeat=2):
        point = np.array(viewer.dims.point, float)
        point[displayed] = np.array(camera.center)[-2:] + signs * half
        corners.append(in_layer(viewer, layer, point)[-2:])
    return np.min(corners, axis=0) + 0.5, np.max(corners, axis=0) + 0.5


def geometry(layer: Image, channel_axis: int | None = None) -> dict[str, Any]:
    """Return what places labels on an image: scale, rotation, units and so on.

    Parameters
    ----------
    layer : Image
        The image.
    channel_axis : int or None
        Axis of the image that the labels do not have.
    """
    if channel_axis is None:
        names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
        return {name: getattr(layer, name) for name in names}
    kept = [axis for axis in range(layer.ndim) if axis != channel_axis]
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    steps = np.stack([layer.data_to_world(unit) - origin for unit in np.eye(layer.ndim)], axis=1)
    scale = np.asarray(layer.scale)[kept]
    affine = np.eye(len(kept) + 1)
    affine[:-1, :-1] = steps[np.ix_(kept, kept)] / scale  # what files are told is the scale
    affine[:-1, -1] = origin[kept]
    named = {
        name: [getattr(layer, name)[axis] for axis in kept] for name in ("units", "axis_labels")
    }
    return {"scale": scale, "affine": affine, **named}
