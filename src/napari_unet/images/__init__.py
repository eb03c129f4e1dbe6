"""Images and labels from files, and labels back to files: whole or not at all."""

from napari_unet.images.finding import find_images, pair_by_stem
from napari_unet.images.reading import Image, read_image, read_labels
from napari_unet.images.writing import write_image, write_labels, write_overlay, write_whole

__all__ = [
    "Image",
    "find_images",
    "pair_by_stem",
    "read_image",
    "read_labels",
    "write_image",
    "write_labels",
    "write_overlay",
    "write_whole",
]
