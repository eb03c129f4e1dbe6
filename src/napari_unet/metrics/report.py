"""Metrics by name, for one image and pooled over several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.metrics.contingency import LabelImage
from napari_unet.metrics.isbi import Errors, pixel_error, rand_error, warping_error
from napari_unet.metrics.matching import DSB_THRESHOLDS, Evaluation, Matching, match_all
from napari_unet.metrics.partitions import count_pairs, info_scores
from napari_unet.metrics.ratio import Ratio
from napari_unet.metrics.regions import class_ious, dice_ratio, iou_ratio, mean_iou
from napari_unet.metrics.tracking import seg_ratio

Values = dict[str, float | dict[str, float]]


def _dsb2018(prediction: LabelImage, truth: LabelImage) -> Ratio:
    """Return an image's mean AP; pooled, the mean of images, as the challenge has it."""
    return Ratio(Evaluation((match_all(prediction, truth, DSB_THRESHOLDS),)).mean_ap, 1)


def _rand(prediction: LabelImage, truth: LabelImage) -> Ratio:
    pairs = count_pairs(prediction, truth)
    return Ratio(2 * pairs.both, pairs.found + pairs.there)


def _info(prediction: LabelImage, truth: LabelImage) -> Ratio:
    """Return V_Info; pooled, the mean of images, as the challenge has it of its sections."""
    return Ratio(info_scores(prediction, truth).f, 1)


OBJECTS: Mapping[str, Callable[[Matching], float]] = {
    "ap": lambda m: m.ap,
    "precision": lambda m: m.precision,
    "recall": lambda m: m.recall,
    "f1": lambda m: m.f1,
    "pq": lambda m: m.panoptic_quality,
    "matched-iou": lambda m: m.mean_matched_iou,
}
"""Of matched objects, at each IoU threshold."""
SCORES: Mapping[str, Callable[[LabelImage, LabelImage], Ratio]] = {
    "dsb2018": _dsb2018,
    "iou": iou_ratio,
    "dice": dice_ratio,
    "seg": seg_ratio,
    "rand": _rand,
    "info": _info,
}
"""Of two label images, one number."""
MAP_ERRORS: Mapping[str, Callable[[NDArray[Any], LabelImage], Errors]] = {
    "pixel-error": pixel_error,
    "rand-error": rand_error,
    "warping-error": warping_error,
    "warping-error-all": partial(warping_error, every_kind=True),
}
"""Of a probability map, at each of its thresholds."""
CLASSES = "class-iou"
"""Of labels that are classes: the IoU of each."""
METRICS = (*OBJECTS, *SCORES, CLASSES, *MAP_ERRORS)
"""All names."""


@dataclass(frozen=True)
class Measured:
    """What was asked of one image, or of several by their sum.

    Parameters
    ----------
    names : tuple of str
        What was asked.
    matchings : tuple of Matching
        One an IoU threshold, if a metric of :data:`OBJECTS` was asked.
    scores : dict of str to Ratio
        Those of :data:`SCORES`.
    errors : dict of str to Errors
        Those of :data:`MAP_ERRORS`.
    classes : tuple of Ratio
        The IoU of each class, if that was asked.
    """

    names: tuple[str, ...]
    matchings: tuple[Matching, ...] = ()
    scores: Mapping[str, Ratio] = field(default_factory=dict)
    errors: Mapping[str, Errors] = field(default_factory=dict)
    classes: tuple[Ratio, ...] = ()

    def values(self) -> Values:
        """Return the metrics, by IoU threshold or by name.

        Errors have "least" and "at 0.5"; classes, those that there are, their numbers, and "mean".
        """
        classes = {str(n): ratio.value for n, ratio in enumerate(self.classes) if ratio.whole}
        classes["mean"] = mean_iou(self.classes)
        objects = [name for name in self.names if name in OBJECTS]
        return {
            **{str(m.threshold): {n: OBJECTS[n](m) for n in objects} for m in self.matchings},
            **{name: ratio.value for name, ratio in self.scores.items()},
            **({CLASSES: classes} if CLASSES in self.names else {}),
            **{n: {"least": e.least, "at 0.5": e.at(0.5)} for n, e in self.errors.items()},
        }

    def counts(self) -> dict[str, dict[str, float]]:
        """Return what stands behind: tp, fp and fn, and the thresholds of the least errors."""
        return {
            **{str(m.threshold): {"tp": m.tp, "fp": m.fp, "fn": m.fn} for m in self.matchings},
            **{name: {"threshold": e.best_threshold} for name, e in self.errors.items()},
        }


def measure(prediction: NDArray[Any], truth: LabelImage, names: Sequence[str]) -> Measured:
    """Compute metrics of one image.

    Parameters
    ----------
    prediction : array
        Labels; for the names in :data:`MAP_ERRORS` a probability map, see
        :mod:`napari_unet.metrics.isbi`.
    truth : integer or bool array of the same shape
        Labels; below 0 where not annotated.
    names : sequence of str
        Of :data:`METRICS`.

    Raises
    ------
    ValueError
        If a name is unknown, or an array is not what its metric takes.
    """
    check_names(names)
    matched = any(name in OBJECTS for name in names)
    return Measured(
        tuple(names),
        match_all(prediction, truth) if matched else (),
        {name: SCORES[name](prediction, truth) for name in names if name in SCORES},
        {name: MAP_ERRORS[name](prediction, truth) for name in names if name in MAP_ERRORS},
        tuple(class_ious(prediction, truth)) if CLASSES in names else (),
    )


def check_names(names: Sequence[str]) -> None:
    """Raise ValueError if one of the names is unknown."""
    for name in names:
        if name not in METRICS:
            raise ValueError(f"There is no metric called {name!r}: choose {', '.join(METRICS)}.")


def pool(images: Iterable[Measured]) -> Measured:
    """Sum what was measured: every object, pixel or pair of pixels weighs the same.

    `dsb2018` and `info` are means over images by their definition.
    """
    return reduce(_sum, images)


def _sum(one: Measured, other: Measured) -> Measured:
    both = zip(one.matchings, other.matchings, strict=True)
    return Measured(
        one.names,
        tuple(a + b for a, b in both),
        {name: ratio + other.scores[name] for name, ratio in one.scores.items()},
        {name: errors + other.errors[name] for name, errors in one.errors.items()},
        tuple(a + b for a, b in zip_longest(one.classes, other.classes, fillvalue=Ratio(0, 0))),
    )


def mean_values(images: Sequence[Measured]) -> Values:
    """Return the means of the images' values: every image weighs the same."""
    rows = [image.values() for image in images]
    return {name: _mean([row[name] for row in rows]) for name in rows[0]}


def _mean(values: Sequence[Any]) -> float | dict[str, float]:
    if isinstance(values[0], dict):
        keys = dict.fromkeys(key for value in values for key in value)  # images have other classes
        return {key: float(np.mean([v[key] for v in values if key in v])) for key in keys}
    return float(np.mean(values))
