"""Annotated images from files, to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_unet.annotations import read_annotation
from napari_unet.images import TIFF, read_classes, read_image, read_labels, table_of
from napari_unet.training import Pair


def load_pairs(
    paths: Sequence[tuple[Path, Path]],
    channel: tuple[int, ...] | None = None,
    classes: Sequence[str] | None = None,
) -> Iterator[Pair]:
    """Read annotated images from files: images and their labels, by pairs of paths.

    Labels may be annotations of a project, or anybody's label images. With `classes`, names of
    which the background's is the first, a table beside each label image says what its objects are;
    see :func:`napari_unet.images.read_classes`.

    Raises
    ------
    ValueError, OSError
        If a file cannot be read; the message names it.
    """
    for path, labels in paths:
        image = read_image(path)
        is_tiff = labels.suffix.lower() in TIFF
        target = read_annotation(labels).target() if is_tiff else read_labels(labels)
        kinds = None
        if classes is not None:  # an image without objects needs no table of them
            kinds = read_classes(table_of(labels), classes) if (target > 0).any() else {}
        name = f"{path} with {labels}"
        yield Pair(image.data, target, image.axes, channel, image.pixel_size, kinds, name)
