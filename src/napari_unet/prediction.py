"""Images to scores: tiles through an engine, stitched."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import UNetConfig
from napari_unet.engines import Engine, OutOfMemory
from napari_unet.tiling import Readable, Region, Tile, read_mirrored, round_up, split, split_region

T = TypeVar("T")


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
        Tiles in all; it grows when memory asks for smaller ones.
    message : str
        What the user should be told, if anything.
    """

    write: Region
    scores: NDArray[np.float32]
    index: int
    total: int
    message: str = ""


def run_to_end(steps: Generator[object, bool | None, T]) -> T:
    """Run a generator without looking at what it yields, and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


class _Plan:
    """The part of an image still to predict, and the tile that memory allows."""

    def __init__(self, shape: tuple[int, ...], tile: int, config: UNetConfig) -> None:
        self._config = config
        self._todo = [part.write for part in reversed(split(shape, tile, config))]  # next one last
        self.tile = tile

    def take(self) -> Tile:
        """Return the next tile, no larger than `tile`."""
        first, *others = split_region(self._todo.pop(), self.tile, self._config)
        self._todo.extend(other.write for other in reversed(others))
        return first

    def put_back(self, failed: Tile) -> None:
        """Plan a tile's pixels anew; those already written stay as they are."""
        self._todo.append(failed.write)

    def remaining(self) -> int:
        """Count the tiles still to take."""
        return sum(len(split_region(part, self.tile, self._config)) for part in self._todo)


def predict_scores(
    engine: Engine,
    image: Readable,
    tile: int | None = None,
    out: NDArray[np.float32] | None = None,
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

    Yields
    ------
    TileScores
        After each tile. Send True to stop.

    Returns
    -------
    ndarray of float32, shape (K, Y, X)
        `out`, or a new array; after a stop, 0 (or what `out` held) where no tile was predicted.

    Raises
    ------
    ValueError
        If the image's channels do not fit the network, it has no pixels, or `out` the wrong shape.
    OutOfMemory
        If memory is not enough even for the smallest tile on the CPU.
    """
    _check_image(image, engine.config)
    shape = image.shape[1:]
    scores = _output((engine.config.out_channels, *shape), out)
    largest = engine.choose_tile(shape) if tile is None else tile
    plan = _Plan(shape, largest, engine.config)
    total, done = plan.remaining(), 0
    message, engine.notice = engine.notice, ""
    while done < total:
        current = plan.take()
        result = _run(engine, image, current)
        if result is None:
            plan.put_back(current)
            plan.tile, message = _give_way(engine, current, shape, largest)
            total = done + plan.remaining()
            continue
        where = (slice(None), *current.write)
        scores[where] = result
        done += 1
        if (yield TileScores(current.write, scores[where], done, total, message)):
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
    side = round_up(max(part.stop - part.start for part in failed.write), step)
    if side > step:
        half = round_up(side // 2, step)
        return half, f"Memory ran out: going on with tiles of {half} pixels."
    if engine.fall_back():
        return min(largest, engine.choose_tile(shape)), "GPU memory ran out: the CPU goes on."
    raise OutOfMemory(
        f"Memory is not enough even for a tile of {step} pixels: close other programs, or use a "
        "smaller network."
    )


def _check_image(image: Readable, config: UNetConfig) -> None:
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
