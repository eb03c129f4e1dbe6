"""project.json: which images a project has, where they are, and how far each is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.files import is_same, write_whole

FILE = "project.json"
FORMAT = 1
_PIECE = 2**20
"""Bytes of each of the places at which files are compared."""
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')
_LABELS_MARK = "_labels"
"""What pairing images with labels by name leaves aside at the end of a name."""


class State(StrEnum):
    """How far the annotation of an image is."""

    UNTOUCHED = "untouched"
    BEGUN = "begun"
    DONE = "done"


@dataclass(frozen=True)
class Record:
    """An image as project.json has it.

    Parameters
    ----------
    name : str
        No two alike.
    image : str
        Its path; inside the project or beside it, relative to its folder.
    was : str
        Where it was when it was added, if `image` is a copy, or beside the project.
    digest : str
        Of its pixels, if it had no file.
    bytes : int
        The size of its file.
    content : str
        What :func:`fingerprint` returned of its file.
    state : str
        How far it is.
    listed : bool
        False once it was removed: its annotation is found again if it is added again.
    """

    name: str
    image: str
    was: str = ""
    digest: str = ""
    bytes: int = -1
    content: str = ""
    state: str = State.UNTOUCHED
    listed: bool = True


@dataclass(frozen=True)
class Contents:
    """What project.json holds."""

    records: Mapping[str, Record] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def write_contents(folder: Path, contents: Contents) -> None:
    """Write project.json: whole or not at all (OSError)."""
    values = {
        "format": FORMAT,
        "settings": dict(contents.settings),
        "images": [asdict(record) for record in contents.records.values()],
    }
    text = json.dumps(values, indent=1, ensure_ascii=False)

    def write(temporary: Path) -> None:
        temporary.write_text(text, "utf-8")

    write_whole(folder / FILE, write)


def read_contents(folder: Path) -> Contents:
    """Read project.json.

    Raises
    ------
    OSError
        If there is none.
    ValueError
        If it is damaged, or of a newer version.
    """
    path = folder / FILE
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["format"] > FORMAT:
            raise ValueError(
                f"{path} is of format {values['format']}, which is not known here: update"
                " napari-unet."
            )
        records = [Record(**record) for record in values["images"]]
        for record in records:
            State(record.state)
            if not record.name or Path(record.name).name != record.name:
                raise ValueError(f"{record.name!r} is no name of an image")  # but a way elsewhere
        return Contents({record.name: record for record in records}, dict(values["settings"]))
    except ValueError as error:
        if "update napari-unet" in str(error):
            raise
        raise ValueError(_damaged(path, error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} is damaged ({error!r}): restore it from a copy, or move it away and make a project"
        " of another name; the annotations beside it are whole."
    )


def located(folder: Path, image: Path, record: Record) -> Record:
    """Return a record of an image at that place; a project can be moved with what is beside it."""
    relative = Path(os.path.relpath(image, folder)).as_posix()
    if image.is_relative_to(folder):
        return replace(record, image=relative)
    if image.is_relative_to(folder.parent) and folder.parent != Path(folder.anchor):
        return replace(record, image=relative, was=str(image))
    return replace(record, image=str(image), was="")


def resolved(folder: Path, record: Record) -> Path:
    """Return where an image is, or should be."""
    path = Path(os.path.normpath(folder / record.image))
    if record.was and not path.is_file() and Path(record.was).is_file():
        return Path(record.was)  # the project was moved, and the image was not
    return path


def is_of(folder: Path, record: Record, image: Path) -> bool:
    """Say whether a record is that of an image at an absolute path, or of a copy of it."""
    places = {resolved(folder, record), Path(record.was or record.image)}
    return any(_is_same(place, image) for place in places)


def _is_same(one: Path, other: Path) -> bool:
    if os.path.normcase(one) == os.path.normcase(other):
        return True
    return one.name == other.name and is_same(one, other)


def free_name(wish: str, taken: Iterable[str]) -> str:
    """Return a file name like the one wished for that is not taken, in large letters or small."""
    name = _FORBIDDEN.sub("_", wish).strip(" .")[:100]
    # What "x.ome" is named, "x" may be named, too: a table of its objects is x.csv.
    name = name.removesuffix(".ome").removesuffix(_LABELS_MARK) or "image"
    others = {other.casefold() for other in taken}
    number = 1
    free = name
    while free.casefold() in others:
        number += 1
        free = f"{name}-{number}"
    return free


def digest(pixels: NDArray[Any]) -> str:
    """Return what tells an image by its pixels, shape and type."""
    pixels = np.ascontiguousarray(pixels)
    head = blake2b(f"{pixels.shape} {pixels.dtype.str}".encode(), digest_size=16)
    return blake2b(pixels.view(np.uint8).data, digest_size=16, key=head.digest()).hexdigest()


def fingerprint(path: Path) -> str:
    """Return what tells files: of their sizes, and of pieces of them, so that it is quick."""
    size = path.stat().st_size
    found = blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for start in (0, (size - _PIECE) // 2, size - _PIECE):
            file.seek(max(start, 0))
            found.update(file.read(_PIECE))
    return found.hexdigest()


def find_record(
    folder: Path, records: Iterable[Record], image: Path, content: str
) -> Record | None:
    """Return the record of an image, or of one that is missing and of which this is the file."""
    records = list(records)
    for record in records:
        if is_of(folder, record, image):
            return record
    for record in records:
        lost = resolved(folder, record)
        if lost.name == image.name and record.content == content and not lost.exists():
            return record
    return None


def absolute(path: str | Path) -> Path:
    """Return an absolute path in which links are kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100
