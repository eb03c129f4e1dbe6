"""Labels, numbers and overlays to files: whole or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from skimage.io import imsave

from napari_unet.files import write_whole
from napari_unet.images.image import Image, PixelSize, as_pair
from napari_unet.images.ome import BIG, is_ome, write_ome
from napari_unet.images.reading import TIFF
from napari_unet.provenance import KEY, Provenance

IMAGEJ_LARGEST = 65_535
"""ImageJ has no integers of more than 16 bits."""
OVERLAY_SIDE = 1024
"""Pixels that an overlay is enlarged to, at most."""


def write_labels(
    path: str | Path,
    labels: NDArray[Any],
    *,
    like: Image | None = None,
    axes: str | None = None,
    pixel_size: float | PixelSize | None = None,
    made: Provenance | None = None,
) -> Path:
    """Write labels as a TIFF that ImageJ, napari and others open at the image's scale.

    A name in ``.ome.tif`` makes an OME-TIFF: tiled, and from :data:`PYRAMID_FROM` pixels a side on
    with coarser levels. Any other up to 65,535 objects: an ImageJ TIFF of uint16; beyond, and
    beyond 4 GB: an OME-TIFF; with pixels that are not annotated (-1): a plain TIFF of int32.

    Parameters
    ----------
    path : str or Path
        A ``.tif`` path.
    labels : integer array
        The image's shape without channels or colours.
    like : Image or None
        The image they belong to, whose axes and pixel size are kept.
    axes, pixel_size
        Instead of `like`: a letter per dimension, and micrometres per pixel, of height and width
        where they differ.
    made : Provenance or None
        How they were made: kept as ImageJ's Info, or as the description of the image.

    Raises
    ------
    ValueError
        If the name does not end in ``.tif`` or ``.tiff``, or the labels are not integers, or of
        more than 32 bits.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF:
        raise ValueError(f"{path} cannot hold labels: let its name end in .tif.")
    if labels.dtype.kind not in "bui":
        raise ValueError(f"Labels of type {labels.dtype} are not whole numbers.")
    spacing = None
    if like is not None:
        axes = like.labels_axes
        pixel_size, spacing = like.pixel_sides, like.spacing
    axes = axes or "Q" * (labels.ndim - 2) + "YX"
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    largest = np.iinfo(np.int32 if low < 0 else np.uint32).max
    if high > largest:
        raise ValueError(
            f"{path} cannot hold labels up to {high}: number them anew, from 1 on (at most"
            f" {largest} fit)."
        )
    fits_imagej = high <= IMAGEJ_LARGEST and 2 * labels.size <= BIG  # bytes as uint16
    if is_ome(path) or (low >= 0 and not fits_imagej):
        kind = np.uint16 if high <= IMAGEJ_LARGEST else np.uint32
        stack = as_hyperstack(labels.astype(np.int32 if low < 0 else kind), axes)
        return write_ome(path, stack, pixel_size, spacing, made)
    if low < 0:
        told = {"axes": axes} | ({KEY: made.to_dict()} if made is not None else {})
        return _write_tiff(path, labels.astype(np.int32), metadata=told)
    sides = as_pair(pixel_size)
    resolution = {} if sides is None else {"resolution": (1 / sides[1], 1 / sides[0])}
    metadata: dict[str, Any] = {"axes": "TZCYX", "max": float(high), "min": 0.0}
    if sides is not None:
        metadata["unit"] = "um"
        metadata |= {"spacing": spacing} if spacing else {}
    if made is not None:
        metadata["Info"] = made.to_json()
    stack = as_hyperstack(labels.astype(np.uint16), axes)
    return _write_tiff(path, stack, imagej=True, metadata=metadata, **resolution)


