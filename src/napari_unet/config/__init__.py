"""Every setting of the product, as frozen dataclasses.

Each is written once here and read by the command line (flags), the dock widgets (form fields) and
the checkpoint (:func:`dataclasses.asdict`). Nothing in this package imports numpy or torch.
"""

from napari_unet.config.foreign import ONNXConfig
from napari_unet.config.network import (
    ARCHITECTURES,
    FCNConfig,
    NetworkConfig,
    TrainableConfig,
    UNetConfig,
    UNetPlusPlusConfig,
    check_trainable,
)
from napari_unet.config.preprocessing import Preprocessing
from napari_unet.config.running import (
    FINE_TUNE,
    RECIPES,
    Recipe,
    SegmentConfig,
    TrainConfig,
    TrainProgress,
)
from napari_unet.config.target import Target

__all__ = [
    "ARCHITECTURES",
    "FINE_TUNE",
    "RECIPES",
    "FCNConfig",
    "NetworkConfig",
    "ONNXConfig",
    "Preprocessing",
    "Recipe",
    "SegmentConfig",
    "Target",
    "TrainConfig",
    "TrainProgress",
    "TrainableConfig",
    "UNetConfig",
    "UNetPlusPlusConfig",
    "check_trainable",
]
