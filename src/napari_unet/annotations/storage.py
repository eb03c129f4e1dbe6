"""Annotations to files and back: whole or not at all, and just as they were drawn."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unet.annotations.annotation import (
    Annotation,
    Counts,
    Mode,
    Region,
    clipped,
    counted,
    exchanged,
)
from napari_unet.annotations.copies import PLANES
from napari_unet.annotations.kinds import read_kinds, write_kinds
from napari_unet.files import make_folder, write_whole
from napari_unet.images import TIFF, read_image, read_labels
from napari_unet.images.image import PixelSize, as_pair
from napari_unet.weightmap import as_labels

FORMAT = 1
TRIES = 4
"""To read a file that is being written."""
_TAG = 65_180
"""TIFF tag, of those that anybody may use, for the mode and for what is drawn but does not count.

In the file of the labels, so that no crash can part them. The regions are in the sidecar: after a
crash between the two files, those before it are read."""


def write_annotation(path: str | Path, annotation: Annotation) -> Path:
    """Write `path`, a label TIFF of int32 in which -1 is not annotated, and its sidecar.

    The sidecar is `path` with the suffix ``.json``; the classes of objects, if they have any, are
    in a table with the suffix ``.csv``. What was drawn where it does not count is kept, too. The
    folder is made if it is missing.

    Raises
    ------
    ValueError
        If the name does not end in ``.tif`` or ``.tiff``.
    OSError
        If it cannot be written; the file is then as it was.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF:
        raise ValueError(f"{path} cannot hold an annotation: let its name end in .tif.")
    make_folder(path.parent)
    target = annotation.target()
    kept = _pack(annotation, target)
    options = {"extratags": [(_TAG, 7, len(kept), kept, True)]}
    _write_labels(path, target, **options, **_resolution(annotation.pixel_size))
    _write_sidecar(path, annotation, counted(target))
    write_kinds(path, annotation.classes)
    shutil.rmtree(planes_folder(path), ignore_errors=True)
    return path


def write_planes(path: Path, annotation: Annotation, planes: Iterable[tuple[int, ...]]) -> bool:
    """Write some planes of a stack that is on disk, beside it: quick, however many it has.

    :func:`read_annotation` finds them there, until :func:`write_annotation` writes all of it.
    Counts and the target of these planes are on disk only then.

    Returns
    -------
    bool
        False if another program has written the stack meanwhile, so that all is to be written.

    Raises
    ------
    OSError
        If one cannot be written.
    """
    written = written_id(path)
    if written is None:
        return False
    folder = planes_folder(path)
    make_folder(folder)
    for plane in planes:
        name = "-".join(map(str, (written, *plane)))
        _write_labels(folder / f"{name}.tif", annotation.labels[plane])
    try:
        counts = read_counts(path)
    except ValueError:
        counts = None
    _write_sidecar(path, annotation, counts or Counts(0, 0, 0))
    write_kinds(path, annotation.classes)
    return True


def written_id(path: Path) -> str | None:
    """Return what :func:`write_annotation` gave a file, each time another; None in others'."""
    try:
        kept = _read_tag(path)
    except ValueError:  # damaged
        return None
    return kept and str(kept[0]["id"])


def planes_folder(path: Path) -> Path:
    """Return where :func:`write_planes` writes."""
    return path.with_suffix(PLANES)


def _write_labels(path: Path, labels: NDArray[np.int32], **options: Any) -> None:
    def write(temporary: Path) -> None:
        tifffile.imwrite(
            temporary,
            labels,
            photometric="minisblack",
            metadata={"axes": "Q" * (labels.ndim - 2) + "YX"},
            compression="zlib",
            compressionargs={"level": 1},
            maxworkers=1,  # while the interpreter ends, no thread can be started
            **options,
        )

    write_whole(path, write)


def read_annotation(path: str | Path) -> Annotation:
    """Read an annotation, or anybody's label image.

    Of a label image without sidecar in which pixels are not annotated (-1), scribbles are made: the
    pixels that count are then just those that count there.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or it cannot be read as labels.
    """
    path = Path(path)
    for _ in range(TRIES):
        before = _status(path)
        with suppress(FileNotFoundError, ValueError):  # half of one, half of the next
            annotation = _read(path)
            if _status(path) == before:
                return annotation
        if _status(path) == before:
            break
    return _read(path)


def _status(path: Path) -> tuple[int, ...]:
    """Return what tells a file from the one that replaces it."""
    status = path.stat() if path.exists() else None
    return (status.st_mtime_ns, status.st_ino, status.st_size) if status else ()


def _read(path: Path) -> Annotation:
    image = read_image(path, _TAG)
    is_plain = "S" not in image.axes and image.data.dtype.kind != "f"
    target = as_labels(image.data if is_plain else read_labels(path))
    kept, sidecar, kinds = _split_tag(image.tag), _read_sidecar(path), read_kinds(path)
    if kept is None and sidecar is None:
        return replace(_of_others(target, image.pixel_sides), classes=kinds)
    mode = Mode(kept[0]["mode"] if kept else sidecar["mode"])  # type: ignore[index]
    labels = exchanged(target, mode)
    if mode is Mode.REGIONS:
        np.maximum(labels, 0, out=labels)
    if kept:
        _unpack(labels, *kept)
        _read_planes(labels, planes_folder(path), kept[0]["id"])
    regions = tuple(_regions(sidecar or {}, labels.shape))
    return Annotation(labels, mode, regions, image.pixel_sides, kinds)


def read_counts(path: str | Path) -> Counts | None:
    """Return what the sidecar says of how much is annotated; None without one.

    Raises
    ------
    ValueError
        If the sidecar is damaged.
    """
    sidecar = _read_sidecar(Path(path))
    return Counts(**sidecar["counts"]) if sidecar else None


