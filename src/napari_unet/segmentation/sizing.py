"""Objects that are much smaller than those a network knows: it is shown them enlarged."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import product
from math import pi

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Preprocessing, SegmentConfig
from napari_unet.engines import Engine
from napari_unet.instances import label_scores, object_evidence
from napari_unet.library import Card
from napari_unet.prediction import TileScores, predict_scores
from napari_unet.preprocessing import Array, Planes, ScaledPlane, zoom_factor
from napari_unet.tiling import Region

SMALL = 0.8
"""Of the diameter that a network knows: objects that are no wider are enlarged."""
ENLARGED = 2.0
"""How many times. Of 44 validation images of DSB 2018, 8 show such nuclei; AP at IoU 0.5 of these
rises from 0.72 to 0.79."""
FEWEST = 4
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


@dataclass(frozen=True)
class Size:
    """How large an image is shown to a network.

    Parameters
    ----------
    zoom : float
        Network pixels per image pixel.
    message : str
        What the user should be told of it, if anything.
    """

    zoom: float
    message: str = ""


def choose_size(
    planes: Planes,
    normalise: Callable[[Array], NDArray[np.float32]],
    engine: Engine,
    card: Card,
    config: SegmentConfig,
) -> Size:
    """Choose the size at which to show an image to a network.

    Where neither the diameter of objects nor the pixel size is stated, and the network has learnt
    from enlarged images, a few parts of the image are segmented first: those of the most contrast
    among some that lie spread over it. If the objects in them are much smaller than those that the
    network knows, the image is enlarged.

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

    Raises
    ------
    ValueError
        As :func:`napari_unet.preprocessing.zoom_factor`.
    OutOfMemory
        If memory is not enough even for the smallest tile.
    """
    rule = card.preprocessing
    zoom = zoom_factor(rule, config.diameter, config.pixel_size)
    if config.is_sized or not rule.enlarge_small or rule.diameter is None:
        return Size(zoom)
    found: list[NDArray[np.float64]] = []
    messages: dict[str, None] = {}
    for crop in _crops(planes, normalise, rule, zoom):
        seen = ScaledPlane(planes[crop.plane], normalise, zoom, rule.channels)
        steps = predict_scores(engine, seen, config.tile, region=crop.region)
        scores = _heard(steps, messages)
        labels = label_scores(*object_evidence(scores, card.target), threshold=config.threshold)
        found.append(2 * np.sqrt(np.bincount(labels.ravel())[1:] / pi))
    diameters = np.sort(np.concatenate(found))
    if len(diameters) >= FEWEST and _typical(diameters) <= SMALL * rule.diameter:
        zoom *= ENLARGED
        messages[
            f"Objects are much smaller than the {rule.diameter / rule.zoom:.0f} pixels that the"
            f" model knows: it sees them enlarged {ENLARGED:g} times."
        ] = None
    return Size(zoom, " ".join(filter(None, messages)))


def _heard(
    steps: Generator[TileScores, bool | None, NDArray[np.float32]], messages: dict[str, None]
) -> NDArray[np.float32]:
    """Return the scores, and take note of what the user should be told on the way there."""
    while True:
        try:
            messages[next(steps).message] = None
        except StopIteration as end:
            scores: NDArray[np.float32] = end.value
            return scores


def _typical(diameters: NDArray[np.float64]) -> float:
    """Return the diameter, of some in order, up to which objects are half as wide as all in sum.

    Specks, and what an edge leaves of an object, draw the median down more.
    """
    width = np.cumsum(diameters)
    return float(diameters[np.searchsorted(width, width[-1] / 2)])


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
