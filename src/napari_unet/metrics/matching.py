"""Predicted objects matched with true ones, and the scores that follow.

References
----------
.. [1] U. Schmidt, M. Weigert, C. Broaddus, G. Myers: Cell Detection with Star-convex Polygons,
   MICCAI 2018 (average precision TP / (TP + FP + FN)).
.. [2] A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollar: Panoptic Segmentation, CVPR 2019
   (uniqueness of the matching, panoptic quality, regions without annotation).
.. [3] J. C. Caicedo et al.: Nucleus segmentation across imaging experiments: the 2018 Data Science
   Bowl, Nature Methods 16, 2019 (mean average precision over IoU thresholds).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from napari_unet.metrics.contingency import Contingency, LabelImage, positions

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
DSB_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
"""IoU thresholds of the 2018 Data Science Bowl ([3]_): 0.50, 0.55 ... 0.95."""


@dataclass(frozen=True)
class Matching:
    """Objects of one or several images, matched one to one.

    Parameters
    ----------
    threshold : float
        IoU from which a predicted and a true object may be matched.
    tp, fp, fn : int
        Matched pairs, predicted objects without a partner, true objects without a partner.
    total_iou : float
        Sum of the IoU over the matched pairs.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    total_iou: float = 0.0

    @property
    def precision(self) -> float:
        """Share of the predicted objects that are matched, TP / (TP + FP)."""
        return self._ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the true objects that are matched, TP / (TP + FN)."""
        return self._ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        return self._ratio(self.tp, self.tp + (self.fp + self.fn) / 2)

    @property
    def ap(self) -> float:
        """Average precision as in [1]_ and the Data Science Bowl 2018, TP / (TP + FP + FN)."""
        return self._ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def mean_matched_iou(self) -> float:
        """Mean IoU of the matched pairs ("segmentation quality" in [2]_)."""
        return self._ratio(self.total_iou, self.tp)

    @property
    def panoptic_quality(self) -> float:
        """Sum of the matched IoU / (TP + FP / 2 + FN / 2), equation 1 of [2]_."""
        return self._ratio(self.total_iou, self.tp + (self.fp + self.fn) / 2)

    def __add__(self, other: Matching) -> Matching:
        """Return the matching of both sets of objects, at the threshold of this one."""
        return Matching(
            self.threshold,
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.total_iou + other.total_iou,
        )

    def _ratio(self, part: float, whole: float) -> float:
        if whole:
            return part / whole
        return 0.0 if self.fp or self.fn else 1.0


@dataclass(frozen=True)
class Evaluation:
    """Matchings of a set of images at several thresholds.

    Parameters
    ----------
    images : tuple of tuple of Matching
        For each image, a matching at each threshold.
    """

    images: tuple[tuple[Matching, ...], ...]

    @cached_property
    def pooled(self) -> tuple[Matching, ...]:
        """A matching at each threshold, counts summed over images: every object weighs the same."""
        return tuple(reduce(add, matchings) for matchings in zip(*self.images, strict=True))

    @property
    def per_image(self) -> tuple[float, ...]:
        """Mean of the images' AP at each threshold: every image weighs the same."""
        by_threshold = zip(*self.images, strict=True)
        return tuple(float(np.mean([m.ap for m in matchings])) for matchings in by_threshold)

    @property
    def mean_ap(self) -> float:
        """Mean over the thresholds of the pooled AP."""
        return float(np.mean([matching.ap for matching in self.pooled]))

    @property
    def mean_ap_per_image(self) -> float:
        """Mean over images of the mean AP over the thresholds.

        At :data:`DSB_THRESHOLDS`, the score of the 2018 Data Science Bowl ([3]_). (It matched
        above a threshold and not from it on, which differs where an IoU is one to the digit.)
        """
        return float(np.mean(self.per_image))


def match(prediction: LabelImage, truth: LabelImage, threshold: float = 0.5) -> Matching:
    """Match predicted and true objects one to one at an IoU threshold.

    See :func:`match_all`, of which this is the case of one threshold.
    """
    return match_all(prediction, truth, (threshold,))[0]


def match_all(
    prediction: LabelImage, truth: LabelImage, thresholds: Sequence[float] = THRESHOLDS
) -> tuple[Matching, ...]:
    """Match predicted and true objects one to one, at each of several IoU thresholds.

    Pairs with an IoU of at least the threshold may be matched. Above 0.5 there is one way to do so
    ([2]_, theorem 1); at and below, the matching with the most pairs is taken, and of those the
    one with the largest sum of IoU.

    Pixels that the truth does not annotate belong to no object. Predicted objects without a
    partner that have more than half of their pixels there are no mistakes; they are left out
    ([2]_, section 4.2).

    Parameters
    ----------
    prediction : integer or bool array
        Labels, any number of dimensions.
    truth : integer or bool array of the same shape
        Labels; below 0 where not annotated.
    thresholds : sequence of float
        In (0, 1].

    Returns
    -------
    tuple of Matching
        One a threshold.

    Raises
    ------
    ValueError
        If the shapes differ, an array is not of integers, the prediction has negative labels, or
        a threshold is out of range.
    """
    for threshold in thresholds:
        check_threshold(threshold)
    overlap = Overlap.of(prediction, truth)
    return tuple(overlap.match(threshold) for threshold in thresholds)


