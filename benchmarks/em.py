"""The paper's experiment on electron microscopy: neuronal membranes in 30 serial sections.

    python benchmarks/em.py --data FOLDER --models runs/em --output em.jsonl \
        [--only cells paper ...] [--seeds 1] [--iterations N | --minutes M] [--screen]
    python benchmarks/em.py --data FOLDER --models runs/em --output em.jsonl --picture em.jpg
    python benchmarks/em.py --output em.jsonl --table
    python benchmarks/learning_curves.py runs/em/*.log.csv -o em_curves.png

A network learns sections 0 to 23, and the other six are predicted, averaged over the eight flips
and quarter turns: pixel, Rand and warping error as the ISBI 2012 challenge defines them, least over
the thresholds, and at 0.5. The network scored is that of the last step; what learning curves say of
the held-out sections meanwhile chooses nothing. Each network is scored twice: by its scores as they
are, and with cells kept apart (see `part`), as thin membranes need.

Without --only, "cells" is trained, which is ours, and "paper-narrow", the published recipe at a
quarter of its width; at all of it, "paper" takes a GPU. `--screen` compares variants before those
six sections are looked at: it trains on sections 0 to 19, and scores sections 20 to 23.

FOLDER holds isbi2012/train (Cardona et al. 2010, Arganda-Carreras et al. 2015). Its terms forbid
that weights trained on it are passed on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from _commands import budget_told, make_parser, read_arguments, run_missing, table_of
from _experiment import card_of, last_model, learn, read_pairs, segmented
from _records import Trained, mean_and_range, read_lines, training_of
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import RECIPES, Preprocessing, Recipe, Target, TrainConfig, UNetConfig
from napari_unet.metrics import pixel_error, rand_error, warping_error
from napari_unet.training import Pair

SET = Path("isbi2012", "train")
HELD_OUT, SCREENED = slice(24, 30), slice(20, 24)
"""Sections to score; those before them are learnt from."""
SCREEN = "-screen"
"""Ends the names of results on the latter."""
PARTED = " parted"
"""Ends the names of results with cells kept apart."""
RULE = Preprocessing(invert_bright=False)
"""Membranes are dark in all sections: nothing is to be turned over."""

OURS = Recipe(
    UNetConfig(base_channels=24, padding="same", batch_norm=True, dropout=0.0),
    Target(),
    TrainConfig(
        iterations=5500,
        batch=2,
        patch=256,
        learning_rate=1.5e-3,
        validate_every=500,
        average=0.999,
        sharp=0.5,
        invert=0.0,
    ),
)
"""Padded, so that each pixel read is also learnt from; cells are the objects that the weight map
keeps apart, which is weight on the membranes. A step is 0.13 megapixels."""
PAPER = replace(RECIPES["paper"], training=replace(RECIPES["paper"].training, validate_every=500))
MEMBRANES = Target(("cell", "membrane"), instances=False)
VARIANTS = {
    "cells": OURS,
    "cells-w10": replace(OURS, training=replace(OURS.training, w0=10.0)),
    "cells-distance": replace(OURS, target=Target(extras=("distance",))),
    "membranes": replace(OURS, target=MEMBRANES),
    "paper": replace(PAPER, training=replace(PAPER.training, iterations=10_000)),
    "paper-narrow": replace(
        PAPER,
        network=UNetConfig(base_channels=16),
        training=replace(PAPER.training, iterations=3000),
    ),
}
TOLD = {
    "cells": "cells as objects, w0 = 5",
    "cells-w10": "the same, w0 = 10",
    "cells-distance": "the same, w0 = 5, and a distance output",
    "membranes": "membranes as a class, no weight map",
    "paper": "recipe `paper`",
    "paper-narrow": "recipe `paper`, a quarter as wide",
}
PUBLISHED = (
    ("U-Net (Ronneberger et al. 2015), hidden sections", "0.0611", "0.0382", "0.000353"),
    ("sliding window (Ciresan et al. 2012), hidden sections", "0.0613", "0.0504", "0.000420"),
)
"""Table 1 of the U-Net paper."""


@dataclass(frozen=True)
class Result(Trained):
    """Errors on the held-out sections: least over the thresholds, and at 0.5.

    Parameters
    ----------
    name, seed, budget, parameters, iterations, seconds, machine
        See :class:`_records.Trained`.
    pixel, rand, warping : tuple of float
        The two of each.
    thresholds : tuple of float
        Where the least ones are.
    """

    pixel: tuple[float, ...]
    rand: tuple[float, ...]
    warping: tuple[float, ...]
    thresholds: tuple[float, ...]


def load(data: Path, target: Target, held: slice) -> tuple[list[Pair], list[Pair]]:
    """Read the sections to learn from, and those to score, labelled as the target needs it."""
    pairs = read_pairs(data / SET, "labels_cells" if target.instances else "labels")
    return pairs[: held.start], pairs[held]


def maps(
    model: Checkpoint, held_out: Sequence[Pair], device: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return how probably each pixel of each section is cell, shape (S, Y, X), and the truth."""
    cells = model.card.target.instances  # are the class that comes second; else membranes are
    channel = 1 if cells else 0
    found = [r.scores[0][channel] for r in segmented(model, held_out, device, averaged=True)]
    truth = np.stack([(np.asarray(pair.labels) > 0) == cells for pair in held_out])
    return np.clip(np.stack(found), 0, 1), truth


