"""One sparse contingency table of two label images: every score of objects comes from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

LabelImage = NDArray[np.integer[Any]] | NDArray[np.bool_]


def number_by_plane(labels: LabelImage) -> NDArray[np.int64]:
    """Return labels (..., Y, X) of which no number is in two planes.

    For stacks whose objects are numbered anew in each plane, as those of ``napari_unet.segment``:
    compared as they are, objects of different planes would pass for one.
    """
    apart = labels.astype(np.int64, order="C")  # whose planes can be written to
    step = int(apart.max(initial=0)) + 1
    for number, plane in enumerate(apart.reshape(-1, *apart.shape[-2:])):
        plane[plane > 0] += number * step
    return apart


@dataclass(frozen=True)
class Contingency:
    """Pixels that R predicted and C true labels share, of E pairs that share any.

    Parameters
    ----------
    row, column : intp array, shape (E,)
        Positions of the labels of each pair among `found` and `there`.
    pixels : float64 array, shape (E,)
        How many pixels have both.
    found : int64 array, shape (R,)
        Predicted labels in their order; the first is 0, the background.
    there : int64 array, shape (C,)
        True labels likewise; the first is -1, not annotated, the second 0.
    """

    row: NDArray[np.intp]
    column: NDArray[np.intp]
    pixels: NDArray[np.float64]
    found: NDArray[np.int64]
    there: NDArray[np.int64]

    @classmethod
    def of(cls, prediction: LabelImage, truth: LabelImage) -> Contingency:
        """Count two label images; runs of pixels with the same pair are counted at once."""
        check(prediction, truth)
        found, there = prediction.ravel(), truth.ravel()
        change = (found[1:] != found[:-1]) | (there[1:] != there[:-1])
        ends = np.flatnonzero(np.append(change, True)[: found.size])
        lengths = np.diff(ends, prepend=-1).astype(np.float64)
        row, rows = positions(found[ends], 0)
        column, columns = positions(np.maximum(there[ends].astype(np.int64), -1), -1, 0)
        table = coo_matrix((lengths, (row, column)), shape=(rows.size, columns.size))
        table.sum_duplicates()
        return cls(table.row.astype(np.intp), table.col.astype(np.intp), table.data, rows, columns)

    @property
    def real(self) -> NDArray[np.bool_]:
        """Which pairs are of a predicted and a true object."""
        return (self.row > 0) & (self.column > 1)

    def found_pixels(self, among: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the pixels of each predicted label in some of the pairs, shape (R,)."""
        rows, pixels = self.row[among], self.pixels[among]
        return np.bincount(rows, pixels, minlength=self.found.size).astype(np.float64)

    def true_pixels(self) -> NDArray[np.float64]:
        """Return the pixels of each true label, shape (C,)."""
        pixels = np.bincount(self.column, self.pixels, minlength=self.there.size)
        return pixels.astype(np.float64)


def positions(values: NDArray[Any], *always: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return where each value stands among the sorted distinct ones and `always`; and those."""
    known = np.append(values.astype(np.int64), np.array(always, np.int64))
    distinct, position = np.unique(known, return_inverse=True)
    return position[: values.size], distinct


def check_shapes(prediction: NDArray[Any], truth: NDArray[Any]) -> None:
    """Raise ValueError unless the shapes are the same, and the truth is of integers."""
    if prediction.shape != truth.shape:
        raise ValueError(
            f"The prediction has shape {prediction.shape} and the truth {truth.shape}: "
            "give label images of the same size."
        )
    check_integers("truth", truth)


def check_integers(name: str, labels: NDArray[Any]) -> None:
    """Raise ValueError unless labels are integers."""
    if labels.dtype.kind not in "iub":
        raise ValueError(f"The {name} holds {labels.dtype}: give labels, which are integers.")
    if labels.dtype == np.uint64 and labels.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"The {name} has the label {labels.max()}: number its objects anew.")


def check(prediction: LabelImage, truth: LabelImage) -> None:
    """Raise ValueError unless both are label images of one shape, the prediction from 0."""
    check_shapes(prediction, truth)
    check_integers("prediction", prediction)
    if prediction.size and prediction.min() < 0:
        raise ValueError(
            f"The prediction has the label {prediction.min()}: give 0 for background and objects "
            "from 1 (only the truth may have pixels that are not annotated)."
        )
