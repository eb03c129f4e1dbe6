"""Annotated images from files, to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_unet.annotations import read_annotation
from napari_unet.images import TIFF, Image, read_classes, read_image, read_labels, table_of
from napari_unet.images.image import in_order
from napari_unet.images.reading import read_label_image
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
        target = _read_target(labels, image)
        kinds = None
        if classes is not None:  # an image without objects needs no table of them
            kinds = read_classes(table_of(labels), classes) if (target > 0).any() else {}
        name = f"{path} with {labels}"
        yield Pair(image.data, target, image.axes, channel, image.pixel_size, kinds, name)


def _read_target(path: Path, image: Image) -> NDArray[Any]:
    """Return labels, the axes of a stack in the order of its image."""
    if path.suffix.lower() not in TIFF:
        return read_labels(path)
    target = read_annotation(path).target()
    if target.ndim < 4:
        return target
    return in_order(replace(read_label_image(path), data=target), image.labels_axes)
