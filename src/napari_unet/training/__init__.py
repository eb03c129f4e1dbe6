"""Training: the loss, the loop, validation, and the files of a run."""

from napari_unet.training.fitting import (
    describe_data,
    find_recipe,
    fit,
    groups_from_arrays,
    median_diameter,
    start_from,
)
from napari_unet.training.loop import train, untrained
from napari_unet.training.scoring import validate, weighted_loss
from napari_unet.training.state import Files

__all__ = [
    "Files",
    "describe_data",
    "find_recipe",
    "fit",
    "groups_from_arrays",
    "median_diameter",
    "start_from",
    "train",
    "untrained",
    "validate",
    "weighted_loss",
]
