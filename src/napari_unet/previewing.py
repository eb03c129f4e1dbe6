"""Samples as a training draws them, to be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.config import RECIPES, Preprocessing, Target, TrainConfig
from napari_unet.patches import Example, prepare, sample_windows
from napari_unet.preprocessing import Array
from napari_unet.training.session import WINDOW, augmentation


@dataclass(frozen=True)
class Samples:
    """What a network is shown, and what it is to answer.

    Parameters
    ----------
    image : float32 array, shape (N, C, S, S)
        Normalised, deformed, and of other gray values.
    target : uint8 array, shape (N, S, S)
        1 objects, 0 background and the ridges between objects.
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
    axes: str | None = None,
    channel: tuple[int, ...] | None = None,
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
        Its annotation: -1 not annotated, 0 background, 1.. objects.
    config : TrainConfig
        What training will be called with.
    axes, channel
        As in :func:`napari_unet.preprocessing.as_planes`.
    zoom : float
        Pixels that training sees for one of the image.
    count, seed : int
        How many; another seed, other ones.

    Raises
    ------
    ValueError
        If image and labels do not fit, or nothing is annotated.
    """
    examples = prepare(
        image,
        labels,
        Preprocessing(zoom=zoom),
        Target(),
        w0=config.w0,
        sigma=config.sigma,
        balance=config.balance,
        axes=axes,
        channel=channel,
    )
    if not examples:
        raise ValueError(
            "Nothing is annotated on this plane: label some objects, or go to a plane that is."
        )
    return _drawn(examples, config, count, seed)


def _drawn(examples: list[Example], config: TrainConfig, count: int, seed: int) -> Samples:
    size = RECIPES["standard"].network.nearest_valid_sizes(config.patch)[1]
    random = np.random.default_rng(seed)
    windows = sample_windows(examples, round(WINDOW * size), count, random)
    batch = augmentation(config)(windows, size, torch.Generator().manual_seed(seed))
    image, target, weights = (t.numpy() for t in (batch.image, batch.target, batch.weights))
    return Samples(image, target[:, 0].astype(np.uint8), weights[:, 0])
