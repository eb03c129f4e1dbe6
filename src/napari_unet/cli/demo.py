"""Segment a sample image and show it in napari, or write it where there is no display."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli.display import has_display, window_opens
from napari_unet.cli.flags import add_fields, given
from napari_unet.cli.segment import FLAGS
from napari_unet.cli.terminal import tell, warn
from napari_unet.config import SegmentConfig
from napari_unet.files import make_folder
from napari_unet.samples import DEMO, SAMPLES, load_picture, take_stain
from napari_unet.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.provenance import Provenance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet demo`` takes."""
    parser.add_argument(
        "--sample", choices=tuple(SAMPLES), default=DEMO, help=f"the image (default: {DEMO})"
    )
    parser.add_argument(
        "--headless", action="store_true", help="write demo_labels.tif and demo_overlay.png"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="where to write them"
    )
    add_fields(parser, SegmentConfig, {name: FLAGS[name] for name in ("model", "device")})


def run(arguments: argparse.Namespace) -> bool:
    """Segment the sample; show it where there is a display, else write it."""
    config = SegmentConfig(**given(arguments, SegmentConfig))
    sample = SAMPLES[arguments.sample]
    picture = load_picture(sample.name)
    image = take_stain(sample, picture)
    # torch before Qt: on Windows its libraries do not load after Qt's (pytorch issue 166628).
    from napari_unet.segmentation import count_objects, segment

    if not arguments.headless and has_display():
        if window_opens():
            from napari_unet._qt.demo import show

            show(image, sample.name, picture, config)
            return True
        warn("Qt opens no window here (pip install 'napari[all]' brings Qt): writing files.")
    start = time.monotonic()
    labels = segment(image, config.model, axes=sample.axes, device=config.device)
    seconds = time.monotonic() - start
    tell(f"{sample.title}: {counted(count_objects(labels))} in {seconds:.1f} s")
    from napari_unet.library import model_hash
    from napari_unet.provenance import Provenance

    made = Provenance(config, model_hash(config.model), sample.name)
    return _write(arguments.output, picture, labels, made)


def _write(
    folder: Path, picture: NDArray[Any], labels: NDArray[np.int32], made: Provenance
) -> bool:
    """Write the labels, and their outlines over the picture (of a stack, its middle plane)."""
    from napari_unet.images import write_labels, write_overlay

    make_folder(folder)
    middle = len(labels) // 2 if labels.ndim > 2 else ...
    paths = (
        write_labels(folder / "demo_labels.tif", labels, made=made),
        write_overlay(folder / "demo_overlay.png", picture[middle], labels[middle]),
    )
    for path in paths:
        tell(str(path.resolve()))
    return True
