"""Compare predicted labels with the truth."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.cli.terminal import progress_bar, tell
from napari_unet.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.images import Image
    from napari_unet.metrics import Measured

DEFAULT = ("ap", "dsb2018")
CLASSES = "class-iou"
METRICS = """\
metrics of matched objects, at IoU 0.5 to 0.9:
  ap                 average precision, TP / (TP + FP + FN)
  precision, recall  TP / (TP + FP), TP / (TP + FN)
  f1                 their harmonic mean
  pq                 panoptic quality
  matched-iou        mean IoU of the matched pairs

metrics of two label images:
  dsb2018            mean AP at IoU 0.50, 0.55 ... 0.95, as in the 2018 Data Science Bowl
  iou, dice          of the foregrounds
  seg                SEG of the Cell Tracking Challenge
  rand, info         V_Rand and V_Info where the truth is foreground
  class-iou          IoU of each class and their mean, where labels are classes and not objects

metrics of the ISBI 2012 challenge, section by section, lower is better: PRED is the probability of
cell (0 on membranes), in 0 to 1 as floats or 0 to 255 as 8-bit integers, and TRUTH is above 0 in
cells; the least error over thresholds 0.0, 0.1 ... and the error at 0.5 are given:
  pixel-error        1 - F-score of the cell pixels
  rand-error         1 - F-score of the foreground-restricted Rand index
  warping-error      pixels that split or merge cells when the truth is warped onto PRED
  warping-error-all  all pixels that keep it from being warped

Pixels of TRUTH below 0 are not annotated and never count.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet evaluate`` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = METRICS
    parser.add_argument(
        "prediction",
        type=Path,
        metavar="PRED",
        help="labels (for the ISBI 2012 metrics a probability map), or a folder of them",
    )
    parser.add_argument(
        "truth", type=Path, metavar="TRUTH", help="true labels; in a folder, of the same stems"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=list(DEFAULT),
        metavar="NAME",
        help=f"what to compute, of the names below (default: {' '.join(DEFAULT)})",
    )
    parser.add_argument(
        "--membranes",
        action="store_true",
        help="PRED and TRUTH mark the membranes, not the cells (ISBI 2012 metrics only)",
    )
    parser.add_argument(
        "--by-plane",
        action="store_true",
        help="objects of stacks are numbered anew in each plane, as napari-unet segment does; known"
        " of labels that it has written",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON instead, with the values of each image"
    )


def run(arguments: argparse.Namespace) -> bool:
    """Print the metrics, pooled and as means of images."""
    from napari_unet.metrics import (
        MAP_ERRORS,
        check_names,
        measure,
        number_by_plane,
        turn_over,
    )

    names = list(dict.fromkeys(arguments.metrics))
    check_names(names)
    others = [name for name in names if name not in MAP_ERRORS]
    objects = others == names and CLASSES not in names
    if arguments.membranes and others:
        raise ValueError(
            f"--membranes goes with the ISBI 2012 metrics alone, not with {', '.join(others)}:"
            " evaluate those in a run of their own."
        )
    if arguments.by_plane and not objects:
        raise ValueError(
            f"--by-plane numbers objects, of which the ISBI 2012 metrics and {CLASSES} have none:"
            " evaluate those in a run of their own."
        )
    pairs = _pairs(arguments.prediction, arguments.truth)
    images: dict[str, Measured] = {}
    with progress_bar("image", len(pairs)) as bar:
        for prediction, truth in pairs:
            found, wanted = _read(prediction, truth, as_map=len(others) < len(names))
            try:
                if arguments.membranes:
                    found, wanted = turn_over(found, wanted)
                if arguments.by_plane or (objects and _is_by_plane(prediction, found)):
                    found, wanted = number_by_plane(found), number_by_plane(wanted)
                images[truth.stem] = measure(found, wanted, names)
            except ValueError as error:
                raise ValueError(f"{prediction}: {error}") from error
            bar.update()
    tell(_as_json(images) if arguments.json else _as_table(list(images.values())))
    return True


def _pairs(prediction: Path, truth: Path) -> Sequence[tuple[Path, Path]]:
    from napari_unet.images import pair_labels
    from napari_unet.images.ngff import is_zarr

    if prediction.exists() and truth.exists() and (is_zarr(prediction) or is_zarr(truth)):
        return [(prediction, truth)]  # folders that are one image
    return pair_labels(prediction, truth)


