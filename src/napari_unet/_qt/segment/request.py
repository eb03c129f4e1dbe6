"""What is to be segmented, read off the window once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_unet._qt.layers import (
    axes_of,
    channel_axis,
    geometry,
    labels_name,
    labels_shape,
    pixel_size,
    pixels,
    position,
    visible_region,
)
from napari_unet._qt.segment import size
from napari_unet.config import Preprocessing, SegmentConfig
from napari_unet.tiling import Region, extent, whole


class Part(Enum):
    """How much of a layer to segment."""

    LAYER = "Whole layer"
    SLICE = "Current slice"
    VIEW = "Current view"


@dataclass(frozen=True)
class Request:
    """What was asked for, with nothing left to look up in a window.

    Parameters
    ----------
    layer : Image
        The image layer, the first one of several channels.
    images : tuple of array-like
        Its pixels, or those of each channel.
    axes : str
        A letter per dimension of the images.
    config : SegmentConfig
        Model, scale and so on.
    planes : tuple of int or None
        Those to segment; None: all.
    region : tuple of slice or None
        Rows and columns of them; None: all.
    name : str
        What the labels are called.
    shape : tuple of int
        Of the labels: those of the whole layer, or of the box.
    geometry : dict
        What places them on the layer.
    box : tuple of slice or None
        Of the layer's labels, what is labelled, where a layer for all would be too large.
    output : Path or None
        The OME-Zarr that labels are written to by chunks; None: they are made in memory.
    scheduler : str
        Address of the scheduler on whose workers the network runs; empty: it runs here.
    """

    layer: Image
    images: tuple[Any, ...]
    axes: str
    config: SegmentConfig
    planes: tuple[int, ...] | None
    region: Region | None
    name: str
    shape: tuple[int, ...]
    geometry: dict[str, Any]
    box: Region | None = None
    output: Path | None = None
    scheduler: str = ""


def read_request(
    viewer: napari.viewer.ViewerModel,
    layer: Image,
    second: Image | None,
    part: Part,
    rule: Preprocessing,
    typed: dict[str, Any],
) -> Request:
    """Put together what is asked for.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are.
    layer, second : Image
        The image, and what holds its second channel, if that is a layer of its own.
    part : Part
        How much of it.
    rule : Preprocessing
        Of the model.
    typed : dict
        Fields of SegmentConfig.

    Raises
    ------
    ValueError
        If something is missing, or does not fit.
    """
    axes, images = axes_of(layer), [pixels(layer)]
    if rule.channels > 1 and "S" not in axes:
        images += _other_channels(layer, second, axes, rule.channels)
    at, lengths = position(viewer, layer), images[0].shape
    if rule.diameter is None:
        typed = {**typed, "diameter": None}
    sized = rule.pixel_size is not None and typed["diameter"] is None
    config = SegmentConfig(
        **typed,
        channel=(at[axes.index("C")],) if rule.channels == 1 and "C" in axes else None,
        pixel_size=pixel_size(layer) if sized else None,
    )
    walked = [axis for axis, letter in enumerate(axes) if letter not in "CSYX"]
    here, leading = [at[i] for i in walked], [lengths[i] for i in walked]
    plane = np.ravel_multi_index(here, leading) if walked else 0
    region = visible_region(viewer, layer) if part is Part.VIEW else None
    shape, placed = labels_shape(lengths, axes), geometry(layer, channel_axis(layer))
    box = None
    if part is not Part.LAYER:
        box = (*(slice(i, i + 1) for i in here), *(region or whole(shape[-2:])))
        _check_size(part, box, size.zoom_of(layer, rule, config.diameter))
        box = box if prod(shape) > size.WHOLE_PIXELS else None
    return Request(
        layer,
        tuple(images),
        axes,
        config,
        planes=None if part is Part.LAYER else (int(plane),),
        region=region,
        name=labels_name(layer.name, config.model),
        shape=extent(box) if box else shape,
        geometry=moved(placed, [side.start for side in box]) if box else placed,
        box=box,
    )


def _check_size(part: Part, box: Region, zoom: float) -> None:
    """Refuse a part that is too large for memory: by chunks goes but a whole layer."""
    shape = extent(box)
    if not size.fits(shape, zoom):
        lengths = " x ".join(f"{n:,}" for n in shape[-2:])
        raise ValueError(
            f"The {part.value.lower()} is {lengths} pixels, too large for memory: zoom in and"
            f" choose {Part.VIEW.value}, or {Part.LAYER.value}, which goes by chunks."
        )


def moved(placed: dict[str, Any], first: Sequence[float]) -> dict[str, Any]:
    """Return what places labels that begin at a pixel of the layer."""
    known = {k: placed[k] for k in ("scale", "translate", "rotate", "shear") if k in placed}
    return {**placed, "translate": Affine(**known)(first)}


def _other_channels(layer: Image, second: Image | None, axes: str, count: int) -> list[Any]:
    """Return the pixels of the model's second channel, if they are in another layer."""
    if "C" in axes:
        found = pixels(layer).shape[axes.index("C")]
        if found != count:
            raise ValueError(
                f"{layer.name} has {found} channels and the model takes {count}: split it into"
                " layers (right click on the layer, Split Stack), and choose two."
            )
        return []
    if count > 2:
        raise ValueError(
            f"The model takes {count} channels: give one layer of which an axis is labelled c."
        )
    if second is None or second is layer:
        raise ValueError("The model takes two channels: choose a second layer for the other.")
    corners = np.zeros(layer.ndim), np.ones(layer.ndim)
    if axes_of(second) != axes or not all(
        np.allclose(layer.data_to_world(corner), second.data_to_world(corner)) for corner in corners
    ):
        raise ValueError(
            f"{layer.name} and {second.name} do not lie on one another (their scale, place or axes"
            " differ): choose two channels of one image."
        )
    return [pixels(second)]