def found(prediction: LabelImage, truth: LabelImage, threshold: float = 0.5) -> NDArray[np.bool_]:
    """Say of each true object, in the order of their labels, whether it has a partner.

    See :func:`match_all` for the parameters and errors; `tp` is how many have one.
    """
    return Overlap.of(prediction, truth).found(threshold)


def average_precision(
    pairs: Iterable[tuple[LabelImage, LabelImage]], thresholds: Sequence[float] = THRESHOLDS
) -> Evaluation:
    """Evaluate predictions of a set of images.

    Parameters
    ----------
    pairs : iterable of (prediction, truth)
        Label images as in :func:`match_all`, taken one pair at a time.
    thresholds : sequence of float
        IoU thresholds in (0, 1].

    Returns
    -------
    Evaluation
        Pooled and per-image.

    Raises
    ------
    ValueError
        As :func:`match_all`, and if there are no pairs.
    """
    images = tuple(match_all(prediction, truth, thresholds) for prediction, truth in pairs)
    if not images:
        raise ValueError("There are no images to evaluate: give at least one pair.")
    return Evaluation(images)


@dataclass(frozen=True)
class Overlap:
    """Overlapping pairs of P predicted and T true objects.

    Parameters
    ----------
    row, column : intp array, shape (E,)
        Predicted and true object of each pair.
    iou : float64 array, shape (E,)
        Their intersection over union.
    exempt : bool array, shape (P,)
        Predicted objects that are no mistakes when they have no partner.
    true_count : int
        T.
    """

    row: NDArray[np.intp]
    column: NDArray[np.intp]
    iou: NDArray[np.float64]
    exempt: NDArray[np.bool_]
    true_count: int

    @classmethod
    def of(cls, prediction: LabelImage, truth: LabelImage) -> Overlap:
        """Count pixels by pair, and sizes from the same counts."""
        return cls.within(Contingency.of(prediction, truth))

    @classmethod
    def within(cls, table: Contingency) -> Overlap:
        """Return the overlapping pairs of a contingency table."""
        void, real = table.column == 0, table.real
        ignored, predicted = table.found_pixels(void), table.found_pixels(~void)
        row, column, count = table.row[real], table.column[real], table.pixels[real]
        iou = count / (predicted[row] + table.true_pixels()[column] - count)
        return cls(row - 1, column - 2, iou, (ignored > predicted)[1:], table.there.size - 2)

    def pairs(self, threshold: float) -> NDArray[np.intp]:
        """Return which pairs are matched, of those that reach the threshold."""
        pairs = np.flatnonzero(self.iou >= threshold)
        row, column = self.row[pairs], self.column[pairs]
        alone = (np.bincount(row)[row] == 1) & (np.bincount(column)[column] == 1)
        rivals = pairs[~alone]  # few, and none above 0.5
        return np.concatenate([pairs[alone], rivals[self._best(rivals)]])

    def found(self, threshold: float) -> NDArray[np.bool_]:
        """Say of each true object whether it has a partner."""
        partner = np.zeros(self.true_count, bool)
        partner[self.column[self.pairs(threshold)]] = True
        return partner

    def match(self, threshold: float) -> Matching:
        """Match the pairs that reach the threshold."""
        pairs = self.pairs(threshold)
        missed = ~self.exempt
        missed[self.row[pairs]] = False
        return Matching(
            threshold=float(threshold),
            tp=pairs.size,
            fp=int(missed.sum()),
            fn=self.true_count - pairs.size,
            total_iou=float(self.iou[pairs].sum()),
        )

    def _best(self, pairs: NDArray[np.intp]) -> NDArray[np.intp]:
        """Choose among pairs: as many as possible, then the largest sum of IoU.

        Each row also gets a partner of its own that is worth next to nothing, so that a full
        matching exists; a real pair is worth more than all of the IoU together.
        """
        if not pairs.size:
            return pairs
        row, rows = positions(self.row[pairs])
        column, columns = positions(self.column[pairs])
        own = np.arange(rows.size)
        worth = np.concatenate([rows.size + 1 + self.iou[pairs], np.full(rows.size, 0.5)])
        ends = np.concatenate([row, own]), np.concatenate([column, columns.size + own])
        graph = coo_matrix((worth, ends)).tocsr()
        partner = min_weight_full_bipartite_matching(graph, maximize=True)[1]
        return np.flatnonzero(partner[row] == column)


def check_threshold(threshold: float) -> None:
    """Raise ValueError unless an IoU threshold is in (0, 1]."""
    if not 0 < threshold <= 1:
        raise ValueError(f"An IoU threshold of {threshold} is impossible: use one in (0, 1].")
