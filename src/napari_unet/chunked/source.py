"""The image that is segmented: where it is stored, and its planes, of which parts are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Preprocessing
from napari_unet.images.ngff import open_zarr, readable
from napari_unet.images.stored import StoredImage, open_tiff
from napari_unet.preprocessing import Array, Planes, as_planes

BAND = 1024
"""Rows that are read at a time where only some of them are wanted."""


@dataclass(frozen=True)
class Source:
    """Where an image is.

    Parameters
    ----------
    path : Path
        Of an OME-Zarr, a Zarr array or a TIFF. Each process opens it for itself.
    axes : str or None
        A letter per dimension, over those that the file names; None: as the file has it, or guessed
        from the shape.
    array : array-like or None
        Zarr, dask or other array, which is taken instead of what is at the path.
    """

    path: Path
    axes: str | None = None
    array: Any = field(default=None, compare=False)

    def open(self) -> StoredImage:
        """Open the image.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is none.
        """
        image = _open(self.path) if self.array is None else StoredImage(self.array)
        if self.axes is None:
            return image
        named = zip(self.axes.upper(), image.axes or "", strict=False)
        keeps_sizes = image.axes is not None and all(a == b or "Q" in (a, b) for a, b in named)
        return StoredImage(
            image.data,
            self.axes.upper(),
            image.scale if keeps_sizes else (),
            image.translation if keeps_sizes else (),
            image.units if keeps_sizes else (),
            image.version,
            image.chunks,
            image.missing,
        )

    def planes(self, rule: Preprocessing, channel: tuple[int, ...] | None) -> StoredPlanes:
        """See the image as planes that are read a part at a time.

        Raises
        ------
        ValueError
            If the network does not take it; see :func:`napari_unet.preprocessing.as_planes`.
        """
        image = self.open()
        planes = as_planes(image.data, rule, image.axes, channel)
        return StoredPlanes(planes.data, planes.axes, planes.channels, self.path)


@lru_cache(maxsize=2)
def _open(path: Path) -> StoredImage:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path.")
    return open_zarr(path) if path.is_dir() else open_tiff(path)


@dataclass(frozen=True)
class StoredPlanes(Planes):
    """Planes whose pixels stay where they are until a part of them is sliced.

    Parameters
    ----------
    path : Path
        For messages.
    """

    path: Path = Path()

    def __getitem__(self, index: int) -> Array:
        """Return plane `index`, (C, Y, X), unread."""
        return _StoredPlane(self, index)


class _StoredPlane:
    """A plane (C, Y, X) that is read where it is sliced."""

    def __init__(self, planes: StoredPlanes, index: int) -> None:
        self._planes = planes
        leading = np.unravel_index(index, planes.leading) if planes.leading else ()
        self._position = tuple(int(i) for i in leading)
        chosen = planes.available if planes.channels is None else len(planes.channels)
        self.shape = (chosen, *planes.plane_shape)
        self.dtype = planes.data.dtype

    def __getitem__(self, key: tuple[slice, slice, slice], /) -> NDArray[Any]:
        """Return the part under three slices, of which the first takes all channels."""
        _, rows, columns = key
        start, stop, step = rows.indices(self.shape[1])
        if step == 1 or stop - start <= BAND:
            return self._read(rows, columns)
        band = BAND // step * step or step  # a band's first row is one that is wanted
        parts = [
            self._read(slice(first, min(first + band, stop), step), columns)
            for first in range(start, stop, band)
        ]
        return np.concatenate(parts, axis=1)

    def _read(self, rows: slice, columns: slice) -> NDArray[Any]:
        planes = self._planes
        position = iter(self._position)
        wanted = {"Y": rows, "X": columns, "C": slice(None), "S": slice(None)}
        key = tuple(wanted[a] if a in wanted else next(position) for a in planes.axes)
        with readable(planes.path):
            part = planes.data[key]
            if hasattr(part, "compute"):  # of dask, here and not on the cluster that asks for it
                part = part.compute(scheduler="threads")
            pixels = np.asarray(part)
        kept = [a for a in planes.axes if a in "CSYX"]
        order = [kept.index(a) for a in (*(a for a in kept if a in "CS"), "Y", "X")]
        pixels = pixels.transpose(order)
        pixels = pixels.reshape((-1, *pixels.shape[-2:]))
        return pixels if planes.channels is None else pixels[list(planes.channels)]