def part(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep cells apart in maps (S, Y, X), also where they are cut at low thresholds.

    A membrane thinner than its blur has some score of cell all along: at 0.5 it is drawn too wide,
    and lower down its weakest pixel lets two cells run into one. So cells are taken at 0.5 and
    grown downhill until they meet (watershed), where the score becomes 0.
    """
    parted = scores.copy()
    for section in parted:
        cells, _ = ndimage.label(section > 0.5)
        grown = watershed(-section, cells, watershed_line=True)  # type: ignore[no-untyped-call]
        section[grown == 0] = 0
    return parted


def score(
    name: str, config: TrainConfig, model: Checkpoint, held_out: Sequence[Pair], device: str
) -> Iterator[Result]:
    """Predict the sections, and count the errors of all together: cells kept apart, and as is."""
    found, truth = maps(model, held_out, device)
    yield _count(name + PARTED, part(found), truth, config, model)
    yield _count(name, found, truth, config, model)


def _count(
    name: str,
    found: NDArray[np.float32],
    truth: NDArray[np.bool_],
    config: TrainConfig,
    model: Checkpoint,
) -> Result:
    errors = [count(found, truth) for count in (pixel_error, rand_error, warping_error)]
    pixel, rand, warping = ((round(e.least, 7), round(e.at(0.5), 7)) for e in errors)
    thresholds = tuple(e.best_threshold for e in errors)
    trained = training_of(name, config, model)
    return Result(**trained, pixel=pixel, rand=rand, warping=warping, thresholds=thresholds)


def table(output: Path) -> list[str]:
    """Return the errors beside the published ones; screened variants in a table of their own."""
    lines = read_lines(output, Result)
    heads = [
        "network",
        "pixel error",
        "Rand error",
        "warping error",
        "the three at 0.5",
        "steps",
        "seeds",
    ]
    final = [line for line in lines if SCREEN not in line.name]
    screened = [line for line in lines if SCREEN in line.name]
    text = []
    if screened:
        text = ["Sections 20 to 23, by networks that learnt 0 to 19:", ""]
        text += [*table_of(heads, _rows(screened)), ""]
    if final:
        text += ["Sections 24 to 29, by networks that learnt 0 to 23:", ""]
        text += table_of(heads, [*_rows(final), *((*row, "-", "-", "-") for row in PUBLISHED)])
    return text


def _rows(lines: Sequence[Result]) -> Iterator[list[str]]:
    for name, budget in dict.fromkeys((line.name, line.budget) for line in lines):
        alike = [line for line in lines if (line.name, line.budget) == (name, budget)]
        errors = [(r.pixel, r.rand, r.warping) for r in alike]
        least, half = ([[e[kind][n] for e in errors] for kind in range(3)] for n in (0, 1))
        cells = [mean_and_range(v, 6 if kind == 2 else 4) for kind, v in enumerate(least)]
        fixed = ", ".join(f"{np.mean(v):.{6 if k == 2 else 4}f}" for k, v in enumerate(half))
        told = TOLD[name.removesuffix(PARTED).removesuffix(SCREEN)]
        told += "; cells kept apart" if name.endswith(PARTED) else ""
        yield [told, *cells, fixed, budget_told(alike[-1]), str(len(alike))]


def draw(args: argparse.Namespace) -> None:
    """Draw two held-out sections: probability of cell, and cells of the Rand error's threshold."""
    import _panels  # needs matplotlib

    name = next(iter(args.only))
    model = last_model(args.models, name)
    _, held_out = load(args.data, model.card.target, HELD_OUT)
    shown = [held_out[0], held_out[-1]]
    found, truth = maps(model, shown, args.device)
    found = part(found)
    cut = rand_error(found, truth).best_threshold
    rows = []
    for pair, cells, true in zip(shown, found, truth, strict=True):
        labels, expected = (ndimage.label(mask)[0] for mask in (cells > cut, true))
        image = np.asarray(pair.image)
        rows.append(
            [
                ("held-out section", _panels.painted(image)),
                ("score of cell, cells kept apart", _panels.painted(cells)),
                (f"cells, score > {cut}", _panels.painted(image, labels)),
                ("truth", _panels.painted(image, expected)),
            ]
        )
    _panels.draw(rows, args.picture)


def main() -> None:
    """Train what is missing, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument("--screen", action="store_true", help="train on 0 to 19, score 20 to 23")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw the first of --only")
    parser.set_defaults(only=["cells", "paper-narrow"])
    args = read_arguments(parser)
    if args.picture:
        draw(args)
        return
    held, ending = (SCREENED, SCREEN) if args.screen else (HELD_OUT, "")

    def run(name: str, config: TrainConfig) -> Iterator[Result]:
        recipe = VARIANTS[name.removesuffix(SCREEN)]
        training, held_out = load(args.data, recipe.target, held)
        card = card_of(recipe.network, recipe.target, RULE)
        model = learn(name, card, config, training, held_out, args.models, args.device)
        yield from score(name, config, model, held_out, args.device)

    variants = {f"{name}{ending}": VARIANTS[name].training for name in args.only}
    run_missing(args, Result, variants, run)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
