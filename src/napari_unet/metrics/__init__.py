"""How well a prediction agrees with the truth: objects, regions, partitions, membranes.

All that is counted by objects comes from one sparse contingency table a pair of label images, whose
cost grows with pixels and overlapping pairs of objects, never with objects times objects.

Label images hold 0 for background and objects from 1; in the truth, pixels below 0 are not
annotated and do not count, in overlaps and in sizes alike.

Where there is nothing to compare, agreement is perfect: a score of nothing with nothing is 1, an
error 0. All other empty ratios are 0 (as in StarDist, which makes the first case 0, too).

Each function names the paper that defines its measure. :func:`measure` computes several of them by
the names that ``napari-unet evaluate --metrics`` takes, :data:`METRICS`.
"""

from napari_unet.metrics.comparison import compare_objects
from napari_unet.metrics.contingency import LabelImage, number_by_plane
from napari_unet.metrics.isbi import (
    MAP_THRESHOLDS,
    Errors,
    pixel_error,
    rand_error,
    turn_over,
    warping_error,
)
from napari_unet.metrics.matching import (
    DSB_THRESHOLDS,
    THRESHOLDS,
    Evaluation,
    Matching,
    Overlap,
    average_precision,
    found,
    match,
    match_all,
)
from napari_unet.metrics.partitions import PartitionScore, info_scores, rand_scores
from napari_unet.metrics.regions import class_ious, dice, iou, mean_iou
from napari_unet.metrics.report import (
    MAP_ERRORS,
    METRICS,
    Measured,
    check_names,
    mean_values,
    measure,
    pool,
)
from napari_unet.metrics.tracking import seg

__all__ = [
    "DSB_THRESHOLDS",
    "MAP_ERRORS",
    "MAP_THRESHOLDS",
    "METRICS",
    "THRESHOLDS",
    "Errors",
    "Evaluation",
    "LabelImage",
    "Matching",
    "Measured",
    "Overlap",
    "PartitionScore",
    "average_precision",
    "check_names",
    "class_ious",
    "compare_objects",
    "dice",
    "found",
    "info_scores",
    "iou",
    "match",
    "match_all",
    "mean_iou",
    "mean_values",
    "measure",
    "number_by_plane",
    "pixel_error",
    "pool",
    "rand_error",
    "rand_scores",
    "seg",
    "turn_over",
    "warping_error",
]
