"""Label the objects of images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli import chunks
from napari_unet.cli.flags import add_fields, given
from napari_unet.cli.like import repeated
from napari_unet.cli.terminal import progress_bar, stoppable, tell, warn
from napari_unet.config import SegmentConfig
from napari_unet.files import make_folder

if TYPE_CHECKING:
    from napari_unet.batch import Job, Outcome, Overview, Wish
    from napari_unet.segmentation import SegmentProgress

FLAGS = {
    "model": ("NAME", "a model's name, or the path of a .safetensors file"),
    "device": ("", "where the network runs; auto takes a GPU if there is one"),
    "diameter": ("PX", "typical object diameter in the image, in pixels"),
    "pixel_size": (
        "UM",
        "pixel size of the image in micrometres, over the one in the file; for models that were"
        " trained at a known one, unlike the bundled ones (for tables: measure --pixel-size)",
    ),
    "channel": ("N", "channel to use, counted from 0; N,M for a model of two channels"),
    "tile": (
        "N",
        "side of the square written at a time, in pixels of the network; by default as free memory"
        " allows, and 1152 for -o OUT.zarr",
    ),
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
        help="TIFF, PNG, JPEG, CZI, LIF or ND2; files, folders or globs; or one OME-Zarr",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="folder, or for one image a .tif, .ome.tif or .zarr path",
    )
    parser.add_argument(
        "--like",
        type=Path,
        metavar="FILE",
        help="segment as FILE was made, which napari-unet wrote: by the same model and parameters,"
        " but for those that are given here",
    )
    add_fields(parser, SegmentConfig, FLAGS)
    parser.add_argument(
        "--ome",
        action="store_true",
        help="write OME-TIFFs, NAME_labels.ome.tif and so on; -o OUT.ome.tif does so, too",
    )
    parser.add_argument("--scores", action="store_true", help="write NAME_scores.tif, too")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="write NAME_objects.csv, too: area, shape and intensity of each object",
    )
    parser.add_argument(
        "--boxes",
        action="store_true",
        help="write NAME_boxes.csv, too: box, class and score of each object; top and left are its"
        " first row and column, bottom and right the ones after its last",
    )
    parser.add_argument(
        "--rois", action="store_true", help="write NAME_rois.zip, too: ROIs for ImageJ"
    )
    parser.add_argument("--force", action="store_true", help="write over existing files")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="leave the images that are done, with these settings, and go on with the others",
    )
    parser.add_argument(
        "--overview",
        action="store_true",
        help="write overview.png, too: all images, and the outlines of their objects",
    )
    chunks.add_arguments(parser)


def run(arguments: argparse.Namespace) -> bool:
    """Segment; returns whether every image was done."""
    typed = given(arguments, SegmentConfig)
    config = repeated(arguments.like, typed) if arguments.like else SegmentConfig(**typed)
    if chunks.are_wanted(arguments):
        return chunks.run(arguments, config)
    from napari_unet.images import find_images

    sources = find_images(arguments.inputs)
    from napari_unet.batch import Outcome, Tally, is_overview, plan, segment_files
    from napari_unet.segmentation import load_engine

    sources = [path for path in sources if not is_overview(path)] or sources
    jobs = plan(sources, arguments.output, ome=arguments.ome)
    overview = _overview(jobs, config, arguments.force) if arguments.overview else None
    engine, card = load_engine(config)
    steps = segment_files(
        jobs,
        engine,
        card,
        _wish(arguments, config),
        force=arguments.force,
        resume=arguments.resume,
        record=len(jobs) > 1,
        overview=overview,
    )
    outcomes, is_whole = [], True
    with progress_bar("tile") as bar:
        try:
            for step in stoppable(steps):
                if isinstance(step, Outcome):
                    bar.clear()
                    outcomes.append(step)
                    _tell(step)
                else:
                    _show(step, bar)
        except (OSError, MemoryError) as error:  # of the record or the overview
            bar.clear()
            warn(str(error))
            is_whole = False
    if arguments.resume:
        tell(Tally.of(outcomes, waiting=len(jobs) - len(outcomes)).in_words)
    is_whole = is_whole and len(outcomes) == len(jobs)
    return is_whole and not any(outcome.error for outcome in outcomes)


def _wish(arguments: argparse.Namespace, config: SegmentConfig) -> Wish:
    """Return what is to be made of each image."""
    from napari_unet.batch import Wish
    from napari_unet.library import model_hash

    return Wish(
        config,
        model_hash(config.model),
        scores=arguments.scores,
        objects=arguments.measure,
        boxes=arguments.boxes,
        rois=arguments.rois,
    )


def _overview(jobs: Sequence[Job], config: SegmentConfig, force: bool) -> Overview:
    """Return a sheet for all images; it goes into the folder that holds all labels."""
    from napari_unet.batch import OVERVIEW, Overview

    folders = [job.labels.parent.absolute() for job in jobs]
    drives = {folder.anchor for folder in folders}
    folder = Path(os.path.commonpath(folders)) if len(drives) == 1 else None
    if folder is None or (str(folder) in drives and folder not in folders):
        raise ValueError(
            "The labels go into folders that have none in common for an overview: name one for all"
            " by -o."
        )
    make_folder(folder)  # before time is spent on the images
    return Overview(folder / OVERVIEW, jobs, (config.channel or (0,))[0], force=force)


def _tell(outcome: Outcome) -> None:
    if outcome.before and not outcome.error:
        return
    if outcome.error:
        named = str(outcome.job.source) in outcome.error
        warn(outcome.error if named else f"{outcome.job.source}: {outcome.error}")
        return
    shape = "x".join(str(n) for n in outcome.shape)
    tell(
        f"{outcome.job.source} -> {outcome.job.labels}: {outcome.found} in {shape}"
        f" pixels, {outcome.seconds:.1f} s"
    )
    if outcome.remark:
        warn(outcome.remark)


def _show(step: SegmentProgress, bar: Any) -> None:
    bar.total = step.planes * step.tiles
    bar.n = step.number * step.tiles + step.tile
    bar.refresh()
    if step.message:
        bar.clear()
        warn(step.message)
