"""Label the objects of images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli import chunks
from napari_unet.cli.flags import add_fields, given
from napari_unet.cli.terminal import progress_bar, stoppable, tell, warn
from napari_unet.config import SegmentConfig

if TYPE_CHECKING:
    from napari_unet.batch import Outcome
    from napari_unet.segmentation import SegmentProgress

FLAGS = {
    "model": ("NAME", "a model's name, or the path of a .safetensors file"),
    "device": ("", "where the network runs; auto takes a GPU if there is one"),
    "diameter": ("PX", "typical object diameter in the image, in pixels"),
    "pixel_size": ("UM", "pixel size of the image in micrometres, over the one in the file"),
    "channel": ("N", "channel to use, counted from 0; N,M for a model of two channels"),
    "tile": ("N", "side of the square written at a time, in pixels; by free memory if not given"),
    "averaged": ("", "average over eight flips and turns: somewhat better, eight times slower"),
    "threshold": ("T", "foreground score from which a pixel belongs to an object"),
    "min_size": (
        "PX",
        "smallest object, in pixels; by default a twentieth of the model's typical one",
    ),
    "fill_holes": ("", "fill holes inside objects"),
    "remove_border": ("", "drop objects that touch the image border"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet segment`` takes."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="TIFF, PNG or JPEG; files, folders or globs; or one OME-Zarr",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="folder, or for one image a .tif or .zarr path",
    )
    add_fields(parser, SegmentConfig, FLAGS)
    parser.add_argument("--scores", action="store_true", help="write NAME_scores.tif, too")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="write NAME_objects.csv, too: area, shape and intensity of each object",
    )
    parser.add_argument(
        "--rois", action="store_true", help="write NAME_rois.zip, too: ROIs for ImageJ"
    )
    parser.add_argument("--force", action="store_true", help="write over existing files")
    chunks.add_arguments(parser)


def run(arguments: argparse.Namespace) -> bool:
    """Segment; returns whether every image was done."""
    config = SegmentConfig(**given(arguments, SegmentConfig))
    if chunks.are_wanted(arguments):
        return chunks.run(arguments, config)
    from napari_unet.images import find_images

    sources = find_images(arguments.inputs)
    from napari_unet.batch import Outcome, plan, segment_files
    from napari_unet.segmentation import load_engine

    jobs = plan(sources, arguments.output)
    engine, card = load_engine(config)
    steps = segment_files(
        jobs,
        engine,
        card,
        config,
        force=arguments.force,
        scores=arguments.scores,
        objects=arguments.measure,
        rois=arguments.rois,
    )
    done = 0
    with progress_bar("tile") as bar:
        for step in stoppable(steps):
            if isinstance(step, Outcome):
                bar.clear()
                done += not step.error
                _tell(step)
            else:
                _show(step, bar)
    return done == len(jobs)


def _tell(outcome: Outcome) -> None:
    if outcome.error:
        named = str(outcome.job.source) in outcome.error
        warn(outcome.error if named else f"{outcome.job.source}: {outcome.error}")
        return
    shape = "x".join(str(n) for n in outcome.shape)
    tell(
        f"{outcome.job.source} -> {outcome.job.labels}: {outcome.found} in {shape}"
        f" pixels, {outcome.seconds:.1f} s"
    )


def _show(step: SegmentProgress, bar: Any) -> None:
    bar.total = step.planes * step.tiles
    bar.n = step.number * step.tiles + step.tile
    bar.refresh()
    if step.message:
        bar.clear()
        warn(step.message)
