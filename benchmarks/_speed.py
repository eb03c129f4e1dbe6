"""How fast networks segment: timed together, kept beside the results of their trainings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from _records import machine
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import SegmentConfig
from napari_unet.engines import TorchEngine, make_engine
from napari_unet.library import Card
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import segment_steps
from napari_unet.training import Pair

Segmenter = Callable[[Pair], object]
"""Makes labels of an image, from array to array."""


def write_speed(
    output: Path, models: Mapping[str, Checkpoint], images: Sequence[Pair], repeats: int
) -> None:
    """Time `segment`, from arrays to labels, and write it down in place of what was there.

    Parameters
    ----------
    output : Path
        Of the results of the trainings; the times go into NAME.speed.json beside it.
    models : mapping of str to Checkpoint
        The networks, by the name of their result.
    images : sequence of Pair
        What is segmented, on the CPU: by all networks in turn, image by image.
    repeats : int
        How often.
    """
    engines = {name: (_engine(model), model.card) for name, model in models.items()}
    described = next(engine.description for engine, _ in engines.values())
    write_times(output, {n: segmenter(*e) for n, e in engines.items()}, images, repeats, described)


def write_times(
    output: Path,
    segmenters: Mapping[str, Segmenter],
    images: Sequence[Pair],
    repeats: int,
    engine: str,
) -> None:
    """Do the same for whatever makes labels of an image; `engine` says what computes."""
    told = {
        "machine": machine(),
        "engine": engine,
        "images": len(images),
        "megapixels": sum(prod(pair.labels.shape) for pair in images) / 1e6,
        "per_second": _speeds(segmenters, images, repeats),
    }
    _speed_path(output).write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def read_speed(output: Path) -> dict[str, Any]:
    """Return what was written; nothing, if nothing was timed."""
    path = _speed_path(output)
    speed: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return speed


def _speed_path(output: Path) -> Path:
    return output.with_suffix(".speed.json")


def segmenter(engine: TorchEngine, card: Card) -> Segmenter:
    """Return what segments an image as users do on the CPU, with nothing typed."""
    config = SegmentConfig(device="cpu")
    return lambda pair: run_to_end(segment_steps(pair.image, engine, card, config, pair.axes))


def _engine(model: Checkpoint) -> TorchEngine:
    return make_engine(model.build(), model.card.network, model.card.target, "cpu")


def _speeds(
    segmenters: Mapping[str, Segmenter], images: Sequence[Pair], repeats: int
) -> dict[str, list[float]]:
    """Return megapixels a second of each, one value a repeat."""
    pixels = sum(prod(pair.labels.shape) for pair in images)
    seconds = {name: np.zeros(repeats) for name in segmenters}
    for segment in segmenters.values():
        segment(images[0])  # warm up
    for repeat in range(repeats):
        for pair in images:
            for name, segment in segmenters.items():
                start = time.perf_counter()
                segment(pair)
                seconds[name][repeat] += time.perf_counter() - start
    return {name: (pixels / 1e6 / each).round(4).tolist() for name, each in seconds.items()}
