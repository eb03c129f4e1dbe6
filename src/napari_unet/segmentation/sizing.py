"""Objects that are much smaller or larger than those a network knows: it is shown them resized."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import product
from math import floor, log, pi

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.config import SegmentConfig
from napari_unet.engines import Engine
from napari_unet.instances import label_scores, object_evidence
from napari_unet.library import Card
from napari_unet.prediction import TileScores, predict_scores
from napari_unet.preprocessing import Array, Planes, ScaledPlane, zoom_factor

SMALL = 0.8
"""Of the diameter that a network knows: objects that are no wider are enlarged."""
ENLARGED = 2.0
"""How many times. Of 44 validation images of DSB 2018, 8 show such nuclei; AP at IoU 0.5 of these
rises from 0.72 to 0.79."""
LARGE = 2.5
"""Of the same diameter: objects that are as wide are shrunk."""
SHRUNK = 0.5
"""To how much, until they are narrower. Of 9 images of those 44, whose nuclei are 2.2 times as wide
as most and were made 1.3 times as large, AP at IoU 0.5 rises from 0.76 to 0.81; of 15 parts of 256
pixels, made 4 times as large, from 0.46 to 0.75."""
QUIET = 0.04
"""Standard deviation of the noise, of gray values from 0 to 1, up to which small objects are
enlarged: of louder noise, more would become objects. (Of the 44 images it is at most 0.02.)"""
CHECKER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
"""What remains of noise, and hardly anything of objects: the difference of two Laplacians."""
FEWEST = 4
"""Objects that a typical one can be told by."""
SIDE, CROPS = 256, 4
"""Pixels along the side of the parts that are looked at, and how many there are, at most."""
SHARE = 4
"""One pixel of so many of a plane is looked at, at most."""
PLACES = 3
"""Where a part may lie, on each axis; and planes of a stack of which parts are taken."""


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
    among some that lie spread over it. If the objects in them are much larger than those that the
    network knows, the image is shrunk; if they are much smaller, and there is little noise, it is
    enlarged.

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
    if config.is_sized or not rule.auto_size or rule.diameter is None:
        return Size(zoom)
    messages: dict[str, None] = {}
    seen = [ScaledPlane(plane, normalise, zoom, rule.channels) for plane in _spread(planes)]
    parts = _richest(seen)
    found = [_diameters(part, engine, card, config, messages) for part in parts]
    diameters = np.sort(np.concatenate(found))
    known = f"the {rule.expected_diameter():.0f} pixels that the model knows"
    ratio = _typical(diameters) / rule.diameter if len(diameters) >= FEWEST else 1.0
    if ratio <= SMALL and max(map(_noise, parts)) <= QUIET:
        zoom *= ENLARGED
        told = f"Objects are much smaller than {known}: it sees them enlarged {ENLARGED:g} times."
        messages[told] = None
    elif ratio >= LARGE:
        shrunk = SHRUNK ** (floor(log(LARGE / ratio, SHRUNK)) + 1)
        zoom *= shrunk
        told = f"Objects are much larger than {known}: it sees them shrunk {1 / shrunk:g} times."
        messages[told] = None
    return Size(zoom, " ".join(filter(None, messages)))


def _noise(part: Array) -> float:
    """Estimate the standard deviation of the noise in a part, (C, Y, X): of its loudest channel.

    By Immerkaer (1996), Fast noise variance estimation; with the median, which objects' borders do
    not move.
    """
    rest = np.abs([ndimage.convolve(channel, CHECKER, mode="mirror") for channel in part])
    # Weights are 36 in sum of squares; half of a normal distribution is within 0.6745 of its mean.
    return float(np.median(rest, axis=(1, 2)).max()) / (6 * 0.6745)


def _diameters(
    part: Array, engine: Engine, card: Card, config: SegmentConfig, messages: dict[str, None]
) -> NDArray[np.float64]:
    """Segment a part, (C, Y, X), and return the diameters of its objects in network pixels."""
    scores = _heard(predict_scores(engine, part, config.tile), messages)
    labels = label_scores(*object_evidence(scores, card.target), threshold=config.threshold)
    diameters: NDArray[np.float64] = 2 * np.sqrt(np.bincount(labels.ravel())[1:] / pi)
    return diameters


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


def _spread(planes: Planes) -> list[Array]:
    """Return a few planes of all."""
    return [planes[index] for index in _places(len(planes) - 1)]


def _richest(planes: Sequence[ScaledPlane]) -> list[Array]:
    """Choose the parts that are looked at: of some that lie spread, those of most contrast."""
    _, height, width = planes[0].shape
    side = min(SIDE, max(min(height, width) // 2, 1))
    count = min(max(height * width // (SHARE * side**2), 1), CROPS)
    parts = [
        plane[:, row : row + side, column : column + side]
        for plane, row, column in product(planes, _places(height - side), _places(width - side))
    ]
    return sorted(parts, key=lambda part: float(part.std()), reverse=True)[:count]


def _places(last: int) -> list[int]:
    """Return whole numbers that lie spread from 0 to the last."""
    places: list[int] = np.unique(np.linspace(0, last, PLACES).round().astype(int)).tolist()
    return places
