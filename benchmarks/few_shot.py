"""What a few annotated crops teach in a few minutes: scores on test images, before and after.

    python benchmarks/few_shot.py --data FOLDER --output few_shot.jsonl [--seeds 3] [--minutes 6]
    python benchmarks/few_shot.py --output few_shot.jsonl --table

For each set, start and seed, five crops of 256x256 pixels are cut at random from five training
images, and the window's Fine-tune runs on them with its defaults, from the bundled model and from
scratch. The result segments the test images with nothing typed: AP@0.5 over all objects together,
and the mean IoU of the foregrounds. Each run adds a line to the output, and those that are there
are not repeated, so that it can be broken off. `--iterations` gives each run a number of steps
instead of minutes, for a machine that is busy with other things, too.

FOLDER holds usiigaci (Tsai et al. 2019) and bbbc030_cho_dic (Koos et al. 2016), each with
train/images, train/labels, test/images and test/labels. Test images are used for nothing else.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import FINE_TUNE, SegmentConfig
from napari_unet.images import pair_by_stem, read_image, read_labels
from napari_unet.metrics import iou, match
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import load_engine, segment_steps
from napari_unet.training import Pair, Task, fine_tune

CROPS, SIZE = 5, 256
FEWEST = 3
"""Objects that a crop shows at least: nobody annotates an empty one."""
TRIMMED = {"usiigaci": 0, "bbbc030_cho_dic": 60}
"""Pixels at the border that are not scored: there, BBBC030 does not annotate cells."""
STARTS = {"nuclei": "nuclei", "scratch": None}


@dataclass(frozen=True)
class Result:
    """A line of the output."""

    set: str
    start: str
    seed: int
    stage: str
    ap50: float
    iou: float
    found: int
    invented: int
    missed: int
    iterations: int = 0
    seconds: float = 0.0
    objects: int = 0


def main() -> None:
    """Run what is missing, and print the table."""
    args = _arguments()
    done = _read(args.output)
    if not args.table:
        for result in _runs(args, {(r.set, r.start, r.seed, r.stage) for r in done}):
            with args.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
            print(result, flush=True)
    _print_table(_read(args.output))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the annotated sets")
    parser.add_argument("--output", type=Path, required=True, help="results, a line of JSON each")
    parser.add_argument("--sets", nargs="+", default=list(TRIMMED), choices=list(TRIMMED))
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=list(STARTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--iterations", type=int, help="steps, instead of minutes")
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    args = parser.parse_args()
    if args.data is None and not args.table:
        parser.error("the annotated sets are not part of this project: name their folder by --data")
    return args


def _runs(args: argparse.Namespace, done: set[tuple[str, str, int, str]]) -> Iterator[Result]:
    for name in args.sets:
        train, test = (list(_pairs(args.data / name / part)) for part in ("train", "test"))
        if (name, "nuclei", 0, "before") not in done:
            yield Result(name, "nuclei", 0, "before", **_score("nuclei", test, TRIMMED[name]))
        for seed in range(args.seeds):
            crops = _crops(train, seed)
            for start in args.starts:
                if (name, start, seed, "after") not in done:
                    yield _tune(args, name, start, seed, crops, test)


def _pairs(folder: Path) -> Iterator[tuple[NDArray[Any], NDArray[np.int32]]]:
    for image, labels in pair_by_stem(folder / "images", folder / "labels"):
        yield np.asarray(read_image(image).data), np.asarray(read_labels(labels))


def _crops(
    train: list[tuple[NDArray[Any], NDArray[np.int32]]], seed: int
) -> list[tuple[NDArray[Any], NDArray[np.int32]]]:
    """Cut a crop from each of some images, all chosen at random."""
    random = np.random.default_rng(seed)
    crops = []
    for index in random.permutation(len(train))[:CROPS]:
        image, labels = train[index]
        while True:
            y, x = (int(random.integers(n - SIZE + 1)) for n in labels.shape)
            part = np.s_[y : y + SIZE, x : x + SIZE]
            if len(np.unique(labels[part])) > FEWEST:
                break
        crops.append((image[part], labels[part]))
    return crops


def _tune(
    args: argparse.Namespace,
    name: str,
    start: str,
    seed: int,
    crops: list[tuple[NDArray[Any], NDArray[np.int32]]],
    test: list[tuple[NDArray[Any], NDArray[np.int32]]],
) -> Result:
    budget = {"iterations": args.iterations} if args.iterations else {"minutes": args.minutes}
    config = replace(FINE_TUNE, seed=seed, **budget)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "tuned.safetensors")
        pairs = tuple(Pair(image, labels) for image, labels in crops)
        began = time.monotonic()
        iteration = 0
        steps = fine_tune(Task(pairs, STARTS[start], output, config, device="cpu"))
        for state in steps:
            if state.progress is not None:
                iteration = state.progress.iteration
                if state.progress.validation:
                    print(f"  {name} {start} {seed}: {state.progress}", flush=True)
        seconds = time.monotonic() - began
        scores = _score(str(output), test, TRIMMED[name])
    objects = sum(len(np.unique(labels[labels > 0])) for _, labels in crops)
    return Result(
        name,
        start,
        seed,
        "after",
        **scores,
        iterations=iteration,
        seconds=round(seconds),
        objects=objects,
    )


def _score(
    model: str, test: list[tuple[NDArray[Any], NDArray[np.int32]]], trimmed: int
) -> dict[str, Any]:
    config = SegmentConfig(model=model, device="cpu")
    engine, card = load_engine(config)
    counts, foregrounds = np.zeros(3, int), []
    for image, truth in test:
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


def _read(path: Path) -> list[Result]:
    if not path.exists():
        return []
    return [Result(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def _print_table(results: list[Result]) -> None:
    print("| set | start | AP@0.5 before | AP@0.5 after | IoU before | IoU after | runs |")
    print("|---|---|---|---|---|---|---|")
    for name in TRIMMED:
        before = [r for r in results if (r.set, r.stage) == (name, "before")]
        for start in STARTS:
            after = [r for r in results if (r.set, r.start, r.stage) == (name, start, "after")]
            if not after:
                continue
            known = before if start == "nuclei" else []
            cells = [
                _range([getattr(r, field) for r in part])
                for field in ("ap50", "iou")
                for part in (known, after)
            ]
            print(f"| {name} | {start} | {' | '.join(cells)} | {len(after)} |")


def _range(values: list[float]) -> str:
    """Return mean and range."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
