"""Object size to network pixels, and labels back to the image's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_unet.config import Preprocessing
from napari_unet.preprocessing.planes import Array

Region = tuple[slice, ...]

ZOOM_LIMIT = 32.0
"""An object size that asks for more is a slip, as of nanometres taken for micrometres."""
LARGEST_READ = 2**25
"""Samples of an image that are read at a time to be shrunk, or those that a single row needs.

128 MB in float32, and two to three times that while they are smoothed."""
TRUNCATE = 4.0
"""Standard deviations after which the smoothing kernel ends."""


def zoom_factor(
    rule: Preprocessing, diameter: float | None = None, pixel_size: float | None = None
) -> float:
    """Return the factor by which an image is enlarged to show objects at the trained size.

    Parameters
    ----------
    rule : Preprocessing
        States the diameter (pixels) and pixel size (micrometres) the network was trained at, and
        the factor for images of which neither is known.
    diameter : float or None
        Object diameter in the image, in pixels.
    pixel_size : float or None
        Pixel size of the image in micrometres; both axes are enlarged alike, so where height and
        width differ, it is the side of a square of the same area.

    Raises
    ------
    ValueError
        If one is given that the model does not state for itself, or the factor is absurd.
    """
    if diameter is not None:
        if rule.diameter is None:
            raise ValueError(
                f"diameter = {diameter} cannot be used: the model does not state the object"
                " diameter it was trained at; leave the diameter out."
            )
        return _checked_zoom("diameter", diameter, rule.diameter / diameter)
    if pixel_size is not None:
        if rule.pixel_size is None:
            raise ValueError(
                f"pixel_size = {pixel_size} cannot be used: the model does not state the pixel"
                " size it was trained at; give the objects' diameter in pixels instead."
            )
        return _checked_zoom("pixel_size", pixel_size, pixel_size / rule.pixel_size)
    return rule.zoom


def _checked_zoom(name: str, value: float, zoom: float) -> float:
    if not 1 / ZOOM_LIMIT <= zoom <= ZOOM_LIMIT:
        raise ValueError(
            f"{name} = {value} would resize the image by {zoom:.3g} to fit the model: check it and"
            " its unit (a diameter is in pixels, a pixel size in micrometres)."
        )
    return zoom


def scaled_shape(shape: tuple[int, ...], zoom: float) -> tuple[int, ...]:
    """Return the shape in network pixels of an image plane (Y, X), one pixel at least."""
    return tuple(max(1, round(n * zoom)) for n in shape)


class ScaledPlane:
    """A plane as the network sees it: normalised and resized where it is read, and only there.

    Parts agree with the whole to the last bit, so tiles may be read one by one.

    Parameters
    ----------
    plane : array-like, shape (C, Y, X)
        Part of an image; memory-mapped and dask arrays are read a part at a time.
    normalise : callable
        From (C, Y, X) to float32 (C', Y, X).
    zoom : float
        Network pixels per image pixel. Where it shrinks, the plane is smoothed first.
    channels : int
        C'.
    """

    def __init__(
        self,
        plane: Array,
        normalise: Callable[[Array], NDArray[np.float32]],
        zoom: float,
        channels: int = 1,
    ) -> None:
        self._plane = plane
        self._normalise = normalise
        self.shape: tuple[int, ...] = (channels, *scaled_shape(plane.shape[1:], zoom))

    def __getitem__(self, key: Region, /) -> NDArray[np.float32]:
        """Return the part (C', y, x) under three slices, of which the first takes all channels."""
        _, *part = key
        lengths = zip(self._plane.shape[1:], self.shape[1:], part, strict=True)
        axes = [_Resampling.of(n, m, window) for n, m, window in lengths]
        start, stop, _ = part[0].indices(self.shape[1])
        read = self._plane.shape[0] * prod(axis.read.stop - axis.read.start for axis in axes)
        if read > LARGEST_READ and stop - start > 1:  # a large image that is shrunk much
            middle = (start + stop) // 2
            halves = slice(start, middle), slice(middle, stop)
            return np.concatenate([self[:, rows, part[1]] for rows in halves], axis=1)
        pixels = self._normalise(self._plane[(slice(None), *(axis.read for axis in axes))])
        for index, axis in enumerate(axes, start=1):
            pixels = axis.apply(pixels, index)
        return pixels


@dataclass(frozen=True)
class _Resampling:
    """One axis of a resized part: what is read of it, and how it is smoothed and interpolated."""

    read: slice
    sigma: float
    low: NDArray[np.intp]
    share: NDArray[np.float32]
    identity: bool

    @classmethod
    def of(cls, size: int, scaled: int, window: slice) -> _Resampling:
        """Plan `window` of an axis of `size` pixels that is resized to `scaled`."""
        start, stop, _ = window.indices(scaled)
        if size == scaled:
            none = np.zeros(0)
            return cls(slice(start, stop), 0.0, none.astype(np.intp), none.astype(np.float32), True)
        centres = (np.arange(start, stop) + 0.5) * (size / scaled) - 0.5
        # Mirrored at the centres of the first and the last pixel; one pixel alone is repeated.
        centres = (size - 1) - np.abs((size - 1) - np.abs(centres)) if size > 1 else 0 * centres
        low = np.floor(centres).astype(np.intp)
        sigma = max(0.0, (size / scaled - 1) / 2)
        margin = ceil(TRUNCATE * sigma)
        first = max(floor(centres.min()) - margin, 0)
        last = min(floor(centres.max()) + 2 + margin, size)
        return cls(
            slice(first, last), sigma, low - first, (centres - low).astype(np.float32), False
        )

    def apply(self, pixels: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        """Return `pixels`, which were read under `read`, resized along an axis."""
        if self.identity:
            return pixels
        if self.sigma:
            pixels = gaussian_filter1d(pixels, self.sigma, axis, mode="mirror", truncate=TRUNCATE)
        high = np.minimum(self.low + 1, pixels.shape[axis] - 1)
        share = self.share.reshape([-1 if i == axis else 1 for i in range(pixels.ndim)])
        resized: NDArray[np.float32] = pixels.take(self.low, axis) * (1 - share)
        resized += pixels.take(high, axis) * share
        return resized


def rescale(plane: NDArray[np.float32], zoom: float) -> NDArray[np.float32]:
    """Resize a plane (C, Y, X) by `zoom`, smoothed where it shrinks."""
    if zoom == 1:
        return plane
    return ScaledPlane(plane, np.asarray, zoom, len(plane))[(slice(None),) * 3]


def _nearest(size: int, other: int) -> NDArray[np.intp]:
    """Return which of `other` pixels lies under the centre of each of `size` on the same axis."""
    return np.minimum((np.arange(size) + 0.5) * other / size, other - 1).astype(np.intp)


def restore(labels: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Resize labels (Y, X) to an image's shape, each pixel taking the nearest label."""
    if labels.shape == shape:
        return labels
    rows, columns = (_nearest(n, m) for n, m in zip(shape, labels.shape, strict=True))
    return labels[np.ix_(rows, columns)]


@dataclass(frozen=True)
class Frame:
    """A rectangle of an image's plane, and the network pixels that show it.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the plane.
    region : tuple of slice
        The rectangle, in image pixels, with start and stop inside the plane.
    zoom : float
        Network pixels per image pixel.
    """

    shape: tuple[int, ...]
    region: Region
    zoom: float = 1.0

    @cached_property
    def _index(self) -> list[NDArray[np.intp]]:
        """The network's row, and column, under each of the image's."""
        seen = scaled_shape(self.shape, self.zoom)
        return [_nearest(n, m) for n, m in zip(self.shape, seen, strict=True)]

    @property
    def size(self) -> tuple[int, ...]:
        """Height and width of the rectangle in image pixels."""
        return tuple(part.stop - part.start for part in self.region)

    @property
    def seen(self) -> Region:
        """The network pixels that it covers."""
        seen = scaled_shape(self.shape, self.zoom)
        return tuple(
            slice(part.start * m // n, -(-part.stop * m // n))
            for part, m, n in zip(self.region, seen, self.shape, strict=True)
        )

    def image_part(self, part: Region) -> Region:
        """Return the pixels of the rectangle of which `part` holds the network pixels."""
        found = []
        for index, own, wanted in zip(self._index, self.region, part, strict=True):
            start, stop = np.searchsorted(index, [wanted.start, wanted.stop])
            found.append(slice(max(int(start), own.start), min(int(stop), own.stop)))
        return tuple(found)

    def restore(self, labels: NDArray[Any], part: Region | None = None) -> NDArray[Any]:
        """Return the labels of a part of the rectangle, by default of all of it.

        Parameters
        ----------
        labels : array, shape of `seen`
            In network pixels.
        part : tuple of slice, optional
            In pixels of the image, inside the rectangle.
        """
        rows, columns = (
            index[wanted] - seen.start
            for index, wanted, seen in zip(self._index, part or self.region, self.seen, strict=True)
        )
        if self.zoom == 1 and rows.size and columns.size:
            return labels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return labels[np.ix_(rows, columns)]
