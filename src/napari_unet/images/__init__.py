"""Images and labels from files, and labels back to files: whole or not at all."""

from napari_unet.images.classes import read_classes, table_of
from napari_unet.images.finding import find_images, pair_by_stem, pair_labels
from napari_unet.images.image import Image
from napari_unet.images.ome import stem_of
from napari_unet.images.reading import READABLE, TIFF, read_image, read_labels, scenes_of
from napari_unet.images.records import find_provenance, read_provenance
from napari_unet.images.writing import write_image, write_labels, write_overlay

__all__ = [
    "READABLE",
    "TIFF",
    "Image",
    "find_images",
    "find_provenance",
    "pair_by_stem",
    "pair_labels",
    "read_classes",
    "read_image",
    "read_labels",
    "read_provenance",
    "scenes_of",
    "stem_of",
    "table_of",
    "write_image",
    "write_labels",
    "write_overlay",
]
