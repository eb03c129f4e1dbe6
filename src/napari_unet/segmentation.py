"""Image to labels: preprocessing, scores tile by tile, objects."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import SegmentConfig, Target
from napari_unet.engines import Engine, TorchEngine, choose_device
from napari_unet.instances import class_map, label_scores
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
class Segmentation:
    """Labels, and what the network said before they were decided on.

    Parameters
    ----------
    labels : int32 array, shape (*leading, Y, X)
        0 background, 1.. objects, numbered anew in each plane.
    scores : tuple of float32 array, each (K, y, x)
        A plane each, in network pixels; empty if they were not to be kept.
    target : Target
        What their channels mean.
    zoom : float
        Network pixels per image pixel.
    """

    labels: NDArray[np.int32]
    scores: tuple[NDArray[np.float32], ...]
    target: Target
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
            plane[...] = label_plane(scores, self.target, config, self.zoom, plane.shape)
        return labels


def label_plane(
    scores: NDArray[np.float32],
    target: Target,
    config: SegmentConfig,
    zoom: float,
    shape: tuple[int, ...],
) -> NDArray[np.int32]:
    """Decide on the scores (K, y, x) of one plane.

    Parameters
    ----------
    scores : float32 array, shape (K, y, x)
        In network pixels.
    target : Target
        What the channels mean.
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
    classes = len(target.classes)
    if not target.instances:
        return restore(class_map(scores[:classes]), shape)
    labels = label_scores(
        1 - scores[0],
        scores[classes] if "distance" in target.extras else None,
        threshold=config.threshold,
        min_size=round(config.min_size * zoom**2),
        fill_holes=config.fill_holes,
        remove_border=config.remove_border,
    )
    return restore(labels, shape)


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
    for index, (plane, flat) in enumerate(zip(planes, _flat(labels), strict=True)):
        pixels = rescale(normalise(plane), zoom)
        tiles = predict_scores(engine, pixels, config.tile)
        scores, stopped = yield from _plane_steps(tiles, index, len(planes))
        flat[...] = label_plane(scores, card.target, config, zoom, planes.plane_shape)
        if keep_scores:
            kept.append(scores)
        if stopped:
            break
    if keep_scores:
        # Planes that a stop left out have no scores; one read-only zero stands for all of theirs.
        kept += [np.broadcast_to(np.float32(0), kept[0].shape)] * (len(planes) - len(kept))
    return Segmentation(labels, tuple(kept), card.target, zoom)


def _flat(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """See labels (*leading, Y, X) as (N, Y, X)."""
    return labels.reshape(-1, *labels.shape[-2:])


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
    image = image if hasattr(image, "dtype") else np.asarray(image)
    return run_to_end(segment_steps(image, engine, card, config, axes)).labels
