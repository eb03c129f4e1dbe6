"""The layers that an image is annotated in: labels to paint, and rectangles that say where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import napari
import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils.colormaps import CyclicLabelColormap, label_colormap
from numpy.typing import NDArray

from napari_unet._qt.layers import MADE_HERE, annotated_shape, channel_axis, geometry, pixels
from napari_unet.annotations import Region, region_of

if TYPE_CHECKING:  # loads TIFF libraries
    from napari_unet.images import Image as FileImage

RESULT = re.compile(r"(.+) \[[^\]]*[^\]\d][^\]]*\](?: \[\d+\])?")
"""Name of a labels layer that a network has made; a number at its end is napari's."""
PATH = "annotation"
"""Entry in the metadata of labels and regions layers: the file that they are saved in; "" in copies
of them, which are saved in none."""
MODE = "mode"
"""Entry in the metadata of a labels layer: what is meant by pixels that nobody painted."""
PREDICTED = "unchecked prediction"
"""Entry in the metadata of a labels layer that shows what a network has found, and that nobody has
changed or accepted: it teaches nothing."""
REGIONS = "regions"
"""Entry in the metadata of a labels layer: where its annotation is complete, if no layer says."""
IMAGE_ID = "image id"
"""Entry in the metadata of an image layer and of the labels that annotate it: one string in both,
by which they are known to belong together whatever they are called."""
OPACITY = 0.5
"""Of new labels: the image stays visible under them."""
BACKGROUND_COLOUR = (0.5, 0.5, 0.5, 1.0)
COLOURS = 250
"""Of labels in scribble mode: few objects then share the gray of the background."""
REGION_COLOUR = "#ffcc00"
REGION_WIDTH = 2.0
"""Pixels of the canvas."""
BRUSH = 16.0
"""Pixels of the canvas."""
LARGEST_BRUSH = 40
"""Of napari's slider."""


def add_image(
    viewer: napari.viewer.ViewerModel,
    image: FileImage,
    name: str,
    levels: Sequence[Any] | None = None,
) -> Image:
    """Add an image layer of what a file holds, with its scale; `levels`, if it has several."""
    layer: Image = viewer.add_image(
        levels or image.data,
        multiscale=bool(levels),
        name=name,
        rgb="S" in image.axes,
        **place_of(image),
    )
    return layer


def place_of(image: FileImage) -> dict[str, Any]:
    """Return the scale, units and names of the axes of what a file holds, as layers take them."""
    letters = image.axes.removesuffix("S")
    height, width = image.pixel_sides or (None, None)
    steps = {"Y": height, "X": width, "Z": image.spacing}
    sizes = [steps.get(letter) for letter in letters]
    return {
        "scale": [size or 1 for size in sizes],
        "units": ["um" if size else "pixel" for size in sizes],
        # What has no letter is called as napari calls it.
        "axis_labels": [
            f"-{len(letters) - i}" if letter == "Q" else letter.lower()
            for i, letter in enumerate(letters)
        ],
    }


def add_labels(
    viewer: napari.viewer.ViewerModel, image: Image, data: NDArray[np.int32], path: str
) -> Labels:
    """Add a labels layer on an image's place, to be saved in a path."""
    labels: Labels = viewer.add_labels(
        data,
        name=f"{image.name} annotation",
        opacity=OPACITY,
        metadata={PATH: path, IMAGE_ID: image_id(image)},
        **geometry(image, channel_axis(image)),
    )
    labels.brush_size = min(max(round(BRUSH * canvas_pixel(viewer, labels)), 1), LARGEST_BRUSH)
    return labels


def tie(labels: Labels, image: Image) -> None:
    """Let labels be known as those of an image, whatever it is called."""
    labels.metadata = {**labels.metadata, IMAGE_ID: image_id(image)}


def image_id(image: Image) -> str:
    """Return the id of an image layer, which keeps it from now on."""
    if IMAGE_ID not in image.metadata:
        image.metadata = {**image.metadata, IMAGE_ID: uuid4().hex}
    return str(image.metadata[IMAGE_ID])


