r"""Train the bundled model "nuclei" on the 2018 Data Science Bowl.

The images are those of BBBC038 (stage 1, training part, CC0) in ``DATA/dsb2018/stage1_train``,
less the 50 that the StarDist paper tests on (``DATA/dsb2018_stardist/test_ids.txt``).

    python scripts/train_nuclei.py DATA --output runs/first.safetensors --minutes 80
    python scripts/train_nuclei.py DATA --output runs/nuclei.safetensors --minutes 65 \
        --start runs/first.last.safetensors
    napari-unet segment DATA/dsb2018_stardist/test/images -o runs/test \
        --model runs/nuclei.safetensors
    napari-unet evaluate runs/test DATA/dsb2018_stardist/test/labels --json > runs/scores.json
    python scripts/train_nuclei.py DATA --output runs/nuclei.safetensors --finish runs/scores.json

The first run learns to find nuclei, with classes balanced; the second one, without, their outlines.
The last line copies the checkpoint into the package, in half precision and with its scores.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_unet.batch import load_pairs
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import Preprocessing, Recipe, Target, TrainConfig, UNetConfig
from napari_unet.images import pair_by_stem
from napari_unet.library import BUNDLED, Card
from napari_unet.patches import Example
from napari_unet.training import median_diameter, prepare_pair, train, untrained

RECIPE = Recipe(
    UNetConfig(out_channels=3, base_channels=24, padding="same", batch_norm=True, dropout=0.0),
    Target(extras=("distance",)),
    TrainConfig(
        batch=4,
        patch=192,
        learning_rate=1.5e-3,
        w0=10.0,
        balance=True,
        validate_every=500,
        average=0.999,
        scale=1.4,
        compile=True,
    ),
)
SECOND = replace(RECIPE.training, learning_rate=1e-3, w0=5.0, balance=False)
"""With classes balanced, rare objects come out wider than they are."""
VALIDATION = 40
"""Images held out to choose the best checkpoint by."""


def load(data: Path, config: TrainConfig) -> list[Example]:
    """Prepare every annotated image that is not in the StarDist paper's test."""
    left_out = set((data / "dsb2018_stardist" / "test_ids.txt").read_text().split())
    folder = data / "dsb2018" / "stage1_train"
    pairs = pair_by_stem(folder / "images", folder / "labels")
    kept = [(image, labels) for image, labels in pairs if labels.stem not in left_out]
    start = untrained(Card(RECIPE.network, RECIPE.target, Preprocessing()))
    return [
        example
        for number, pair in enumerate(load_pairs(kept))
        for example in prepare_pair(pair, number, start, config)
    ]


def make_card(examples: list[Example]) -> Card:
    """Say what the model is, and what it was made of."""
    return Card(
        RECIPE.network,
        RECIPE.target,
        Preprocessing(diameter=median_diameter(examples)),
        {
            "name": "nuclei",
            "description": "Nuclei in fluorescence and in stained (bright-field) images",
            "data": "BBBC038v1 (2018 Data Science Bowl, stage 1, training part) with the"
            " corrections of K. Lopuhin, less the 50 test images of the StarDist paper",
            "licence": "CC0 (data), BSD-3-Clause (weights)",
        },
    )


def run(data: Path, output: Path, start: Path | None, config: TrainConfig, resume: bool) -> None:
    """Train, and print how it goes."""
    examples = load(data, config)
    order = np.random.default_rng(config.seed).permutation(len(examples))
    held, kept = ([examples[i] for i in part] for part in np.split(order, [VALIDATION]))
    print(f"{len(kept)} images to train on, {len(held)} held out", flush=True)
    # Large images hold more that differs, but not as much more as they are larger.
    chance = np.sqrt([e.weights.size for e in kept])
    steps = train(
        kept,
        held,
        Checkpoint.load(start) if start else untrained(make_card(kept), config.seed),
        config,
        output=output,
        resume=resume,
        probabilities=chance / chance.sum(),
    )
    for progress in steps:
        if progress.validation or progress.iteration % 50 == 0:
            scores = {k: round(v, 4) for k, v in progress.validation.items()}
            step, seconds = progress.iteration, round(progress.seconds)
            print(f"{step} {seconds} s, loss {progress.loss:.3f}", scores, flush=True)


def finish(output: Path, scores: Path) -> None:
    """Put a checkpoint into the package, with the command that made it and its test scores."""
    best = Checkpoint.load(output)
    made = best.card.provenance["training"]
    pooled = json.loads(scores.read_text("utf-8"))["pooled"]
    provenance = best.card.provenance | {
        "command": "python scripts/train_nuclei.py DATA --minutes 80, then"
        f" --minutes {made['minutes']:g} --start",
        "scores": {
            "test": "pooled AP at IoU thresholds, dsb2018_stardist/test (50 images)",
            **{threshold: round(row["ap"], 4) for threshold, row in pooled.items()},
        },
    }
    card = replace(best.card, provenance=provenance)
    print(replace(best, card=card).half().save(BUNDLED / "nuclei.safetensors"), provenance)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds dsb2018 and dsb2018_stardist")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=80.0)
    parser.add_argument("--start", type=Path, metavar="MODEL", help="of the second run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--finish", type=Path, metavar="SCORES", help="JSON of evaluate")
    args = parser.parse_args()
    if args.finish:
        finish(args.output, args.finish)
    else:
        config = SECOND if args.start else RECIPE.training
        config = replace(config, minutes=args.minutes, seed=args.seed)
        run(args.data, args.output, args.start, config, args.resume)


if __name__ == "__main__":
    main()
