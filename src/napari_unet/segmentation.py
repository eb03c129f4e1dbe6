"""Image to labels: preprocessing, scores tile by tile, objects."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import SegmentConfig, Target
from napari_unet.engines import Engine, TorchEngine, choose_device
from napari_unet.instances import class_map, classify, label_scores, object_evidence
from napari_unet.library import Card
from napari_unet.prediction import TileScores, predict_scores, run_to_end
from napari_unet.preprocessing import (
    Array,
    as_planes,
    measure,
    rescale,
    restore,
    zoom_factor,
)

TYPICAL_DIAMETER = 20.0
"""Of objects in network pixels, where a model does not state its own."""
SMALLEST_SHARE = 0.05
"""Of a typical object's area: what is smaller is noise."""


@dataclass(frozen=True)
class SegmentProgress:
    """A tile that is done, as :func:`segment_steps` yields it.

    Parameters
    ----------
    plane : int
        Index of the plane among those of the image.
    planes : int
        Number of planes.
    tile, tiles : int
        Tiles done in this plane, and in all of it.
    write : tuple of slice
        The pixels the tile covers, in the plane as the network sees it.
    scores : float32 array, shape (K, height, width)
        Their scores.
    message : str
        What the user should be told, if anything.
    """

    plane: int
    planes: int
    tile: int
    tiles: int
    write: tuple[slice, ...]
    scores: NDArray[np.float32]
    message: str = ""


@dataclass(frozen=True)
class Objects:
    """What the objects of a plane are, that of number 1 first.

    Parameters
    ----------
    classes : intp array, shape (n,)
        Index of each one's class among the target's, where 0 is background.
    scores : float array, shape (n,)
        Mean score of that class in it, in [0, 1].
    """

    classes: NDArray[np.intp]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Segmentation:
    """Labels, and what the network said before they were decided on.

    Parameters
    ----------
    labels : int32 array, shape (*leading, Y, X)
        0 background, 1.. objects, numbered anew in each plane.
    scores : tuple of float32 array, each (K, y, x)
        A plane each, in network pixels; empty if they were not to be kept.
    card : Card
        Of the network that gave them.
    objects : tuple of Objects
        A plane each; empty for models that label areas instead of objects.
    zoom : float
        Network pixels per image pixel.
    """

    labels: NDArray[np.int32]
    scores: tuple[NDArray[np.float32], ...]
    card: Card
    objects: tuple[Objects, ...] = ()
    zoom: float = 1.0

    def relabel(self, config: SegmentConfig) -> NDArray[np.int32]:
        """Decide anew on the kept scores; the network is not run again.

        Raises
        ------
        ValueError
            If scores were not kept.
        """
        if not self.scores:
            raise ValueError("The scores were not kept: segment with keep_scores=True.")
        labels = np.empty_like(self.labels)
        for plane, scores in zip(_flat(labels), self.scores, strict=True):
            plane[...] = label_plane(scores, self.card, config, self.zoom, plane.shape)
        return labels


def label_plane(
    scores: NDArray[np.float32],
    card: Card,
    config: SegmentConfig,
    zoom: float,
    shape: tuple[int, ...],
) -> NDArray[np.int32]:
    """Decide on the scores (K, y, x) of one plane.

    Parameters
    ----------
    scores : float32 array, shape (K, y, x)
        In network pixels; 0 where nothing was predicted, which is background.
    card : Card
        Of the network.
    config : SegmentConfig
        Threshold and size; `min_size` counts image pixels.
    zoom : float
        Network pixels per image pixel.
    shape : tuple of int
        Height and width of the image.

    Returns
    -------
    int32 array of that shape
    """
    target = card.target
    if not target.instances:
        return restore(class_map(scores[: len(target.classes)]), shape)
    smallest = config.min_size
    labels = label_scores(
        *object_evidence(scores, target),
        threshold=config.threshold,
        min_size=smallest_object(card) if smallest is None else round(smallest * zoom**2),
        fill_holes=config.fill_holes,
        remove_border=config.remove_border,
    )
    return restore(labels, shape)


def smallest_object(card: Card) -> int:
    """Return how many network pixels an object has at least, if nobody says."""
    diameter = card.preprocessing.diameter or TYPICAL_DIAMETER
    return round(SMALLEST_SHARE * pi / 4 * diameter**2)


def describe_objects(
    labels: NDArray[np.int32], scores: NDArray[np.float32], target: Target
) -> Objects:
    """Return class and score of the objects of one plane.

    Parameters
    ----------
    labels : int32 array, shape (Y, X)
        Objects 1..n, in image pixels.
    scores : float32 array, shape (K, y, x)
        In network pixels.
    target : Target
        What the channels mean.
    """
    shown = restore(labels, scores.shape[1:])
    classes, means = classify(shown, scores[: len(target.classes)])
    missing = int(labels.max(initial=0)) - len(classes)  # too small to have a network pixel
    return Objects(np.pad(classes, (0, missing), constant_values=1), np.pad(means, (0, missing)))


