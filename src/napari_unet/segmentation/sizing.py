"""Objects that are much smaller than those a network knows: it is shown them enlarged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Preprocessing, SegmentConfig
from napari_unet.engines import Engine
from napari_unet.instances import label_scores, object_evidence
from napari_unet.library import Card
from napari_unet.prediction import predict_scores, run_to_end
from napari_unet.preprocessing import Array, Planes, ScaledPlane, zoom_factor
from napari_unet.tiling import Region

SMALL = 0.75
"""Of the diameter that a network knows: objects that are no wider are enlarged."""
ENLARGED = 2.0
"""How many times. Of 44 validation images of DSB 2018, 8 show such nuclei; AP at IoU 0.5 of these
rises from 0.72 to 0.79."""
FEWEST = 5
"""Objects that a typical one can be told by."""
SIDE, CROPS = 256, 4
"""Pixels along the side of the parts that are looked at, and how many there are, at most."""
SHARE = 4
"""One pixel of so many of a plane is looked at, at most."""
PLACES = 3
"""Where a part may lie, on each axis; and planes of a stack of which parts are taken."""


@dataclass(frozen=True)
class Crop:
    """A part of a plane, in network pixels."""

    plane: int
    region: Region


def choose_zoom(
    planes: Planes,
    normalise: Callable[[Array], NDArray[np.float32]],
    engine: Engine,
    card: Card,
    config: SegmentConfig,
) -> float:
    """Return the factor by which to show an image to a network.

    Where no size is typed, nor known of the image, a few parts of it are segmented first, those of
    the most contrast among some that lie spread over it. If the objects in them are much smaller
    than those that the network knows, the image is enlarged.

    Parameters
    ----------
    planes : Planes
        The image.
    normalise : callable
        Of the whole image; see :func:`napari_unet.preprocessing.measure`.
    engine : Engine
        What runs the network.
    card : Card
        Of the network.
    config : SegmentConfig
        Diameter and pixel size, and what objects are.

    Returns
    -------
    float
        Network pixels per image pixel.

    Raises
    ------
    ValueError
        As :func:`napari_unet.preprocessing.zoom_factor`.
    OutOfMemory
        If memory is not enough even for the smallest tile.
    """
    rule = card.preprocessing
    zoom = zoom_factor(rule, config.diameter, config.pixel_size)
    if config.is_sized or rule.diameter is None or not card.target.instances:
        return zoom
    sizes: list[NDArray[np.intp]] = []
    for crop in _crops(planes, normalise, rule, zoom):
        seen = ScaledPlane(planes[crop.plane], normalise, zoom, rule.channels)
        scores = run_to_end(predict_scores(engine, seen, config.tile, region=crop.region))
        labels = label_scores(*object_evidence(scores, card.target), threshold=config.threshold)
        sizes.append(np.bincount(labels.ravel())[1:])
    found = np.sort(np.concatenate(sizes))
    if len(found) < FEWEST:
        return zoom
    # Of the object in which a typical pixel lies: neither specks nor what an edge leaves of others
    # say how large objects are.
    area = found[np.searchsorted(np.cumsum(found), found.sum() / 2)]
    return zoom * ENLARGED if 2 * sqrt(area / pi) <= SMALL * rule.diameter else zoom


def told_of(zoom: float, card: Card, config: SegmentConfig) -> str:
    """Return what the user should be told of a factor that was chosen, if anything."""
    rule = card.preprocessing
    if rule.diameter is None or zoom == zoom_factor(rule, config.diameter, config.pixel_size):
        return ""
    return (
        f"Objects are much smaller than the {rule.diameter / rule.zoom:.0f} pixels that the model"
        f" knows: it sees them enlarged {ENLARGED:g} times."
    )


def _crops(
    planes: Planes,
    normalise: Callable[[Array], NDArray[np.float32]],
    rule: Preprocessing,
    zoom: float,
) -> list[Crop]:
    """Choose the parts that are looked at."""

    def contrast(crop: Crop) -> float:
        seen = ScaledPlane(planes[crop.plane], normalise, zoom, rule.channels)
        return float(seen[(slice(None), *crop.region)].std())

    candidates = list(_candidates(planes, rule, zoom))
    shape = ScaledPlane(planes[0], normalise, zoom, rule.channels).shape[1:]
    side = _side(shape)
    count = min(max(shape[0] * shape[1] // (SHARE * side**2), 1), CROPS)
    return sorted(candidates, key=contrast, reverse=True)[:count]


def _side(shape: tuple[int, ...]) -> int:
    return min(SIDE, max(min(shape) // 2, 1))


def _candidates(planes: Planes, rule: Preprocessing, zoom: float) -> Iterator[Crop]:
    """Yield the parts that may be looked at, which lie spread over the image."""
    shape = ScaledPlane(planes[0], np.asarray, zoom, rule.channels).shape[1:]
    side = _side(shape)
    chosen = np.unique(np.linspace(0, len(planes) - 1, PLACES).round().astype(int)).tolist()
    starts = (
        np.unique(np.linspace(0, n - side, PLACES).round().astype(int)).tolist() for n in shape
    )
    for plane, row, column in product(chosen, *starts):
        yield Crop(plane, (slice(row, row + side), slice(column, column + side)))
