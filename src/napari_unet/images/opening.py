"""Images and labels from files, and from OME-Zarrs, of which a plane is in memory at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.images.image import Image
from napari_unet.images.ngff import is_zarr, open_zarr, readable
from napari_unet.images.reading import read_image, read_labels


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


def open_labels(path: Path) -> Any:
    """Read labels from a file, or open those of an OME-Zarr, as :func:`open_image` does.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        If there are none, they cannot be read, or are no whole numbers.
    """
    if not is_zarr(path):
        return read_labels(path)
    labels = open_image(path).data
    if labels.dtype.kind not in "bui":
        raise ValueError(f"{path} holds {labels.dtype}, so it is no label image: choose another.")
    return labels


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
