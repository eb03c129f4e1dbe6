"""What each part of the training is good for: a network without it, then with it.

    python benchmarks/ablation.py --data FOLDER --models runs/ablation --output ablation.jsonl \
        [--iterations 1500] [--seeds 1] [--only NAME ...]
    python benchmarks/ablation.py --output ablation.jsonl --table

Each variant has what the one before it has, and one thing more, unless it says "instead": it is
trained for equally many steps from the same seed and scored once, at the end, on the validation
part (see _experiment.py), a line of JSON each. What is there is not repeated, and a training that
was broken off goes on.

FOLDER holds dsb2018_stardist (the split of Schmidt et al. 2018); its test part is not read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from _experiment import NEVER, Result, load, run
from _records import add_line, budget_of, mean_and_range, read_lines
from napari_unet.config import RECIPES, Target, TrainConfig, UNetConfig

NETWORK = UNetConfig(base_channels=24, padding="same", dropout=0.0)
BARE = replace(
    RECIPES["standard"].training,
    batch=6,
    patch=128,
    learning_rate=1.5e-3,
    validate_every=NEVER,
    w0=0.0,
    elastic=False,
    scale=1.0,
    sharp=1.0,
    average=0.0,
)
"""Cross-entropy alone; patches are mirrored, turned by right angles, and change in gray value."""
Variant = tuple[str, UNetConfig, Target, TrainConfig]


def variants() -> Iterator[Variant]:
    """Yield the variants, from the barest to all that ships, then those with a thing exchanged."""
    network, target, config = NETWORK, Target(), BARE
    yield "cross-entropy", network, target, config
    config = replace(config, w0=5.0)
    yield "+ weight map (w0 = 5)", network, target, config
    network = replace(network, batch_norm=True)
    yield "+ batch normalisation", network, target, config
    target = Target(extras=("distance",))
    yield "+ distance output, seeded watershed", network, target, config
    target = Target(extras=("distance", "extent"))
    yield "+ extent output", network, target, config
    config = replace(config, average=0.999)
    yield "+ moving average of the weights", network, target, config
    config = replace(config, elastic=True, scale=1.4, sharp=0.5)
    yield "+ elastic deformation of every second patch", network, target, config
    yield "elastic deformation of all patches instead", network, target, replace(config, sharp=0.0)
    yield "classes balanced (--balance), too", network, target, replace(config, balance=True)
    yield "w0 = 10 instead", network, target, replace(config, w0=10.0)
    yield "no weight map (w0 = 0) instead", network, target, replace(config, w0=0.0)


def main() -> None:
    """Train what is missing, and print the table."""
    args = _arguments()
    if not args.table:
        try:
            _train(args)
        except (OSError, ValueError) as error:
            raise SystemExit(str(error)) from error
    _print_table(read_lines(args.output, Result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder that holds dsb2018_stardist")
    parser.add_argument("--models", type=Path, help="folder of the trained networks")
    parser.add_argument("--output", type=Path, required=True, help="results, a line of JSON each")
    parser.add_argument("--iterations", type=int, default=1500, help="steps of a training")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--only", nargs="+", choices=[v[0] for v in variants()], metavar="NAME", help="variants"
    )
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    args = parser.parse_args()
    if not args.table and (args.data is None or args.models is None):
        parser.error("name the folder of the annotated images by --data, and one by --models")
    return args


def _train(args: argparse.Namespace) -> None:
    """Train what is missing: all variants from one seed, then from the next."""
    done = {r.key for r in read_lines(args.output, Result)}
    training, held_out = load(args.data)
    for seed in range(args.seeds):
        for number, (name, network, target, config) in enumerate(variants()):
            config = replace(config, seed=seed, iterations=args.iterations)
            chosen = args.only is None or name in args.only
            if not chosen or (name, seed, budget_of(config)) in done:
                continue
            models = args.models / str(number)
            add_line(args.output, run(name, network, target, config, training, held_out, models))


def _print_table(results: Sequence[Result]) -> None:
    """Print the table, a budget after the other."""
    for budget in dict.fromkeys(r.budget for r in results):
        print(f"\n{budget} of training\n")
        print("| variant | AP@0.5 | 0.7 | 0.9 | missed | merged | split | invented | seeds |")
        print("|---|---|---|---|---|---|---|---|---|")
        chosen = [r for r in results if r.budget == budget]
        for name in dict.fromkeys(r.name for r in chosen):
            print(_row([r for r in chosen if r.name == name]))


def _row(results: Sequence[Result]) -> str:
    aps = [mean_and_range([r.ap[at] for r in results], 3) for at in (0, 2, 4)]
    counts = [
        f"{sum(getattr(r, kind) for r in results) / len(results):.0f}"
        for kind in ("missed", "merged", "split", "invented")
    ]
    return f"| {' | '.join([results[0].name, *aps, *counts, str(len(results))])} |"


if __name__ == "__main__":
    main()