def _read(prediction: Path, truth: Path, as_map: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    from napari_unet.images.image import in_order
    from napari_unet.images.opening import open_image, open_labels

    told = _in_memory(open_labels(truth))
    shown = _in_memory((open_image if as_map else open_labels)(prediction))
    found, wanted = in_order(shown, told.axes), told.data
    if found.shape != wanted.shape:
        raise ValueError(
            f"{prediction} has shape {found.shape} and {truth} {wanted.shape}: both of one image"
            " have one shape."
        )
    return found, wanted


def _in_memory(image: Image) -> Image:
    return replace(image, data=np.asarray(image.data))


def _is_by_plane(prediction: Path, found: NDArray[Any]) -> bool:
    """Say whether labels are of a stack and say of themselves that napari-unet has found them."""
    from napari_unet.images import find_provenance

    return found.ndim > 2 and find_provenance(prediction) is not None


def _as_table(images: Sequence[Measured]) -> str:
    from napari_unet.metrics import mean_values, pool

    pooled, mean = pool(images), mean_values(images)
    told = (_objects, _scores, _classes, _errors)
    parts = [part(pooled, mean) for part in told]
    end = counted(len(images), "image")
    return "\n".join([*(line for part in parts for line in part), end])


def _objects(pooled: Measured, mean: Mapping[str, Any]) -> list[str]:
    """Return a line an IoU threshold; AP also as the mean of the images."""
    if not pooled.matchings:
        return []
    values: Mapping[str, Any] = pooled.values()
    names = list(mean[str(pooled.matchings[0].threshold)])
    titles = {"ap": f"{'AP pooled':>11}{'AP per image':>14}"}
    lines = [f"{'IoU':>5}" + "".join(titles.get(name, f"{name:>13}") for name in names)]
    lines[0] += f"{'TP':>8}{'FP':>8}{'FN':>8}"
    for m in pooled.matchings:
        at, at_mean = values[str(m.threshold)], mean[str(m.threshold)]
        cells = [
            f"{at[name]:>11.4f}{at_mean[name]:>14.4f}" if name == "ap" else f"{at[name]:>13.4f}"
            for name in names
        ]
        lines.append(f"{m.threshold:>5.2f}{''.join(cells)}{m.tp:>8}{m.fp:>8}{m.fn:>8}")
    return lines


def _scores(pooled: Measured, mean: Mapping[str, Any]) -> list[str]:
    """Return a line a score of label images."""
    if not pooled.scores:
        return []
    return [
        f"{'':<8}{'pooled':>8}{'per image':>11}",
        *(f"{name:<8}{s.value:>8.4f}{mean[name]:>11.4f}" for name, s in pooled.scores.items()),
    ]


def _classes(pooled: Measured, mean: Mapping[str, Any]) -> list[str]:
    """Return a line a class, and one for their mean."""
    if not pooled.classes:
        return []
    values: Any = pooled.values()[CLASSES]
    of_images: Mapping[str, float] = mean[CLASSES]
    return [
        f"{'class':<8}{'IoU pooled':>12}{'per image':>11}",
        *(f"{name:<8}{value:>12.4f}{of_images[name]:>11.4f}" for name, value in values.items()),
    ]


def _errors(pooled: Measured, mean: Mapping[str, Any]) -> list[str]:
    """Return a line an error of probability maps."""
    if not pooled.errors:
        return []
    return [
        f"{'':<18}{'least':>10}{'threshold':>11}{'at 0.5':>10}{'least per image':>17}",
        *(
            f"{name:<18}{e.least:>10.6f}{e.best_threshold:>11.1f}{e.at(0.5):>10.6f}"
            f"{mean[name]['least']:>17.6f}"
            for name, e in pooled.errors.items()
        ),
    ]


def _as_json(images: Mapping[str, Measured]) -> str:
    from napari_unet.metrics import mean_values, pool

    return json.dumps(
        {
            "pooled": _told(pool(images.values())),
            "per_image": mean_values(list(images.values())),
            "images": {name: _told(image) for name, image in images.items()},
        },
        indent=2,
    )


def _told(measured: Measured) -> dict[str, Any]:
    """Return values with the counts behind them."""
    told: dict[str, Any] = dict(measured.values())
    for name, counts in measured.counts().items():
        told[name] = told[name] | counts
    return told
