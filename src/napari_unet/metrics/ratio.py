"""A ratio of counts, which can be summed over images before it is taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Part of a whole; sums of ratios weigh images by their wholes.

    Parameters
    ----------
    part, whole : float
        Counts. A whole of 0 makes the ratio 1: there was nothing to get wrong.
    """

    part: float
    whole: float

    @property
    def value(self) -> float:
        """Return part / whole."""
        return float(self.part / self.whole) if self.whole else 1.0

    def __add__(self, other: Ratio) -> Ratio:
        return Ratio(self.part + other.part, self.whole + other.whole)
