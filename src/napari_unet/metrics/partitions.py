"""Label images as partitions of the foreground: Rand and information theoretic scores.

They are made for cells that fill the image, as in electron microscopy, and ask of pixels (or pairs
of them) whether they are rightly together; a moved outline costs little, a merger much.

Both are foreground-restricted: pixels where the truth has no object do not count. What the
prediction leaves as background inside true objects is taken as segments of one pixel each, as in
the evaluation of the ISBI 2012 challenge.

References
----------
.. [1] I. Arganda-Carreras et al.: Crowdsourcing the creation of image segmentation algorithms for
   connectomics, Frontiers in Neuroanatomy 9:142, 2015 (Rand and information theoretic scoring).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet.metrics.contingency import Contingency, LabelImage


@dataclass(frozen=True)
class PartitionScore:
    """How well two partitions agree.

    Parameters
    ----------
    split : float
        1 where no true object is split, lower the more are.
    merge : float
        1 where no true objects are merged, lower the more are.
    """

    split: float
    merge: float

    @property
    def f(self) -> float:
        """Harmonic mean of both: the score of [1]_ that weighs them alike (alpha 0.5)."""
        both = self.split + self.merge
        return 2 * self.split * self.merge / both if both else 0.0


@dataclass(frozen=True)
class Pairs:
    """Ordered pairs of pixels, a pixel with itself among them.

    Parameters
    ----------
    both, found, there : float
        Pairs that are in one segment in both partitions, in the predicted one, in the true one.
    """

    both: float
    found: float
    there: float

    def score(self) -> PartitionScore:
        """Return the shares of pairs that are rightly together."""
        if not self.there:
            return PartitionScore(1.0, 1.0)
        return PartitionScore(self.both / self.there, self.both / self.found)


def rand_scores(prediction: LabelImage, truth: LabelImage) -> PartitionScore:
    """Return the foreground-restricted Rand scores; ``.f`` is V_Rand.

    With p_ij the share of pixels in predicted segment i and true segment j, s_i and t_j its sums:
    split = sum p_ij^2 / sum t_j^2, merge = sum p_ij^2 / sum s_i^2, and V_Rand = sum p_ij^2 /
    (sum s_i^2 / 2 + sum t_j^2 / 2) ([1]_, Rand scoring). 1 - V_Rand is the adapted Rand error, up
    to the pairs of a pixel with itself, which some implementations leave out.

    Parameters
    ----------
    prediction : integer or bool array
        Labels, any number of dimensions.
    truth : integer or bool array of the same shape
        Labels; only where they are above 0 is compared.

    Raises
    ------
    ValueError
        If the shapes differ, an array is not of integers, or the prediction has negative labels.
    """
    return count_pairs(prediction, truth).score()


def info_scores(prediction: LabelImage, truth: LabelImage) -> PartitionScore:
    """Return the foreground-restricted information theoretic scores; ``.f`` is V_Info.

    With H(S) and H(T) the entropies of the predicted and the true partition, and I their mutual
    information: split = I / H(S), merge = I / H(T), and V_Info = I / (H(S) / 2 + H(T) / 2) ([1]_,
    information theoretic scoring). A partition without entropy, of one segment, is agreed with.

    Takes and raises what :func:`rand_scores` does.
    """
    both, found, there, _ = _segments(prediction, truth)
    pixels = there.sum()
    if not pixels:
        return PartitionScore(1.0, 1.0)
    joint, ours, true = (  # segments of one pixel have no part in the sums, as log(1) = 0
        float(np.log(pixels) - (sizes * np.log(sizes)).sum() / pixels)
        for sizes in (both, found, there)
    )
    shared = ours + true - joint
    return PartitionScore(_share(shared, ours), _share(shared, true))


def count_pairs(prediction: LabelImage, truth: LabelImage) -> Pairs:
    """Count the pairs of foreground pixels that are together."""
    both, found, there, alone = _segments(prediction, truth)
    together, ours, true = (float(np.square(sizes).sum()) for sizes in (both, found, there))
    return Pairs(together + alone, ours + alone, true)


def _segments(
    prediction: LabelImage, truth: LabelImage
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Return the sizes of the shared, predicted and true segments; and the pixels left over.

    Sizes are above 0, and count foreground alone; pixels left over are segments of one pixel.
    """
    table = Contingency.of(prediction, truth)
    real, inside = table.real, table.column > 1
    found = table.found_pixels(real)
    alone = float(table.pixels[inside & ~real].sum())
    return table.pixels[real], found[found > 0], table.true_pixels()[2:], alone


def _share(part: float, whole: float) -> float:
    # Of rounding errors, the last digits of sums of logarithms, nothing is said.
    return min(max(part / whole, 0.0), 1.0) if whole > 1e-12 else 1.0
