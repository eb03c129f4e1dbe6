"""Measure the objects of label images: area, shape, intensity."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.cli.terminal import progress_bar, tell, warn
from napari_unet.files import make_folder
from napari_unet.wording import counted

if TYPE_CHECKING:
    from napari_unet.images.image import PixelSize
    from napari_unet.measurements import Table
    from napari_unet.provenance import Provenance

COLUMNS = """\
A row per object, and per plane of a stack: its number, plane, area, centroid, equivalent diameter,
perimeter, axes, eccentricity, orientation, solidity, circularity, bounding box, whether it touches
the border (top and left are the first row and column of the box, bottom and right the ones after
its last); with IMAGE mean, standard deviation, median, minimum, maximum and sum of its gray values
in each channel. Names of columns end in the unit: _px, and _um or _um2 where the pixel size is
known. Planes, pixels and channels are counted from 0.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet measure`` takes."""
    parser.epilog = COLUMNS
    parser.add_argument(
        "labels",
        type=Path,
        metavar="LABELS",
        help="labels, as TIFF, PNG or OME-Zarr, or a folder of them",
    )
    parser.add_argument(
        "image",
        type=Path,
        nargs="?",
        metavar="IMAGE",
        help="the image that they are of; for a folder one, with the same stems",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="TABLE", help="a .csv path, for all"
    )
    parser.add_argument(
        "--pixel-size",
        type=micrometres,
        metavar="UM",
        help="micrometres per pixel, over the one in the file; Y,X where height and width differ",
    )
    parser.add_argument("--force", action="store_true", help="write over an existing table")


def micrometres(text: str) -> PixelSize:
    """Read one length, or height and width; argparse tells this name where that fails."""
    height, _, width = text.partition(",")
    return float(height), float(width or height)


def run(arguments: argparse.Namespace) -> bool:
    """Write one table of all; returns whether every file was measured."""
    from napari_unet.images import find_provenance
    from napari_unet.measurements import write_table

    output: Path = arguments.output
    if output.suffix.lower() != ".csv":
        raise ValueError(f"{output} cannot hold a table: let its name end in .csv.")
    if output.exists() and not arguments.force:
        raise ValueError(f"{output} exists already: write over it with --force.")
    pairs = _pairs(arguments.labels, arguments.image)
    make_folder(output.parent)  # before time is spent on the images
    tables: dict[str, Table] = {}
    made: dict[str, Provenance] = {}
    with progress_bar("image", len(pairs)) as bar:
        for labels, image in pairs:
            name = _name(labels, image)
            try:
                if name in tables:
                    raise ValueError(f"{labels}: there is another {name}, rename one.")
                tables[name] = _measure(labels, image, arguments.pixel_size)
                if record := find_provenance(labels):
                    made[name] = record
            except (ValueError, OSError, MemoryError) as error:
                bar.clear()
                warn(str(error) if str(labels) in str(error) else f"{labels}: {error}")
            bar.update()
    if not tables:
        raise ValueError(f"Nothing could be measured: {output} is not written.")
    write_table(output, tables, made)
    objects = sum(table["label"].size for table in tables.values())
    tell(f"{arguments.labels} -> {output}: {counted(objects)}")
    return len(tables) == len(pairs)


def _pairs(labels: Path, image: Path | None) -> Sequence[tuple[Path, Path | None]]:
    from napari_unet.images import pair_by_stem
    from napari_unet.images.ngff import is_zarr

    if is_zarr(labels) or (image is not None and is_zarr(image)):  # folders that are one image
        return [(labels, image)]
    if image is not None:
        return [(of, taken) for taken, of in pair_by_stem(image, labels)]
    if labels.is_dir():
        return [(path, None) for path in _labels_in(labels)]
    return [(labels, None)]


def _labels_in(folder: Path) -> list[Path]:
    """Return the labels in a folder: what is marked as such, else all its images."""
    from napari_unet.images import READABLE, stem_of
    from napari_unet.images.finding import LABELS_MARK, is_readable

    images = sorted(filter(is_readable, folder.iterdir()))
    found = [path for path in images if stem_of(path).endswith(LABELS_MARK)] or images
    if not found:
        raise FileNotFoundError(f"{folder} holds no labels ({', '.join(READABLE)}).")
    return found


def _name(labels: Path, image: Path | None) -> str:
    from napari_unet.images import stem_of
    from napari_unet.images.finding import LABELS_MARK

    return stem_of(image) if image else stem_of(labels).removesuffix(LABELS_MARK)


def _measure(labels: Path, image: Path | None, pixel_size: PixelSize | None) -> Table:
    from napari_unet.images.image import fit_labels
    from napari_unet.images.opening import open_image, open_labels
    from napari_unet.measurements import measure

    found = open_labels(labels)
    source = open_image(image) if image is not None else found
    gray = source.data if image is not None else None
    size = pixel_size or source.pixel_sides
    return measure(fit_labels(found, source), gray, axes=source.axes, pixel_size=size)
