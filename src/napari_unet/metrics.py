"""How well predicted objects match annotated ones.

Labels are integers: 0 background, 1.. objects. In the truth, -1 marks pixels that are not
annotated: they do not count, and neither do predicted objects that lie mostly in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment

Labels = NDArray[np.integer[Any]]

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Of the table in Schmidt et al. (2018)."""


@dataclass(frozen=True)
class Matching:
    """Objects matched one to one at a threshold of their intersection over union (IoU).

    Parameters
    ----------
    threshold : float
        IoU above which a predicted and a true object may match.
    tp, fp, fn : int
        Matched pairs, predicted objects without a match, true objects without a match.
    total_iou : float
        Sum of the IoU of the matched pairs.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    total_iou: float = 0.0

    def __add__(self, other: Matching) -> Matching:
        """Pool two images.

        Raises
        ------
        ValueError
            If their thresholds differ.
        """
        if self.threshold != other.threshold:
            raise ValueError(
                f"Matchings at {self.threshold} and {other.threshold} cannot be added: use one"
                " threshold."
            )
        return Matching(
            self.threshold,
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.total_iou + other.total_iou,
        )

    @property
    def ap(self) -> float:
        """TP / (TP + FP + FN), "average precision" in Schmidt et al. (2018); 1 of nothing."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP): the share of predicted objects that are true; 1 of nothing."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN): the share of true objects that were found; 1 of nothing."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 of nothing."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def mean_matched_iou(self) -> float:
        """Mean IoU of the matched pairs, "segmentation quality" in Kirillov et al. (2019)."""
        return self.total_iou / self.tp if self.tp else 0.0

    @property
    def panoptic_quality(self) -> float:
        """Mean matched IoU times F1 (Kirillov et al., 2019, equation 1); 1 of nothing."""
        return self.mean_matched_iou * self.f1 if self.tp or self.fp or self.fn else 1.0


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


@dataclass(frozen=True)
class Overlap:
    """Sizes and overlaps of the objects of two label images, as one sparse contingency table.

    Parameters
    ----------
    rows, columns : intp array, shape (P,)
        Index of the predicted and of the true object of each pair that overlaps.
    iou : float64 array, shape (P,)
        Their intersection over union.
    predicted, true : int
        Numbers of objects.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    iou: NDArray[np.float64]
    predicted: int
    true: int

    @classmethod
    def of(cls, prediction: Labels, truth: Labels) -> Overlap:
        """Count the overlaps.

        Raises
        ------
        ValueError
            If the shapes differ or the labels are not whole numbers.
        """
        prediction, truth = _checked(prediction, truth)
        prediction = _without_unannotated(prediction, truth)
        counts = truth >= 0
        predicted, p = np.unique(prediction[counts], return_inverse=True)
        true, t = np.unique(truth[counts], return_inverse=True)
        table = sparse.coo_array((np.ones(p.size, np.int64), (p, t))).tocsr()
        table.resize(predicted.size, true.size)
        row_sizes, column_sizes = table.sum(axis=1), table.sum(axis=0)
        table = table.tocoo()
        rows, columns = table.coords
        objects = (predicted[rows] > 0) & (true[columns] > 0)
        rows, columns, both = rows[objects], columns[objects], table.data[objects]
        iou = both / (row_sizes[rows] + column_sizes[columns] - both)
        return cls(rows, columns, iou, int((predicted > 0).sum()), int((true > 0).sum()))

    def match(self, threshold: float) -> Matching:
        """Match one to one, as many pairs above the threshold as possible.

        Above 0.5 an object overlaps only one other so much, and the matching is unique; at or
        below, the assignment of the most pairs, and among those of the largest IoU, is taken.
        """
        possible = self.iou > threshold
        chosen = self.iou[possible]
        if threshold < 0.5:
            chosen = chosen[_assign(self.rows[possible], self.columns[possible], chosen)]
        tp = int(chosen.size)
        return Matching(threshold, tp, self.predicted - tp, self.true - tp, float(chosen.sum()))


def _assign(
    rows: NDArray[np.intp], columns: NDArray[np.intp], iou: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return the pairs of an optimal assignment, component by component of the overlaps' graph."""
    if not rows.size:
        return np.empty(0, np.intp)
    shift = int(rows.max()) + 1
    size = shift + int(columns.max()) + 1
    graph = sparse.coo_array((np.ones(rows.size), (rows, columns + shift)), shape=(size, size))
    _, component = sparse.csgraph.connected_components(graph, directed=False)
    order = np.argsort(component[rows], kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[rows][order])) + 1)
    return np.concatenate([part[_assign_component(rows, columns, iou, part)] for part in parts])


