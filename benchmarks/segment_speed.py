"""Time `segment` beside the bare forward passes of the same tiles, in one run.

Both do the same passes, alternately, image by image; what `segment` adds is reading, normalising,
mirroring, stitching, objects and writing. Useful pixels are those of the images, without halos.

    python benchmarks/segment_speed.py IMAGES [--model nuclei] [--tile N] [--repeat 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.batch import Job, Outcome, Wish, plan, segment_files
from napari_unet.config import NetworkConfig, SegmentConfig
from napari_unet.engines import TorchEngine
from napari_unet.images import find_images, read_image
from napari_unet.library import Card
from napari_unet.preprocessing import as_planes, measure
from napari_unet.segmentation import load_engine
from napari_unet.tiling import read_mirrored, split


def passes(image: Path, engine: TorchEngine, card: Card, tile: int | None) -> list[torch.Tensor]:
    """Cut the very batches that `segment` predicts for an image."""
    loaded = read_image(image)
    planes = as_planes(loaded.data, card.preprocessing, loaded.axes)
    normalise = measure(planes, card.preprocessing)
    network: NetworkConfig = engine.config
    batches: list[NDArray[np.float32]] = []
    for plane in planes:
        shape = plane.shape[1:]
        tiles = split(shape, tile or engine.choose_tile(shape), network)
        batches += [read_mirrored(normalise(plane), t)[None] for t in tiles]
    return [torch.from_numpy(b).contiguous(memory_format=torch.channels_last) for b in batches]


def bare(engine: TorchEngine, batches: Sequence[torch.Tensor]) -> float:
    """Return the seconds of the forward passes alone."""
    start = time.perf_counter()
    for batch in batches:
        engine.forward(batch)
    return time.perf_counter() - start


def whole(job: Job, engine: TorchEngine, card: Card, config: SegmentConfig) -> tuple[float, int]:
    """Return the seconds from the image's file to the labels' file, and how many pixels it has."""
    start, pixels = time.perf_counter(), 0
    for step in segment_files([job], engine, card, Wish(config), force=True):
        if isinstance(step, Outcome):
            pixels = prod(step.shape)
            if step.error:
                raise RuntimeError(f"{job.source}: {step.error}")
    return time.perf_counter() - start, pixels


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", nargs="+")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--tile", type=int)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    config = SegmentConfig(model=arguments.model, device="cpu", tile=arguments.tile)
    engine, card = load_engine(config)
    ratios, total, useful = [], 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        jobs = plan(find_images(arguments.images), Path(folder))
        batches = [passes(job.source, engine, card, arguments.tile) for job in jobs]
        bare(engine, batches[0])  # warm up
        for _ in range(arguments.repeat):
            for job, tiles in zip(jobs, batches, strict=True):
                forward = bare(engine, tiles)
                seconds, pixels = whole(job, engine, card, config)
                ratios.append(forward / seconds)
                total += seconds
                useful += pixels
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print(f"{len(jobs)} images, {sum(map(len, batches))} tiles, {arguments.repeat} repeats")
    print(f"rate of segment over the bare passes': {statistics.median(ratios):.3f} (median)")
    print(f"useful pixels per second: {useful / total / 1e6:.3f} million")


if __name__ == "__main__":
    main()
