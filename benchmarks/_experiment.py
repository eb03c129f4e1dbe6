"""The split that variants of a network are compared on: load it, train a variant, score it.

Data are the 447 training images of the StarDist paper's split. A fixed tenth of them, every tenth
in the order of their names (which are hashes), is held out for choices; its test part is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _mistakes import Mistakes
from _records import Trained, told, training_of
from napari_unet.batch import load_pairs
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import NetworkConfig, Preprocessing, SegmentConfig, Target, TrainConfig
from napari_unet.engines import choose_device, make_engine
from napari_unet.images import pair_by_stem
from napari_unet.library import Card
from napari_unet.metrics import THRESHOLDS, average_precision
from napari_unet.patches import Example
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import Segmentation, segment_steps
from napari_unet.training import Files, Pair, median_diameter, prepare_pair, train, untrained

SET = Path("dsb2018_stardist", "train")
EVERY = 10
"""Of so many images one is held out."""
NEVER = 10**9
"""Steps between validations, of which the one at the end is then the only one."""
SHOWN_EVERY = 50
"""Steps between signs of life."""


@dataclass(frozen=True)
class Result(Trained):
    """A line of results: a variant, its training, and its scores on the held-out images.

    Parameters
    ----------
    name, seed, budget, parameters, iterations, seconds, machine
        See :class:`_records.Trained`.
    ap : tuple of float
        Average precision at :data:`napari_unet.metrics.THRESHOLDS`, over all objects together.
    found, missed, merged, split, invented : int
        Objects; see :class:`_mistakes.Mistakes`.
    """

    ap: tuple[float, ...]
    found: int
    missed: int
    merged: int
    split: int
    invented: int

    @property
    def mean_ap(self) -> float:
        """Mean of AP over IoU 0.5 to 0.9."""
        return float(np.mean(self.ap))


def read_pairs(folder: Path, labels: str = "labels") -> list[Pair]:
    """Read the annotated images of a folder, in the order of their names.

    Raises
    ------
    FileNotFoundError, ValueError
        If there are none, or a file cannot be read.
    """
    return list(load_pairs(pair_by_stem(folder / "images", folder / labels)))


def load(data: Path) -> tuple[list[Pair], list[Pair]]:
    """Read the annotated images to train on, and those held out.

    Parameters
    ----------
    data : Path
        Folder that holds ``dsb2018_stardist``.

    Raises
    ------
    FileNotFoundError, ValueError
        If it does not, or a file cannot be read.
    """
    return parted(read_pairs(data / SET))


def parted(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return what is to be trained on, and the tenth that is held out."""
    kept = [pair for number, pair in enumerate(pairs) if number % EVERY]
    return kept, list(pairs[::EVERY])


def model_path(folder: Path, name: str, seed: int) -> Path:
    """Return where :func:`run` puts the model of a variant."""
    return folder / f"{name}-{seed}.safetensors"


def card_of(network: NetworkConfig, target: Target, rule: Preprocessing) -> Card:
    """Describe an untrained network, with as many inputs and outputs as it needs."""
    outputs = len(target.outputs)
    network = replace(network, in_channels=rule.channels, out_channels=outputs)
    return Card(network, target, rule)


def learn(
    name: str,
    card: Card,
    config: TrainConfig,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    folder: Path,
    device: str = "cpu",
) -> Checkpoint:
    """Train a network, or go on with its training.

    Parameters
    ----------
    name : str
        Of the variant; its files are called so, and the seed.
    card : Card
        From :func:`card_of`.
    config : TrainConfig
        How it is trained. The held-out images are scored every `validate_every` steps, for curves
        over time; where that is more than are done, only at the end.
    training, held_out : sequence of Pair
        Annotated images.
    folder : Path
        Where the model, its log and what resuming needs are kept.
    device : {"auto", "cpu", "cuda", "mps"}
        Where it is trained.

    Returns
    -------
    Checkpoint
        The network as it is at the end: nothing is chosen by the held-out images.

    Raises
    ------
    ValueError
        If a training of that name was begun with other settings.
    """
    output = model_path(folder, name, config.seed)
    start = untrained(card, config.seed)
    learnt, judged = (_prepared(pairs, start, config) for pairs in (training, held_out))
    if card.target.instances:
        start = start.seeing(replace(card.preprocessing, diameter=median_diameter(learnt)))
    # Large images hold more that differs, but not as much more as they are larger.
    chance = np.sqrt([example.weights.size for example in learnt])
    steps = train(
        learnt,
        judged,
        start,
        config,
        device=choose_device(device),
        output=output,
        resume=Files(output).state.exists(),
        probabilities=chance / chance.sum(),
    )
    for progress in steps:
        if progress.validation or progress.iteration % SHOWN_EVERY == 0:
            print(f"  {name}, seed {config.seed}: {told(progress)}", flush=True)
    return last_model(folder, name, config.seed)


def last_model(folder: Path, name: str, seed: int = 0) -> Checkpoint:
    """Load what :func:`learn` has made."""
    return Checkpoint.load(Files(model_path(folder, name, seed)).last)


def run(
    name: str,
    network: NetworkConfig,
    target: Target,
    config: TrainConfig,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    folder: Path,
    device: str = "cpu",
    rule: Preprocessing | None = None,
) -> Result:
    """Train a variant, or go on with its training, and score it on the CPU.

    Parameters and errors are those of :func:`learn`; `network`, `target` and `rule` make its card.
    """
    card = card_of(network, target, rule or Preprocessing())
    model = learn(name, card, config, training, held_out, folder, device)
    return score(name, config, model, held_out)


def _prepared(pairs: Sequence[Pair], start: Checkpoint, config: TrainConfig) -> list[Example]:
    return [e for n, pair in enumerate(pairs) for e in prepare_pair(pair, n, start, config)]


def segmented(
    model: Checkpoint, images: Sequence[Pair], device: str = "cpu", *, averaged: bool = False
) -> Iterator[Segmentation]:
    """Segment images as users do, with nothing typed, and keep the scores."""
    config = SegmentConfig(averaged=averaged)
    place = choose_device(device)
    engine = make_engine(model.build(), model.card.network, model.card.target, place)
    for pair in images:
        steps = segment_steps(pair.image, engine, model.card, config, pair.axes, keep_scores=True)
        yield run_to_end(steps)


def score(name: str, config: TrainConfig, model: Checkpoint, held_out: Sequence[Pair]) -> Result:
    """Segment the held-out images, and count."""
    labels = [result.labels for result in segmented(model, held_out)]
    return Result(**training_of(name, config, model), **counted(labels, held_out))


def counted(labels: Sequence[NDArray[np.int32]], held_out: Sequence[Pair]) -> dict[str, Any]:
    """Return the scores of a :class:`Result` for the labels of the held-out images."""
    truth = [np.asarray(pair.labels) for pair in held_out]
    evaluation = average_precision(zip(labels, truth, strict=True), THRESHOLDS)
    mistakes = sum(map(Mistakes.of, labels, truth), Mistakes())
    return {
        "ap": tuple(round(m.ap, 4) for m in evaluation.pooled),
        "found": mistakes.found,
        "missed": mistakes.missed,
        "merged": mistakes.merged,
        "split": mistakes.split,
        "invented": mistakes.invented,
    }
