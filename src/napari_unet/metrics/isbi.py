"""The measures of the ISBI 2012 challenge: pixel, Rand and warping error of a probability map.

The map says of each pixel how probably it is cell, 0 on membranes; the truth is above 0 in cells.
That is how the challenge had it; where map and truth mark the membranes, see :func:`turn_over`.

The map is cut at several thresholds (a pixel is cell where its probability exceeds the threshold)
and the error is the least of them; each is there for a fixed threshold, too. Images are 2D: all
but the last two axes number sections, which are counted one by one and summed, as are images.

References
----------
.. [1] I. Arganda-Carreras et al.: Crowdsourcing the creation of image segmentation algorithms for
   connectomics, Frontiers in Neuroanatomy 9:142, 2015, and the challenge's page on evaluation,
   which defines the errors by the metrics of Fiji's Trainable Weka Segmentation.
.. [2] V. Jain et al.: Boundary Learning by Optimization with Topological Constraints, CVPR 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.metrics.contingency import LabelImage, check_shapes
from napari_unet.metrics.partitions import count_pairs
from napari_unet.metrics.warping import Mask, warp

Map = NDArray[np.floating[Any]] | NDArray[np.integer[Any]] | NDArray[np.bool_]
Section = NDArray[np.floating[Any]]

MAP_THRESHOLDS = tuple(tenth / 10 for tenth in range(11))
"""Thresholds of the challenge for pixel and Rand error: 0.0, 0.1 ... 1.0."""


@dataclass(frozen=True)
class Errors:
    """An error at each of several thresholds, as wrong parts of wholes; sums pool images.

    Parameters
    ----------
    thresholds : tuple of float
        Where the map was cut.
    wrong, whole : tuple of float
        For each, what is counted as wrong, and out of how much.
    """

    thresholds: tuple[float, ...]
    wrong: tuple[float, ...]
    whole: tuple[float, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The error at each threshold; 0 where there was nothing to compare."""
        pairs = zip(self.wrong, self.whole, strict=True)
        return tuple(float(wrong / whole) if whole else 0.0 for wrong, whole in pairs)

    @property
    def least(self) -> float:
        """The least error over the thresholds: the challenge's figure."""
        return min(self.values)

    @property
    def best_threshold(self) -> float:
        """Where the error is least; the lowest of several."""
        return self.thresholds[self.values.index(self.least)]

    def at(self, threshold: float = 0.5) -> float:
        """Return the error at a threshold.

        Raises
        ------
        ValueError
            If it was not counted there.
        """
        if threshold not in self.thresholds:
            known = ", ".join(str(t) for t in self.thresholds)
            raise ValueError(f"The error was not counted at {threshold}: choose among {known}.")
        return self.values[self.thresholds.index(threshold)]

    def __add__(self, other: Errors) -> Errors:
        if self.thresholds != other.thresholds:
            raise ValueError(
                f"Errors at thresholds {self.thresholds} and {other.thresholds} cannot be summed: "
                "count both at the same ones."
            )
        wrong, whole = (
            tuple(a + b for a, b in zip(*two, strict=True))
            for two in ((self.wrong, other.wrong), (self.whole, other.whole))
        )
        return Errors(self.thresholds, wrong, whole)


def pixel_error(
    scores: Map, truth: LabelImage, thresholds: Sequence[float] = MAP_THRESHOLDS
) -> Errors:
    """Return 1 - F-score of the cell pixels; ``.least`` is the challenge's, ``.at(0.5)`` fixed.

    F = 2 TP / (2 TP + FP + FN), where the positives are the pixels of cells, summed over sections
    ([1]_, pixel error: "1 - the maximal F-score of pixel similarity").

    Parameters
    ----------
    scores : array, shape (..., Y, X)
        Probability of cell: float in 0..1, or uint8 for 0..255. Bool and other integers (labels)
        are certain: 1 where not 0.
    truth : integer or bool array of the same shape
        Cells above 0, membranes 0; pixels below 0 are not annotated and do not count.
    thresholds : sequence of float
        Where to cut.

    Raises
    ------
    ValueError
        If the shapes differ, an axis is missing, the truth is not of integers, or the map is not
        of probabilities.
    """
    return _over_sections(_pixels, scores, truth, thresholds)


def _pixels(found: Mask, truth: LabelImage, certainty: Section) -> tuple[float, float]:
    """Count false pixels of cell, and those of both masks together."""
    there, found = truth > 0, found & (truth >= 0)
    return int((found ^ there).sum()), int(found.sum() + there.sum())


