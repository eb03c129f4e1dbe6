"""From annotated images, as arrays, to a trained checkpoint in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint, rehead
from napari_unet.config import RECIPES, Recipe, Target, check_trainable
from napari_unet.engines import choose_device
from napari_unet.library import NewNetwork
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
    architecture: str | None = None,
    target: Target | None = None,
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
    architecture : str or None
        Of a new network, which has all it can of the shape of the recipe's: a name in
        :data:`napari_unet.config.ARCHITECTURES`. None: the recipe's.
    target : Target or None
        What is to be predicted; outputs of a model that have a name in it keep their weights. None:
        what the model or the recipe does.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, recipe or architecture, or the model is of another one.
    """
    new = NewNetwork.by(recipe, architecture, target)
    if model is not None:
        loaded = Checkpoint.load(model)
        check_trainable(loaded.card.network)
        if architecture not in (None, loaded.card.architecture):
            raise ValueError(
                f"architecture = {architecture!r} is not that of {model}, which is"
                f" {loaded.card.architecture!r}: leave it out, or start from no model."
            )
        card = loaded.card
        return rehead(loaded, channels or card.network.in_channels, target or card.target, seed)
    return untrained(new.card(channels or 1), seed)


def fit(
    images: Sequence[Array],
    labels: Sequence[NDArray[np.integer[Any]]],
    output: str | Path | None = None,
    *,
    start: str | Path | None = None,
    recipe: str = "standard",
    architecture: str | None = None,
    device: str = "auto",
    axes: str | None = None,
    channel: tuple[int, ...] | None = None,
    pixel_size: float | None = None,
    classes: int | Sequence[str] | None = None,
    object_classes: Sequence[Mapping[int, int]] | None = None,
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
    recipe : {"standard", "paper", "sigmoid", "few-shot"}
        Network (when starting anew) and settings to start from.
    architecture : {"unet", "unet++", "fcn"} or None
        Kind of network, when starting anew; None: the recipe's.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train.
    axes, channel
        As in :func:`napari_unet.segment`.
    pixel_size : float or None
        Micrometres per pixel of the images, for the model to remember.
    classes : int or sequence of str, or None
        How many classes there are, background included, or their names, background first; None:
        objects of one kind (or what the start model tells apart). Labels are then classes.
    object_classes : sequence of mapping, or None
        With `classes`, where labels are objects: for each image, from an object's number to its
        class, counted from 1.
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
    tables = [None] * len(images) if object_classes is None else object_classes
    if len(tables) != len(images):
        raise ValueError(
            f"There are {len(images)} images and the classes of {len(tables)}: give one mapping for"
            " each."
        )
    pairs = [
        Pair(image, annotation, axes, channel, pixel_size, table)
        for image, annotation, table in zip(images, labels, tables, strict=True)
    ]
    target = None
    if classes is not None:
        target = find_recipe(recipe).target.telling(classes, object_classes is not None)
    begin = start_from(start, recipe, channels, config.seed, architecture, target)
    place = choose_device(device)
    groups, begin = run_to_end(prepare_pairs(pairs, begin, config, device=place))
    training, validation = hold_out(groups, config.val_fraction, np.random.default_rng(config.seed))
    path = None if output is None else Path(output)
    steps = train(training, validation, begin, config, device=place, output=path)
    return run_to_end(steps)
