"""Segment microscopy images by a U-Net, and teach it on a few annotated images."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unet.checkpoint import Checkpoint
    from napari_unet.config import (
        FCNConfig,
        SegmentConfig,
        TrainConfig,
        UNetConfig,
        UNetPlusPlusConfig,
    )
    from napari_unet.model import FCN, UNet, UNetPlusPlus
    from napari_unet.segmentation import segment
    from napari_unet.training import fit as train
    from napari_unet.weightmap import weight_map

__version__ = "0.1.0"

_HOMES = {
    "FCN": ("model", "FCN"),
    "Checkpoint": ("checkpoint", "Checkpoint"),
    "FCNConfig": ("config", "FCNConfig"),
    "SegmentConfig": ("config", "SegmentConfig"),
    "TrainConfig": ("config", "TrainConfig"),
    "UNet": ("model", "UNet"),
    "UNetConfig": ("config", "UNetConfig"),
    "UNetPlusPlus": ("model", "UNetPlusPlus"),
    "UNetPlusPlusConfig": ("config", "UNetPlusPlusConfig"),
    "segment": ("segmentation", "segment"),
    "train": ("training", "fit"),
    "weight_map": ("weightmap", "weight_map"),
}
"""Public names and where they live; torch is loaded when one that needs it is first used."""

__all__ = [
    "FCN",
    "Checkpoint",
    "FCNConfig",
    "SegmentConfig",
    "TrainConfig",
    "UNet",
    "UNetConfig",
    "UNetPlusPlus",
    "UNetPlusPlusConfig",
    "__version__",
    "segment",
    "train",
    "weight_map",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
