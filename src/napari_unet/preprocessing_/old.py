"""Any microscopy image to the network's input, and labels back to the image.

Training and prediction both come through here, so an image is never normalised in two ways.
Arrays may be memory-mapped or dask: only what is used is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from math import ceil, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from napari_unet.config import Preprocessing

Floats = NDArray[np.floating]
Array = Any
"""An array or something like it (memory-mapped, dask, zarr): shape, dtype and slicing."""

SAMPLE_PIXELS = 2**22
"""Percentiles are exact up to so many pixels and taken on a regular grid of as many beyond."""
SAMPLE_PLANES = 16
"""Planes of a large stack that the grid covers, at least."""

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
ZOOM_LIMIT = 32.0
"""An object size that asks for more is a slip, as of nanometres taken for micrometres."""


@dataclass(frozen=True)
class Planes:
    """An image seen as planes of (C, Y, X), whatever the order of its axes.

    Parameters
    ----------
    data : array-like
        The image.
    axes : str
        A letter per dimension: Y and X, C for channels, S for colour samples; any others
        (T, Z, Q, ...) are walked plane by plane.
    channels : tuple of int or None
        Channels to use, counted from 0; None: all.
    """

    data: Array
    axes: str
    channels: tuple[int, ...] | None = None

    @property
    def leading(self) -> tuple[int, ...]:
        """Lengths of the axes that are walked."""
        return tuple(n for n, a in self._lengths if a not in "CSYX")

    @property
    def available(self) -> int:
        """Number of channels, before any are chosen."""
        return prod(n for n, a in self._lengths if a in "CS")

    @property
    def _lengths(self) -> Iterator[tuple[int, str]]:
        return zip(self.data.shape, self.axes, strict=True)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = (self.data.shape[self.axes.index(a)] for a in "YX")
        return height, width

    @property
    def is_colour(self) -> bool:
        """Whether a plane is an RGB or RGBA picture of which no channel was chosen."""
        return "S" in self.axes and self.channels is None and self.available in (3, 4)

    def __len__(self) -> int:
        return prod(self.leading)

    def __getitem__(self, index: int) -> Array:
        """Return plane `index`, (C, Y, X), unread where the data are lazy."""
        position = iter(np.unravel_index(index, self.leading) if self.leading else ())
        selection = tuple(slice(None) if a in "CSYX" else int(next(position)) for a in self.axes)
        plane = self.data[selection]
        kept = [a for a in self.axes if a in "CSYX"]
        channel_axes = [a for a in kept if a in "CS"]
        plane = plane.transpose([kept.index(a) for a in (*channel_axes, "Y", "X")])
        plane = plane.reshape((-1, *plane.shape[-2:]))  # (C, Y, X)
        return plane if self.channels is None else plane[list(self.channels)]

    def __iter__(self) -> Iterator[Array]:
        return (self[i] for i in range(len(self)))


def guess_axes(shape: tuple[int, ...], channel: tuple[int, ...] | None = None) -> str:
    """Name the axes of an array that comes without names.

    The last axis holds colours if it is 1, 3 or 4 long (and not an image's width); the axis before
    Y holds channels if a channel is asked for; further ones are walked plane by plane.

    Raises
    ------
    ValueError
        If there are fewer than two axes.
    """
    if len(shape) < 2:
        raise ValueError(
            f"An image of shape {shape} has no height and width: give an array of 2 dimensions"
            " or more."
        )
    colour = len(shape) > 2 and shape[-1] in (1, 3, 4) and shape[-2] > 4
    planar = "YXS" if colour else "YX"
    leading = len(shape) - len(planar)
    with_channels = channel is not None and not colour and leading > 0
    return "Q" * (leading - with_channels) + "C" * with_channels + planar


def as_planes(
    data: Array,
    rule: Preprocessing,
    axes: str | None = None,
    channel: tuple[int, ...] | None = None,
) -> Planes:
    """Check an image against what the network takes, and see it as planes.

    Parameters
    ----------
    data : array-like of bool, int or float
        The image.
    rule : Preprocessing
        What the network takes.
    axes : str or None
        A letter per dimension; None: guessed from the shape (see :func:`guess_axes`).
    channel : tuple of int or None
        Channels to use, counted from 0.

    Raises
    ------
    ValueError
        For a dtype that is no image (complex, text), an empty image, axes that do not fit, a
        channel that does not exist, or a number of channels that the network does not take.
    """
    if not isinstance(getattr(data, "dtype", None), np.dtype):
        data = np.asarray(data)
    if data.dtype.kind not in "buif":
        raise ValueError(
            f"An image of type {data.dtype} cannot be segmented: convert it to real numbers"
            " (for complex data, take the magnitude)."
        )
    asked = tuple(range(rule.channels)) if channel is None and rule.channels > 1 else channel
    axes = axes.upper() if axes else guess_axes(data.shape, asked)
    if len(axes) != data.ndim or any(axes.count(a) != 1 for a in "YX"):
        raise ValueError(
            f"axes = {axes!r} do not fit an image of shape {data.shape}: give one letter a"
            " dimension, with Y and X once each."
        )
    if 0 in data.shape:
        raise ValueError(f"The image is empty: its shape is {data.shape}.")
    planes = Planes(data, axes, channel)
    _check_channels(planes, rule)
    return planes


def _check_channels(planes: Planes, rule: Preprocessing) -> None:
    available, chosen = planes.available, planes.channels
    for c in chosen or ():
        if not 0 <= c < available:
            raise ValueError(
                f"channel = {c} does not exist: the image of shape {planes.data.shape} and axes"
                f" {planes.axes} has {available}, counted from 0."
            )
    used = available if chosen is None else len(chosen)
    if used == rule.channels or (rule.channels == 1 and planes.is_colour):
        return
    remedy = "name the axis of its channels C in axes, or use another model"
    if available >= rule.channels:
        remedy = f"choose {rule.channels} of {available} with channel (--channel), counted from 0"
    raise ValueError(
        f"The model takes {rule.channels} channel{'s' * (rule.channels > 1)} and the image of"
        f" shape {planes.data.shape} and axes {planes.axes} gives {used}: {remedy}."
    )


@dataclass(frozen=True)
class Normalisation:
    """How the gray values of one image become the network's, the same for every part of it.

    Parameters
    ----------
    low, high : tuple of float
        Gray values, a pair for each channel, that become 0 and 1.
    mix : tuple of float or None
        Weights by which colours are reduced to one channel.
    invert : bool
        Whether bright and dark are exchanged.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    mix: tuple[float, ...] | None = None
    invert: bool = False

    def __call__(self, plane: Array) -> NDArray[np.float32]:
        """Normalise a plane or a part of it, (C, Y, X), to float32.

        Values that are not finite become the low end, which is background.
        """
        values = _as_channels(plane, self.mix)
        low = np.array(self.low, values.dtype)[:, None, None]
        span = np.array(self.high, values.dtype)[:, None, None] - low
        with np.errstate(over="ignore", invalid="ignore"):
            values -= low
            # A constant image has no span; it becomes 0 everywhere, so no objects are found.
            values *= np.divide(1, span, out=np.zeros_like(span), where=span > 0)
            pixels: NDArray[np.float32] = values.astype(np.float32, copy=False)
        if self.invert:
            np.subtract(1, pixels, out=pixels)
        np.nan_to_num(pixels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return pixels


def measure(planes: Planes, rule: Preprocessing) -> Normalisation:
    """Take the statistics of a whole image that its normalisation needs.

    Parameters
    ----------
    planes : Planes
        The image.
    rule : Preprocessing
        Percentiles, and whether bright-field images are inverted.

    Notes
    -----
    Colours are first reduced to luminance. On a bright background, where objects absorb light, the
    red sample is used instead: hematoxylin absorbs red and eosin does not, so nuclei stand out.
    """
    if rule.channels > 1 or not planes.is_colour:
        return _measure(planes, rule, None)
    rest = (0.0,) * (planes.available - 3)  # opacity does not count
    normalisation = _measure(planes, rule, LUMINANCE + rest)
    return _measure(planes, rule, (1.0, 0.0, 0.0, *rest)) if normalisation.invert else normalisation


def _measure(planes: Planes, rule: Preprocessing, mix: tuple[float, ...] | None) -> Normalisation:
    ranges = [_range(values, rule) for values in _sample(planes, mix)]
    bright = all(median - low > rule.bright_field * (high - low) for low, median, high in ranges)
    lows, _, highs = zip(*ranges, strict=True)
    return Normalisation(lows, highs, mix, invert=rule.invert_bright and bright)


def _range(values: Floats, rule: Preprocessing) -> tuple[float, float, float]:
    """Return the low percentile, the median and the high percentile of a channel."""
    if not values.size:
        return 0.0, 0.0, 0.0
    low, median, high = np.percentile(values, (rule.low, 50, rule.high)).tolist()
    if low == high:  # a few bright objects in an empty image can all lie above the percentile
        low, high = float(values.min()), float(values.max())
    return low, median, high


def _sample(planes: Planes, mix: tuple[float, ...] | None) -> list[Floats]:
    """Gather the finite values of each channel, at most `SAMPLE_PIXELS` or so."""
    size = prod(planes.plane_shape)
    count = min(len(planes), max(SAMPLE_PLANES, SAMPLE_PIXELS // size))
    step = max(1, ceil(sqrt(count * size / SAMPLE_PIXELS)))
    indices = np.linspace(0, len(planes) - 1, count).round().astype(int)
    parts = [_as_channels(planes[i][:, ::step, ::step], mix) for i in indices]
    values = np.concatenate([p.reshape(p.shape[0], -1) for p in parts], axis=1)
    return [v[np.isfinite(v)] for v in values]


def _as_channels(plane: Array, mix: tuple[float, ...] | None) -> Floats:
    """Read a plane (C, Y, X) as a new floating array, its colours reduced if asked.

    float32, or float64 for types that float32 cannot hold (uint32, float64): a small range far
    from zero keeps its steps.
    """
    values: Floats = np.array(plane, np.result_type(plane.dtype, np.float32))
    if mix is None:
        return values
    # Not as a matrix product, whose rounding depends on the size of the part.
    mixed: Floats = reduce(np.add, (w * v for w, v in zip(mix, values, strict=True) if w))
    return mixed[None]


def zoom_factor(
    rule: Preprocessing, diameter: float | None = None, pixel_size: float | None = None
) -> float:
    """Return the factor by which an image is enlarged to show objects at the trained size.

    Parameters
    ----------
    rule : Preprocessing
        States the diameter (pixels) and pixel size (micrometres) the network was trained at.
    diameter : float or None
        Object diameter in the image, in pixels.
    pixel_size : float or None
        Pixel size of the image in micrometres.

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
    return 1.0


def _checked_zoom(name: str, value: float, zoom: float) -> float:
    if not 1 / ZOOM_LIMIT <= zoom <= ZOOM_LIMIT:
        raise ValueError(
            f"{name} = {value} would resize the image by {zoom:.3g} to fit the model: check it and"
            " its unit (a diameter is in pixels, a pixel size in micrometres)."
        )
    return zoom


def rescale(plane: NDArray[np.float32], zoom: float) -> NDArray[np.float32]:
    """Resize a plane (C, Y, X) by `zoom`, smoothed where it shrinks."""
    if zoom == 1:
        return plane
    shape = [max(1, round(n * zoom)) for n in plane.shape[1:]]
    channels = [resize(c, shape, order=1, mode="reflect", anti_aliasing=zoom < 1) for c in plane]
    return np.stack(channels).astype(np.float32, copy=False)


def restore(labels: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Resize labels (Y, X) to an image's shape, each pixel taking the nearest label."""
    if labels.shape == shape:
        return labels
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) * m / n, m - 1).astype(np.intp)
        for n, m in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]
