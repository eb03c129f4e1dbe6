"""Samples as a training draws them, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import NetworkConfig, TrainConfig
from napari_unet.library import Start, card_of
from napari_unet.patches import Example, sample_windows, side_of_patches
from napari_unet.preprocessing import Array
from napari_unet.training.preparing import prepare_pair
from napari_unet.training.session import WINDOW, augmentation
from napari_unet.training.settling import Pair, settle_polarity


@dataclass(frozen=True)
class Samples:
    """What a network is shown, and what it is to answer.

    Parameters
    ----------
    image : float32 array, shape (N, C, S, S)
        Normalised, deformed, and of other gray values.
    target : uint8 array, shape (N, S, S)
        Class of each pixel: 0 background and the ridges between objects, 1 objects; of a network
        that tells several classes apart, 1.. these.
    weights : float32 array, shape (N, S, S)
        How much each pixel counts; 0 where nothing is annotated.
    """

    image: NDArray[np.float32]
    target: NDArray[np.uint8]
    weights: NDArray[np.float32]


def draw_samples(
    image: Array,
    labels: NDArray[np.int32],
    config: TrainConfig,
    *,
    start: Start = None,
    axes: str | None = None,
    channel: tuple[int, ...] | None = None,
    classes: Mapping[int, int] | None = None,
    zoom: float = 1.0,
    count: int = 8,
    seed: int = 0,
) -> Samples:
    """Draw samples of an annotated plane, by the functions that training calls.

    Parameters
    ----------
    image : array-like
        One plane, and its channels or colours if it has any.
    labels : integer array, shape (Y, X)
        Its annotation: -1 not annotated, 0 background, 1.. objects, or classes where these are
        what the network predicts.
    config : TrainConfig
        What training will be called with.
    start : str, NewNetwork or None
        What it will start from, as in :class:`napari_unet.training.Task`.
    axes, channel
        As in :func:`napari_unet.preprocessing.as_planes`.
    classes : mapping of int to int, or None
        Class of each object, counted from 1, for networks that tell several kinds apart.
    zoom : float
        Pixels that training sees for one of the image.
    count, seed : int
        How many; another seed, other ones.

    Raises
    ------
    ValueError
        If image and labels do not fit, or nothing is annotated.
    """
    pair = Pair(image, labels, axes, channel, classes=classes)
    begin = _start(start, channel)
    # The size is not settled by one plane, but told.
    rule = replace(settle_polarity(begin.card.preprocessing, [pair]), zoom=zoom)
    begin = begin.seeing(rule)
    examples = prepare_pair(pair, 0, begin, config)
    if not examples:
        raise ValueError(
            "Nothing is annotated on this plane: label some objects, or go to a plane that is."
        )
    return _drawn(examples, begin.card.network, config, count, seed)


def _start(start: Start, channel: tuple[int, ...] | None) -> Checkpoint:
    """Return what a training starts from, but for its weights."""
    card = card_of(start)
    if channel is not None:
        network = replace(card.network, in_channels=len(channel))
        rule = replace(card.preprocessing, channels=len(channel))
        card = replace(card, network=network, preprocessing=rule)
    return Checkpoint(card, {})


def _drawn(
    examples: list[Example], network: NetworkConfig, config: TrainConfig, count: int, seed: int
) -> Samples:
    size = side_of_patches(network, config.patch)
    random = np.random.default_rng(seed)
    inner = network.output_size(size)
    windows = sample_windows(examples, round(WINDOW * size), count, random, predicted=inner)
    batch = augmentation(config)(windows, size, torch.Generator().manual_seed(seed))
    image, target, weights = (t.numpy() for t in (batch.image, batch.target, batch.weights))
    return Samples(image, target[:, 0].astype(np.uint8), weights[:, 0])
