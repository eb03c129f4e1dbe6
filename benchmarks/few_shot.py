"""How many annotated crops it takes: scores on test images after a few minutes on 1 to 20 of them.

    python benchmarks/few_shot.py --data FOLDER --models FOLDER --output few_shot.jsonl \
        [--crops 1 2 5 10 20] [--starts nuclei cells scratch] [--seeds 3] [--minutes 6]
    python benchmarks/few_shot.py --output few_shot.jsonl --table
    python benchmarks/few_shot.py --output few_shot.jsonl --minutes 6 --picture docs/few_shot.png

For each set and seed, crops of 256x256 pixels are cut at random from training images, one an image
until there are no more images; fewer crops are the first ones of more. The window's Fine-tune runs
on them with its defaults, from each start. The result segments the test images with nothing typed:
AP@0.5 over all objects together, and the mean IoU of the foregrounds. So do the starts themselves,
untaught ("before").

Starts are `nuclei`, the bundled model; `cells`; and `scratch`, random weights. The bundled `cells`
has seen the sets that this is about. In its place, each set has a model of the same recipe that was
trained without it, `cells_without_SET.safetensors` in the folder named by --models.

Each run adds a line to the output, and those that are there are not repeated, so that it can be
broken off. A line states the budget and which file the start was: other budgets are other results,
and of two models under one name the later one's are shown. `--iterations` gives each run a number
of steps instead of minutes, for a machine that is busy with other things, too.

FOLDER holds usiigaci (Tsai et al. 2019) and bbbc030_cho_dic (Koos et al. 2016), each with
train/images, train/labels, test/images and test/labels. Test images are used for nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _few_shot_results import SETS, STARTS, Result, Shown, draw, print_tables
from _records import add_line, budget_of, read_lines, told
from napari_unet.config import FINE_TUNE, SegmentConfig, TrainConfig
from napari_unet.images import pair_by_stem, read_image, read_labels
from napari_unet.library import find_model
from napari_unet.metrics import iou, match
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import load_engine, segment_steps
from napari_unet.training import Pair, Task, fine_tune

CROPS, SIZE = (1, 2, 5, 10, 20), 256
FEWEST = 3
"""Labels in a crop at least, the background's included: nobody annotates an empty one."""
TRIES = 1000
"""Places that are looked at for a crop that is clear of the others."""
TRIMMED = {"usiigaci": 0, "bbbc030_cho_dic": 60}
"""Pixels at the border that are not scored: there, BBBC030 does not annotate cells."""
Annotated = tuple[NDArray[Any], NDArray[np.int32]]
"""An image and its labels."""


def main() -> None:
    """Run what is missing, and print the tables."""
    args = _arguments()
    if not (args.table or args.picture):
        try:
            _run(args)
        except (OSError, ValueError) as error:
            raise SystemExit(str(error)) from error
    results = read_lines(args.output, Result)
    if args.picture:
        draw(Shown.of(results, budget_of(_config(args))), args.picture)
    else:
        for budget in dict.fromkeys(r.budget for r in results if r.stage == "after"):
            print_tables(Shown.of(results, budget))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the annotated sets")
    parser.add_argument("--models", type=Path, help="folder of cells_without_SET.safetensors")
    parser.add_argument("--output", type=Path, required=True, help="results, a line of JSON each")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=list(STARTS))
    parser.add_argument("--crops", nargs="+", type=int, default=CROPS, metavar="N")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=6.0, help="of a run")
    parser.add_argument("--iterations", type=int, help="steps of a run, instead of minutes")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw it, run nothing")
    args = parser.parse_args()
    if args.table or args.picture:
        return args
    if args.data is None:
        parser.error("the annotated sets are not part of this project: name their folder by --data")
    if args.models is None and "cells" in args.starts:
        parser.error("name the folder of cells_without_SET.safetensors by --models, or --starts")
    if min(args.crops) < 1:
        parser.error(f"--crops {min(args.crops)} is no training: use 1 or more")
    return args


def _config(args: argparse.Namespace, seed: int = 0) -> TrainConfig:
    """Return what the window fine-tunes with, but for its budget."""
    if args.iterations:
        return replace(FINE_TUNE, seed=seed, minutes=None, iterations=args.iterations)
    return replace(FINE_TUNE, seed=seed, minutes=args.minutes)


def _run(args: argparse.Namespace) -> None:
    """Do what is not done yet: all crops of one seed, then of the next."""
    done = {r.key for r in read_lines(args.output, Result)}
    sets = [DataSet.load(args, name) for name in args.sets]
    for seed in range(args.seeds):
        for data in sets:
            for result in data.results(seed, done):
                add_line(args.output, result)
                done.add(result.key)


