"""Images to scores: tiles through an engine, stitched."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import NetworkConfig
from napari_unet.engines import Engine, OutOfMemory
from napari_unet.tiling import (
    Readable,
    Region,
    Tile,
    count,
    extent,
    read_mirrored,
    round_up,
    take_first,
    whole,
    within,
)

T = TypeVar("T")

FIRST_TILE = 256
"""Written side of the first tile, and the least, where somebody watches."""


@dataclass(frozen=True)
class TileScores:
    """A tile that is done, as :func:`predict_scores` yields it.

    Parameters
    ----------
    write : tuple of slice
        The pixels of the image it covers.
    scores : ndarray of float32, shape (K, height, width)
        Their scores, a view of the stitched array.
    index : int
        Tiles done, this one included.
    total : int
        Tiles in all, as it looks now; it changes with the size of the tiles still to come.
    share : float
        Of the pixels that are done, in (0, 1].
    message : str
        What the user should be told, if anything.
    """

    write: Region
    scores: NDArray[np.float32]
    index: int
    total: int
    share: float = 1.0
    message: str = ""


def run_to_end(steps: Generator[object, Any, T]) -> T:
    """Run a generator without looking at what it yields, and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


class _Plan:
    """The part of an image still to predict, and the tile that memory and patience allow."""

    def __init__(self, region: Region, largest: int, pace: float | None, config: NetworkConfig):
        self._config = config
        self._todo = [region]  # the next one last
        self._pace = pace
        self._begin(largest)

    def _begin(self, largest: int) -> None:
        """Go on with tiles up to `largest`; how fast they are is not known yet."""
        self._largest, self._rate = largest, 0.0
        self.tile = largest if self._pace is None else min(largest, FIRST_TILE)

    def take(self) -> Tile:
        """Return the next tile, no larger than `tile`."""
        first, rest = take_first(self._todo.pop(), self.tile, self._config)
        self._todo.extend(reversed(rest))
        return first

    def put_back(self, failed: Tile, largest: int) -> None:
        """Plan a tile's pixels anew, with smaller ones; what is written stays as it is."""
        self._todo.append(failed.write)
        self._begin(largest)

    def follow(self, done: Tile, seconds: float) -> None:
        """Let the next tile be as large as the pace allows, by how long this one took."""
        if self._pace is None:
            return
        read = prod(stop - start for start, stop in done.read)
        # The best rate so far: the first pass on a device is slower than all that follow.
        self._rate = max(self._rate, read / max(seconds, 1e-6))
        fits = isqrt(int(self._pace * self._rate)) - self._config.input_size(0)
        step = self._config.alignment
        self.tile = min(self._largest, max(fits // step * step, FIRST_TILE))

    def remaining(self) -> int:
        """Count the tiles still to take, if they stay as large."""
        return sum(count(part, self.tile, self._config) for part in self._todo)


def predict_scores(
    engine: Engine,
    image: Readable,
    tile: int | None = None,
    out: NDArray[np.float32] | None = None,
    region: Region | None = None,
    pace: float | None = None,
) -> Generator[TileScores, bool | None, NDArray[np.float32]]:
    """Predict an image of any size, a tile at a time, without seams.

    The scores are those of the network's single pass over the image mirrored by the halo (the
    overlap-tile strategy of Ronneberger et al., 2015, figure 2), to 1e-5 in float32.

    When memory runs out, the tile is halved and the pixels not yet predicted are planned anew;
    when not even the smallest tile fits, the engine falls back from the GPU to the CPU, and stays
    there.

    Parameters
    ----------
    engine : Engine
        What runs the network.
    image : array-like, shape (C, Y, X)
        Normalised image; memory-mapped and dask arrays are read a tile at a time.
    tile : int or None
        Side of the square written at a time, in pixels, rounded up to the network's grid; None:
        as the engine chooses by free memory.
    out : array of float32, shape (K, Y, X), or None
        Where to write the scores: a memory-mapped or zarr array if they are too many for memory.
    region : tuple of slice, or None
        Rows and columns to predict; None: all. Their scores are those that they have in the whole.
    pace : float or None
        Seconds that a tile may take, about, for those who watch: the first one is small, and the
        others are as large as the time that it took allows.

    Yields
    ------
    TileScores
        After each tile. Send True to stop.

    Returns
    -------
    ndarray of float32, shape (K, Y, X), or that of `region`
        `out`, or a new array; after a stop, 0 (or what `out` held) where no tile was predicted.

    Raises
    ------
    ValueError
        If the image's channels do not fit the network, it has no pixels, or `out` the wrong shape.
    OutOfMemory
        If memory is not enough even for the smallest tile on the CPU.
    """
    _check_image(image, engine.config)
    region = region or whole(image.shape[1:])
    shape = extent(region)
    scores = _output((engine.channels, *shape), out)
    asked = engine.choose_tile(shape) if tile is None else tile
    plan = _Plan(region, asked, pace, engine.config)
    done, written = 0, 0
    message, engine.notice = engine.notice, ""
    while plan.remaining():
        current = plan.take()
        start = time.perf_counter()
        result = _run(engine, image, current)
        if result is None:
            largest, message = _give_way(engine, current, shape, asked)
            plan.put_back(current, largest)
            continue
        plan.follow(current, time.perf_counter() - start)
        there = (slice(None), *within(current.write, region))
        scores[there] = result
        done, written = done + 1, written + result[0].size
        total, share = done + plan.remaining(), written / prod(shape)
        if engine.notice:  # of this tile
            message, engine.notice = f"{message} {engine.notice}".strip(), ""
        if (yield TileScores(current.write, scores[there], done, total, share, message)):
            break
        message = ""
    return scores


def _run(engine: Engine, image: Readable, tile: Tile) -> NDArray[np.float32] | None:
    """Return a tile's scores (K, height, width), or None if memory is not enough for it."""
    pixels = np.ascontiguousarray(read_mirrored(image, tile), dtype=np.float32)
    try:
        scores = engine(pixels[np.newaxis])
    except OutOfMemory:
        return None
    written: NDArray[np.float32] = scores[0][(slice(None), *tile.crop)]
    return written


def _give_way(
    engine: Engine, failed: Tile, shape: tuple[int, ...], largest: int
) -> tuple[int, str]:
    """Return a tile that needs less memory, or fits another device, and what to tell the user."""
    step = engine.config.alignment
    side = round_up(max(extent(failed.write)), step)
    if side > step:
        half = round_up(side // 2, step)
        return half, f"Memory ran out: going on with tiles of {half} pixels."
    if engine.fall_back():
        return min(largest, engine.choose_tile(shape)), "GPU memory ran out: the CPU goes on."
    raise OutOfMemory(
        f"Memory is not enough even for a tile of {step} pixels: close other programs, or use a "
        "smaller network."
    )


def _check_image(image: Readable, config: NetworkConfig) -> None:
    if len(image.shape) != 3 or image.shape[0] != config.in_channels:
        raise ValueError(
            f"An image of shape {tuple(image.shape)} does not fit the network: it takes "
            f"({config.in_channels}, Y, X)."
        )


def _output(shape: tuple[int, ...], out: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if out is None:
        return np.zeros(shape, np.float32)
    if tuple(out.shape) != shape:
        raise ValueError(f"out has shape {tuple(out.shape)}: give an array of shape {shape}.")
    return out
