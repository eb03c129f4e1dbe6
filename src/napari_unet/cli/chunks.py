"""Labelling an image larger than memory: ``napari-unet segment IMAGE -o OUT.zarr``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.terminal import progress_bar, stoppable, tell, warn
from napari_unet.config import SegmentConfig

if TYPE_CHECKING:
    from napari_unet.chunked import ChunkedSegmentation, ChunkProgress

BESIDE = ("scores", "measure", "boxes", "rois", "ome", "overview")
"""Flags for what is made of labels in memory."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet segment`` takes for labels in an OME-Zarr."""
    group = parser.add_argument_group("images larger than memory (-o OUT.zarr)")
    group.add_argument(
        "--workers", type=int, metavar="N", help="processes to share the work among, or GPUs"
    )
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="of dask.distributed, whose workers do the work"
    )


def are_wanted(arguments: argparse.Namespace) -> bool:
    """Say whether the image is to be segmented a chunk at a time."""
    from napari_unet.images.ngff import is_beside, is_zarr

    output: Path | None = arguments.output
    if output is not None and (output.suffix == ".zarr" or is_beside(output)):
        return True
    others = arguments.workers is not None or arguments.scheduler is not None
    return others or any(is_zarr(Path(item)) for item in arguments.inputs)


def run(arguments: argparse.Namespace, config: SegmentConfig) -> bool:
    """Segment; returns whether the labels are complete."""
    from napari_unet.chunked import Source, connect, segment_chunked

    path = _output(arguments)
    start = time.monotonic()
    source = Source(Path(arguments.inputs[0]))
    with connect(arguments.scheduler, arguments.workers) as run, progress_bar("chunk") as bar:
        steps = stoppable(segment_chunked(source, path, config, run=run, force=arguments.force))
        result = _follow(steps, bar)
    if result is None:
        warn(f"{path} is not complete: the same command goes on with it.")
        return False
    shape = "x".join(str(n) for n in result.shape)
    tell(
        f"{arguments.inputs[0]} -> {path}: {result.in_words} in {shape} pixels,"
        f" {time.monotonic() - start:.1f} s"
    )
    if result.approximate:
        warn(
            f"{result.approximate} areas of touching objects were too large to be split whole:"
            " their objects are approximate."
        )
    return True


def _output(arguments: argparse.Namespace) -> Path:
    """Return where the labels go."""
    from napari_unet.chunked import is_chunked

    path: Path | None = arguments.output
    if path is None or not is_chunked(path):
        raise ValueError(
            f"{arguments.inputs[0]} is segmented a chunk at a time: name an OME-Zarr for its"
            " labels, such as -o labels.zarr."
        )
    if len(arguments.inputs) > 1:
        raise ValueError(
            f"{path} holds the labels of one image, and there are {len(arguments.inputs)}: segment"
            " one at a time."
        )
    for flag in BESIDE:
        if getattr(arguments, flag, False):
            raise ValueError(f"--{flag} needs the labels in memory: leave it out for {path}.")
    return path


def _follow(steps: Any, bar: Any) -> ChunkedSegmentation | None:
    """Show progress; returns what the steps return, or None if they could not go on."""
    has_begun = False
    while True:
        try:
            step: ChunkProgress = next(steps)
        except StopIteration as end:
            result: ChunkedSegmentation | None = end.value
            return result
        except (OSError, MemoryError) as error:
            if not has_begun:
                raise
            bar.clear()
            warn(str(error))
            return None
        has_begun = step.step != "measuring"
        if step.message:
            bar.clear()
            warn(step.message)
        bar.set_description(step.step, refresh=False)
        bar.total, bar.n = step.total, step.done
        bar.refresh()
