"""The image that is segmented: where it is stored, and its planes, of which parts are read."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Preprocessing
from napari_unet.files import Stamp, stamp
from napari_unet.images.ngff import METADATA, as_stored, is_zarr, open_zarr, readable
from napari_unet.images.stored import StoredImage, open_tiff
from napari_unet.preprocessing import Array, ChannelStack, Planes, as_planes, computed_here

BAND = 1024
"""Rows that are read at a time where only some of them are wanted."""
PATCHES, PATCH = 3, 16
"""Number along each axis, and side, of the patches by which an image is known again."""
LIGHT = 2**20
"""Bytes up to which a source can go along with each task."""


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
    array : array-like, StoredImage or None
        Zarr, dask or other array, which is taken instead of what is at the path. The path then is
        but a name.
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
        if self.array is None:
            image = _open(self.path, _stamps(self.path))
        elif isinstance(self.array, StoredImage):
            image = self.array
        else:
            image = as_stored(self.array)
        if self.axes is None:
            return image
        named = zip(self.axes.upper(), image.axes or "", strict=False)
        keeps_sizes = image.axes is not None and all(a == b or "Q" in (a, b) for a, b in named)
        image = replace(image, axes=self.axes.upper())
        return image if keeps_sizes else replace(image, scale=(), translation=(), units=())

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

    @property
    def is_light(self) -> bool:
        """Whether it holds no pixels, so that it can be sent to whoever sees the same disks."""
        if self.array is None:
            return True
        buffers: list[pickle.PickleBuffer] = []
        try:
            rest = pickle.dumps(self.array, 5, buffer_callback=buffers.append)
        except Exception:  # an open file, a lock: whatever its makers keep in it
            return False
        return len(rest) + sum(buffer.raw().nbytes for buffer in buffers) <= LIGHT


def look_anew() -> None:
    """Open images anew from now on: chunks may have come to a Zarr that was open already."""
    _open.cache_clear()


def _stamps(path: Path) -> tuple[Stamp | None, ...]:
    """Return what changes when a file, or what a Zarr says of itself, is written anew."""
    return tuple(map(stamp, (path, *(path / name for name in METADATA))))


@lru_cache(maxsize=2)
def _open(path: Path, _: tuple[Stamp | None, ...]) -> StoredImage:
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


def as_lazy(images: Sequence[Any]) -> Any:
    """See the channels of an image as one array, whose slices are not read before their pixels are.

    Those of a Zarr array would be: it is wrapped by dask.
    """
    arrays = [_as_dask(image) if getattr(image, "chunks", None) else image for image in images]
    if len(arrays) == 1:
        return arrays[0]
    if all(hasattr(array, "dask") for array in arrays):
        import dask.array

        return dask.array.stack(arrays)
    return ChannelStack(arrays)


def _as_dask(array: Any) -> Any:
    import dask.array

    is_lazy = isinstance(array, dask.array.Array)
    return array if is_lazy else dask.array.from_array(array, array.chunks, name=False)


def as_image(array: Any, path: Path | None) -> StoredImage:
    """See an array as an image; where a Zarr of its shape is at a path, with what that tells."""
    image = as_stored(array)
    if path is not None and is_zarr(path):
        with suppress(ValueError, OSError):
            there = open_zarr(path)
            if there.data.shape == array.shape:
                return replace(
                    image, version=there.version, chunks=there.chunks, missing=there.missing
                )
    return image


def fingerprint(planes: Planes) -> str:
    """Return what tells an image from another one of its shape: a hash of some patches of it."""
    digest = sha256()
    for index in sorted({0, len(planes) // 2, len(planes) - 1}):
        plane = planes[index]
        starts = (
            {round(i * max(size - PATCH, 0) / (PATCHES - 1)) for i in range(PATCHES)}
            for size in plane.shape[1:]
        )
        for top, left in product(*map(sorted, starts)):
            where = (slice(None), slice(top, top + PATCH), slice(left, left + PATCH))
            digest.update(np.ascontiguousarray(plane[where]).tobytes())
    return digest.hexdigest()


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
            pixels = computed_here(planes.data[key])
        kept = [a for a in planes.axes if a in "CSYX"]
        order = [kept.index(a) for a in (*(a for a in kept if a in "CS"), "Y", "X")]
        pixels = pixels.transpose(order)
        pixels = pixels.reshape((-1, *pixels.shape[-2:]))
        return pixels if planes.channels is None else pixels[list(planes.channels)]
