"""StarDist beside a U-Net: trained for equal minutes on the same images, and timed in one run.

    python benchmarks/beside_stardist.py --data FOLDER --models runs/beside_stardist \
        --output beside_stardist.jsonl [--only unet stardist] [--seeds 1] [--minutes 28]
    python benchmarks/beside_stardist.py --data FOLDER --models runs/beside_stardist \
        --output beside_stardist.jsonl --speed
    python benchmarks/beside_stardist.py --output beside_stardist.jsonl --table

The first line trains each from the same seed on nine tenths of the training part of
dsb2018_stardist, with nothing else running. The last tenth is for StarDist's choices; ours has none
to make. Both are then scored on the test part, from images to labels with nothing typed.

The second line times both on the test images, in turn, image by image, with nothing else running.
See _stardist.py for StarDist's settings, and what to install.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import _stardist
import networks
from _commands import make_parser, read_arguments, run_missing
from _experiment import Result, counted, last_model, load, read_pairs, run
from _speed import segmenter, write_times
from _tables import scores_table
from napari_unet.config import TrainConfig
from napari_unet.engines import make_engine
from napari_unet.training import Pair

TEST = Path("dsb2018_stardist", "test")
NETWORK = "base16-depth3"
"""The one of networks.py that learns most in few minutes."""
VARIANTS = {"unet": f"U-Net ({NETWORK}, standard recipe)", "stardist": "StarDist"}
TRAINING = replace(networks.TRAINING, minutes=28.0)


def table(output: Path) -> list[str]:
    """Return a row each."""
    return scores_table(output, VARIANTS)


def stardist_name(seed: int) -> str:
    """Return what its folder is called."""
    return f"stardist-{seed}"


def measure_speed(data: Path, models: Path, output: Path, repeat: int) -> None:
    """Time both, and write it down."""
    ours, theirs = last_model(models, "unet"), _stardist.load(stardist_name(0), models)
    engine = make_engine(ours.build(), ours.card.network, ours.card.target, "cpu")
    segmenters = {
        "unet": segmenter(engine, ours.card),
        "stardist": lambda pair: _stardist.segment(theirs, np.asarray(pair.image)),
    }
    write_times(output, segmenters, read_pairs(data / TEST), repeat, engine.description)


def main() -> None:
    """Do what the command line asks for, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument("--speed", action="store_true", help="time what is trained, only")
    parser.add_argument("--repeat", type=int, default=3, help="of the timing")
    args = read_arguments(parser)
    if args.speed and not args.table:
        measure_speed(args.data, args.models, args.output, args.repeat)

    def scored(name: str, config: TrainConfig) -> Iterator[Result]:
        training, held_out = load(args.data)
        test: list[Pair] = read_pairs(args.data / TEST)
        if name == "unet":
            network, target = networks.VARIANTS[NETWORK], networks.RECIPE.target
            yield run(name, network, target, config, training, test, args.models, args.device)
            return
        told = _stardist.train(stardist_name(config.seed), config, training, held_out, args.models)
        model = _stardist.load(stardist_name(config.seed), args.models)
        labels = [_stardist.segment(model, np.asarray(pair.image)) for pair in test]
        yield Result(**{**told, "name": name}, **counted(labels, test))

    run_missing(args, Result, {} if args.speed else dict.fromkeys(args.only, TRAINING), scored)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