def segment_steps(
    image: Array,
    engine: Engine,
    card: Card,
    config: SegmentConfig,
    axes: str | None = None,
    keep_scores: bool = False,
) -> Generator[SegmentProgress, bool | None, Segmentation]:
    """Segment an image a tile at a time.

    Parameters
    ----------
    image : array-like
        Gray, colour or multichannel image, stack or time series.
    engine : Engine
        What runs the network.
    card : Card
        Of the network.
    config : SegmentConfig
        Scale, channel, tile and what objects are.
    axes : str or None
        A letter per dimension; None: guessed from the shape.
    keep_scores : bool
        Whether to keep the scores of all planes in memory.

    Yields
    ------
    SegmentProgress
        After each tile. Send True to stop.

    Returns
    -------
    Segmentation
        After a stop, background where no tile was predicted.

    Raises
    ------
    ValueError
        If the image does not fit the model.
    OutOfMemory
        If memory is not enough even for the smallest tile.
    """
    planes = as_planes(image, card.preprocessing, axes, config.channel)
    zoom = zoom_factor(card.preprocessing, config.diameter, config.pixel_size)
    normalise = measure(planes, card.preprocessing)
    labels = np.zeros((*planes.leading, *planes.plane_shape), np.int32)
    kept: list[NDArray[np.float32]] = []
    objects: list[Objects] = []
    for index, (plane, flat) in enumerate(zip(planes, _flat(labels), strict=True)):
        pixels = rescale(normalise(plane), zoom)
        tiles = predict_scores(engine, pixels, config.tile)
        scores, stopped = yield from _plane_steps(tiles, index, len(planes))
        flat[...] = label_plane(scores, card, config, zoom, planes.plane_shape)
        if card.target.instances:
            objects.append(describe_objects(flat, scores, card.target))
        if keep_scores:
            kept.append(scores)
        if stopped:
            break
    if keep_scores:
        # Planes that a stop left out have no scores; one read-only zero stands for all of theirs.
        kept += [np.broadcast_to(np.float32(0), kept[0].shape)] * (len(planes) - len(kept))
    if card.target.instances:
        none = Objects(np.zeros(0, np.intp), np.zeros(0))
        objects += [none] * (len(planes) - len(objects))
    return Segmentation(labels, tuple(kept), card, tuple(objects), zoom)


def _flat(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """See labels (*leading, Y, X) as (N, Y, X)."""
    return labels.reshape(-1, *labels.shape[-2:])


def count_objects(labels: NDArray[np.int32]) -> int:
    """Count the objects of all planes (*leading, Y, X), numbered 1..n in each."""
    return sum(int(plane.max(initial=0)) for plane in _flat(labels))


def _plane_steps(
    tiles: Generator[TileScores, bool | None, NDArray[np.float32]], plane: int, planes: int
) -> Generator[SegmentProgress, bool | None, tuple[NDArray[np.float32], bool]]:
    """Pass on a plane's tiles, and stops; returns its scores and whether it was stopped."""
    stop: bool | None = None
    while True:
        try:
            tile = tiles.send(stop)
        except StopIteration as end:
            return end.value, bool(stop)
        stop = yield SegmentProgress(
            plane, planes, tile.index, tile.total, tile.write, tile.scores, tile.message
        )


def load_engine(config: SegmentConfig) -> tuple[TorchEngine, Card]:
    """Load the config's model on its device.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model or device, or the file is none.
    """
    device = choose_device(config.device)
    checkpoint = Checkpoint.load(config.model)
    card = checkpoint.card
    return TorchEngine(checkpoint.build(), card.network, card.target, device), card


def segment(
    image: Array, model: str | Path = "nuclei", *, axes: str | None = None, **options: Any
) -> NDArray[np.int32]:
    """Label the objects of an image.

    Parameters
    ----------
    image : array-like of bool, int or float
        Gray or colour image, or a stack, time series or channels of them.
    model : str or Path
        Name of a model, or path of a ``.safetensors`` file.
    axes : str or None
        A letter per dimension, such as "TCYX": Y and X, C for channels, S for colour samples;
        others are walked plane by plane. None: guessed from the shape.
    **options
        Further fields of :class:`napari_unet.config.SegmentConfig`: `diameter`, `pixel_size`,
        `channel`, `device`, `tile`, `threshold`, `min_size`, `fill_holes`, `remove_border`.

    Returns
    -------
    int32 array
        The image's shape without channels: 0 background, 1.. objects, numbered in each plane.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If an option is impossible, or the image does not fit the model.

    Examples
    --------
    >>> import napari_unet
    >>> from skimage.data import cell
    >>> labels = napari_unet.segment(cell(), model="nuclei")
    """
    config = SegmentConfig(model=str(model), **options)
    engine, card = load_engine(config)
    return run_to_end(segment_steps(image, engine, card, config, axes)).labels
