"""The paper's experiments on cells: phase contrast and interference contrast, IoU and SEG.

    python benchmarks/cell_experiments.py --data FOLDER --models runs/cells --output cells.jsonl \
        [--only usiigaci usiigaci-fifth bbbc030_cho_dic bbbc030_cho_dic-fifth] [--seeds 1]
    python benchmarks/cell_experiments.py --data FOLDER --models runs/cells --output cells.jsonl \
        --picture cells.png
    python benchmarks/cell_experiments.py --output cells.jsonl --table

Each set is learnt once with all of its annotation, and once with that of a fifth of its cells,
drawn at random: those, and the background near them, are known, and all else is not (-1). The test
images are segmented at the end, with nothing typed.

FOLDER holds usiigaci (Tsai et al. 2019) and bbbc030_cho_dic (Koos et al. 2016), each with
train/images, train/labels, test/images and test/labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from _commands import budget_told, make_parser, read_arguments, run_missing, table_of
from _experiment import card_of, last_model, learn, read_pairs, segmented
from _records import Trained, mean_and_range, read_lines, training_of
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import Preprocessing, Recipe, Target, TrainConfig, UNetConfig
from napari_unet.metrics import measure, pool
from napari_unet.training import Pair

FIFTH = "-fifth"
SHARE, NEAR = 0.2, 40
"""Of the cells, those that are annotated; and pixels around one in which background is, too."""
MARGINS = {"usiigaci": 0, "bbbc030_cho_dic": 60}
"""Pixels along the border in which cells may have no label: background there is neither learnt nor
scored."""
VARIANTS = [f"{name}{ending}" for name in MARGINS for ending in ("", FIFTH)]
TOLD = {
    "usiigaci": "phase contrast (usiigaci)",
    "bbbc030_cho_dic": "interference contrast (bbbc030)",
}
PUBLISHED = (
    ("PhC-U373 (Ronneberger et al. 2015), hidden frames", "partial", "0.9203"),
    ("DIC-HeLa (Ronneberger et al. 2015), hidden frames", "partial", "0.7756"),
)
"""Table 2 of the U-Net paper, whose "IOU" is the Cell Tracking Challenge's SEG."""
RECIPE = Recipe(
    UNetConfig(base_channels=24, padding="same", batch_norm=True, dropout=0.0),
    Target(extras=("distance",)),
    TrainConfig(
        iterations=2000,
        batch=6,
        patch=128,
        learning_rate=1.5e-3,
        validate_every=500,
        average=0.998,
        scale=1.4,
        sharp=0.75,
    ),
)
RULE = Preprocessing(zoom=0.5, invert_bright=False)
"""Cells of some 50 pixels across become 25; background is gray, and chance would decide."""


@dataclass(frozen=True)
class Result(Trained):
    """Scores on the test images.

    Parameters
    ----------
    name, seed, budget, parameters, iterations, seconds, machine
        See :class:`_records.Trained`.
    cells : int
        Annotated for training.
    iou : float
        Of the foregrounds, all images together.
    seg : float
        Mean over true cells of the IoU with the object that covers them.
    ap : float
        Average precision at IoU 0.5, over all cells together.
    """

    cells: int
    iou: float
    seg: float
    ap: float


def load(folder: Path, margin: int) -> list[Pair]:
    """Read images, the background along their border not annotated."""
    return [replace(pair, labels=_trimmed(pair, margin)) for pair in read_pairs(folder)]


def _trimmed(pair: Pair, margin: int) -> NDArray[np.int32]:
    labels = np.array(pair.labels, np.int32)
    inner = np.zeros(labels.shape, bool)
    inner[tuple(slice(margin, n - margin) for n in labels.shape)] = True
    labels[~inner & (labels == 0)] = -1
    return labels


def thin_out(pair: Pair, random: np.random.Generator) -> Pair:
    """Keep the annotation of a fifth of the cells (one at least), and of the background near."""
    labels = np.asarray(pair.labels)
    cells = np.unique(labels[labels > 0])
    if not cells.size:
        return pair
    kept = random.choice(cells, max(1, round(SHARE * cells.size)), replace=False)
    mine = np.isin(labels, kept)
    near = distance_transform_edt(~mine) <= NEAR
    return replace(pair, labels=np.where(mine | (near & (labels == 0)), labels, -1))


