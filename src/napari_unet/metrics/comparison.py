"""Which objects were matched, missed and invented, as an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.util import map_array

from napari_unet.metrics.contingency import Contingency, LabelImage
from napari_unet.metrics.matching import Overlap, check_threshold

NOTHING, MATCHED, MISSED, INVENTED, BOTH = range(5)
"""Values of :func:`compare_objects`; both: a missed object under an invented one."""


def compare_objects(
    prediction: LabelImage, truth: LabelImage, threshold: float = 0.5
) -> NDArray[np.uint8]:
    """Show what became of each object, matched as by :func:`~napari_unet.metrics.match`.

    Parameters
    ----------
    prediction, truth : integer or bool arrays of one shape
        Labels; the truth's are below 0 where not annotated.
    threshold : float
        IoU from which objects may be matched, in (0, 1].

    Returns
    -------
    uint8 array
        0 nothing; 1 a predicted object with a partner; 2 a true object without; 3 a predicted
        object without; 4 where 2 and 3 overlap. Predicted objects that mostly lie where nothing is
        annotated are no mistakes, and are 0.

    Raises
    ------
    ValueError
        If the shapes differ, an array is not of integers, the prediction has negative labels, or
        the threshold is out of range.
    """
    check_threshold(threshold)
    table = Contingency.of(prediction, truth)
    overlap = Overlap.within(table)
    pairs = overlap.pairs(threshold)
    ours = np.where(overlap.exempt, NOTHING, INVENTED).astype(np.uint8)
    ours[overlap.row[pairs]] = MATCHED
    true = np.full(overlap.true_count, MISSED, np.uint8)
    true[overlap.column[pairs]] = NOTHING
    shown = _painted(prediction, table.found[1:], ours)
    missed = _painted(truth, table.there[2:], true) == MISSED
    shown[missed & (shown == INVENTED)] = BOTH
    shown[missed & (shown == NOTHING)] = MISSED
    return shown


def _painted(
    labels: LabelImage, objects: NDArray[np.int64], values: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return an image with each object's value, and 0 elsewhere."""
    own = labels.astype(np.int64)  # it takes no array that is read-only, or of foreign byte order
    painted: NDArray[np.uint8] = map_array(own, objects, values)
    return painted
