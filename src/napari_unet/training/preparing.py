"""Annotated images, as arrays or from files, made ready for a network to learn from."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import torch

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import TrainConfig
from napari_unet.patches import Example, Plane, annotated_planes, limited, teach
from napari_unet.training.scoring import judge, summarise
from napari_unet.training.settling import (
    Pair,
    object_areas,
    settle_polarity,
    sizes_to_try,
    typical_diameter,
)

LOOKED_AT = 2**19
"""Pixels on which a size is tried: seconds on a CPU."""
USEFUL = 0.1
"""AP@0.5 from which on a network is at home at a size; below it, what it finds says nothing."""
T = TypeVar("T")
Steps = Generator[float, None, T]
"""The share that is done; whoever has enough of it closes the generator."""
Prepared = tuple[list[list[Example]], Checkpoint]
"""The examples of each image, and the network that is to learn from them."""


def median_diameter(examples: Sequence[Example]) -> float | None:
    """Return the median diameter of objects in examples; see :func:`typical_diameter`."""
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
    card, objects = start.card, sum(object_areas(e.labels).size for e in examples)
    if not objects:
        raise ValueError("No object is annotated: label at least one (1, 2, ... in the labels).")
    # Of strokes, which tell no size, it learns at the size that is known already.
    diameter = median_diameter(examples) or card.preprocessing.diameter
    data = f"{len(groups)} annotated images, {objects} objects"
    if not card.target.instances:  # areas have no size of their own
        diameter, data = None, f"{len(groups)} annotated images"
    pixel_size = common_pixel_size(examples)
    scale = replace(card.preprocessing, diameter=diameter, pixel_size=pixel_size, auto_size=False)
    provenance: dict[str, Any] = {"data": data, "licence": "that of your images"}
    if command:
        provenance["command"] = command
    if card.is_trained:
        origin = {key: card.provenance.get(key) for key in ("name", "data", "date")}
        provenance["started_from"] = {key: value for key, value in origin.items() if value}
    return replace(start, card=replace(card, preprocessing=scale, provenance=provenance))


def prepare_pair(pair: Pair, number: int, start: Checkpoint, config: TrainConfig) -> list[Example]:
    """Turn an annotated image into examples for a network, one a plane, resized as its card says.

    Raises
    ------
    ValueError
        If image and labels do not fit; the message names the image.
    """
    zoom = start.card.preprocessing.zoom
    planes = _planes(pair, number, start)
    return [_taught(plane, zoom, start, config, pair.name) for plane in planes]


def prepare_pairs(
    pairs: Sequence[Pair],
    start: Checkpoint,
    config: TrainConfig,
    *,
    device: torch.device | str = "cpu",
    command: str = "",
    resume: bool = False,
) -> Steps[Prepared]:
    """Settle how a network is to see annotated images, and prepare them for it.

    Parameters
    ----------
    pairs : sequence of Pair
        The annotated images.
    start : Checkpoint
        Where the training starts.
    config : TrainConfig
        Says whether images may be resized.
    device : torch.device or str
        Where sizes are tried.
    command : str
        What was typed to start it, for the card.
    resume : bool
        `start` is of the run that goes on: what was settled then holds.

    Yields
    ------
    float
        The share that is done.

    Returns
    -------
    groups : list of list of Example
        The examples of each image.
    start : Checkpoint
        The network, its card saying what it is about to be trained on, and how it sees that and
        all later images.

    Raises
    ------
    ValueError
        If a pair does not fit, or no object is annotated.
    """
    if not resume:
        rule = settle_polarity(start.card.preprocessing, pairs)
        start = start.seeing(rule)
    planes = []
    for number, pair in enumerate(pairs):
        planes.append(_planes(pair, number, start))
        yield (number + 1) / len(pairs) / 3
    if config.resize and not resume:
        zoom = yield from _best_size(start, [p for group in planes for p in group], config, device)
        rule = replace(start.card.preprocessing, zoom=zoom)
        start = start.seeing(rule)
    zoom = start.card.preprocessing.zoom
    groups: list[list[Example]] = []
    while planes:  # no plane is kept at two sizes for longer than need be
        pair = pairs[len(groups)]
        groups.append([_taught(plane, zoom, start, config, pair.name) for plane in planes.pop(0)])
        yield (2 + len(groups) / len(pairs)) / 3
    return groups, start if resume else describe_data(start, groups, command)


def _best_size(
    start: Checkpoint, planes: Sequence[Plane], config: TrainConfig, device: torch.device | str
) -> Steps[float]:
    """Find the size at which a network sees annotated objects best: there it learns from them.

    Where it finds next to nothing at any, it is half-way between what it knows and what they are:
    features of objects of the known size are of use, and so is what is seen of larger ones.

    Returns
    -------
    float
        Network pixels per image pixel.
    """
    card = start.card
    if not card.target.instances:
        return card.preprocessing.zoom
    diameter = typical_diameter([plane.labels for plane in planes])
    sizes = sizes_to_try(card.preprocessing, diameter, card.is_trained)
    if len(sizes) == 1:
        return sizes[0]
    shown = limited(planes, round(LOOKED_AT / max(1, *sizes) ** 2))
    network = start.build()
    found: dict[float, float] = {}
    for number, zoom in enumerate(sizes):
        examples = [_taught(plane, zoom, start, config) for plane in shown]
        steps = judge(network, card, examples, torch.device(device))
        while True:
            try:
                share = next(steps)
            except StopIteration as end:
                found[zoom] = summarise(end.value)["ap50"]
                break
            yield (1 + (number + share) / len(sizes)) / 3
    best = max(sizes, key=found.__getitem__)
    return best if found[best] >= USEFUL else sizes[1]


def _planes(pair: Pair, number: int, start: Checkpoint) -> list[Plane]:
    with _naming(pair.name):
        return annotated_planes(
            pair.image,
            pair.labels,
            start.card.preprocessing,
            axes=pair.axes,
            channel=pair.channel,
            pixel_size=pair.pixel_size,
            classes=pair.classes,
            number=number,
        )


def _taught(
    plane: Plane, zoom: float, start: Checkpoint, config: TrainConfig, name: str = ""
) -> Example:
    with _naming(name):
        return teach(
            plane.resized(zoom),
            start.card.target,
            w0=config.w0,
            sigma=config.sigma,
            balance=config.balance,
        )


@contextmanager
def _naming(image: str) -> Iterator[None]:
    """Let what is wrong with an annotated image be said with its name."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{image}: {error}" if image else str(error)) from error