def as_hyperstack(labels: NDArray[Any], axes: str) -> NDArray[Any]:
    """Reshape to ImageJ's TZCYX; of leading axes without a name, the last are Z and then T.

    Three of them keep their order; of more, the first are joined.
    """
    surplus = max(labels.ndim - 5, 0)
    if surplus:
        labels = labels.reshape(-1, *labels.shape[surplus + 1 :])
        axes = "Q" + axes[surplus + 1 :]
    leading = list(axes[:-2])
    named = [a if a in "TZC" and leading.count(a) == 1 else None for a in leading]
    free = [a for a in "TZC" if a not in named]
    if len(named) == len(free) == 3:
        named = list(free)
    for i in reversed(range(len(named))):
        if named[i] is None:
            named[i] = free.pop(free.index("Z") if "Z" in free else 0)
    order = sorted(range(len(named)), key=lambda i: "TZC".index(str(named[i])))
    moved = labels.transpose([*order, len(named), len(named) + 1])
    lengths = {named[i]: labels.shape[i] for i in range(len(named))}
    return moved.reshape(*(lengths.get(a, 1) for a in "TZC"), *labels.shape[-2:])


def write_image(
    path: str | Path,
    image: NDArray[Any],
    *,
    axes: str | None = None,
    pixel_size: float | PixelSize | None = None,
    channels: Sequence[str] = (),
    made: Provenance | None = None,
) -> Path:
    """Write numbers (weights, scores) as a plain, compressed TIFF.

    Parameters
    ----------
    path : str or Path
        A ``.tif`` path; one in ``.ome.tif`` makes an OME-TIFF.
    image : array
        The numbers.
    axes, pixel_size, channels
        What an OME-TIFF says of them: a letter per dimension, micrometres per pixel (of height and
        width where they differ), names.
    made : Provenance or None
        How they were made: kept as the description of the image.

    Raises
    ------
    ValueError
        If the name does not end in ``.tif`` or ``.tiff``.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF:
        raise ValueError(f"{path} cannot hold numbers: let its name end in .tif.")
    if is_ome(path):
        stack = as_hyperstack(image, axes or "Q" * (image.ndim - 2) + "YX")
        return write_ome(path, stack, pixel_size, made=made, channels=channels)
    text = made.to_json() if made is not None else None
    return _write_tiff(path, image, photometric="minisblack", description=text, metadata=None)


def _write_tiff(path: Path, array: NDArray[Any], **options: Any) -> Path:
    def write(temporary: Path) -> None:
        # Of what is compressed, tifffile does not foresee that 32 bits are too few for offsets.
        is_big = array.nbytes > BIG
        tifffile.imwrite(temporary, array, bigtiff=is_big, compression="zlib", **options)

    return write_whole(path, write)


def write_overlay(path: str | Path, image: NDArray[Any], labels: NDArray[Any]) -> Path:
    """Write a PNG of an image with the outlines of its objects, each in one of many colours.

    Small images are enlarged by a whole factor, so that outlines are thinner than their pixels.

    Parameters
    ----------
    path : str or Path
        A ``.png`` path.
    image : array, shape (Y, X) or (Y, X, 3)
        Stretched to its 1st and 99.8th percentile.
    labels : integer array, shape (Y, X)
        Its labels.
    """
    factor = max(OVERLAY_SIDE // max(labels.shape), 1)
    image, labels = (a.repeat(factor, axis=0).repeat(factor, axis=1) for a in (image, labels))
    low, high = np.percentile(image, (1, 99.8))
    gray = np.clip((image - low) / max(high - low, 1e-9), 0, 1)
    picture = np.repeat(gray[..., None], 3, axis=-1) if gray.ndim == 2 else gray
    size = 3 if factor == 1 else 5
    outline = (labels > 0) & (maximum_filter(labels, size) != minimum_filter(labels, size))
    # Steps of the golden angle around the colour circle keep neighbours apart.
    hue = (labels[outline] * 0.618034) % 1
    colours = np.clip(np.abs((hue[:, None] * 6 + (0, 4, 2)) % 6 - 3) - 1, 0, 1)
    picture[outline] = 0.25 + 0.75 * colours
    pixels = (255 * picture).round().astype(np.uint8)

    def write(temporary: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of low contrast, as in an empty image
            imsave(temporary, pixels, check_contrast=False)

    return write_whole(Path(path), write)