@dataclass(frozen=True)
class DataSet:
    """An annotated set, and what is to be done on it."""

    name: str
    train: list[Annotated]
    test: list[Annotated]
    models: dict[str, str]
    digests: dict[str, str]
    args: argparse.Namespace

    @classmethod
    def load(cls, args: argparse.Namespace, name: str) -> DataSet:
        """Read all of its images, and see that the starts are there before anything is trained."""
        train, test = (list(_pairs(args.data / name / part)) for part in ("train", "test"))
        models = {start: _model(args, name, start) for start in args.starts}
        digests = {start: _digest(model) for start, model in models.items()}
        return cls(name, train, test, models, digests, args)

    def results(self, seed: int, done: set[tuple[object, ...]]) -> Iterator[Result]:
        """Yield what is not among those done."""
        crops = cut_crops(self.train, seed, max(self.args.crops))
        for start in self.args.starts:
            before = self._blank(start, seed, "before", 0)
            if start != "scratch" and before.key not in done:
                yield replace(before, seed=0, budget="", **self._score(self.models[start]))
        for count in self.args.crops:
            for start in self.args.starts:
                after = self._blank(start, seed, "after", count)
                if after.key not in done:
                    yield self._tuned(after, crops[:count])

    def _blank(self, start: str, seed: int, stage: str, crops: int) -> Result:
        """Return a result whose scores are to come."""
        blank = Result(self.name, start, seed, stage, 0.0, 0.0, 0, 0, 0)
        budget = budget_of(_config(self.args))
        return replace(blank, crops=crops, budget=budget, model=self.digests[start])

    def _tuned(self, run: Result, crops: Sequence[Annotated]) -> Result:
        """Fine-tune on some crops, and score what comes of it."""
        pairs = tuple(Pair(image, labels) for image, labels in crops)
        config, start = _config(self.args, run.seed), self.models[run.start] or None
        began, iteration = time.monotonic(), 0
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "tuned.safetensors")
            for state in fine_tune(Task(pairs, start, output, config, device="cpu")):
                if state.progress is not None:
                    iteration = state.progress.iteration
                    if state.progress.validation:
                        name = f"{run.set}, {run.start}, crops {run.crops}, seed {run.seed}"
                        print(f"  {name}: {told(state.progress)}", flush=True)
            seconds = round(time.monotonic() - began)
            scores = self._score(str(output))
        objects = sum(len(np.unique(labels[labels > 0])) for _, labels in crops)
        return replace(run, **scores, iterations=iteration, seconds=seconds, objects=objects)

    def _score(self, model: str) -> dict[str, Any]:
        """Segment the test images, and return what is known of the result."""
        config, trimmed = SegmentConfig(model=model, device="cpu"), TRIMMED[self.name]
        engine, card = load_engine(config)
        counts, foregrounds = np.zeros(3, int), []
        for image, truth in self.test:
            found = run_to_end(segment_steps(image, engine, card, config)).labels
            inner = tuple(slice(trimmed, n - trimmed) for n in truth.shape)
            matching = match(found[inner], truth[inner], 0.5)
            counts += (matching.tp, matching.fp, matching.fn)
            foregrounds.append(iou(found[inner], truth[inner]))
        tp, fp, fn = counts.tolist()
        return {
            "ap50": round(tp / (tp + fp + fn), 4),
            "iou": round(float(np.mean(foregrounds)), 4),
            "found": tp,
            "invented": fp,
            "missed": fn,
        }


def _model(args: argparse.Namespace, name: str, start: str) -> str:
    """Return the name or path of what training starts from; empty for random weights."""
    if start == "cells":
        return str(args.models / f"cells_without_{name}.safetensors")
    return "" if start == "scratch" else start


def _digest(model: str) -> str:
    """Return what tells a model's file from others."""
    return hashlib.sha256(find_model(model).read_bytes()).hexdigest()[:12] if model else ""


def _pairs(folder: Path) -> Iterator[Annotated]:
    for image, labels in pair_by_stem(folder / "images", folder / "labels"):
        yield np.asarray(read_image(image).data), np.asarray(read_labels(labels))


def cut_crops(train: Sequence[Annotated], seed: int, count: int) -> list[Annotated]:
    """Cut crops from images chosen at random, from each one before another is cut from any.

    Parameters
    ----------
    train : sequence of (image, labels)
        What to cut from.
    seed : int
        Of all choices; the first crops are the same for any count.
    count : int
        How many.
    """
    random = np.random.default_rng(seed)
    turns = deque(random.permutation(len(train)).tolist())
    taken: dict[int, list[tuple[int, int]]] = {index: [] for index in turns}
    crops: list[Annotated] = []
    while len(crops) < count:
        if not turns:
            raise ValueError(f"None of {len(train)} images has a crop with objects.")
        index = turns.popleft()
        image, labels = train[index]
        corner = _corner(labels, taken[index], random)
        if corner is None:  # too few objects, or too far apart: another image's turn, for good
            continue
        turns.append(index)
        y, x = corner
        taken[index].append(corner)
        part = np.s_[y : y + SIZE, x : x + SIZE]
        crops.append((image[part], labels[part]))
    return crops


def _corner(
    labels: NDArray[np.int32], taken: Sequence[tuple[int, int]], random: np.random.Generator
) -> tuple[int, int] | None:
    """Choose at random where a crop begins: with objects in it, and clear of those taken.

    If no such place is met with, the one that shares the fewest pixels with those taken is chosen;
    and none, if all have too few objects.
    """
    best: tuple[int, int] | None = None
    fewest = np.inf
    for _ in range(TRIES):
        y, x = (int(random.integers(n - SIZE + 1)) for n in labels.shape)
        shared = sum(max(SIZE - abs(y - v), 0) * max(SIZE - abs(x - u), 0) for v, u in taken)
        if shared < fewest and len(np.unique(labels[y : y + SIZE, x : x + SIZE])) > FEWEST:
            best, fewest = (y, x), shared
            if not shared:
                break
    return best


if __name__ == "__main__":
    main()
