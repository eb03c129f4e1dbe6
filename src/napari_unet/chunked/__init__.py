"""Images larger than memory to labels in a Zarr, a chunk at a time, here or on a cluster."""

from napari_unet.chunked.source import Source
from napari_unet.chunked.steps import (
    ChunkedSegmentation,
    ChunkProgress,
    is_chunked,
    segment_chunked,
)
from napari_unet.chunked.workers import connect

__all__ = [
    "ChunkProgress",
    "ChunkedSegmentation",
    "Source",
    "connect",
    "is_chunked",
    "segment_chunked",
]
