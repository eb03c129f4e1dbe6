"""The split that variants of a network are compared on: load it, train a variant, score it.

Data are the 447 training images of the StarDist paper's split. A fixed tenth of them, every tenth
in the order of their names (which are hashes), is held out for choices; its test part is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from _mistakes import Mistakes
from _records import budget_of, told
from napari_unet.batch import load_pairs
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import NetworkConfig, Preprocessing, SegmentConfig, Target, TrainConfig
from napari_unet.engines import choose_device, make_engine
from napari_unet.images import pair_by_stem
from napari_unet.library import Card
from napari_unet.metrics import THRESHOLDS, average_precision
from napari_unet.patches import Example
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import segment_steps
from napari_unet.training import Files, Pair, median_diameter, prepare_pair, train, untrained

SET = Path("dsb2018_stardist", "train")
EVERY = 10
"""Of so many images one is held out."""
NEVER = 10**9
"""Steps between validations, of which the one at the end is then the only one."""
SHOWN_EVERY = 50
"""Steps between signs of life."""


@dataclass(frozen=True)
class Result:
    """A line of results: a variant, its training, and its scores on the held-out images.

    Parameters
    ----------
    name : str
        Of the variant.
    seed : int
        Of its training.
    budget : str
        Of its training, in words.
    parameters : int
        Of the network.
    iterations, seconds : int
        After which training had the network that is scored, the best of those it validated.
    ap : tuple of float
        Average precision at :data:`napari_unet.metrics.THRESHOLDS`, over all objects together.
    found, missed, merged, split, invented : int
        Objects; see :class:`_mistakes.Mistakes`.
    """

    name: str
    seed: int
    budget: str
    parameters: int
    iterations: int
    seconds: int
    ap: tuple[float, ...]
    found: int
    missed: int
    merged: int
    split: int
    invented: int

    @property
    def key(self) -> tuple[str, int, str]:
        """What is not done twice."""
        return self.name, self.seed, self.budget

    @property
    def mean_ap(self) -> float:
        """Mean of AP over IoU 0.5 to 0.9."""
        return float(np.mean(self.ap))


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
    pairs = pair_by_stem(data / SET / "images", data / SET / "labels")
    held = pairs[::EVERY]
    return list(load_pairs([p for p in pairs if p not in held])), list(load_pairs(held))


def model_path(folder: Path, name: str, seed: int) -> Path:
    """Return where :func:`run` puts the model of a variant."""
    return folder / f"{name}-{seed}.safetensors"


def run(
    name: str,
    network: NetworkConfig,
    target: Target,
    config: TrainConfig,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    folder: Path,
    device: str = "cpu",
) -> Result:
    """Train a variant, or go on with its training, and score it on the CPU.

    Parameters
    ----------
    name : str
        Of the variant; its files are called so, and the seed.
    network : NetworkConfig
        Its shape; it gets as many outputs as the target has.
    target : Target
        What it predicts.
    config : TrainConfig
        How it is trained. Where `validate_every` is more than the steps that are done, the only
        validation is the one at the end, after the budget: nothing is then chosen by the held-out
        images, and all of the budget goes into steps.
    training, held_out : sequence of Pair
        From :func:`load`.
    folder : Path
        Where the model, its log and what resuming needs are kept.
    device : {"auto", "cpu", "cuda", "mps"}
        Where it is trained.

    Raises
    ------
    ValueError
        If a training of that name was begun with other settings.
    """
    output = model_path(folder, name, config.seed)
    network = replace(network, out_channels=target.channels)
    start = untrained(Card(network, target, Preprocessing()), config.seed)
    learnt, judged = (_prepared(pairs, start, config) for pairs in (training, held_out))
    start = start.seeing(replace(start.card.preprocessing, diameter=median_diameter(learnt)))
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
    return score(name, config, Checkpoint.load(output), held_out)


def _prepared(pairs: Sequence[Pair], start: Checkpoint, config: TrainConfig) -> list[Example]:
    return [e for n, pair in enumerate(pairs) for e in prepare_pair(pair, n, start, config)]


def score(name: str, config: TrainConfig, model: Checkpoint, held_out: Sequence[Pair]) -> Result:
    """Segment the held-out images as users do, with nothing typed, and count."""
    card, segmenting = model.card, SegmentConfig(device="cpu")
    network = model.build()
    parameters = sum(p.numel() for p in network.parameters())
    engine = make_engine(network, card.network, card.target, "cpu")
    labels = [
        run_to_end(segment_steps(pair.image, engine, card, segmenting, pair.axes)).labels
        for pair in held_out
    ]
    truth = [np.asarray(pair.labels) for pair in held_out]
    evaluation = average_precision(zip(labels, truth, strict=True), THRESHOLDS)
    mistakes = sum(map(Mistakes.of, labels, truth), Mistakes())
    training = card.provenance["training"]
    return Result(
        name=name,
        seed=config.seed,
        budget=budget_of(config),
        parameters=parameters,
        iterations=training["iteration"],
        seconds=training["seconds"],
        ap=tuple(round(m.ap, 4) for m in evaluation.pooled),
        found=mistakes.found,
        missed=mistakes.missed,
        merged=mistakes.merged,
        split=mistakes.split,
        invented=mistakes.invented,
    )
