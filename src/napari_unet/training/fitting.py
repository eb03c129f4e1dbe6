"""From annotated images, as arrays, to a trained checkpoint in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint, rehead
from napari_unet.config import RECIPES, Preprocessing, Recipe
from napari_unet.engines import choose_device
from napari_unet.library import Card
from napari_unet.patches import hold_out
from napari_unet.prediction import run_to_end
from napari_unet.preprocessing import Array
from napari_unet.training.loop import train, untrained
from napari_unet.training.preparing import prepare_pairs
from napari_unet.training.settling import Pair


def find_recipe(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe = {name!r} is unknown: use one of {', '.join(RECIPES)}.")
    return RECIPES[name]


def start_from(
    model: str | Path | None,
    recipe: str = "standard",
    channels: int | None = None,
    seed: int = 0,
) -> Checkpoint:
    """Return what a training starts from.

    Parameters
    ----------
    model : str, Path or None
        Name or path of a trained model; None: the recipe's network with random weights.
    recipe : str
        Name of the recipe.
    channels : int or None
        Channels of the images; a model that takes another number of them gets new first kernels,
        and keeps the rest. None: those of the model, or one.
    seed : int
        Of random weights.
    """
    if model is not None:
        loaded = Checkpoint.load(model)
        if channels is None or channels == loaded.card.network.in_channels:
            return loaded
        return rehead(loaded, channels, loaded.card.target, seed)
    chosen = find_recipe(recipe)
    network = replace(chosen.network, in_channels=channels or 1)
    card = Card(network, chosen.target, Preprocessing(channels=network.in_channels))
    return untrained(card, seed)


def fit(
    images: Sequence[Array],
    labels: Sequence[NDArray[np.integer[Any]]],
    output: str | Path | None = None,
    *,
    start: str | Path | None = None,
    recipe: str = "standard",
    device: str = "auto",
    axes: str | None = None,
    channel: tuple[int, ...] | None = None,
    pixel_size: float | None = None,
    **options: Any,
) -> Checkpoint:
    """Train a network on annotated images; ``napari_unet.train`` is this function.

    Parameters
    ----------
    images : sequence of array-like
        The images.
    labels : sequence of integer arrays
        Their annotations: 0 background, 1.. objects, -1 not annotated.
    output : str, Path or None
        File of the best checkpoint, ending in ``.safetensors``; None: only returned.
    start : str, Path or None
        Name or path of a model to start from; None: random weights.
    recipe : {"standard", "paper", "few-shot"}
        Network (when starting anew) and settings to start from.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train.
    axes, channel
        As in :func:`napari_unet.segment`.
    pixel_size : float or None
        Micrometres per pixel of the images, for the model to remember.
    **options
        Fields of :class:`napari_unet.config.TrainConfig` that differ from the recipe's.

    Returns
    -------
    Checkpoint
        The best by validation on what was held out.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, an option is impossible, or images and labels do not fit.
    """
    config = replace(find_recipe(recipe).training, **options)
    if len(images) != len(labels):
        raise ValueError(
            f"There are {len(images)} images and {len(labels)} label images: give one for each."
        )
    channels = None if channel is None else len(channel)
    pairs = [
        Pair(image, annotation, axes, channel, pixel_size)
        for image, annotation in zip(images, labels, strict=True)
    ]
    begin = start_from(start, recipe, channels, config.seed)
    place = choose_device(device)
    groups, begin = run_to_end(prepare_pairs(pairs, begin, config, device=place))
    training, validation = hold_out(groups, config.val_fraction, np.random.default_rng(config.seed))
    path = None if output is None else Path(output)
    steps = train(training, validation, begin, config, device=place, output=path)
    return run_to_end(steps)
