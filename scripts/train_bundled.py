r"""Train what ships in the package, and the network that is compared with published tables.

``dsb2018`` learns from the 447 training images of the StarDist paper alone, which makes its scores
on that paper's 50 test images comparable. ``nuclei`` goes on from there with the other images of
BBBC038 (stage 1, training part), less those 50; ``cells`` learns phase contrast and DIC. DATA holds
the sets, each as ``SET/SPLIT/images`` and ``SET/SPLIT/labels``; see ``PLANS``.

    python scripts/train_bundled.py dsb2018 DATA --output runs/dsb2018.safetensors
    python scripts/train_bundled.py nuclei DATA --output runs/nuclei.safetensors \
        --start runs/dsb2018.safetensors
    python scripts/train_bundled.py cells DATA --output runs/cells.safetensors \
        --start runs/dsb2018.safetensors

A run that was broken off goes on with ``--resume``. Then the test images are segmented, once, and
the checkpoint is copied into the package (dsb2018: into ``benchmarks/models``) in half precision,
with its scores, if there are any yet:

    napari-unet segment DATA/dsb2018_stardist/test/images -o runs/test \
        --model runs/nuclei.safetensors
    napari-unet evaluate runs/test DATA/dsb2018_stardist/test/labels --json > runs/scores.json
    python scripts/train_bundled.py nuclei DATA --output runs/nuclei.safetensors \
        --finish runs/scores.json

``--without SET`` leaves a set out, for `benchmarks/few_shot.py`: what does a model bring to images
of a kind that it has never seen?
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet.batch import load_pairs
from napari_unet.checkpoint import Checkpoint, rehead
from napari_unet.config import Preprocessing, Recipe, Target, TrainConfig, UNetConfig
from napari_unet.images import pair_by_stem
from napari_unet.library import BUNDLED, Card
from napari_unet.patches import Example
from napari_unet.segmentation.sizing import ENLARGED
from napari_unet.training import (
    Pair,
    median_diameter,
    prepare_pair,
    train,
    untrained,
)

RECIPE = Recipe(
    UNetConfig(out_channels=4, base_channels=24, padding="same", batch_norm=True, dropout=0.0),
    Target(extras=("distance", "extent")),
    TrainConfig(
        batch=4,
        patch=160,
        validate_every=1500,
        average=0.999,
        scale=1.4,
        sharp=0.75,
        plain=0.5,
    ),
)
SMALL = 17.0
"""Images whose typical object is no wider, in pixels, are learnt from as large as they will be
shown (ENLARGED): of two nuclei of seven pixels that touch, hardly a ridge is left between them."""
SELDOM = 0.25
"""How often, beside that, they are drawn as they are: so the network tells that they are small."""
THRESHOLDS = ("0.5", "0.6", "0.7", "0.8", "0.9")
TOLD = "start iterations minutes rate patch batch sharp plain without seed"
"""Options that a model's card repeats."""
HELD_OUT = 10
"""One image in so many, of each set, chooses the best checkpoint and is not learnt from."""


@dataclass(frozen=True)
class Source:
    """Annotated images: a folder of DATA, less some.

    Parameters
    ----------
    folder : str
        Holds ``images`` and ``labels``.
    less : tuple of str
        What is left out: a file with a stem a line, or a folder whose stems are meant.
    margin : int
        Pixels along the border in which objects may have no label: what has none there does not
        count as background.
    """

    folder: str
    less: tuple[str, ...] = ()
    margin: int = 0

    @property
    def name(self) -> str:
        """The set that it is from."""
        return self.folder.split("/", maxsplit=1)[0]

    def pairs(self, data: Path) -> Iterator[Pair]:
        """Read the images and their annotation."""
        folder = data / self.folder
        left_out = {stem for part in self.less for stem in _stems(data / part)}
        paths = pair_by_stem(folder / "images", folder / "labels")
        for pair in load_pairs([p for p in paths if p[1].stem not in left_out]):
            labels = np.array(pair.labels, np.int32)
            inner = np.zeros(labels.shape, bool)
            inner[tuple(slice(self.margin, n - self.margin) for n in labels.shape)] = True
            labels[~inner & (labels == 0)] = -1
            yield replace(pair, labels=labels)


def _stems(path: Path) -> list[str]:
    if path.is_dir():
        return [file.stem for file in path.iterdir()]
    return path.read_text("utf-8").split()


