"""What becomes of objects: found, or missed as merged, as split or otherwise; and invented ones."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from napari_unet.metrics import LabelImage, Overlap
from napari_unet.metrics.contingency import Contingency

IOU = 0.5
"""From which an object counts as found."""
MOST = 0.5
"""Share of an object's pixels of which more lie in another one, where that holds it."""


@dataclass(frozen=True)
class Mistakes:
    """Counts of objects; they add up over images.

    Parameters
    ----------
    found : int
        True objects with a partner at :data:`IOU`.
    missed : int
        True objects without.
    merged : int
        Of the missed: those that a predicted object holds together with another true object.
    split : int
        Of the other missed ones: those that hold two predicted objects or more.
    invented : int
        Predicted objects without a partner.
    """

    found: int = 0
    missed: int = 0
    merged: int = 0
    split: int = 0
    invented: int = 0

    @classmethod
    def of(cls, prediction: LabelImage, truth: LabelImage) -> Mistakes:
        """Count those of an image, by the table of its overlaps.

        Raises
        ------
        ValueError
            If the arrays are no label images of one shape.
        """
        table = Contingency.of(prediction, truth)
        overlap, pixels = Overlap.within(table), table.pixels[table.real]
        of_true = pixels / table.true_pixels()[2:][overlap.column]
        of_found = pixels / table.found_pixels(table.column != 0)[1:][overlap.row]

        held = of_true > MOST  # pairs of which the true object lies mostly in the predicted one
        holds = np.bincount(overlap.row[held], minlength=overlap.exempt.size)
        merged = np.zeros(overlap.true_count, bool)
        merged[overlap.column[held]] = holds[overlap.row[held]] > 1
        pieces = np.bincount(overlap.column[of_found > MOST], minlength=overlap.true_count)

        matching, missed = overlap.match(IOU), ~overlap.found(IOU)
        return cls(
            found=matching.tp,
            missed=matching.fn,
            merged=int((missed & merged).sum()),
            split=int((missed & ~merged & (pieces > 1)).sum()),
            invented=matching.fp,
        )

    def __add__(self, other: Mistakes) -> Mistakes:
        """Return the counts of both."""
        return Mistakes(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def ap(self) -> float:
        """Average precision, found / (found + missed + invented); 1 where there is nothing."""
        total = self.found + self.missed + self.invented
        return self.found / total if total else 1.0

    @property
    def errors(self) -> int:
        """Missed and invented objects."""
        return self.missed + self.invented
