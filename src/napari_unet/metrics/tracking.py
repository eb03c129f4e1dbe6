"""The Cell Tracking Challenge's measure of segmentation."""

from __future__ import annotations

from napari_unet.metrics.contingency import Contingency, LabelImage
from napari_unet.metrics.matching import Overlap
from napari_unet.metrics.ratio import Ratio


def seg(prediction: LabelImage, truth: LabelImage) -> float:
    """Return SEG, the mean over true objects of their IoU with the object that covers them.

    A true object R is matched with the predicted object S that has more than half of its pixels,
    ``|R & S| > |R| / 2``, of which there is at most one; without one its IoU counts as 0 (M. Maska
    et al.: A benchmark for comparison of cell tracking algorithms, Bioinformatics 30, 2014,
    section 2.4; V. Ulman et al., Nature Methods 14, 2017). Several true objects may be covered by
    the same predicted one. Predicted objects that cover nothing cost nothing, so that SEG is 1
    where there is no true object.

    Parameters
    ----------
    prediction : integer or bool array
        Labels, any number of dimensions. The challenge takes the frames of a time-lapse one by one
        and averages over all their objects.
    truth : integer or bool array of the same shape
        Labels; below 0 where not annotated, which belongs to no object.

    Raises
    ------
    ValueError
        If the shapes differ, an array is not of integers, or the prediction has negative labels.
    """
    return seg_ratio(prediction, truth).value


def seg_ratio(prediction: LabelImage, truth: LabelImage) -> Ratio:
    """Return the sum of the IoU of true objects, and their number."""
    table = Contingency.of(prediction, truth)
    real = table.real
    covers = 2 * table.pixels[real] > table.true_pixels()[table.column[real]]
    overlap = Overlap.within(table)
    return Ratio(float(overlap.iou[covers].sum()), overlap.true_count)
