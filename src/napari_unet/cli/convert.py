"""Turn labels into ROIs for ImageJ, boxes or an OME-TIFF, and ROIs into labels."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.terminal import tell, warn
from napari_unet.files import is_same

SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet convert`` takes."""
    parser.add_argument(
        "source",
        type=Path,
        metavar="IN",
        help="labels (an OME-Zarr, too), or a .zip or .roi file of ImageJ",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="of labels a .zip path for ROIs, .csv for boxes, .tif or .ome.tif for labels; of ROIs"
        " a .tif path",
    )
    parser.add_argument(
        "--like",
        type=Path,
        metavar="IMAGE",
        help="the image: ROIs do not tell how large it is, nor labels whether it has channels",
    )
    parser.add_argument("--force", action="store_true", help="write over an existing file")


def run(arguments: argparse.Namespace) -> bool:
    """Convert one file, by its name's ending."""
    from napari_unet.images.rois import ROIS

    source: Path = arguments.source
    output: Path = arguments.output
    if is_same(output, source):
        raise ValueError(f"{output} is what is to be converted: write to another path.")
    if output.exists() and not arguments.force:
        raise ValueError(f"{output} exists already: write over it with --force.")
    if source.suffix.lower() in ROIS:
        _drawn(source, output, arguments.like)
    else:
        _written(source, output, arguments.like)
    tell(f"{source} -> {output}")
    return True


def _written(source: Path, output: Path, like: Path | None) -> None:
    """Write labels in another form."""
    import numpy as np

    from napari_unet.images import TIFF, find_provenance, stem_of, write_labels
    from napari_unet.images.image import fit_labels
    from napari_unet.images.opening import open_image, open_labels
    from napari_unet.images.rois import write_rois
    from napari_unet.measurements import find_boxes, write_table

    found, made = open_labels(source), find_provenance(source)
    image = open_image(like) if like else found
    labels = fit_labels(found, image)
    ending = output.suffix.lower()
    if ending == ".csv":
        name = stem_of(source)
        table = find_boxes(labels, axes=image.labels_axes, pixel_size=image.pixel_sides)
        write_table(output, {name: table}, {name: made} if made else {})
    elif ending in TIFF:
        write_labels(output, np.asarray(labels), like=image, made=made)
    else:
        write_rois(output, np.asarray(labels), like=image, made=made)


def _drawn(source: Path, output: Path, like: Path | None) -> None:
    """Write ROIs as labels."""
    from napari_unet.images import find_provenance, write_labels
    from napari_unet.images.opening import open_image
    from napari_unet.images.rois import read_rois

    if like is None:
        raise ValueError(
            f"{source} does not tell how large its image is: name the image, or its labels, with"
            " --like IMAGE."
        )
    image = open_image(like)
    labels, left_out = read_rois(source, image)
    write_labels(output, labels, like=image, made=find_provenance(source))
    if left_out:
        names = ", ".join(left_out[:SHOWN]) + (" ..." if len(left_out) > SHOWN else "")
        warn(f"{len(left_out)} ROIs enclose no pixel of {like}, and were left out: {names}.")
