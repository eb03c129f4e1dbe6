"""How fast networks segment: timed together, kept beside the results of their trainings."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
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
    speeds = _speeds(engines, images, repeats)
    told = {
        "machine": machine(),
        "engine": next(engine.description for engine, _ in engines.values()),
        "images": len(images),
        "megapixels": sum(prod(pair.labels.shape) for pair in images) / 1e6,
        "per_second": speeds,
    }
    _speed_path(output).write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def read_speed(output: Path) -> dict[str, Any]:
    """Return what was written; nothing, if nothing was timed."""
    path = _speed_path(output)
    speed: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return speed


def _speed_path(output: Path) -> Path:
    return output.with_suffix(".speed.json")


def _engine(model: Checkpoint) -> TorchEngine:
    return make_engine(model.build(), model.card.network, model.card.target, "cpu")


def _speeds(
    engines: Mapping[str, tuple[TorchEngine, Card]], images: Sequence[Pair], repeats: int
) -> dict[str, list[float]]:
    """Return megapixels a second of each network, one value a repeat."""
    config, pixels = SegmentConfig(device="cpu"), sum(prod(pair.labels.shape) for pair in images)
    seconds = {name: np.zeros(repeats) for name in engines}

    def segment(pair: Pair, engine: TorchEngine, card: Card) -> float:
        start = time.perf_counter()
        run_to_end(segment_steps(pair.image, engine, card, config, pair.axes))
        return time.perf_counter() - start

    for engine, card in engines.values():
        segment(images[0], engine, card)  # warm up
    for repeat in range(repeats):
        for pair in images:
            for name, (engine, card) in engines.items():
                seconds[name][repeat] += segment(pair, engine, card)
    return {name: (pixels / 1e6 / each).round(4).tolist() for name, each in seconds.items()}