@dataclass(frozen=True)
class Plan:
    """What a model learns from, and what its card says.

    Parameters
    ----------
    sources : tuple of Source
        The images.
    iterations : int
        Training steps.
    rate : float
        Peak learning rate: less for a network that has learnt something like it.
    description, data, licence : str
        For the card.
    failures : str
        For the card: what it is known to do badly.
    zoom : float
        Network pixels per image pixel.
    invert_bright : bool
        Whether images with a bright background are inverted; in phase contrast and DIC the
        background is gray, and chance would decide.
    kept : Path
        Folder of what comes of it.
    """

    sources: tuple[Source, ...]
    iterations: int
    rate: float
    description: str
    data: str
    licence: str = "CC0 (data), BSD-3-Clause (weights)"
    failures: str = ""
    zoom: float = 1.0
    invert_bright: bool = True
    kept: Path = BUNDLED


STARDIST = Source("dsb2018_stardist/train")
FAILURES = (
    "Specks of fewer than some 30 pixels and very dim nuclei are missed; lobed nuclei, and nuclei"
    " that overlap without a darker line between them, count as one; bright dividing ones may be"
    " split"
)
BOWL = Source(
    "dsb2018/stage1_train", less=("dsb2018_stardist/test_ids.txt", "dsb2018_stardist/train/labels")
)
PLANS = {
    "dsb2018": Plan(
        (STARDIST,),
        9_000,
        1.5e-3,
        "Nuclei in fluorescence",
        "447 fluorescence images of BBBC038v1 (2018 Data Science Bowl, stage 1): the training part"
        " of the StarDist paper",
        failures=FAILURES,
        kept=Path(__file__).parents[1] / "benchmarks" / "models",
    ),
    "nuclei": Plan(
        (STARDIST, BOWL),
        3_000,
        6e-4,
        "Nuclei in fluorescence and in stained (bright-field) images",
        "BBBC038v1 (2018 Data Science Bowl, stage 1, training part) with the corrections of"
        " K. Lopuhin, less the 50 test images of the StarDist paper",
        failures=FAILURES,
    ),
    "cells": Plan(
        (Source("usiigaci/train"), Source("bbbc030_cho_dic/train", margin=60)),
        4_000,
        1.5e-3,
        "Cells in phase contrast and differential interference contrast (DIC)",
        "Usiigaci (Tsai et al. 2019, phase contrast, training part) and BBBC030v1 (Koos et al."
        " 2016, Chinese hamster ovary cells, DIC, half of the images)",
        "MIT and CC BY 3.0 (data), BSD-3-Clause (weights)",
        failures="Cells that lie over each other are merged; round, shining (dividing) cells are"
        " found in part; ends of thin processes count as cell; so do cells out of focus and debris;"
        " fluorescence is not known to it",
        zoom=0.5,
        invert_bright=False,
    ),
}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=PLANS)
    parser.add_argument("data", type=Path, help="folder of the annotated sets")
    parser.add_argument("--output", type=Path, required=True, metavar="MODEL.safetensors")
    parser.add_argument("--start", type=Path, metavar="MODEL", help="model to go on from")
    parser.add_argument("--iterations", type=int, help="steps; default: the plan's")
    parser.add_argument("--minutes", type=float, help="train so long instead")
    parser.add_argument("--rate", type=float, help="peak learning rate; default: the plan's")
    parser.add_argument("--patch", type=int, help="side of a patch; default: the recipe's")
    parser.add_argument("--batch", type=int, help="patches a step; default: the recipe's")
    parser.add_argument("--sharp", type=float, help="share of patches that are not resampled")
    parser.add_argument("--plain", type=float, help="share of patches that keep their gray values")
    parser.add_argument("--without", metavar="SET", help="set to leave out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument(
        "--finish", type=Path, nargs="*", metavar="SCORES", help="JSON of evaluate, SET.json a set"
    )
    args = parser.parse_args()
    if args.finish is not None:
        finish(args.name, args.output, args.finish)
    else:
        run(args)


def run(args: argparse.Namespace) -> None:
    """Train, and print how it goes."""
    plan, config = PLANS[args.name], RECIPE.training
    config = replace(
        config,
        iterations=args.iterations or plan.iterations,
        minutes=args.minutes,
        learning_rate=args.rate or plan.rate,
        patch=args.patch or config.patch,
        batch=args.batch or config.batch,
        sharp=config.sharp if args.sharp is None else args.sharp,
        plain=config.plain if args.plain is None else args.plain,
        seed=args.seed,
    )
    known = Checkpoint.load(args.start) if args.start else None
    kept, held, start = prepare(plan, args.data, known, config, args.without)
    start = _told(start, known, args)
    print(f"{len(kept)} images to train on, {len(held)} held out", flush=True)
    steps = train(
        kept,
        held,
        start,
        config,
        output=args.output,
        resume=args.resume,
        probabilities=chances(kept, plan.zoom),
    )
    for progress in steps:
        if progress.validation or progress.iteration % 50 == 0:
            scores = {k: round(v, 4) for k, v in progress.validation.items()}
            step, seconds = progress.iteration, round(progress.seconds)
            print(f"{step} {seconds} s, loss {progress.loss:.3f}", scores, flush=True)


