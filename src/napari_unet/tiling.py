"""Overlap-tile geometry: which pixels a tile needs, and which it may write."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import NetworkConfig

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


def whole(shape: tuple[int, ...]) -> Region:
    """Return the region that is all of an image of that height and width.

    Raises
    ------
    ValueError
        If it has no pixels.
    """
    if min(shape) < 1:
        raise ValueError(f"An image of shape {shape} has no pixels to predict.")
    return tuple(slice(0, size) for size in shape)


def extent(region: Region) -> tuple[int, ...]:
    """Return the height and width of a region."""
    return tuple(part.stop - part.start for part in region)


def within(part: Region, region: Region) -> Region:
    """Return a part of an image in the coordinates of a region that holds it."""
    pairs = zip(part, region, strict=True)
    return tuple(slice(p.start - r.start, p.stop - r.start) for p, r in pairs)


def outside(part: Region, region: Region) -> Region:
    """Return a part of a region in the coordinates of the image: the inverse of `within`."""
    pairs = zip(part, region, strict=True)
    return tuple(slice(p.start + r.start, p.stop + r.start) for p, r in pairs)


def count(region: Region, tile: int, config: NetworkConfig) -> int:
    """Return how many tiles :func:`split` makes of a part of an image."""
    side, step = _side(tile, config), config.alignment
    return prod(-(-(part.stop - part.start // step * step) // side) for part in region)


def split(region: Region, tile: int, config: NetworkConfig) -> list[Tile]:
    """Cut a part of an image into tiles that together write each of its pixels once.

    Parameters
    ----------
    region : tuple of slice
        Rows and columns. They may begin anywhere: the tiles lie on the pooling grid of the whole
        image, and write only what is inside, so that the scores are those of the whole.
    tile : int
        Side of the square to write at a time, in pixels; rounded up to a multiple of
        `config.alignment`. The last tiles of an axis read only what their rest needs.
    config : NetworkConfig
        The network whose geometry to plan by.

    Returns
    -------
    list of Tile
        Row by row.

    Raises
    ------
    ValueError
        If `tile` is below 1.
    """
    axes = [_split_axis(part, _side(tile, config), config) for part in region]
    return [Tile(*zip(*spans, strict=True)) for spans in product(*axes)]


def take_first(region: Region, tile: int, config: NetworkConfig) -> tuple[Tile, list[Region]]:
    """Cut the first tile off a part of an image.

    Returns
    -------
    Tile
        The first of those that :func:`split` returns.
    list of Region
        What is left of `region`: the rest of the tile's rows, then the rows below, if any.
    """
    side = _side(tile, config)
    first = Tile(*zip(*(_split_axis(part, side, config)[0] for part in region), strict=True))
    rows, columns = first.write
    beside = (rows, slice(columns.stop, region[1].stop))
    below = (slice(rows.stop, region[0].stop), region[1])
    return first, [rest for rest in (beside, below) if all(p.start < p.stop for p in rest)]


def _side(tile: int, config: NetworkConfig) -> int:
    if tile < 1:
        raise ValueError(f"tile = {tile} is not possible: use 1 pixel or more.")
    return round_up(tile, config.alignment)


def _split_axis(
    part: slice, side: int, config: NetworkConfig
) -> list[tuple[tuple[int, int], slice, slice]]:
    """Return the (read, write, crop) of each tile on one axis."""
    offset = part.start % config.alignment
    starts = range(part.start - offset, part.stop, side)
    return [
        _span(start, max(start, part.start), min(start + side, part.stop), config)
        for start in starts
    ]


def _span(
    grid: int, start: int, stop: int, config: NetworkConfig
) -> tuple[tuple[int, int], slice, slice]:
    """Return what a tile from `grid`, a multiple of the alignment, reads to write `start` on."""
    length = config.input_size(round_up(stop - grid, config.alignment))
    first, shift = grid - config.halo, config.output_offset - grid
    return (first, first + length), slice(start, stop), slice(start + shift, stop + shift)


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