def _assign_component(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    iou: NDArray[np.float64],
    part: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Return which pairs of a component are assigned."""
    r, c = (np.unique(x[part], return_inverse=True)[1] for x in (rows, columns))
    value = np.zeros((r.max() + 1, c.max() + 1))
    value[r, c] = 1 + iou[part] / (part.size + 1)  # one pair more outweighs any IoU
    best = set(zip(*linear_sum_assignment(value, maximize=True), strict=True))
    return np.flatnonzero([pair in best for pair in zip(r, c, strict=True)])


def _checked(prediction: Labels, truth: Labels) -> tuple[Labels, Labels]:
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise ValueError(
            f"The prediction's shape {prediction.shape} is not the truth's {truth.shape}: compare"
            " labels of one image."
        )
    for labels in (prediction, truth):
        if labels.dtype.kind not in "bui":
            raise ValueError(f"Labels of type {labels.dtype} cannot be compared: use integers.")
    return prediction, truth


def _without_unannotated(prediction: Labels, truth: Labels) -> Labels:
    """Drop predicted objects with more than half of their pixels where nothing is annotated."""
    if truth.dtype.kind != "i" or not (truth < 0).any():
        return prediction
    numbers, index = np.unique(prediction, return_inverse=True)
    index = index.reshape(prediction.shape)
    outside = np.bincount(index[truth < 0], minlength=numbers.size)
    dropped = outside > np.bincount(index.ravel(), minlength=numbers.size) / 2
    return np.where(dropped[index], 0, prediction)


def match(prediction: Labels, truth: Labels, threshold: float = 0.5) -> Matching:
    """Match the objects of two label images at one IoU threshold.

    Raises
    ------
    ValueError
        If the shapes differ or the labels are not integers.
    """
    return Overlap.of(prediction, truth).match(threshold)


@dataclass(frozen=True)
class Evaluation:
    """Average precision over a set of images.

    Parameters
    ----------
    images : tuple of tuple of Matching
        For each image, its matching at each threshold.
    """

    images: tuple[tuple[Matching, ...], ...]

    @cached_property
    def pooled(self) -> tuple[Matching, ...]:
        """Matchings with the counts of all images added up, one a threshold."""
        return tuple(sum(column[1:], start=column[0]) for column in zip(*self.images, strict=True))

    @property
    def per_image(self) -> tuple[float, ...]:
        """Mean over the images of their AP, one a threshold."""
        columns = zip(*self.images, strict=True)
        return tuple(sum(m.ap for m in column) / len(column) for column in columns)


def average_precision(
    pairs: Iterable[tuple[Labels, Labels]], thresholds: Sequence[float] = THRESHOLDS
) -> Evaluation:
    """Match predictions with truths at several thresholds.

    Parameters
    ----------
    pairs : iterable of (prediction, truth)
        Label images.
    thresholds : sequence of float
        IoU thresholds.

    Raises
    ------
    ValueError
        If there is no pair, or the shapes of one differ.
    """
    overlaps = [Overlap.of(prediction, truth) for prediction, truth in pairs]
    if not overlaps:
        raise ValueError("There is nothing to evaluate: give at least one pair of label images.")
    return Evaluation(tuple(tuple(o.match(t) for t in thresholds) for o in overlaps))


def iou(prediction: Labels, truth: Labels) -> float:
    """Return the intersection over union of the two foregrounds, over annotated pixels.

    |P and T| / |P or T| (Jaccard, 1901); 1 if both are empty.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    prediction, truth = _checked(prediction, truth)
    counts = truth >= 0
    p, t = (prediction > 0) & counts, truth > 0
    return _ratio(int((p & t).sum()), int((p | t).sum()))