def prepare(
    plan: Plan, data: Path, known: Checkpoint | None, config: TrainConfig, without: str | None
) -> tuple[list[Example], list[Example], Checkpoint]:
    """Read a plan's images, and describe the network that is to learn from them.

    Returns
    -------
    kept, held : list of Example
        What to learn from, and what to choose the best checkpoint by.
    start : Checkpoint
        The network.
    """
    sources = [s for s in plan.sources if s.name != without]
    groups = [list(source.pairs(data)) for source in sources]
    rule = Preprocessing(zoom=plan.zoom, invert_bright=plan.invert_bright)
    new = untrained(Card(RECIPE.network, RECIPE.target, rule), config.seed)
    start = rehead(known, RECIPE.network.in_channels, RECIPE.target) if known else new
    start = start.seeing(rule)
    large = start.seeing(replace(rule, zoom=ENLARGED * rule.zoom))
    kept: list[Example] = []
    held: list[Example] = []
    number = count()
    for group in groups:
        order = np.random.default_rng(0).permutation(len(group))
        aside = set(order[: max(1, len(group) // HELD_OUT)].tolist())
        for index, pair in enumerate(group):
            own = next(number)
            examples = prepare_pair(pair, own, start, config)
            diameter = median_diameter(examples)
            is_small = diameter is not None and diameter <= SMALL
            enlarged = prepare_pair(pair, own, large, config) if is_small else []
            if index in aside:
                held.extend(enlarged or examples)
            else:
                kept.extend(examples + enlarged)
    shows_small = any(e.origin.zoom > plan.zoom for e in kept)
    rule = replace(rule, diameter=median_diameter(kept + held), auto_size=shows_small)
    return kept, held, describe(plan, start.seeing(rule), without)


def chances(examples: Sequence[Example], zoom: float) -> NDArray[np.float64]:
    """Return how likely each example is drawn, in sum 1.

    Each object, rather than each image, is to be seen alike; images of many, though, are large.
    """
    enlarged = {e.origin.image for e in examples if e.origin.zoom > zoom}
    is_double = [e.origin.image in enlarged and e.origin.zoom == zoom for e in examples]
    chance = np.sqrt([1 + e.objects for e in examples]) * np.where(is_double, SELDOM, 1)
    shares: NDArray[np.float64] = chance / chance.sum()
    return shares


def describe(plan: Plan, start: Checkpoint, without: str | None) -> Checkpoint:
    """Say in a checkpoint's card what the model is, and what it is made of."""
    provenance = {
        "description": plan.description,
        "data": plan.data + (f"; without {without}" if without else ""),
        "licence": plan.licence,
    }
    known = start.card.provenance
    origins = (known.get("started_from"), known.get("data"))
    others = [origin for origin in origins if origin and origin != plan.data]
    if others:
        provenance["started_from"] = "; ".join(others)
    return replace(start, card=replace(start.card, provenance=provenance))


def _told(start: Checkpoint, known: Checkpoint | None, args: argparse.Namespace) -> Checkpoint:
    """Say in a checkpoint's card by which commands it came about, those of its start first."""
    words = ["python scripts/train_bundled.py", args.name, "DATA"]
    for name in TOLD.split():
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name}", value.name if isinstance(value, Path) else str(value)]
    before = known.card.provenance.get("command", "") if known else ""
    command = "; ".join(filter(None, (before, " ".join(words))))
    provenance = start.card.provenance | {"command": command}
    return replace(start, card=replace(start.card, provenance=provenance))


def finish(name: str, output: Path, scores: Sequence[Path]) -> None:
    """Put a checkpoint where it is kept, with its test scores."""
    best = Checkpoint.load(output)
    told: dict[str, float] = {}
    for path in scores:
        of_set = f" {path.stem}" if len(scores) > 1 else ""
        pooled = json.loads(path.read_text("utf-8"))["pooled"]
        told |= {f"{t}{of_set}": round(pooled[t]["ap"], 4) for t in THRESHOLDS}
    provenance = best.card.provenance | {"name": name, "failures": PLANS[name].failures}
    if told:
        test = "AP over all objects of the test images, at IoU thresholds"
        provenance["scores"] = {"test": test, **told}
    card = replace(best.card, provenance=provenance)
    path = PLANS[name].kept / f"{name}.safetensors"
    print(replace(best, card=card).half().save(path), provenance)


if __name__ == "__main__":
    main()
