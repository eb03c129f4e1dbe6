"""Distances to the nearest and the second nearest of a few colours, up to a reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.weightmap.labels import Box, Mask


def two_nearest(
    colours: NDArray[np.unsignedinteger[Any]], transform: Transform
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the squared distances to the nearest and the second nearest colour."""
    first, second = transform.blank(colours.shape), transform.blank(colours.shape)
    turned = _next_axis_first(colours)
    for colour in range(1, colours.max(initial=0) + 1):
        member = turned == colour
        if member.any():
            window, source = transform.surroundings(member)
            squared = transform.squared(member[source])
            nearest, next_nearest = first[window], second[window]
            np.minimum(next_nearest, np.maximum(nearest, squared), out=next_nearest)
            np.minimum(nearest, squared, out=nearest)
    return first, second


@dataclass(frozen=True)
class Transform:
    """Squared distances to the nearest pixel of a mask, up to a reach, one axis after the other.

    Exact integers when pixels are 1 apart. What has nothing in reach on the axis that comes first
    starts beyond it, and so stays.
    """

    margin: tuple[int, ...]
    """Pixels on each axis, on either side, that are looked at and not returned."""
    steps: tuple[np.uint16 | np.float32, ...]
    """Pixel size on each axis, in the type that the squares are counted in."""
    nowhere: int
    """Pixels on the axis that comes first that are beyond reach."""

    @classmethod
    def within(cls, far: float, steps: Sequence[float], shape: tuple[int, ...]) -> Transform:
        """Return the transform up to a distance, for background: the nearest is a step away."""
        fits = far < 2**7.5 - 1 and all(step == 1 for step in steps)
        margin = tuple(
            min(int((far - min(steps)) / step), n - 1) for step, n in zip(steps, shape, strict=True)
        )
        first = 1 % len(steps)
        number = np.uint16 if fits else np.float32
        return cls(margin, tuple(number(step) for step in steps), int(far / steps[first]) + 1)

    def blank(self, shape: Sequence[int]) -> NDArray[Any]:
        """Return squared distances to nothing."""
        shape = tuple(n - 2 * m for n, m in zip(shape, self.margin, strict=True))
        return np.full(shape, np.square(self.nowhere * self.steps[1 % len(shape)]))

    def squared(self, member: Mask) -> NDArray[Any]:
        """Return the squared distances to a mask, in its shape less the margin.

        The mask comes turned by an axis, so that what is returned is not.
        """
        margins, steps = _turned(self.margin), _turned(self.steps)
        count = _pixels_to(member, margins[0], self.nowhere)
        squared: NDArray[Any] = np.square(count, dtype=steps[0].dtype) * steps[0] ** 2
        for margin, step in zip(margins[1:], steps[1:], strict=True):
            squared = _lower_envelope(_next_axis_first(squared), margin, step)
        return squared

    def surroundings(self, member: Mask) -> tuple[Box, Box]:
        """Return what is in reach of a (turned) mask, and the part that it is reached from."""
        window, source = [], []
        for axis, margin in enumerate(_turned(self.margin)):
            others = tuple(a for a in range(member.ndim) if a != axis)
            hit = np.flatnonzero(member.any(axis=others))
            start = max(hit[0] - 2 * margin, 0)
            stop = min(hit[-1] + 1, member.shape[axis] - 2 * margin)
            window.append(slice(start, stop))
            source.append(slice(start, stop + 2 * margin))
        return (window[-1], *window[:-1]), tuple(source)


def _pixels_to(member: Mask, margin: int, nowhere: int) -> NDArray[np.unsignedinteger[Any]]:
    """Count pixels along the first axis to the nearest one of a mask, up to the margin.

    Each round looks as far again as the rounds before it together.
    """
    dtype = np.min_scalar_type(nowhere + margin)
    count: NDArray[Any] = ~member * dtype.type(nowhere)
    seen = 0
    while seen < margin:
        shift = min(seen + 1, margin - seen)
        farther = count + dtype.type(shift)
        np.minimum(count[shift:], farther[:-shift], out=count[shift:])
        np.minimum(count[:-shift], farther[shift:], out=count[:-shift])
        seen += shift
    return count[margin : len(count) - margin]


def _lower_envelope(squared: NDArray[Any], margin: int, step: Any) -> NDArray[Any]:
    """Return the least of squared + (k step)^2 over the pixels k away along the first axis."""
    size = len(squared) - 2 * margin
    least = squared[margin : margin + size].copy()
    sides = np.empty_like(least)
    for k in range(1, margin + 1):
        before, after = margin - k, margin + k
        np.minimum(squared[before : before + size], squared[after : after + size], out=sides)
        sides += np.square(k * step)
        np.minimum(least, sides, out=least)
    return least


def _turned(axes: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*axes[1:], axes[0])


def _next_axis_first(array: NDArray[Any]) -> NDArray[Any]:
    """Turn the axes by one, in memory too: passes along the first axis run many times faster."""
    return np.ascontiguousarray(np.moveaxis(array, 0, -1))
