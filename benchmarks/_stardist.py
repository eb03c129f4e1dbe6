"""StarDist (Schmidt et al. 2018) for comparison: trained for minutes or steps, and applied.

Needs its packages: ``pip install stardist tensorflow-cpu``. Its settings are those of its authors'
examples (32 rays, grid of 2, percentiles 1 and 99.8, flips, quarter turns and varied intensity,
thresholds chosen on held-out images), with patches of the size that our networks learn from.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _records import budget_of, machine
from napari_unet.config import TrainConfig
from napari_unet.training import Pair

BATCH, EPOCH = 8, 100
"""Patches a step, and steps an epoch."""


def train(
    name: str,
    config: TrainConfig,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    folder: Path,
) -> dict[str, Any]:
    """Train a new model, choose its thresholds, and return what there is to tell of it.

    Parameters
    ----------
    name : str
        Of its folder in `folder`.
    config : TrainConfig
        Of which budget, seed and side of a patch count.
    training, held_out : sequence of Pair
        Annotated images; the others choose the checkpoint, the learning rate and the thresholds.
    folder : Path
        Where models are.
    """
    import keras
    from stardist.models import Config2D, StarDist2D

    keras.utils.set_random_seed(config.seed)
    settings = Config2D(
        n_rays=32,
        grid=(2, 2),
        train_patch_size=(config.patch, config.patch),
        train_batch_size=BATCH,
        train_steps_per_epoch=EPOCH,
        train_tensorboard=False,
    )
    model = StarDist2D(settings, name=name, basedir=str(folder))
    start = time.monotonic()
    model.prepare_for_training()
    if config.minutes is not None:
        model.callbacks.append(_until(start + 60 * config.minutes))
    epochs = 10**4 if config.minutes is not None else ceil(config.iterations / EPOCH)
    (images, labels), judged = _prepared(training), _prepared(held_out)
    model.train(images, labels, validation_data=judged, augmenter=_varied, epochs=epochs)
    seconds = time.monotonic() - start
    model.optimize_thresholds(*judged)
    iterations = int(model.keras_model.optimizer.iterations.numpy())
    return {
        "name": name,
        "seed": config.seed,
        "budget": budget_of(config),
        "parameters": int(model.keras_model.count_params()),
        "iterations": iterations,
        "seconds": round(seconds),
        "machine": machine(),
    }


def load(name: str, folder: Path) -> Any:
    """Load a model that :func:`train` has made."""
    from stardist.models import StarDist2D

    return StarDist2D(None, name=name, basedir=str(folder))


def segment(model: Any, image: NDArray[Any]) -> NDArray[np.int32]:
    """Return the labels (Y, X) of an image, from the array as it is to an array."""
    labels, _ = model.predict_instances(_normalised(image), verbose=False)
    return np.asarray(labels, np.int32)


def _prepared(pairs: Sequence[Pair]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    from stardist import fill_label_holes

    images = [_normalised(np.asarray(pair.image)) for pair in pairs]
    return images, [fill_label_holes(np.asarray(pair.labels)) for pair in pairs]


def _normalised(image: NDArray[Any]) -> NDArray[np.float32]:
    from csbdeep.utils import normalize

    gray = image if image.ndim == 2 else image.mean(axis=-1)
    return np.asarray(normalize(gray, 1, 99.8), np.float32)


def _varied(image: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Flip, turn and brighten a patch at random."""
    random = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002 - StarDist's own seed
    turns, flip = random.integers(4), random.integers(2)
    image, labels = (np.rot90(part, int(turns))[:: 1 - 2 * flip] for part in (image, labels))
    return image * random.uniform(0.6, 2) + random.uniform(-0.2, 0.2), labels


def _until(end: float) -> Any:
    """Return what ends a training at a time of the clock."""
    import keras

    class Until(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            if time.monotonic() >= end:
                self.model.stop_training = True

    return Until()
