"""Images and labels from files, and labels back to files: whole or not at all."""

from napari_unet.images.classes import read_classes, table_of
from napari_unet.images.finding import find_images, pair_by_stem, pair_labels
from napari_unet.images.reading import READABLE, TIFF, Image, read_image, read_labels
from napari_unet.images.writing import write_image, write_labels, write_overlay

__all__ = [
    "READABLE",
    "TIFF",
    "Image",
    "find_images",
    "pair_by_stem",
    "pair_labels",
    "read_classes",
    "read_image",
    "read_labels",
    "table_of",
    "write_image",
    "write_labels",
    "write_overlay",
]
