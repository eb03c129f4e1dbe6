"""Overlap-tile geometry: which pixels a tile needs, and which it may write."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import UNetConfig

Region = tuple[slice, ...]


class Readable(Protocol):
    """What is asked of an image: numpy, memory-mapped, dask and zarr arrays all have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    def __getitem__(self, key: tuple[slice, ...], /) -> Any:
        """Return the part of the array under those slices."""


@dataclass(frozen=True)
class Tile:
    """The pixels a tile needs, and those it may write, on each axis.

    ::

                            -halo  0                                         size
        image                      |-----------------------------------------|
        read                |~~~~~~|----------------------|                     ~ mirrored
        output, "same"      |-----------------------------|                     as large as read
        output, "valid"            |----------------|                           write and 4 more
        write                      |---------------|                            n * 2**depth
        next tile's read                    |-----------------------------|
        next tile's write                          |---------------|

    `read` begins `halo` pixels before `write`. With the writes of all tiles beginning on the
    pooling grid, every tile pools the same pixels together as one pass over the whole image would,
    and so the stitched scores are those of that pass.

    Parameters
    ----------
    read : tuple of (int, int)
        Start and stop in the image, which may reach outside; the image is mirrored there.
    write : tuple of slice
        The pixels of the image that are this tile's to write.
    crop : tuple of slice
        The same pixels in the network's output for `read`.
    """

    read: tuple[tuple[int, int], ...]
    write: Region
    crop: Region


def round_up(size: int, step: int) -> int:
    """Return the smallest multiple of `step`, itself at least, that is not below `size`."""
    return max(-(-size // step), 1) * step


def split(shape: tuple[int, ...], tile: int, config: UNetConfig) -> list[Tile]:
    """Cut an image into tiles that together write each of its pixels once.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image, 1 or more.
    tile : int
        Side of the square to write at a time, in pixels; rounded up to a multiple of
        `config.alignment`. The last tiles of an axis read only what their rest needs.
    config : UNetConfig
        The network whose geometry to plan by.

    Returns
    -------
    list of Tile
        Row by row.

    Raises
    ------
    ValueError
        If the image has no pixels or `tile` is below 1.
    """
    if min(shape) < 1:
        raise ValueError(f"An image of shape {shape} has no pixels to predict.")
    if tile < 1:
        raise ValueError(f"tile = {tile} is not possible: use 1 pixel or more.")
    return split_region(tuple(slice(0, size) for size in shape), tile, config)


def split_region(region: Region, tile: int, config: UNetConfig) -> list[Tile]:
    """Cut a part of an image into tiles, as :func:`split` does the whole.

    The starts of `region` must be multiples of `config.alignment`; those of any `Tile.write` are,
    so that a tile too large for the memory can itself be split.
    """
    side = round_up(tile, config.alignment)
    axes = [_split_axis(part, side, config) for part in region]
    return [Tile(*zip(*spans, strict=True)) for spans in product(*axes)]


def _split_axis(
    part: slice, side: int, config: UNetConfig
) -> list[tuple[tuple[int, int], slice, slice]]:
    """Return the (read, write, crop) of each tile on one axis."""
    starts = range(part.start, part.stop, side)
    return [_span(start, min(start + side, part.stop), config) for start in starts]


def _span(start: int, stop: int, config: UNetConfig) -> tuple[tuple[int, int], slice, slice]:
    length = config.input_size(round_up(stop - start, config.alignment))
    first, offset = start - config.halo, config.output_offset
    return (
        (first, first + length),
        slice(start, stop),
        slice(offset, offset + stop - start),
    )


def mirrored(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Return which pixel of an axis stands at each position from `start` to `stop`.

    Outside of 0 to `size` the axis is reflected without repeating its edge, as often as needed:
    ``np.pad(axis, ..., mode="reflect")`` puts the same pixels there.

    Returns
    -------
    ndarray of intp, shape (stop - start,)
        Indices from 0 to `size` - 1.
    """
    period = max(2 * (size - 1), 1)  # there and back; one pixel alone is repeated
    position = np.arange(start, stop) % period
    return np.where(position < size, position, period - position)


def read_mirrored(image: Readable, tile: Tile) -> NDArray[Any]:
    """Read what a tile needs, mirroring the image beyond its borders.

    Only the pixels in reach are read, so the image may be a memory-mapped or dask array.

    Parameters
    ----------
    image : array-like, shape (C, Y, X)
        The image.
    tile : Tile
        The tile; its `read` has one (start, stop) for each axis after the first.

    Returns
    -------
    ndarray, shape (C, height, width)
        In the image's dtype; a view of the image where nothing had to be mirrored.
    """
    axes = [mirrored(*read, size) for read, size in zip(tile.read, image.shape[1:], strict=True)]
    cover = tuple(slice(int(index.min()), int(index.max()) + 1) for index in axes)
    pixels = np.asarray(image[(slice(None), *cover)])
    for axis, ((start, stop), index) in enumerate(zip(tile.read, axes, strict=True), start=1):
        if start < 0 or stop > image.shape[axis]:
            pixels = np.take(pixels, index - index.min(), axis=axis)
    return pixels
