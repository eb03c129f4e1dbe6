"""Which network to ship: what networks of several widths and depths learn in equal minutes.

    python benchmarks/networks.py --data FOLDER --models runs/networks --output networks.jsonl \
        [--minutes 8] [--base 16 24 32 48] [--depth 3 4] [--seeds 1]
    python benchmarks/networks.py --data FOLDER --models runs/networks --output networks.jsonl \
        --speed
    python benchmarks/networks.py --output networks.jsonl --table

The first line trains each network from the same seed for equal minutes on the CPU and scores it on
the validation part (see _experiment.py), a line of JSON each; what is there is not repeated, and a
training that was broken off goes on. Networks are validated at the end only, so that all of the
minutes go into steps. The settings are those of the recipe below: for others, name other files.

The second line times `segment`, from arrays to labels, on the images of the validation part: all
networks in one run, alternately, image by image, with nothing else running. What it measures goes
into a file of its own beside the results (NAME.speed.json), written anew each time. All lines print
the table of what is known.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from _experiment import NEVER, Result, load, model_path, run
from _records import add_line, budget_of, mean_and_range, read_lines
from _speed import read_speed, write_speed
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import RECIPES, TrainConfig

RECIPE = RECIPES["standard"]
"""Target and training of all, and the network but for its width and depth."""


def main() -> None:
    """Do what the command line asks for, and print the table."""
    args = _arguments()
    if not args.table:
        try:
            (_measure_speed if args.speed else _train)(args)
        except (OSError, ValueError) as error:
            raise SystemExit(str(error)) from error
    _print_table(read_lines(args.output, Result), read_speed(args.output))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder that holds dsb2018_stardist")
    parser.add_argument("--models", type=Path, help="folder of the trained networks")
    parser.add_argument("--output", type=Path, required=True, help="results, a line of JSON each")
    parser.add_argument("--base", nargs="+", type=int, default=(16, 24, 32, 48), metavar="N")
    parser.add_argument("--depth", nargs="+", type=int, default=(3, 4), metavar="N")
    parser.add_argument("--minutes", type=float, default=8.0, help="of a training")
    parser.add_argument("--iterations", type=int, help="steps of a training, instead of minutes")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="of the timing")
    parser.add_argument("--speed", action="store_true", help="time what is trained")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    args = parser.parse_args()
    if not args.table and (args.data is None or args.models is None):
        parser.error("name the folder of the annotated images by --data, and one by --models")
    return args


def _config(args: argparse.Namespace, seed: int = 0) -> TrainConfig:
    budget: dict[str, Any] = {"minutes": args.minutes}
    if args.iterations:
        budget = {"minutes": None, "iterations": args.iterations}
    return replace(RECIPE.training, seed=seed, validate_every=NEVER, **budget)


def _train(args: argparse.Namespace) -> None:
    """Train what is missing: all networks from one seed, then from the next."""
    done = {r.key for r in read_lines(args.output, Result)}
    training, held_out = load(args.data)
    for seed, base, depth in product(range(args.seeds), args.base, args.depth):
        name, config = _name(base, depth), _config(args, seed)
        if (name, seed, budget_of(config)) in done:
            continue
        network = replace(RECIPE.network, base_channels=base, depth=depth)
        result = run(name, network, RECIPE.target, config, training, held_out, args.models)
        add_line(args.output, result)


def _name(base: int, depth: int) -> str:
    return f"base{base}-depth{depth}"


def _measure_speed(args: argparse.Namespace) -> None:
    """Time all networks that are there, and write it down."""
    names = [_name(base, depth) for base, depth in product(args.base, args.depth)]
    paths = {name: model_path(args.models, name, 0) for name in names}
    models = {name: Checkpoint.load(path) for name, path in paths.items() if path.exists()}
    if not models:
        raise ValueError(f"{args.models} holds none of {', '.join(names)}: train them first.")
    _, held_out = load(args.data)
    write_speed(args.output, models, held_out, args.repeat)


def _print_table(results: Sequence[Result], speed: Mapping[str, Any]) -> None:
    """Print the table, a budget after the other."""
    if speed:
        images = f"{speed['images']} images, {speed['megapixels']:.1f} megapixels"
        print(f"\n{speed['machine']}; {speed['engine']}; {images}")
    for budget in dict.fromkeys(r.budget for r in results):
        print(f"\n{budget} of training\n")
        print("| network | parameters | steps | AP@0.5 | AP, mean of 0.5 to 0.9 | MP/s | seeds |")
        print("|---|---|---|---|---|---|---|")
        chosen = [r for r in results if r.budget == budget]
        for name in dict.fromkeys(r.name for r in chosen):
            rates = speed.get("per_second", {}).get(name, [])
            print(_row([r for r in chosen if r.name == name], rates))


def _row(results: Sequence[Result], rates: Sequence[float]) -> str:
    first = results[0]
    cells = [
        first.name,
        f"{first.parameters:,}",
        f"{statistics.median(r.iterations for r in results):,.0f}",
        mean_and_range([r.ap[0] for r in results], 3),
        mean_and_range([r.mean_ap for r in results], 3),
        f"{statistics.median(rates):.2f}" if rates else "-",
        str(len(results)),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
