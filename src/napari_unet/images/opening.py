"""Images and labels from files, and from OME-Zarrs, of which a plane is in memory at a time."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unet.images import ngff
from napari_unet.images.finding import LABELS_MARK, is_readable
from napari_unet.images.image import Image
from napari_unet.images.ngff import is_zarr, open_zarr, readable
from napari_unet.images.ome import stem_of
from napari_unet.images.reading import TIFF, read_image, read_label_image
from napari_unet.images.records import find_provenance


def open_image(path: Path) -> Image:
    """Read an image file, or open the finest level of an OME-Zarr.

    The pixels of a Zarr are read where they are sliced, each time anew.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        If there is none, or it cannot be read.
    """
    if not is_zarr(path):
        return read_image(path)
    stored = open_zarr(path)
    data: Any = _ZarrArray(stored.data, path)
    return Image(data, stored.letters, stored.pixel_sides, stored.step("Z"), path)


def open_labels(path: Path) -> Image:
    """Read labels from a file, or open those of an OME-Zarr, as :func:`open_image` does.

    An axis of channels, of which there is one, is left out.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        If there are none, they cannot be read, or are no whole numbers.
    """
    if not is_zarr(path):
        return read_label_image(path)
    labels = open_image(path)
    if labels.data.dtype.kind not in "bui":
        kind = labels.data.dtype
        raise ValueError(f"{path} holds {kind}, so it is no label image: choose another.")
    channel = labels.axes.find("C")
    if channel < 0 or labels.data.shape[channel] > 1:
        return labels
    data: Any = _WithoutAxis(labels.data, channel)
    return replace(labels, data=data, axes=labels.axes.replace("C", ""))


def open_levels(path: Path, labels: bool = False) -> list[Any]:
    """Open the levels of an OME-Zarr, the finest first, for a viewer that reads what it shows.

    Parameters
    ----------
    path : Path
        The Zarr.
    labels : bool
        Whether they are of labels: an axis of channels, of which there is one, is left out.

    Raises
    ------
    ValueError
        If there are none.
    """
    levels: list[Any] = list(ngff.open_levels(path))
    channel = open_zarr(path).letters.find("C")
    if not labels or channel < 0 or levels[0].shape[channel] > 1:
        return levels
    return [_WithoutAxis(level, channel) for level in levels]


def holds_labels(path: Path) -> bool:
    """Say whether a file or Zarr says itself that it holds labels.

    It is called so (``*_labels``), NGFF marks it, or it is a TIFF of whole numbers that tells how
    napari-unet has made it.
    """
    if is_zarr(path):
        return ngff.holds_labels(path)
    if not is_readable(path):
        return False
    if stem_of(path).endswith(LABELS_MARK):
        return True
    return path.suffix.lower() in TIFF and find_provenance(path) is not None and _is_whole(path)


def _is_whole(path: Path) -> bool:
    with tifffile.TiffFile(path) as file:
        return np.dtype(file.series[0].dtype).kind in "bui"


class _ZarrArray:
    """A Zarr array that says in one sentence which of its files is damaged.

    Parameters
    ----------
    array : zarr.Array
        Open for reading.
    path : Path
        For messages.
    """

    def __init__(self, array: Any, path: Path) -> None:
        self._array, self._path = array, path
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Return a part."""
        with readable(self._path):
            return np.asarray(self._array[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it."""
        return np.asarray(self[...], dtype)


class _WithoutAxis:
    """An array without one of its axes, which has the length 1.

    Parameters
    ----------
    array : array-like
        Of one dimension more.
    axis : int
        The one that is left out.
    """

    def __init__(self, array: Any, axis: int) -> None:
        self._array, self._axis = array, axis
        self.shape: tuple[int, ...] = array.shape[:axis] + array.shape[axis + 1 :]
        self.dtype: np.dtype[Any] = array.dtype
        self.ndim = len(self.shape)
        self.size = prod(self.shape)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Return a part, by an index or slice for each of the first axes."""
        part = [*(key if isinstance(key, tuple) else (key,))]
        part += [slice(None)] * (self.ndim - len(part))
        part.insert(self._axis, 0)
        return np.asarray(self._array[tuple(part)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of it."""
        return np.asarray(self[()], dtype)
