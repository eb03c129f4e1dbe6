"""Agreement of the foregrounds, all objects taken as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_unet.metrics.contingency import LabelImage, check
from napari_unet.metrics.ratio import Ratio

MOST_CLASSES = 1000


def iou(prediction: LabelImage, truth: LabelImage) -> float:
    """Return the IoU of the foregrounds, over the annotated pixels.

    Intersection over union (P. Jaccard, 1901): the pixels in both over those in either.

    Raises
    ------
    ValueError
        If the shapes differ, an array is not of integers, or the prediction has negative labels.
    """
    return iou_ratio(prediction, truth).value


def dice(prediction: LabelImage, truth: LabelImage) -> float:
    """Return the Dice coefficient of the foregrounds, over the annotated pixels.

    Twice the pixels in both over the sum of those in each (L. R. Dice, Ecology 26, 1945), which is
    the F1 of the pixels: 2 IoU / (1 + IoU).

    Raises
    ------
    ValueError
        As :func:`iou`.
    """
    return dice_ratio(prediction, truth).value


def class_ious(prediction: LabelImage, truth: LabelImage) -> list[Ratio]:
    """Return the IoU of each class where labels are classes, the background (0) first.

    Over the annotated pixels: those of the class in both over those in either. A class that is in
    neither has 0 / 0.

    Parameters
    ----------
    prediction, truth : integer arrays of one shape
        0 background, 1.. the other classes; in the truth -1 where it is not annotated.

    Raises
    ------
    ValueError
        As :func:`iou`; or if there are more than 1,000 classes.
    """
    check(prediction, truth)
    known = truth >= 0
    found, there = prediction[known], truth[known]
    classes = 1 + max(int(found.max(initial=0)), int(there.max(initial=0)))
    if classes > MOST_CLASSES:
        raise ValueError(
            f"There is the label {classes - 1}: these are objects, not classes, of which there are"
            f" {MOST_CLASSES} at most; leave their IoU out."
        )
    both = np.bincount(found[found == there], minlength=classes)
    sizes = (np.bincount(part.astype(np.intp), minlength=classes) for part in (found, there))
    either = sum(sizes) - both
    return [Ratio(*counts) for counts in zip(both.tolist(), either.tolist(), strict=True)]


def mean_iou(classes: Sequence[Ratio]) -> float:
    """Return the mean IoU of the classes that there are; 1 if there is none."""
    values = [ratio.value for ratio in classes if ratio.whole]
    return float(np.mean(values)) if values else 1.0


def iou_ratio(prediction: LabelImage, truth: LabelImage) -> Ratio:
    """Return the pixels in both foregrounds, and in either."""
    both, found, there = _pixels(prediction, truth)
    return Ratio(both, found + there - both)


def dice_ratio(prediction: LabelImage, truth: LabelImage) -> Ratio:
    """Return twice the pixels in both foregrounds, and the sum of those in each."""
    both, found, there = _pixels(prediction, truth)
    return Ratio(2 * both, found + there)


def _pixels(prediction: LabelImage, truth: LabelImage) -> tuple[int, int, int]:
    """Count the annotated pixels in both foregrounds, in the predicted and in the true one."""
    check(prediction, truth)
    found, there = (prediction > 0) & (truth >= 0), truth > 0
    return int((found & there).sum()), int(found.sum()), int(there.sum())