def rand_error(
    scores: Map, truth: LabelImage, thresholds: Sequence[float] = MAP_THRESHOLDS
) -> Errors:
    """Return 1 - F-score of the foreground-restricted Rand index; ``.least`` is the challenge's.

    The segments are the 4-connected cells of the map and of the truth; pairs of pixels that lie in
    cells of the truth are counted, positive where both are in one segment, predicted membrane being
    segments of one pixel; summed over sections ([1]_, Rand error: "1 - the maximal F-score of the
    foreground-restricted Rand index"). At one threshold it is 1 - V_Rand of
    :func:`~napari_unet.metrics.rand_scores`.

    Takes and raises what :func:`pixel_error` does.
    """
    return _over_sections(_pairs, scores, truth, thresholds)


def _pairs(found: Mask, truth: LabelImage, certainty: Section) -> tuple[float, float]:
    """Count false pairs of pixels, and those that are together in either mask, both summed."""
    pairs = count_pairs(ndimage.label(found)[0], ndimage.label(truth > 0)[0])
    whole = pairs.found + pairs.there
    return whole - 2 * pairs.both, whole


def warping_error(
    scores: Map,
    truth: LabelImage,
    thresholds: Sequence[float] = MAP_THRESHOLDS[:-1],
    *,
    every_kind: bool = False,
) -> Errors:
    """Return the share of pixels that keep the truth from being warped onto the map.

    The truth is deformed towards the cut map by flipping simple pixels alone, those the map is
    surest of first ([2]_, section 2): outlines move, topology does not. The pixels that still
    differ are what is wrong. The challenge counts those that split or merge cells, each taken by
    itself, and takes the least over the thresholds 0.0 to 0.9 ([1]_, minimum splits and mergers
    warping error; at 1.0 nothing would be cell, which neither splits nor merges).

    Where truth is not annotated it is taken to be as predicted; these pixels do not count.

    What is left depends on the order of the flips, and nobody knows how to find the best one: other
    code for the same measure, the challenge's included, can leave somewhat more or less.

    Parameters
    ----------
    scores, truth
        As for :func:`pixel_error`.
    thresholds : sequence of float
        Where to cut.
    every_kind : bool
        Count every pixel that cannot be warped, also those that make or delete cells or holes in
        them: the warping error as [2]_ has it.

    Raises
    ------
    ValueError
        As :func:`pixel_error`.
    """
    count = partial(_unwarped, every_kind=every_kind)
    return _over_sections(count, scores, truth, thresholds)


def _unwarped(
    found: Mask, truth: LabelImage, certainty: Section, every_kind: bool
) -> tuple[float, float]:
    """Count the pixels that warping leaves wrong, and all that are annotated."""
    known = truth >= 0
    warped = warp(np.where(known, truth > 0, found), found, certainty)
    wrong = int(warped.wrong.sum()) if every_kind else warped.splits_and_mergers()
    return wrong, int(known.sum())


def turn_over(scores: Map, truth: LabelImage) -> tuple[Section, LabelImage]:
    """Turn a map and a truth that mark membranes into ones that mark cells.

    Returns
    -------
    scores : float array
        1 - the probability.
    truth : int8 array
        1 where it was 0, 0 where it was above; -1 where it was below, not annotated.
    """
    turned = np.where(truth < 0, -1, truth == 0).astype(np.int8)
    return 1 - _probabilities(scores), turned


def _over_sections(
    count: Callable[[Mask, LabelImage, Section], tuple[float, float]],
    scores: Map,
    truth: LabelImage,
    thresholds: Sequence[float],
) -> Errors:
    """Sum what is wrong, and out of how much, over the sections, threshold by threshold."""
    check_shapes(scores, truth)
    if truth.ndim < 2:
        raise ValueError(f"The images have shape {truth.shape}: give at least rows and columns.")
    size = (prod(truth.shape[:-2]), *truth.shape[-2:])
    sums = np.zeros((len(thresholds), 2))
    for section, true in zip(
        _probabilities(scores).reshape(size), truth.reshape(size), strict=True
    ):
        for total, cut in zip(sums, thresholds, strict=True):
            total += count(section > cut, true, np.abs(section - cut))
    wrong, whole = sums.T.tolist()
    return Errors(tuple(float(t) for t in thresholds), tuple(wrong), tuple(whole))


def _probabilities(scores: Map) -> Section:
    """Return a map in 0..1, or raise ValueError."""
    low, high = (scores.min(), scores.max()) if scores.size else (0, 0)
    if scores.dtype == np.uint8:
        scores = scores.astype(np.float32) / np.float32(255)
    elif scores.dtype.kind in "biu":
        scores = scores != 0
    elif not (low >= 0 and high <= 1):
        raise ValueError(
            f"The prediction holds {low:.4g} to {high:.4g}, which are no probabilities: give a map"
            " of 0 to 1, or of 0 to 255 as 8-bit integers."
        )
    probabilities: Section = scores.astype(np.promote_types(scores.dtype, np.float32), copy=False)
    return probabilities
