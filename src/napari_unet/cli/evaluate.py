"""Compare predicted labels with the truth."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.terminal import tell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.metrics import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet evaluate`` takes."""
    parser.add_argument("prediction", type=Path, metavar="PRED", help="labels, or a folder of them")
    parser.add_argument(
        "truth", type=Path, metavar="TRUTH", help="true labels; in a folder, of the same stems"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> bool:
    """Print the average precision at IoU 0.5 to 0.9."""
    from napari_unet.images import pair_labels
    from napari_unet.metrics import average_precision

    pairs = pair_labels(arguments.prediction, arguments.truth)
    evaluation = average_precision(_read(*pair) for pair in pairs)
    names = [truth.stem for _, truth in pairs]
    tell(_as_json(evaluation, names) if arguments.json else _as_table(evaluation))
    return True


def _read(prediction: Path, truth: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    from napari_unet.images import read_labels

    found, wanted = read_labels(prediction), read_labels(truth)
    if found.shape != wanted.shape:
        raise ValueError(
            f"{prediction} has shape {found.shape} and {truth} {wanted.shape}: labels of one image"
            " have one shape."
        )
    return found, wanted


def _as_table(evaluation: Evaluation) -> str:
    lines = [f"{'IoU':>5}{'AP pooled':>11}{'AP per image':>14}{'TP':>8}{'FP':>8}{'FN':>8}"]
    lines += [
        f"{m.threshold:>5.2f}{m.ap:>11.4f}{mean:>14.4f}{m.tp:>8}{m.fp:>8}{m.fn:>8}"
        for m, mean in zip(evaluation.pooled, evaluation.per_image, strict=True)
    ]
    return "\n".join([*lines, f"{len(evaluation.images)} images"])


def _as_json(evaluation: Evaluation, names: Sequence[str]) -> str:
    thresholds = [str(m.threshold) for m in evaluation.pooled]
    return json.dumps(
        {
            "pooled": {
                t: {"ap": m.ap, "tp": m.tp, "fp": m.fp, "fn": m.fn}
                for t, m in zip(thresholds, evaluation.pooled, strict=True)
            },
            "per_image": dict(zip(thresholds, evaluation.per_image, strict=True)),
            "images": {
                name: dict(zip(thresholds, (m.ap for m in row), strict=True))
                for name, row in zip(names, evaluation.images, strict=True)
            },
        },
        indent=2,
    )
