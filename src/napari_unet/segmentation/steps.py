"""Image to scores to labels, a tile at a time."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import ONNXConfig, SegmentConfig
from napari_unet.engines import (
    TENSOR,
    AveragedEngine,
    Engine,
    ONNXEngine,
    Precision,
    TorchEngine,
    choose_device,
    make_engine,
)
from napari_unet.library import Card
from napari_unet.memory import free_memory
from napari_unet.prediction import TileScores, predict_scores, run_to_end
from napari_unet.preprocessing import (
    Array,
    Frame,
    Planes,
    ScaledPlane,
    as_planes,
    measure,
)
from napari_unet.segmentation.result import Objects, Segmentation, describe_objects, label_plane
from napari_unet.segmentation.sizing import choose_size
from napari_unet.tiling import Region, extent, whole

KEPT_SHARE = 0.5
"""Of the free memory, that scores may take which are kept for deciding anew."""


@dataclass(frozen=True)
class Area:
    """The part of an image to segment.

    Parameters
    ----------
    planes : tuple of int or None
        Indices of planes, the leading axes counted through in C order; None: all.
    region : tuple of slice, or None
        Rows and columns of each; None: all.
    """

    planes: tuple[int, ...] | None = None
    region: Region | None = None

    def on(self, planes: Planes, zoom: float) -> tuple[tuple[int, ...], Frame]:
        """Return the planes and the rectangle that this is of an image.

        Raises
        ------
        ValueError
            If the image has no such plane, or nothing of the rectangle.
        """
        count, shape = len(planes), planes.plane_shape
        chosen = tuple(range(count)) if self.planes is None else self.planes
        if not chosen or not all(0 <= index < count for index in chosen):
            raise ValueError(f"planes = {chosen} do not fit an image of {count}, counted from 0.")
        limits = whole(shape)
        region = tuple(
            slice(max(part.start, 0), min(part.stop, limit.stop))
            for part, limit in zip(self.region or limits, limits, strict=True)
        )
        if any(part.start >= part.stop for part in region):
            raise ValueError(f"The region {self.region} has no pixel of an image of shape {shape}.")
        return chosen, Frame(shape, region, zoom)


@dataclass(frozen=True)
class SegmentProgress:
    """A tile that is done, as :func:`segment_steps` yields it.

    Parameters
    ----------
    plane : int
        Index of the plane among those of the image.
    number, planes : int
        Planes done before it, and all that were asked for.
    tile, tiles : int
        Tiles done in this plane, and in all of it.
    write : tuple of slice
        The pixels the tile covers, in the plane as the network sees it.
    scores : float32 array, shape (K, height, width)
        Their scores.
    frame : Frame
        Where the network's pixels lie in the image.
    share : float
        Of all pixels that are done, in (0, 1].
    message : str
        What the user should be told, if anything.
    labels : int32 array or None
        With a plane's last tile: the labels of what was asked for of it, in image pixels.
    """

    plane: int
    number: int
    planes: int
    tile: int
    tiles: int
    write: tuple[slice, ...]
    scores: NDArray[np.float32]
    frame: Frame
    share: float
    message: str = ""
    labels: NDArray[np.int32] | None = None


def segment_steps(
    image: Array,
    engine: Engine,
    card: Card,
    config: SegmentConfig,
    axes: str | None = None,
    keep_scores: bool | None = False,
    area: Area | None = None,
    pace: float | None = None,
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
    keep_scores : bool or None
        Whether to keep the scores of all planes in memory; None: if they take no more than half of
        what is free.
    area : Area or None
        The part to segment; None: all. Scores are those that the part has in the whole.
    pace : float or None
        Seconds that a tile may take, about, for those who watch; see
        :func:`napari_unet.prediction.predict_scores`.

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
        If the image does not fit the model, or the area the image.
    OutOfMemory
        If memory is not enough even for the smallest tile.
    """
    planes = as_planes(image, card.preprocessing, axes, config.channel)
    normalise = measure(planes, card.preprocessing)
    if config.averaged:
        engine = AveragedEngine(engine)
    size = choose_size(planes, normalise, engine, card, config)
    chosen, frame = (area or Area()).on(planes, size.zoom)
    labels = np.zeros((*planes.leading, *planes.plane_shape), np.int32)
    result = Segmentation(labels, (), card, (), chosen, frame)
    kept: list[NDArray[np.float32]] = []
    objects: list[Objects] = []
    if keep_scores is None:
        shape = (len(chosen), engine.channels, *extent(frame.seen))
        keep_scores = prod(shape) * 4 <= KEPT_SHARE * free_memory()  # float32
    for number, index in enumerate(chosen):
        pixels = ScaledPlane(planes[index], normalise, size.zoom, card.preprocessing.channels)
        tiles = predict_scores(engine, pixels, config.tile, region=frame.seen, pace=pace)
        told = size.message if number == 0 else ""
        steps = _plane_steps(tiles, index, number, len(chosen), frame, told)
        scores, last, stopped = yield from steps
        found = result.plane(index)
        found[...] = label_plane(scores, card, config, frame)
        if card.target.instances:
            objects.append(describe_objects(found, scores, card.target))
        if keep_scores:
            kept.append(scores)
        if last is not None:
            stopped = bool((yield replace(last, labels=found)))
        if stopped:
            break
    missing = len(chosen) - len(objects if card.target.instances else kept)
    if keep_scores:
        # Planes that a stop left out have no scores; one read-only zero stands for all of theirs.
        kept += [np.broadcast_to(np.float32(0), kept[0].shape)] * missing
    if card.target.instances:
        objects += [Objects(np.zeros(0, np.intp), np.zeros(0))] * missing
    return replace(result, scores=tuple(kept), objects=tuple(objects))


