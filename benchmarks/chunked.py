"""Memory and rate of labelling images from small to larger than memory, chunk by chunk.

Nuclei are drawn on a noisy field, some 500 a megapixel; each image is written
as an OME-Zarr of uint16 and segmented by the command line in a process of its own, whose peak of
resident memory, workers included, is looked at twenty times a second. For comparison, images up to
`--in-memory` a side are segmented in memory, too, from a TIFF, with the tile that is chosen there.
By `--workers` they go to that many workers of a scheduler, too, each of which has one core; these
are there already when the time begins.

    python benchmarks/chunked.py [--sides 1000 2000 5000 10000 20000] [--in-memory 5000]
        [--workers 1 2] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import tifffile
import zarr
from numpy.typing import NDArray

STRIP = 1000
"""Rows that are drawn at a time."""
RADIUS = 10
SPACING = 45
"""Pixels between nuclei, before each is moved by up to a third of it."""
LOOK = 0.05


@dataclass(frozen=True)
class Line:
    """What one run took."""

    side: int
    way: str
    seconds: float
    megabytes: float

    def __str__(self) -> str:
        """Return it as a row of the table."""
        rate = self.seconds / self.side**2 * 1e6
        return (
            f"| {self.side} | {self.way} | {self.seconds:.1f} | {rate:.3f} | {self.megabytes:.0f} |"
        )


def draw(rows: slice, side: int) -> NDArray[np.uint16]:
    """Draw a strip of nuclei, the same ones in every run."""
    random = np.random.default_rng(rows.start)
    strip = random.normal(300, 20, (rows.stop - rows.start, side))
    y, x = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    nucleus = 900 * np.clip(1.5 - np.hypot(y, x) / RADIUS, 0, 0.5)
    for top in range(RADIUS, strip.shape[0] - SPACING, SPACING):
        for left in range(RADIUS, side - SPACING, SPACING):
            dy, dx = random.integers(0, SPACING // 3, 2)
            there = (
                slice(top + dy, top + dy + 2 * RADIUS + 1),
                slice(left + dx, left + dx + 2 * RADIUS + 1),
            )
            part = strip[there]
            part += nucleus[: part.shape[0], : part.shape[1]]
    return strip.astype(np.uint16)


def make(folder: Path, side: int, tiff: bool) -> None:
    """Write the image, a strip at a time."""
    path = folder / f"{side}.zarr"
    array = zarr.create_array(
        path, shape=(side, side), chunks=(min(side, 1024),) * 2, dtype=np.uint16, overwrite=True
    )
    for start in range(0, side, STRIP):
        rows = slice(start, min(start + STRIP, side))
        array[rows] = draw(rows, side)
    if tiff:
        tifffile.imwrite(folder / f"{side}.tif", array[:])


def watch(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return its seconds, and the peak of its memory in MB, children included."""
    start, peak, mine = time.perf_counter(), 0, psutil.Process()
    with subprocess.Popen(command, env={**os.environ, "TQDM_DISABLE": "1"}) as process:
        while process.poll() is None:
            peak = max(peak, _resident(mine.children(recursive=True)))
            time.sleep(LOOK)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed.")
    return time.perf_counter() - start, peak / 1e6


def _resident(processes: Iterable[psutil.Process]) -> int:
    total = 0
    for each in processes:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


@contextmanager
def workers(number: int) -> Iterator[str]:
    """Start a scheduler and so many workers; yields its address."""
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with LocalCluster(n_workers=number, **options) as cluster:  # type: ignore[no-untyped-call]
        yield cluster.scheduler_address


def main() -> None:
    """Make the images, segment them, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[1000, 2000, 5000, 10_000, 20_000])
    parser.add_argument("--in-memory", type=int, default=5000, metavar="SIDE")
    parser.add_argument("--workers", type=int, nargs="*", default=[], metavar="N")
    parser.add_argument(
        "--folder", type=Path, help="where images are made; a temporary one if none"
    )
    arguments = parser.parse_args()
    segment = [sys.executable, "-m", "napari_unet", "segment"]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores", flush=True)
    print("| side | way | s | s a megapixel | peak MB |\n|---|---|---|---|---|", flush=True)
    folder = arguments.folder or Path(tempfile.mkdtemp())
    try:
        for side in arguments.sides:
            small = side <= arguments.in_memory
            make(folder, side, tiff=small)
            source, labels = str(folder / f"{side}.zarr"), str(folder / "labels.zarr")
            ways = {"chunks": [source, "-o", labels, "--force"]}
            if small:
                ways["memory"] = [str(folder / f"{side}.tif"), "-o", str(folder), "--force"]
            for way, extra in ways.items():
                print(Line(side, way, *watch([*segment, *extra])), flush=True)
            for number in arguments.workers:
                with workers(number) as scheduler:
                    command = [*segment, *ways["chunks"], "--scheduler", scheduler]
                    print(Line(side, f"{number} workers", *watch(command)), flush=True)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
