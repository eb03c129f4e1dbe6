"""Any microscopy image as planes of (C, Y, X)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Preprocessing
from napari_unet.wording import counted

Array = Any
"""An array or something like it (memory-mapped, dask, zarr): shape, dtype and slicing."""


class ChannelStack:
    """Images of one shape, such as nuclei and membranes, seen as the channels of one image.

    Parameters
    ----------
    images : sequence of array-like, each of shape (..., Y, X)
        They are read where the stack is; nothing is copied before.

    Raises
    ------
    ValueError
        If their shapes differ.
    """

    def __init__(self, images: Sequence[Array]) -> None:
        shapes = {tuple(image.shape) for image in images}
        if len(shapes) > 1:
            found = " and ".join(str(image.shape) for image in images)
            raise ValueError(f"Channels of shapes {found} do not fit: choose images of one shape.")
        self._images = tuple(images)
        self.shape: tuple[int, ...] = (len(images), *images[0].shape)
        self.ndim = len(self.shape)
        self.dtype = np.result_type(*(image.dtype for image in images))

    def __getitem__(self, key: tuple[Any, ...], /) -> NDArray[Any]:
        """Return a part; the first of the indices takes the channels."""
        chosen, *rest = key
        return np.stack([computed_here(image[tuple(rest)]) for image in self._images[chosen]])


def computed_here(part: Array) -> NDArray[Any]:
    """Return the pixels of a part of an array; those of dask are computed in this process.

    On a cluster, a task that asked it for pixels would wait for tasks that wait for its place.
    """
    if hasattr(part, "compute"):
        part = part.compute(scheduler="threads")
    return np.asarray(part)


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
    if hasattr(data, "dims") and hasattr(data, "variable"):  # of xarray, which walks axes by name
        data = data.data
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
        f"The model takes {counted(rule.channels, 'channel')} and the image of"
        f" shape {planes.data.shape} and axes {planes.axes} gives {used}: {remedy}."
    )
