"""Time the separation term beside one distance transform for each object, in one run.

All are computed from the same labels. "Windows" takes one transform for each object too, but only
in the object's neighbourhood. "Whole" is the formula as it is written, and what ours is compared
with; its cost is objects times pixels, so where it would take too long, its seconds are those of
its first objects, scaled to all ("about"), and the weights are compared in nine windows instead.

    python benchmarks/weightmap.py [--patience 60] [--repeat 5]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.weightmap import reach, separate, separation_term

Labels = NDArray[np.int32]
W0, SIGMA = 10.0, 5.0
WINDOW = 256
"""Side of the windows that are compared where the whole is too much for one transform an object."""


def cells(size: int, count: int, seed: int = 0) -> Labels:
    """Draw disks that fill half of a square image: side by side, some touching or cut."""
    rng = np.random.default_rng(seed)
    pitch = size / np.sqrt(count)
    radius = 0.4 * pitch
    labels = np.zeros((size, size), np.int32)
    side = int(np.ceil(np.sqrt(count)))
    centres = (np.stack(np.divmod(np.arange(count), side), axis=1) + 0.5) * (size / side)
    centres += rng.normal(0, 0.15 * pitch, centres.shape)
    for number, (y, x) in enumerate(centres, 1):
        r = max(radius * rng.uniform(0.8, 1.2), 0.5)
        rows = slice(max(int(y - r), 0), max(int(y + r) + 2, 0))
        columns = slice(max(int(x - r), 0), max(int(x + r) + 2, 0))
        window = labels[rows, columns]
        grid_y, grid_x = np.indices(window.shape)
        disk = (grid_y + rows.start - y) ** 2 + (grid_x + columns.start - x) ** 2 <= r * r
        window[disk] = number
    return labels


def specks(size: int, count: int) -> Labels:
    """Draw objects of one pixel."""
    labels = np.zeros(size * size, np.int32)
    places = np.random.default_rng(0).choice(size * size, count, replace=False)
    labels[places] = np.arange(1, count + 1)
    return labels.reshape(size, size)


def giant(size: int, count: int) -> Labels:
    """Draw cells inside the hole of an object that surrounds them all."""
    labels = np.where(cells(size, count - 1) > 0, cells(size, count - 1) + 1, 0).astype(np.int32)
    edge = size // 32
    frame = np.ones(labels.shape, bool)
    frame[edge:-edge, edge:-edge] = False
    labels[frame] = 1
    return labels


def cases() -> Iterator[tuple[str, Labels]]:
    """Yield names and labels, from 256 to 4096 pixels a side and 10 to 20,000 objects."""
    for size, count in [(256, 10), (512, 100), (1024, 400), (2048, 1600), (4096, 6400)]:
        yield "cells", cells(size, count)
    yield "cells", cells(4096, 20_000)
    yield "specks", specks(2048, 20_000)
    yield "one giant", giant(2048, 1600)


def one_transform_each(parted: Labels, patience: float) -> tuple[NDArray[np.float32] | None, float]:
    """Compute the term as the formula is written, or time its first objects within `patience`."""
    numbers = np.unique(parted[parted > 0])
    first = np.full(parted.shape, np.inf)
    second = first.copy()
    start = time.perf_counter()
    for done, number in enumerate(numbers, 1):
        distance = ndimage.distance_transform_edt(parted != number)
        np.minimum(second, np.maximum(first, distance), out=second)
        np.minimum(first, distance, out=first)
        seconds = time.perf_counter() - start
        if seconds > patience:
            return None, seconds * len(numbers) / done
    term = np.where(parted == 0, W0 * np.exp(-((first + second) ** 2) / (2 * SIGMA**2)), 0)
    return term.astype(np.float32), time.perf_counter() - start


def one_window_each(parted: Labels) -> NDArray[np.float32]:
    """Compute the term from a transform of each object's neighbourhood."""
    far = int(np.ceil(reach(W0, SIGMA)))
    first = np.full(parted.shape, np.float32(np.inf))
    second = first.copy()
    for number, box in enumerate(ndimage.find_objects(parted), 1):
        if box is not None:
            window = tuple(slice(max(s.start - far, 0), s.stop + far) for s in box)
            distance = ndimage.distance_transform_edt(parted[window] != number)
            nearest, next_nearest = first[window], second[window]
            np.minimum(next_nearest, np.maximum(nearest, distance), out=next_nearest)
            np.minimum(nearest, distance, out=nearest)
    exponent = -((first + second) ** 2) / np.float32(2 * SIGMA**2)
    return np.where(parted == 0, np.float32(W0) * np.exp(exponent), 0)


def differs_in_windows(parted: Labels, term: NDArray[np.float32]) -> float:
    """Return the largest difference in windows, which see all objects within reach."""
    far = int(np.ceil(reach(W0, SIGMA)))
    worst = 0.0
    corners = [0, (parted.shape[0] - WINDOW) // 2, parted.shape[0] - WINDOW]
    for y, x in [(a, b) for a in corners for b in corners]:
        around = np.s_[max(y - far, 0) : y + WINDOW + far, max(x - far, 0) : x + WINDOW + far]
        here = np.s_[y - around[0].start :, x - around[1].start :]
        expected, _ = one_transform_each(parted[around], np.inf)
        assert expected is not None
        window = np.s_[:WINDOW, :WINDOW]
        difference = expected[here][window] - term[y : y + WINDOW, x : x + WINDOW]
        worst = max(worst, float(np.abs(difference).max()))
    return worst


def best_of(repeat: int, function: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for the peer, a case")
    parser.add_argument("--repeat", type=int, default=5, help="of ours; the fastest counts")
    args = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs; w0 = {W0:g}, sigma = {SIGMA:g} px\n")
    print("| image | objects | ours | + parting | windows | whole | ours differs by |")
    print("|---|---|---|---|---|---|---|")
    for name, labels in cases():
        parted = separate(labels)
        term = separation_term(parted, W0, SIGMA)
        ours = best_of(args.repeat, lambda p=parted: separation_term(p, W0, SIGMA))  # type: ignore[misc]
        parting = best_of(args.repeat, lambda a=labels: separate(a))  # type: ignore[misc]
        windows = best_of(2, lambda p=parted: one_window_each(p))  # type: ignore[misc]
        expected, theirs = one_transform_each(parted, args.patience)
        if expected is None:
            compared, about = differs_in_windows(parted, term), "about "
        else:
            compared, about = float(np.abs(expected - term).max()), ""
        print(
            f"| {name} {labels.shape[0]}² | {len(np.unique(labels)) - 1:,} | {ours:.3f} s"
            f" | {ours + parting:.3f} s | {windows:.3f} s | {about}{theirs:,.1f} s"
            f" | {compared:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
