"""Training: the loop and what it needs, the files of a run, and fine-tuning to be watched."""

from napari_unet.training.comparison import Comparison, Overlay, Scores, compare
from napari_unet.training.fitting import find_recipe, fit, start_from
from napari_unet.training.forecast import Estimate, estimate
from napari_unet.training.loop import train, untrained
from napari_unet.training.preparing import (
    describe_data,
    median_diameter,
    prepare_pair,
    prepare_pairs,
)
from napari_unet.training.scoring import validate, weighted_loss
from napari_unet.training.session import Diverged
from napari_unet.training.settling import Pair, sizes_to_try, typical_diameter
from napari_unet.training.state import Files
from napari_unet.training.tuning import (
    Stage,
    Task,
    Tuned,
    TuneProgress,
    fine_tune,
)

__all__ = [
    "Comparison",
    "Diverged",
    "Estimate",
    "Files",
    "Overlay",
    "Pair",
    "Scores",
    "Stage",
    "Task",
    "TuneProgress",
    "Tuned",
    "compare",
    "describe_data",
    "estimate",
    "find_recipe",
    "fine_tune",
    "fit",
    "median_diameter",
    "prepare_pair",
    "prepare_pairs",
    "sizes_to_try",
    "start_from",
    "train",
    "typical_diameter",
    "untrained",
    "validate",
    "weighted_loss",
]
