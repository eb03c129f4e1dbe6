"""Which network to ship: what networks of several widths and depths learn in equal minutes.

    python benchmarks/networks.py --data FOLDER --models runs/networks --output networks.jsonl \
        [--only base16-depth3 ...] [--seeds 1] [--minutes M | --iterations N]
    python benchmarks/networks.py --data FOLDER --models runs/networks --output networks.jsonl \
        --speed
    python benchmarks/networks.py --output networks.jsonl --table

The first line trains each network from the same seed for equal minutes and scores it on the
validation part (see _experiment.py), a line of JSON each; what is there is not repeated, and a
training that was broken off goes on. Networks are validated at the end only, so that all of the
minutes go into steps. The settings are those of the recipe below: for others, name other files.

The second line times `segment`, from arrays to labels, on the images of the validation part: all
networks in one run, alternately, image by image, with nothing else running. What it measures goes
into a file of its own beside the results (NAME.speed.json), written anew each time. All lines print
the table of what is known.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

from _commands import make_parser, read_arguments, run_missing
from _experiment import NEVER, Result, last_model, load, model_path, run
from _speed import write_speed
from _tables import cost_table
from napari_unet.config import RECIPES, TrainConfig
from napari_unet.training import Files

RECIPE = RECIPES["standard"]
"""Target and training of all, and the network but for its width and depth."""
TRAINING = replace(RECIPE.training, minutes=8.0, validate_every=NEVER)
VARIANTS = {
    f"base{base}-depth{depth}": replace(RECIPE.network, base_channels=base, depth=depth)
    for base, depth in product((16, 24, 32, 48), (3, 4))
}


def table(output: Path) -> list[str]:
    """Return a row a network."""
    return cost_table(output)


def measure_speed(args: argparse.Namespace) -> None:
    """Time all networks that are there, and write it down."""
    there = [name for name in args.only if Files(model_path(args.models, name, 0)).last.exists()]
    if not there:
        missing = ", ".join(args.only)
        raise SystemExit(f"{args.models} holds none of {missing}: train them first.")
    _, held_out = load(args.data)
    models = {name: last_model(args.models, name) for name in there}
    write_speed(args.output, models, held_out, args.repeat)


def main() -> None:
    """Do what the command line asks for, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument("--speed", action="store_true", help="time what is trained, only")
    parser.add_argument("--repeat", type=int, default=3, help="of the timing")
    args = read_arguments(parser)
    if args.speed and not args.table:
        measure_speed(args)

    def scored(name: str, config: TrainConfig) -> Iterator[Result]:
        training, held_out = load(args.data)
        common = (training, held_out, args.models, args.device)
        yield run(name, VARIANTS[name], RECIPE.target, config, *common)

    run_missing(args, Result, {} if args.speed else dict.fromkeys(args.only, TRAINING), scored)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