def score(
    name: str, config: TrainConfig, model: Checkpoint, test: Sequence[Pair]
) -> dict[str, Any]:
    """Segment the test images, and measure all together; objects in the margin do not count."""
    margin = MARGINS[name.removesuffix(FIFTH)]
    measured = []
    for pair, result in zip(test, segmented(model, test), strict=True):
        inner = tuple(slice(margin, n - margin) for n in pair.labels.shape)
        found, truth = result.labels[inner], np.asarray(pair.labels)[inner]
        measured.append(measure(found, truth, ("iou", "seg", "ap")))
    total = pool(measured)
    scores = {key: round(total.scores[key].value, 4) for key in ("iou", "seg")}
    return {**scores, "ap": round(total.matchings[0].ap, 4)}


def table(output: Path) -> list[str]:
    """Return the scores beside the published ones."""
    lines = read_lines(output, Result)
    heads = ["set", "annotated", "IoU", "SEG", "AP@0.5", "steps", "seeds"]
    rows = []
    for name, budget in dict.fromkeys((line.name, line.budget) for line in lines):
        alike = [line for line in lines if (line.name, line.budget) == (name, budget)]
        scores = [
            mean_and_range([getattr(r, key) for r in alike], 3) for key in ("iou", "seg", "ap")
        ]
        share = "a fifth" if name.endswith(FIFTH) else "all"
        known = f"{share}: {alike[0].cells} cells"
        told = TOLD[name.removesuffix(FIFTH)]
        rows.append([told, known, *scores, budget_told(alike[-1]), str(len(alike))])
    published = [[told, known, "-", value, "-", "-", "-"] for told, known, value in PUBLISHED]
    return table_of(heads, [*rows, *published])


def draw(models: Path, data: Path, names: Sequence[str], output: Path) -> None:
    """Draw a test image of each set, what was found in it, and the truth."""
    import _panels  # needs matplotlib

    rows = []
    for name in names:
        place = name.removesuffix(FIFTH)
        pair = load(data / place / "test", MARGINS[place])[0]
        (result,) = segmented(last_model(models, name), [pair])
        part = _richest(pair.labels > 0)
        image = np.asarray(pair.image)[part]
        found, truth = result.labels[part], np.maximum(pair.labels, 0)[part]
        panels = [(name, None), (f"{name}: found", found), (f"{name}: truth", truth)]
        rows.append([(title, _panels.painted(image, labels)) for title, labels in panels])
    _panels.draw(rows, output)


def _richest(cells: NDArray[np.bool_], side: int = 512, step: int = 64) -> tuple[slice, ...]:
    """Return the square, of those on a grid, that holds most of the cells."""
    corners = product(*(range(0, n - side + 1, step) for n in cells.shape))
    squares = [tuple(slice(at, at + side) for at in corner) for corner in corners]
    return max(squares, key=lambda square: int(cells[square].sum()))


def main() -> None:
    """Train what is missing, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument(
        "--picture", type=Path, metavar="PNG", help="draw a test image each of --only"
    )
    args = read_arguments(parser)
    if args.picture:
        draw(args.models, args.data, args.only, args.picture)
        return

    def run(name: str, config: TrainConfig) -> Iterator[Result]:
        place = name.removesuffix(FIFTH)
        read = partial(load, margin=MARGINS[place])
        training, test = (read(args.data / place / part) for part in ("train", "test"))
        if name.endswith(FIFTH):
            random = np.random.default_rng(config.seed)
            training = [thin_out(pair, random) for pair in training]
        cells = sum(np.unique(pair.labels[pair.labels > 0]).size for pair in training)
        card = card_of(RECIPE.network, RECIPE.target, RULE)
        model = learn(name, card, config, training, test, args.models, args.device)
        scores = score(name, config, model, test)
        yield Result(**training_of(name, config, model), cells=cells, **scores)

    variants = dict.fromkeys(args.only, RECIPE.training)
    run_missing(args, Result, variants, run)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