def _plane_steps(
    tiles: Generator[TileScores, bool | None, NDArray[np.float32]],
    plane: int,
    number: int,
    planes: int,
    frame: Frame,
    message: str,
) -> Generator[
    SegmentProgress, bool | None, tuple[NDArray[np.float32], SegmentProgress | None, bool]
]:
    """Pass on a plane's tiles but the last, the first one with a message, and stops.

    Returns
    -------
    scores : float32 array
        Those of the plane.
    last : SegmentProgress or None
        The last tile, which goes out with the labels; None after a stop.
    stopped : bool
        Whether there was one.
    """
    stop: bool | None = None
    last: SegmentProgress | None = None
    while True:
        try:
            tile = tiles.send(stop)
        except StopIteration as end:
            return end.value, last, bool(stop)
        last = SegmentProgress(
            plane=plane,
            number=number,
            planes=planes,
            tile=tile.index,
            tiles=tile.total,
            write=tile.write,
            scores=tile.scores,
            frame=frame,
            share=(number + tile.share) / planes,
            message=" ".join(filter(None, (message, tile.message))),
        )
        message = ""
        if tile.index < tile.total:
            stop = yield last
            last = None


def load_engine(config: SegmentConfig, precision: Precision = "auto") -> tuple[TorchEngine, Card]:
    """Load the config's model on its device, to compute in some precision.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model or device, or the file is none.
    ImportError
        If the model is from elsewhere, and what runs it is not installed.
    """
    device = choose_device(config.device)
    checkpoint = Checkpoint.load(config.model)
    card = checkpoint.card
    if isinstance(card.network, ONNXConfig):
        graph = checkpoint.weights[TENSOR].numpy().tobytes()
        return ONNXEngine(graph, card.network, card.target, device), card
    engine = make_engine(checkpoint.build(), card.network, card.target, device, precision)
    return engine, card


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
        `channel`, `device`, `tile`, `averaged`, `threshold`, `min_size`, `fill_holes`,
        `remove_border`.

    Returns
    -------
    int32 array
        The image's shape without channels, its axes in their order: 0 background, 1.. objects,
        numbered in each plane.

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
    labels = run_to_end(segment_steps(image, engine, card, config, axes)).labels
    return labels if axes is None else _as_given(labels, axes.upper())


def _as_given(labels: NDArray[np.int32], axes: str) -> NDArray[np.int32]:
    """Put labels (..., Y, X) into the order that the image's axes have."""
    given = [n for n, a in enumerate(axes) if a not in "CS"]
    now = [n for n in given if axes[n] not in "YX"] + [axes.index(a) for a in "YX"]
    return labels.transpose([now.index(n) for n in given])
