"""Which version of an annotation a file holds, so that no window writes over another's."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from napari_unet.annotations import storage
from napari_unet.annotations.annotation import Annotation
from napari_unet.annotations.records import free_name
from napari_unet.files import write_whole
from napari_unet.images.classes import table_of

Version = tuple[object, ...]
NO_FILE: Version = ()


def version_of(path: Path) -> Version:
    """Return what is another one as soon as a file, what is beside it or planes are written.

    Quick: of the labels, no pixel is read. Without a file it is empty.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return NO_FILE
    # Network drives correct times later on, so they count only for files of other programs.
    own = storage.written_id(path) or (status.st_mtime_ns, status.st_size)
    beside = []
    for other in (path.with_suffix(".json"), table_of(path)):
        with suppress(OSError):
            beside.append(crc32(other.read_bytes()))
    planes = storage.planes_folder(path).glob("[!.]*")
    return (own, *beside, *sorted((p.name, _time(p)) for p in planes))


def _time(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0


def keep_aside(path: Path) -> Path:
    """Copy an annotation to a name of its own beside it, and return where it is.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    aside = _beside(path)
    try:
        return storage.write_annotation(aside, storage.read_annotation(path))
    except ValueError:  # damaged, or not to be read here

        def copy(temporary: Path) -> None:
            shutil.copyfile(path, temporary)

        return write_whole(aside, copy)


def write_aside(path: Path, annotation: Annotation) -> Path:
    """Write what is drawn to a name of its own beside its file, and return where it is.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    return storage.write_annotation(_beside(path), annotation)


def _beside(path: Path) -> Path:
    taken = (other.stem for other in path.parent.glob("*") if not other.name.startswith("."))
    return path.with_name(free_name(f"{path.stem[:90]}-other", taken) + path.suffix)
