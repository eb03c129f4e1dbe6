"""What the experiments' command lines have in common, and how their results come about."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from _records import Trained, add_line, budget_of, read_lines
from napari_unet.config import TrainConfig

Line = TypeVar("Line", bound=Trained)


def make_parser(doc: str, variants: Iterable[str]) -> argparse.ArgumentParser:
    """Return a parser of what all experiments take."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the annotated sets")
    parser.add_argument("--models", type=Path, help="folder of the networks, one a budget")
    parser.add_argument("--output", type=Path, required=True, help="results, a line of JSON each")
    parser.add_argument(
        "--only", nargs="+", choices=list(variants), metavar="NAME", default=list(variants)
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--iterations", type=int, help="steps of a training, not the variant's own")
    parser.add_argument("--minutes", type=float, help="train so long instead")
    parser.add_argument(
        "--device", default="cpu", choices=("auto", "cpu", "cuda", "mps"), help="where to train"
    )
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    return parser


FOLDERS = ("data", "models")


def read_arguments(
    parser: argparse.ArgumentParser,
    to_run: Sequence[str] = FOLDERS,
    to_draw: Sequence[str] = FOLDERS,
) -> argparse.Namespace:
    """Read the command line; running what is missing, and drawing, need some folders each."""
    args = parser.parse_args()
    needed = to_draw if getattr(args, "picture", None) else to_run
    missing = [name for name in needed if getattr(args, name) is None]
    if missing and not args.table:
        parser.error(f"name --{' and --'.join(missing)}, or print what is there by --table")
    return args


def run_missing(
    args: argparse.Namespace,
    kind: type[Line],
    variants: Mapping[str, TrainConfig],
    run: Callable[[str, TrainConfig], Iterable[Line]],
) -> None:
    """Run what has no result yet, unless only the table is asked for.

    Parameters
    ----------
    args : Namespace
        Of :func:`read_arguments`.
    kind : type
        Of a line of results.
    variants : mapping of str to TrainConfig
        What there is to run, with the budgets that count where the command line names none.
    run : callable
        Trains and scores a variant, given its name and how it is trained; the last line that it
        yields is of that name.
    """
    if args.table:
        return
    try:
        _run(args, kind, variants, run)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


def _run(
    args: argparse.Namespace,
    kind: type[Line],
    variants: Mapping[str, TrainConfig],
    run: Callable[[str, TrainConfig], Iterable[Line]],
) -> None:
    """Run all variants from one seed, then from the next; what is there is not repeated."""
    done = {line.key for line in read_lines(args.output, kind)}
    for seed in range(args.seeds):
        for name, config in variants.items():
            config = replace(config, seed=seed, **_budget(args))
            if (name, seed, budget_of(config)) in done:
                continue
            for line in run(name, config):
                add_line(args.output, line)


def _budget(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the command line says of how long to train."""
    if args.minutes:
        return {"minutes": args.minutes}
    return {"iterations": args.iterations, "minutes": None} if args.iterations else {}


def table_of(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body]


def budget_told(line: Trained) -> str:
    """Return steps and minutes of a training, in words."""
    return f"{line.iterations:,} in {line.seconds / 60:.0f} min"