def _of_others(target: NDArray[np.int32], pixel_size: PixelSize | None) -> Annotation:
    """Read labels that this package did not write so that the same pixels count."""
    if (target < 0).any():
        return Annotation(exchanged(target, Mode.SCRIBBLES), Mode.SCRIBBLES, (), pixel_size)
    planes = list(np.ndindex(target.shape[:-2]))
    regions: tuple[Region, ...] = ()
    if target.ndim > 2 and not all(target[plane].any() for plane in planes):
        whole = (slice(0, target.shape[-2]), slice(0, target.shape[-1]))
        regions = tuple(Region(plane, *whole) for plane in planes)
    return Annotation(exchanged(target, Mode.REGIONS), Mode.REGIONS, regions, pixel_size)


def _pack(annotation: Annotation, target: NDArray[np.int32]) -> bytes:
    """Return a line of JSON, and after it the rows in which more is drawn than the target says."""
    rows, pieces = [], []
    for plane in np.ndindex(target.shape[:-2]):
        drawn = annotation.labels[plane]
        implied = exchanged(target[plane], annotation.mode)
        if annotation.mode is Mode.REGIONS:
            np.maximum(implied, 0, out=implied)
        where = np.flatnonzero((drawn != implied).any(axis=1))
        if where.size:
            low, high = int(where[0]), int(where[-1]) + 1
            rows.append([*plane, low, high])
            own = np.subtract(drawn[low:high], implied[low:high], dtype="<i4")
            pieces.append(zlib.compress(own.tobytes(), 1))
    header = {
        "format": FORMAT,
        "id": token_hex(4),
        "mode": annotation.mode,
        "rows": rows,
        "bytes": [len(p) for p in pieces],
    }
    return b"".join([json.dumps(header).encode(), b"\n", *pieces])


def _unpack(labels: NDArray[np.int32], header: dict[str, Any], packed: bytes) -> None:
    """Add to the labels that the target implies what else was drawn."""
    start = 0
    for (*plane, low, high), length in zip(header["rows"], header["bytes"], strict=True):
        own = zlib.decompress(packed[start : start + length])
        rows = labels[tuple(plane)][low:high]
        rows += np.frombuffer(own, "<i4").reshape(rows.shape)
        start += length


def _read_planes(labels: NDArray[np.int32], folder: Path, written: str) -> None:
    """Put into the labels the planes that were written on top of just this file."""
    for path in folder.glob(f"{written}-*.tif"):
        plane = tuple(map(int, path.stem.split("-")[1:]))
        drawn = read_labels(path)
        if all(at < n for at, n in zip(plane, labels.shape, strict=False)):
            labels[plane] = drawn


def _read_tag(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Return the header and the bytes of what :func:`_pack` wrote; None in others' files."""
    if path.suffix.lower() not in TIFF:
        return None
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags.get(_TAG)
        return _split_tag(b"" if tag is None else bytes(tag.value))


def _split_tag(value: bytes) -> tuple[dict[str, Any], bytes] | None:
    header, _, packed = value.partition(b"\n")
    return (json.loads(header), packed) if header else None


def _sidecar(annotation: Annotation, counts: Counts) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "mode": annotation.mode,
        "regions": [
            {
                "plane": list(region.plane),
                "rows": [region.rows.start, region.rows.stop],
                "columns": [region.columns.start, region.columns.stop],
            }
            for region in annotation.regions
        ],
        "counts": counts._asdict(),
    }


def _write_sidecar(path: Path, annotation: Annotation, counts: Counts) -> None:
    text = json.dumps(_sidecar(annotation, counts), indent=1)

    def write(temporary: Path) -> None:
        temporary.write_text(text, "utf-8")

    write_whole(path.with_suffix(".json"), write)


def _regions(sidecar: dict[str, Any], shape: tuple[int, ...]) -> list[Region]:
    regions = [
        Region(tuple(r["plane"]), slice(*r["rows"]), slice(*r["columns"]))
        for r in sidecar.get("regions", [])
    ]
    # Labels of another size may have been put in place of those that they were drawn on.
    inside = [clipped(region, shape) for region in regions]
    return [region for region in inside if region]


def _read_sidecar(path: Path) -> dict[str, Any] | None:
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        return None
    try:
        values = json.loads(sidecar.read_text("utf-8"))
        if values["format"] > FORMAT:
            raise ValueError(
                f"{sidecar} is of format {values['format']}, which is not known here: update"
                " napari-unet."
            )
        return {name: values[name] for name in ("mode", "regions", "counts")}
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{sidecar} is no sidecar of an annotation, or damaged ({error!r}): move it away, and"
            f" {path.name} is read without it."
        ) from error


def write_pixels(
    path: Path,
    pixels: NDArray[Any],
    axes: str | None = None,
    pixel_size: float | PixelSize | None = None,
) -> Path:
    """Write an image as a TIFF from which the same image is read.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    axes = axes or "Q" * (pixels.ndim - 2) + "YX"
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    colours = axes.endswith("S") and pixels.shape[-1] in (3, 4)

    def write(temporary: Path) -> None:
        tifffile.imwrite(
            temporary,
            pixels,
            photometric="rgb" if colours else "minisblack",
            metadata={"axes": axes},
            compression="zlib",
            **_resolution(pixel_size),
        )

    return write_whole(path, write)


def _resolution(pixel_size: float | PixelSize | None) -> dict[str, Any]:
    """Return what states the size of a pixel in a plain TIFF."""
    sides = as_pair(pixel_size)
    if sides is None:
        return {}
    height, width = sides
    return {"resolution": (1e4 / width, 1e4 / height), "resolutionunit": "CENTIMETER"}
