"""Images larger than memory to labels in a Zarr, a chunk at a time, here or on a cluster."""

from napari_unet.chunked.beginning import OtherSettings
from napari_unet.chunked.remote import RemoteEngine
from napari_unet.chunked.sketch import Sketch, sketch_shape, sketch_step
from napari_unet.chunked.source import Source
from napari_unet.chunked.steps import (
    ChunkedSegmentation,
    ChunkProgress,
    is_chunked,
    segment_chunked,
)
from napari_unet.chunked.workers import WAITING, Cluster, cluster_at, connect

__all__ = [
    "WAITING",
    "ChunkProgress",
    "ChunkedSegmentation",
    "Cluster",
    "OtherSettings",
    "RemoteEngine",
    "Sketch",
    "Source",
    "cluster_at",
    "connect",
    "is_chunked",
    "segment_chunked",
    "sketch_shape",
    "sketch_step",
]