def add_regions(viewer: napari.viewer.ViewerModel, labels: Labels, name: str) -> Shapes:
    """Add a layer for rectangles on the place of labels."""
    places = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    return viewer.add_shapes(
        None,
        ndim=labels.ndim,
        name=name,
        edge_color=REGION_COLOUR,
        face_color="transparent",
        opacity=1,
        **{place: getattr(labels, place) for place in places},
    )


def find_layer(viewer: napari.viewer.ViewerModel, kind: type[Layer], path: str) -> Any:
    """Return the topmost layer of a kind that is saved in a path, or None."""
    for layer in reversed(viewer.layers):
        if isinstance(layer, kind) and layer.metadata.get(PATH) == path:
            return layer
    return None


def disown(layer: Layer) -> None:
    """Let a layer be saved in no file any more; what it means stays the same."""
    layer.metadata = {**layer.metadata, PATH: ""}


def disown_copy(viewer: napari.viewer.ViewerModel, layer: Layer) -> None:
    """Let a layer be saved in no file that another one is saved in: Duplicate copies metadata."""
    path = layer.metadata.get(PATH)
    for kind in (Labels, Shapes):
        if path and isinstance(layer, kind):
            of_kind = [other for other in viewer.layers if isinstance(other, kind)]
            if any(other != layer and other.metadata.get(PATH) == path for other in of_kind):
                disown(layer)


def is_paintable(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Say whether a layer's array is one to paint an annotation of a shape in."""
    data = layer.data
    return isinstance(data, np.ndarray) and data.shape == shape and data.dtype == np.int32


def find_results(viewer: napari.viewer.ViewerModel, image: Image) -> list[Labels]:
    """Return the labels layers that an annotation of an image can begin from, the best first.

    These are those that a network has found in the image ("NAME [model]"), and the active one, if
    it has not been found in another.
    """
    shape, active = annotated_shape(image), viewer.layers.selection.active
    found = [
        layer
        for layer in reversed(viewer.layers)
        if isinstance(layer, Labels)
        and pixels(layer).shape == shape
        and not {PATH, MADE_HERE} & set(layer.metadata)
        and (_owner(layer) == image.name or (layer == active and _owner(layer) is None))
    ]
    return sorted(found, key=lambda layer: layer != active)


def _owner(labels: Labels) -> str | None:
    """Return the name of the image in which a network has found labels, by their own name."""
    parts = RESULT.fullmatch(labels.name)
    return parts and parts[1]


def show_background(labels: Labels) -> None:
    """Let label -1 be gray, unlike any object."""
    colours = np.array(label_colormap(COLOURS - 1).colors)
    colours[-2] = BACKGROUND_COLOUR
    labels.colormap = CyclicLabelColormap(colors=colours)


def canvas_pixel(viewer: napari.viewer.ViewerModel, layer: Layer) -> float:
    """Return the width of a pixel of the canvas in pixels of a layer."""
    zoom = float(getattr(viewer, "scene", viewer).camera.zoom)  # as in `diameter`
    return 1 / (zoom * float(np.sqrt(abs(np.prod(layer.scale[-2:])))))


def widen(viewer: napari.viewer.ViewerModel, regions: Shapes) -> None:
    """Let outlines be as wide on the canvas at any zoom."""
    width = REGION_WIDTH * canvas_pixel(viewer, regions)
    if len(regions.data):
        regions.edge_width = width
    regions.current_edge_width = width  # redraws, too


def read_region(vertices: NDArray[np.floating], kind: str, shape: tuple[int, ...]) -> Region:
    """Return the pixels whose centres a drawn rectangle holds.

    Raises
    ------
    ValueError
        If it is another shape, turned, or holds no pixel of the image.
    """
    if kind != "rectangle":
        raise ValueError(
            f"A region is a rectangle, so the {kind} does not count: delete it, and press Add"
            " region to draw a rectangle."
        )
    first, last = vertices.min(axis=0), vertices.max(axis=0)
    upright = np.isclose(vertices, first, atol=0.1) | np.isclose(vertices, last, atol=0.1)
    if not upright.all() or np.ptp(vertices[:, :-2], axis=0).any():
        raise ValueError(
            "A turned rectangle does not count as a region: delete it, and draw one along the rows"
            " and columns of the image."
        )
    region = region_of(vertices, shape)
    if region is None:
        raise ValueError("A region outside of the image does not count: move it onto the image.")
    return region
