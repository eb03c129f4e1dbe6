"""Images that stay where they are stored, and are read a part at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unet.images import reading
from napari_unet.images.image import PixelSize, mean_side, stated_sides


@dataclass(frozen=True)
class StoredImage:
    """An image that is read where it is sliced, and what is known of its axes.

    Parameters
    ----------
    data : array-like
        Memory-mapped TIFF, Zarr or dask array: shape, dtype and slicing.
    axes : str or None
        A letter per dimension: T, Z, C, Y, X, S, or Q for others; None if they have no names.
    scale, translation : tuple of float
        Of each axis, in `units`; empty if unknown.
    units : tuple of str
        As NGFF names them, "" for none; empty if unknown.
    version : {"0.4", "0.5"}
        Of NGFF, in which labels of it are written.
    chunks, missing : int
        Chunks of a Zarr, and those that no file holds: they are read as its fill value, mostly 0.
    """

    data: Any
    axes: str | None = None
    scale: tuple[float, ...] = ()
    translation: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    version: Literal["0.4", "0.5"] = "0.5"
    chunks: int = 0
    missing: int = 0

    @property
    def letters(self) -> str:
        """The axes, those without names Q but for the last two."""
        return self.axes or "Q" * (self.data.ndim - 2) + "YX"

    def transform(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return scale and translation of all axes, 1 and 0 where they are unknown."""
        none = (0.0,) * self.data.ndim
        return self.scale or (1.0,) * self.data.ndim, self.translation or none

    @property
    def pixel_size(self) -> float | None:
        """Micrometres per pixel in one number, if the file states a unit of length."""
        return mean_side(self.pixel_sides)

    @property
    def pixel_sides(self) -> PixelSize | None:
        """Micrometres per pixel, height and width, if the file states a unit of length."""
        return stated_sides(self.step("Y"), self.step("X"))

    def step(self, letter: str) -> float | None:
        """Return the micrometres from one index to the next along an axis, if the file says so."""
        if not self.scale or not self.units or letter not in self.letters:
            return None
        axis = self.letters.index(letter)
        return _in_micrometres(self.scale[axis], self.units[axis])


def _in_micrometres(length: float, unit: str) -> float | None:
    """Convert a length; None if it is in no unit of length that is known here."""
    factor = reading.micrometres(unit)
    return length * factor if factor and length > 0 else None


class MappedArray:
    """An array in a file, of which only what is sliced is in memory, and only while it is in use.

    A memory map that stays open keeps all that was ever read in the process's resident memory. It
    can be sent to another process.

    Parameters
    ----------
    mapped : numpy.memmap
        Of the file.
    """

    def __init__(self, mapped: np.memmap[Any, Any]) -> None:
        self._path = str(mapped.filename)
        self._offset = mapped.offset
        self.shape: tuple[int, ...] = mapped.shape
        self.dtype = mapped.dtype
        self.ndim = mapped.ndim

    def __getitem__(self, key: tuple[slice | int, ...], /) -> NDArray[Any]:
        """Return a copy of a part."""
        mapped = np.memmap(self._path, self.dtype, "r", self._offset, self.shape)
        return np.array(mapped[key])


class CompressedArray:
    """An array in a compressed TIFF, of which only the tiles or strips that are sliced are decoded.

    It can be sent to another process.

    Parameters
    ----------
    path : Path
        The file.
    series : tifffile.TiffPageSeries
        One of its images.
    number : int
        Which.
    """

    def __init__(self, path: Path, series: tifffile.TiffPageSeries, number: int = 0) -> None:
        self._path, self._number = path, number
        self.shape: tuple[int, ...] = series.shape
        self.dtype = np.dtype(series.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, key: tuple[slice | int, ...], /) -> NDArray[Any]:
        """Return a part."""
        import zarr

        with tifffile.TiffFile(self._path) as file:
            array: Any = zarr.open(file.series[self._number].aszarr(level=0), mode="r")
            return np.asarray(array[key])


def open_tiff(path: Path) -> StoredImage:
    """Open a TIFF so that large ones are read a part at a time, and small ones now.

    Raises
    ------
    FileNotFoundError, ValueError
        If it cannot be read.
    """
    if path.suffix.lower() not in reading.TIFF:
        raise ValueError(f"{path} cannot be read a part at a time: give an OME-Zarr or a TIFF.")
    compressed = _open_compressed(path)
    if compressed is not None:
        return compressed
    image = reading.read_image(path)
    mapped = isinstance(image.data, np.memmap)
    data = MappedArray(image.data) if mapped else image.data  # type: ignore[arg-type]
    return _with_sizes(data, image.axes, image.pixel_sides, image.spacing)


def _open_compressed(path: Path) -> StoredImage | None:
    """Open a TIFF that would be decoded whole and is too large for that; None for others."""
    try:
        with tifffile.TiffFile(path) as file:
            (number,) = reading.own_images(file)
            series = file.series[number]
            if series.dataoffset is not None or series.nbytes < reading.MAPPED_BYTES:
                return None
            reading.check_complete(file, number)
            axes = reading.known_axes(series.axes, series.shape)
            sizes = reading.stated_sizes(file, number)
            return _with_sizes(CompressedArray(path, series, number), axes, *sizes)
    except Exception:  # whatever is wrong with it, read_image says so
        return None


def _with_sizes(
    data: Any, axes: str, sides: PixelSize | None, spacing: float | None
) -> StoredImage:
    height, width = sides or (None, None)
    sizes = {"Y": height, "X": width, "Z": spacing}
    known = [sizes.get(axis) for axis in axes]
    scale = tuple(size or 1.0 for size in known)
    units = tuple("micrometer" if size else "" for size in known)
    return StoredImage(data, axes, scale, (), units)
