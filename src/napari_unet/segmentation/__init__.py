"""Image to labels: preprocessing, scores tile by tile, objects."""

from napari_unet.segmentation.live import Piece, Shown, relabel_live, segment_live
from napari_unet.segmentation.result import (
    Objects,
    Segmentation,
    count_objects,
    describe_objects,
    label_plane,
)
from napari_unet.segmentation.steps import (
    Area,
    SegmentProgress,
    load_engine,
    segment,
    segment_steps,
)

__all__ = [
    "Area",
    "Objects",
    "Piece",
    "SegmentProgress",
    "Segmentation",
    "Shown",
    "count_objects",
    "describe_objects",
    "label_plane",
    "load_engine",
    "relabel_live",
    "segment",
    "segment_live",
    "segment_steps",
]
