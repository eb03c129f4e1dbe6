"""Several classes: areas of white blood cells in colour, and touching objects of three kinds.

    python benchmarks/classes.py --data FOLDER --models runs/classes --output classes.jsonl \
        [--only areas sigmoid fruit] [--seeds 1] [--iterations N | --minutes M]
    python benchmarks/classes.py --data FOLDER --models runs/classes --output classes.jsonl \
        --picture classes.png
    python benchmarks/classes.py --output classes.jsonl --table

"areas" learns background, cytoplasm and nucleus from two thirds of the pictures, softmax over
three outputs, and is scored on the other third. "sigmoid" learns the whole cells as objects by the
recipe of that name, a quarter as wide: the padded U-Net with three colours in and one sigmoid out.
"fruit" learns apples, pears and strawberries that touch, from pictures made by _fruit.py; each one
is to be found in pictures that were not learnt from, and its kind told.

FOLDER holds wbc/dataset2 (Zheng et al. 2018), of which every third picture is scored. Weights
trained on it are not to be passed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from _commands import budget_told, make_parser, read_arguments, run_missing, table_of
from _experiment import card_of, last_model, learn, read_pairs, segmented
from _fruit import KINDS, make_scene
from _records import Trained, mean_and_range, read_lines, training_of
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import RECIPES, Preprocessing, Recipe, Target, TrainConfig, UNetConfig
from napari_unet.metrics import Overlap, class_ious
from napari_unet.metrics.ratio import Ratio
from napari_unet.segmentation import Segmentation
from napari_unet.training import Pair

SET, EVERY = Path("wbc", "dataset2"), 3
SCENES, JUDGED = 60, 12
"""Pictures of fruit to learn from, and to score."""
RULE = Preprocessing(channels=3, invert_bright=False)
RULES = {"areas": replace(RULE, zoom=0.5)}
"""How images are seen, where not by that: of cells of some 150 pixels a patch then holds a whole
one, without whose outline pale cytoplasm is background."""
NARROW = UNetConfig(base_channels=16, padding="same", batch_norm=True, dropout=0.0)
TEACH = TrainConfig(
    iterations=2000,
    batch=2,
    patch=224,
    learning_rate=1.5e-3,
    validate_every=500,
    average=0.998,
    sharp=0.5,
    invert=0.0,
)
SIGMOID = RECIPES["sigmoid"]
VARIANTS = {
    "areas": Recipe(
        NARROW,
        Target(("background", "cytoplasm", "nucleus"), instances=False),
        replace(TEACH, batch=8, patch=128, iterations=1500, plain=0.5),  # colours tell them apart
    ),
    "sigmoid": Recipe(
        UNetConfig(out_channels=1, base_channels=16, padding="same"),
        SIGMOID.target,
        replace(SIGMOID.training, patch=256, iterations=2000, validate_every=500, invert=0.0),
    ),
    "fruit": Recipe(
        NARROW,
        Target(KINDS, extras=("distance",)),
        replace(TEACH, batch=4, patch=128, iterations=1500, sharp=0.75),
    ),
}


@dataclass(frozen=True)
class Result(Trained):
    """Scores on the pictures that were not learnt from.

    Parameters
    ----------
    name, seed, budget, parameters, iterations, seconds, machine
        See :class:`_records.Trained`.
    classes : tuple of str
        Background first.
    ious : tuple of float
        Of each class, all pictures together; what lies in an object is of its class.
    objects, found, right, invented : int
        Of objects with classes: how many there are, those found at IoU 0.5, those of them whose
        class is right, and those found where there is none.
    """

    classes: tuple[str, ...]
    ious: tuple[float, ...]
    objects: int = 0
    found: int = 0
    right: int = 0
    invented: int = 0

    @property
    def mean_iou(self) -> float:
        """Mean over the classes."""
        return float(np.mean(self.ious))


def load(data: Path, name: str) -> tuple[list[Pair], list[Pair]]:
    """Return the pictures to learn from, and those to score."""
    if name == "fruit":
        scenes = [make_scene(seed) for seed in range(SCENES + JUDGED)]
        pairs = [Pair(s.image, s.labels, "YXS", classes=s.classes) for s in scenes]
        return pairs[:SCENES], pairs[SCENES:]
    pairs = read_pairs(data / SET)
    if name == "sigmoid":
        pairs = [replace(p, labels=ndimage.label(np.asarray(p.labels) > 0)[0]) for p in pairs]
    kept = [pair for number, pair in enumerate(pairs) if number % EVERY]
    return kept, pairs[::EVERY]


def found_classes(result: Segmentation) -> NDArray[np.integer[Any]]:
    """Return the class of each pixel."""
    if not result.card.target.instances:
        return result.labels
    return np.append(0, result.objects[0].classes)[result.labels]


def true_classes(pair: Pair, target: Target) -> NDArray[np.integer[Any]]:
    """Return the class of each pixel, from the annotation."""
    labels = np.asarray(pair.labels)
    if not target.instances:
        return labels
    known = pair.classes or {}
    return np.array([0, *(known.get(n, 1) for n in range(1, labels.max() + 1))])[labels]


def score(model: Checkpoint, held_out: Sequence[Pair]) -> dict[str, Any]:
    """Segment the pictures with nothing typed, and compare classes, and objects."""
    target, per_picture, counts = model.card.target, [], np.zeros(4, int)
    for pair, result in zip(held_out, segmented(model, held_out), strict=True):
        found, truth = found_classes(result), true_classes(pair, target)
        per_picture.append(class_ious(found, truth))
        if target.instances:
            counts += _objects(result.labels, np.asarray(pair.labels), found, truth)
    total = reduce(_sum, per_picture)
    objects = zip(("objects", "found", "right", "invented"), counts.tolist(), strict=True)
    ious = tuple(round(ratio.value, 4) for ratio in total)
    return {"classes": target.classes, "ious": ious, **dict(objects)}


def _sum(one: Sequence[Ratio], other: Sequence[Ratio]) -> list[Ratio]:
    return [a + b for a, b in zip_longest(one, other, fillvalue=Ratio(0, 0))]


def _objects(*images: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Count true objects, those found, those of them whose class is right, and invented ones."""
    labels, truth, found_class, true_class = images
    overlap = Overlap.of(labels, truth)
    numbers, there = (np.unique(a[a > 0]) for a in (labels, truth))
    pairs = overlap.pairs(0.5)
    ours, theirs = numbers[overlap.row[pairs]], there[overlap.column[pairs]]
    right = sum(
        found_class[labels == a].max() == true_class[truth == b].max()
        for a, b in zip(ours, theirs, strict=True)
    )
    return np.array([there.size, ours.size, right, numbers.size - ours.size])


