"""Gray values to the network's, by statistics of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import ceil, prod, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_unet.config import Preprocessing
from napari_unet.preprocessing.planes import Array, Planes

Floats = NDArray[np.floating]

SAMPLE_PIXELS = 2**22
"""Percentiles are exact up to so many pixels and taken on a regular grid of as many beyond."""
SAMPLE_PLANES = 16
"""Planes of a large stack that the grid covers, at least."""

GRAY_BINS = 64
GRAY_SMOOTHING = 1.5
"""Of the histogram whose peak is the background: its bins, and by how many it is smoothed."""

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


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
    clip : tuple of float or None
        Least and largest value of what comes of it.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    mix: tuple[float, ...] | None = None
    invert: bool = False
    clip: tuple[float, float] | None = None

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
            values *= np.divide(1, span, out=np.zeros_like(span), where=span != 0)
            pixels: NDArray[np.float32] = values.astype(np.float32, copy=False)
        if self.invert:
            np.subtract(1, pixels, out=pixels)
        np.nan_to_num(pixels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        if self.clip is not None:
            np.clip(pixels, *self.clip, out=pixels)
        return pixels


def measure(planes: Planes, rule: Preprocessing) -> Normalisation:
    """Take the statistics of a whole image that its normalisation needs.

    Parameters
    ----------
    planes : Planes
        The image.
    rule : Preprocessing
        Which gray values become 0 and 1, and whether bright-field images are inverted.

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


def background(planes: Planes, rule: Preprocessing) -> float:
    """Return how bright the background of an image is, from 0 (as its darkest parts) to 1.

    It is where the gray value that most pixels have lies between the percentiles of the rule; of
    several channels, the least. Objects differ from each other where the background is all alike,
    so crowded ones that cover more than half of an image do not pass for it, as they would by the
    median.
    """
    colours = rule.channels == 1 and planes.is_colour
    mix = LUMINANCE + (0.0,) * (planes.available - 3) if colours else None
    return _background([_range(values, rule) for values in _sample(planes, mix)])


def _background(ranges: Sequence[tuple[float, float, float]]) -> float:
    return min((most - low) / (high - low) if high > low else 0.0 for low, most, high in ranges)


def _measure(planes: Planes, rule: Preprocessing, mix: tuple[float, ...] | None) -> Normalisation:
    if rule.statistic == "none":
        ranges = [(0.0, 0.0, 1.0)] * rule.channels
    else:
        ranges = [_range(values, rule) for values in _sample(planes, mix)]
    bright = rule.invert_bright and _background(ranges) > rule.bright_field
    lows, _, highs = zip(*ranges, strict=True)
    if set(rule.gain) != {1} or set(rule.offset) != {0}:
        lows, highs = _shifted(np.array(lows), np.array(highs), rule)
    return Normalisation(lows, highs, mix, bright, rule.clip)


def _shifted(
    low: NDArray[np.float64], high: NDArray[np.float64], rule: Preprocessing
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the gray values that become 0 and 1 once the rule's gain and offset have followed."""
    span = (high - low) / rule.gain
    zero = low - span * rule.offset
    return tuple(zero.tolist()), tuple((zero + span).tolist())


def _range(values: Floats, rule: Preprocessing) -> tuple[float, float, float]:
    """Return which gray values of a channel become 0 and 1, and between them the commonest one."""
    if not values.size:
        return 0.0, 0.0, 0.0
    if rule.statistic == "moments":
        mean = float(values.mean(dtype=float))
        return mean, mean, mean + float(values.std(dtype=float))
    low, high = np.percentile(values, (rule.low, rule.high)).tolist()
    if low == high:  # a few bright objects in an empty image can all lie above the percentile
        low, high = float(values.min()), float(values.max())
    return low, _commonest(values, low, high), high


def _commonest(values: Floats, low: float, high: float) -> float:
    """Return about where, between two gray values, most of the others lie."""
    if low == high:
        return low
    # Of their places in between: of float32 values far from zero, edges of bins would coincide.
    places = (values.astype(float) - low) / (high - low)
    counts, _ = np.histogram(places, GRAY_BINS, (0, 1))
    # Smooth: where gray values are few, or pixels, neighbouring bins differ by chance.
    peak = int(gaussian_filter1d(counts.astype(float), GRAY_SMOOTHING).argmax())
    return low + (peak + 0.5) / GRAY_BINS * (high - low)


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
