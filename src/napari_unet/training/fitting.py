"""From annotated images, as arrays, to a trained checkpoint in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint, rehead
from napari_unet.config import RECIPES, Preprocessing, Recipe, TrainConfig
from napari_unet.engines import choose_device
from napari_unet.library import Card
from napari_unet.patches import Example, hold_out, prepare
from napari_unet.prediction import run_to_end
from napari_unet.preprocessing import Array
from napari_unet.training.loop import train, untrained
from napari_unet.training.settling import Pair, object_areas, settle, typical_diameter


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


def median_diameter(examples: Sequence[Example]) -> float | None:
    """Return the median diameter, in pixels, of disks with the areas of the annotated objects."""
    return typical_diameter([e.labels for e in examples])


def common_pixel_size(examples: Sequence[Example]) -> float | None:
    """Return the pixel size of all examples in micrometres; None if unknown or not the same."""
    sizes = [e.pixel_size for e in examples]
    known = [size for size in sizes if size is not None]
    same = len(known) == len(sizes) > 0 and max(known) <= 1.01 * min(known)
    return known[0] if same else None


def describe_data(
    start: Checkpoint, groups: Sequence[Sequence[Example]], command: str = ""
) -> Checkpoint:
    """State the object and pixel size that a network is about to be trained at, and on how much.

    What else is known of the network it starts from (its scores, its data) is not true of what
    will come of it, and left out.

    Parameters
    ----------
    start : Checkpoint
        Where the training starts.
    groups : sequence of sequences of Example
        What it will learn from, and be validated on.
    command : str
        What was typed to start it.

    Raises
    ------
    ValueError
        If no object is annotated.
    """
    examples = [e for group in groups for e in group]
    diameter = median_diameter(examples)
    if diameter is None:
        raise ValueError("No object is annotated: label at least one (1, 2, ... in the labels).")
    card = start.card
    pixel_size = common_pixel_size(examples)
    scale = replace(card.preprocessing, diameter=diameter, pixel_size=pixel_size)
    objects = sum(object_areas(e.labels).size for e in examples)
    data = f"{len(groups)} annotated images, {objects} objects"
    provenance: dict[str, Any] = {"data": data, "licence": "that of your images"}
    if command:
        provenance["command"] = command
    if card.is_trained:
        origin = {key: card.provenance.get(key) for key in ("name", "data", "date")}
        provenance["started_from"] = {key: value for key, value in origin.items() if value}
    return replace(start, card=replace(card, preprocessing=scale, provenance=provenance))


def prepare_pair(pair: Pair, number: int, start: Checkpoint, config: TrainConfig) -> list[Example]:
    """Turn an annotated image into examples for a network, one a plane.

    Raises
    ------
    ValueError
        If image and labels do not fit; the message names the image.
    """
    try:
        return prepare(
            pair.image,
            pair.labels,
            start.card.preprocessing,
            start.card.target,
            w0=config.w0,
            sigma=config.sigma,
            balance=config.balance,
            axes=pair.axes,
            channel=pair.channel,
            pixel_size=pair.pixel_size,
            number=number,
        )
    except ValueError as error:
        raise ValueError(f"{pair.name}: {error}" if pair.name else str(error)) from error


def prepare_pairs(
    pairs: Sequence[Pair], start: Checkpoint, config: TrainConfig, command: str = ""
) -> tuple[list[list[Example]], Checkpoint]:
    """Settle how a network is to see annotated images, and prepare them for it.

    Returns
    -------
    groups : list of list of Example
        The examples of each image.
    start : Checkpoint
        The network, its card saying what it is about to be trained on.

    Raises
    ------
    ValueError
        If a pair does not fit, or no object is annotated.
    """
    start = settle(start, pairs, config)
    groups = [prepare_pair(pair, number, start, config) for number, pair in enumerate(pairs)]
    return groups, describe_data(start, groups, command)


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
    groups, begin = prepare_pairs(pairs, begin, config)
    training, validation = hold_out(groups, config.val_fraction, np.random.default_rng(config.seed))
    path = None if output is None else Path(output)
    steps = train(training, validation, begin, config, device=choose_device(device), output=path)
    return run_to_end(steps)