def table(output: Path) -> list[str]:
    """Return a row a variant."""
    lines = read_lines(output, Result)
    heads = ["variant", "IoU of each class", "mean IoU", "objects", "steps", "seeds"]
    rows = []
    for name, budget in dict.fromkeys((line.name, line.budget) for line in lines):
        alike = [line for line in lines if (line.name, line.budget) == (name, budget)]
        last = alike[-1]
        per_class = np.mean([line.ious for line in alike], axis=0)
        ious = [f"{c} {v:.3f}" for c, v in zip(last.classes, per_class, strict=True)]
        objects = f"{last.found} of {last.objects} found, {last.invented} invented"
        if len(last.classes) > 2:
            objects += f"; class of {last.right} right"
        mean = mean_and_range([line.mean_iou for line in alike], 3)
        told = objects if last.objects else "-"
        rows.append([name, ", ".join(ious), mean, told, budget_told(last), str(len(alike))])
    return table_of(heads, rows)


def draw(models: Path, data: Path, names: Sequence[str], output: Path) -> None:
    """Draw two pictures of each variant: what was found in them, and the truth, by classes."""
    import _panels  # needs matplotlib

    rows = []
    for name in names:
        model, (_, held_out) = last_model(models, name), load(data, name)
        row = []
        for pair, result in zip(held_out[:2], segmented(model, held_out[:2]), strict=True):
            truth, kinds = np.asarray(pair.labels), None
            found, ours = result.labels, None
            if model.card.target.instances:
                ours = np.append(0, result.objects[0].classes)
                each = true_classes(pair, model.card.target)
                kinds = ndimage.maximum(each, truth, np.arange(truth.max() + 1)).astype(int)
            row += [
                (name, _panels.painted(pair.image)),
                (f"{name}: found", _panels.painted(pair.image, found, ours)),
                (f"{name}: truth", _panels.painted(pair.image, truth, kinds)),
            ]
        rows.append(row)
    _panels.draw(rows, output)


def main() -> None:
    """Train what is missing, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw those of --only")
    args = read_arguments(parser)
    if args.picture:
        draw(args.models, args.data, args.only, args.picture)
        return

    def run(name: str, config: TrainConfig) -> Iterator[Result]:
        recipe = VARIANTS[name]
        training, held_out = load(args.data, name)
        card = card_of(recipe.network, recipe.target, RULES.get(name, RULE))
        model = learn(name, card, config, training, held_out, args.models, args.device)
        yield Result(**training_of(name, config, model), **score(model, held_out))

    variants = {name: VARIANTS[name].training for name in args.only}
    run_missing(args, Result, variants, run)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
