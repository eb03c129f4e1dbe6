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
ROWS_AT_A_TIME = 512
"""Of labels that are shrunk."""
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


@dataclass(frozen=True)
class _Sampling:
    """One axis along which labels are resized: the two pixels around each centre.

    Where there are more pixels than before, it is the nearest one twice.

    Parameters
    ----------
    low, high : intp array
        Which they are.
    share : float64 array
        How much the latter counts.
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: NDArray[np.float64]

    @classmethod
    def of(cls, size: int, other: int) -> _Sampling:
        """Plan `size` pixels to be taken from `other`."""
        centres = (np.arange(size) + 0.5) * other / size
        if size >= other:
            low = np.minimum(centres, other - 1).astype(np.intp)
            return cls(low, low, np.zeros(size))
        low = (centres - 0.5).astype(np.intp)
        return cls(low, low + 1, centres - 0.5 - low)

    def part(self, wanted: slice, start: int = 0) -> _Sampling:
        """Return the part for some pixels, of those that are taken from `start` on."""
        return _Sampling(self.low[wanted] - start, self.high[wanted] - start, self.share[wanted])


def restore(labels: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Resize labels (Y, X) to an image's shape.

    Where they are enlarged, each pixel takes the nearest label. Where they are shrunk, it belongs
    to an object if the four pixels around its centre do by more than half, weighted by how near
    they are, and then to the one most of them belong to. (The nearest alone would move labels of
    an image that was shown at twice its size by a quarter of a pixel: which of four equally near
    ones would be taken?)
    """
    if labels.shape == shape:
        return labels
    rows, columns = (_Sampling.of(n, m) for n, m in zip(shape, labels.shape, strict=True))
    return _sampled(labels, rows, columns)


def _sampled(labels: NDArray[Any], rows: _Sampling, columns: _Sampling) -> NDArray[Any]:
    sampled: NDArray[Any] = labels[np.ix_(rows.low, columns.low)]
    if not (rows.share.any() or columns.share.any()):
        return sampled
    for start in range(0, len(rows.low), ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        _vote(labels, rows.part(part), columns, sampled[part])
    return sampled


def _vote(labels: NDArray[Any], rows: _Sampling, columns: _Sampling, sampled: NDArray[Any]) -> None:
    """Correct the first of the four pixels, which stands there, where they differ."""
    others = ((rows.low, columns.high), (rows.high, columns.low), (rows.high, columns.high))
    corners = [sampled.copy(), *(labels[np.ix_(*pixels)] for pixels in others)]
    row, column = np.nonzero(np.logical_or.reduce([corners[0] != c for c in corners[1:]]))
    values = np.stack([corner[row, column] for corner in corners])
    down, right = rows.share[row], columns.share[column]
    votes = np.stack(
        [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
    )
    is_object = values > 0
    wins = np.where(is_object, votes, 0).sum(axis=0) > 0.5
    support = np.stack([np.where(values == value, votes, 0).sum(axis=0) for value in values])
    best = np.where(is_object == wins, support, -1).argmax(axis=0)
    sampled[row, column] = np.take_along_axis(values, best[None], axis=0)[0]


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
    def _axes(self) -> list[_Sampling]:
        """The network's rows, and columns, under each of the image's."""
        seen = scaled_shape(self.shape, self.zoom)
        return [_Sampling.of(n, m) for n, m in zip(self.shape, seen, strict=True)]

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
        """Return the pixels of the rectangle that depend on the network pixels of `part`."""
        found = []
        for axis, own, wanted in zip(self._axes, self.region, part, strict=True):
            start = np.searchsorted(axis.high, wanted.start)
            stop = np.searchsorted(axis.low, wanted.stop)
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
            axis.part(wanted, seen.start)
            for axis, wanted, seen in zip(self._axes, part or self.region, self.seen, strict=True)
        )
        if self.zoom == 1 and rows.low.size and columns.low.size:
            return labels[rows.low[0] : rows.low[-1] + 1, columns.low[0] : columns.low[-1] + 1]
        return _sampled(labels, rows, columns)
