"""Every setting of the product, as frozen dataclasses.

Each is written once here and read by the command line (flags), the dock widgets (form fields) and
the checkpoint (:func:`dataclasses.asdict`). Nothing in this package imports numpy or torch.
"""

from napari_unet.config.network import Preprocessing, Target, UNetConfig
from napari_unet.config.running import (
    FINE_TUNE,
    RECIPES,
    Recipe,
    SegmentConfig,
    TrainConfig,
    TrainProgress,
)

__all__ = [
    "FINE_TUNE",
    "RECIPES",
    "Preprocessing",
    "Recipe",
    "SegmentConfig",
    "Target",
    "TrainConfig",
    "TrainProgress",
    "UNetConfig",
]
