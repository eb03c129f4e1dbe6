"""Records of how results were made, read from the files that they went with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

import tifffile
from PIL.PngImagePlugin import PngImageFile

from napari_unet.files import write_whole
from napari_unet.images.ngff import METADATA, is_zarr
from napari_unet.images.reading import TIFF
from napari_unet.provenance import KEY, Provenance

BESIDE = "-metadata.json"
"""What is appended to the name of a table for the name of its metadata (CSV on the Web, W3C)."""


def read_provenance(path: Path) -> Provenance:
    """Read how a file was made: labels or scores as TIFF or OME-Zarr, ROIs, a table or overview.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it does not say so, or is damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path.")
    try:
        found = _read(path)
    except OSError:
        raise
    except Exception as error:  # whatever a damaged file makes the decoders raise
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"{path} cannot be read ({reason}): give the model and the parameters themselves."
        ) from error
    if found is None:
        raise ValueError(
            f"{path} does not say how it was made: name a file that napari-unet wrote, or give the"
            " model and the parameters themselves."
        )
    return found


def find_provenance(path: Path) -> Provenance | None:
    """Return how a file was made, or None if it does not say so."""
    try:
        return read_provenance(path)
    except (ValueError, OSError):
        return None


def _read(path: Path) -> Provenance | None:
    if path.is_dir():
        return _of_zarr(path)
    ending = path.suffix.lower()
    if ending in TIFF:
        return Provenance.from_json(_of_tiff(path))
    if ending == ".zip":
        with ZipFile(path) as file:
            return Provenance.from_json(file.comment.decode())
    if ending == ".csv":
        return _of_table(path)
    if ending == ".png":
        with PngImageFile(path) as picture:
            return Provenance.from_json(str(picture.info.get(KEY, "")))
    return None


def _of_tiff(path: Path) -> str:
    """Return ImageJ's Info, or the description of the image."""
    with tifffile.TiffFile(path) as file:
        if file.is_imagej:
            return str((file.imagej_metadata or {}).get("Info", ""))
        if file.is_ome:
            root = ElementTree.fromstring(file.ome_metadata or "")
            return root.findtext("{*}Image/{*}Description", "")
        return file.pages.first.description


def _of_zarr(path: Path) -> Provenance | None:
    if not is_zarr(path):
        return None
    files = (path / name for name in (*METADATA, ".zattrs"))
    for attributes in (json.loads(file.read_text()) for file in files if file.is_file()):
        told = attributes.get("attributes", attributes)
        if KEY in told:
            return Provenance.from_dict(told[KEY])
    return None


def _of_table(path: Path) -> Provenance | None:
    beside = path.with_name(path.name + BESIDE)
    if not beside.is_file():
        return None
    notes = json.loads(beside.read_text())["notes"]
    records = [Provenance.from_dict(note[KEY]) for note in notes]
    if any(_method(record) != _method(records[0]) for record in records):
        raise ValueError("it was made in several ways; name the labels of one image")
    return records[0]


def _method(record: Provenance) -> tuple[object, ...]:
    return record.config, record.sha256


def write_beside(table: Path, records: Mapping[str, Provenance]) -> None:
    """Write how the labels of each image in a table were made, beside the table.

    A table itself has no room for it: readers take each line of it for a row. Without any record,
    none of an earlier table stays.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = table.with_name(table.name + BESIDE)
    notes = [{"image": image, KEY: record.to_dict()} for image, record in records.items()]
    told = {"@context": "http://www.w3.org/ns/csvw", "url": table.name, "notes": notes}

    def write(temporary: Path) -> None:
        temporary.write_text(json.dumps(told, indent=1))

    if notes:
        write_whole(path, write)
    else:
        path.unlink(missing_ok=True)
