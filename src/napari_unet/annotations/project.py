"""A project: a folder with the annotations of many images, models, and what was set."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_data_path

from napari_unet.annotations.annotation import Annotation, Counts
from napari_unet.annotations.records import (
    FILE,
    Contents,
    Record,
    State,
    absolute,
    digest,
    find_record,
    fingerprint,
    free_name,
    is_of,
    located,
    read_contents,
    resolved,
    write_contents,
)
from napari_unet.files import clean, make_folder, write_whole

if TYPE_CHECKING:  # loads TIFF libraries
    from napari_unet.images.image import PixelSize

SUFFIX = ".unet"
FOLDERS = ("annotations", "images", "models")


@dataclass(frozen=True)
class Entry:
    """An image of a project.

    Parameters
    ----------
    name : str
        Its name, no two alike; its annotation is ``annotations/NAME.tif``.
    image : Path
        Where the image is, or was.
    digest : str
        Of the pixels, for one that had no file (:func:`napari_unet.annotations.records.digest`).
    """

    name: str
    image: Path
    digest: str = ""


class Project:
    """``NAME.unet``: project.json, annotations/, images/ (copies), models/.

    Make one by :meth:`create`, :meth:`open` or :func:`default_project`. What is changed is written
    at once, and what another window has changed meanwhile is kept. Methods may be called in any
    thread.
    """

    folder: Path

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = RLock()
        self._contents = read_contents(folder)
        self._read_at = (-1, -1)
        self._reserved: set[str] = set()
        """Names of images that are being written."""

    @classmethod
    def create(cls, folder: str | Path) -> Project:
        """Make a project; ``.unet`` is added to its name if it lacks it.

        Raises
        ------
        FileExistsError
            If something is there already.
        OSError
            If it cannot be written.
        """
        folder = Path(folder)
        if folder.suffix.lower() != SUFFIX:
            folder = folder.with_name(folder.name + SUFFIX)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(
                f"{folder} exists already: open it as a project, or choose another name."
            )
        return cls._made(folder)

    @classmethod
    def _made(cls, folder: Path) -> Project:
        folder = absolute(folder)
        for part in FOLDERS:
            make_folder(folder / part)
            clean(folder / part)
        if not (folder / FILE).exists():
            write_contents(folder, Contents())
        return cls(folder)

    @classmethod
    def open(cls, folder: str | Path) -> Project:
        """Open a project by its folder, or its project.json.

        Raises
        ------
        FileNotFoundError, ValueError
            If it is no project, damaged, or written by a newer version.
        """
        folder = absolute(folder)
        folder = folder.parent if folder.name == FILE else folder
        if not folder.exists():
            raise FileNotFoundError(f"The project {folder} does not exist: check its path.")
        if not (folder / FILE).is_file():
            raise FileNotFoundError(
                f"{folder} is no project, as it holds no {FILE}: choose a folder that"
                f" 'New project' made (its name ends in {SUFFIX})."
            )
        project = cls(folder)
        for part in FOLDERS:
            with suppress(OSError):  # one that may only be read is shown all the same
                (folder / part).mkdir(exist_ok=True)
                clean(folder / part)
        return project

    @property
    def name(self) -> str:
        """Its name, without the suffix."""
        return self.folder.name.removesuffix(SUFFIX)

    @property
    def models(self) -> Path:
        """The folder of its models; it exists."""
        return self.folder / "models"

    @property
    def entries(self) -> list[Entry]:
        """Its images, in the order in which they were added."""
        return [self._entry(record) for record in self._records.values() if record.listed]

    @property
    def settings(self) -> dict[str, Any]:
        """What :meth:`save_settings` was given: a copy."""
        return dict(self._read().settings)

    def save_settings(self, values: Mapping[str, Any]) -> None:
        """Keep settings (what JSON can say), beside those of other names."""
        with self._lock:
            contents = self._read()
            self._write(replace(contents, settings={**contents.settings, **values}))

    def add(self, path: str | Path, copy: bool = False) -> Entry:
        """Add an image file, by reference or as a copy; one that is in it already is returned.

        An image that the project is missing is found again by a file of the same name and content.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        OSError
            If it cannot be copied.
        """
        path = absolute(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: check the path.")
        size, content = path.stat().st_size, fingerprint(path)
        with self._lock:
            known = find_record(self.folder, self._records.values(), path, content)
            if known:
                if not resolved(self.folder, known).exists():
                    known = located(self.folder, path, known)
                if resolved(self.folder, known) == path:
                    known = replace(known, bytes=size, content=content)
                return self._put(replace(known, listed=True))
        with self._reserve(path.stem) as name:
            record = Record(name, "", bytes=size, content=content)
            if not copy:
                return self._put(located(self.folder, path, record))
            image = self.folder / "images" / (name + path.suffix)
            write_whole(image, lambda temporary: _copy(path, temporary))
            return self._put(located(self.folder, image, replace(record, was=str(path))))

    def add_array(
        self,
        name: str,
        pixels: NDArray[Any],
        axes: str | None = None,
        pixel_size: float | PixelSize | None = None,
    ) -> Entry:
        """Add an image that has no file, as a TIFF in images/; the same pixels are added once.

        Parameters
        ----------
        name : str
            Wished for; characters that no file name may hold are replaced.
        pixels : array
            Takes as long as it takes to compress and write them: not in the window's thread.
        axes : str, optional
            A letter per dimension, "S" for colours; guessed as planes of Y and X without.
        pixel_size : float or (float, float), optional
            Micrometres per pixel, of height and width where they differ.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        from napari_unet.annotations.storage import write_pixels

        pixels = np.asarray(pixels)
        own = digest(pixels)
        known = next((r for r in self._records.values() if r.digest == own), None)
        if known and resolved(self.folder, known).is_file():
            return self._put(replace(known, listed=True))
        with self._reserve(name) as name:
            image = self.folder / "images" / f"{known.name if known else name}.tif"
            write_pixels(image, pixels, axes, pixel_size)
            record = known or Record(name, "", digest=own, bytes=image.stat().st_size)
            return self._put(replace(located(self.folder, image, record), listed=True))

    def remove(self, entry: Entry) -> None:
        """Take an image out of the list; its files, and its annotation, stay."""
        with self._lock:
            self._put(replace(self._record(entry), listed=False))

    def find(self, image: str | Path) -> Entry | None:
        """Return the entry of an image by its path, or by the digest of its pixels."""
        path = absolute(image)
        for record in self._records.values():
            by_digest = record.digest and record.digest == str(image)
            if record.listed and (by_digest or is_of(self.folder, record, path)):
                return self._entry(record)
        return None

    def image(self, entry: Entry) -> Path:
        """Return where an entry's image is.

        Raises
        ------
        FileNotFoundError
            If it is not there any more; the message says what to do.
        """
        image = resolved(self.folder, self._record(entry))
        if not image.is_file():
            raise FileNotFoundError(
                f"{image}, an image of the project {self.name}, is not there any more: put it back,"
                " or add it to the project from where it is now; its annotation is kept."
            )
        return image

    def missing(self) -> list[Entry]:
        """Return the entries whose images are not there."""
        return [entry for entry in self.entries if not entry.image.is_file()]

    def state(self, entry: Entry) -> State:
        """Return how far an image is; one with an annotation on disk is begun at least."""
        state = State(self._record(entry).state)
        drawn = state is State.UNTOUCHED and self.annotation_path(entry).exists()
        return State.BEGUN if drawn else state

    def mark(self, entry: Entry, state: State) -> None:
        """Keep how far an image is."""
        with self._lock:
            self._put(replace(self._record(entry), state=State(state)))

    def annotation_path(self, entry: Entry) -> Path:
        """Return where an image's annotation is, or will be."""
        return self.folder / "annotations" / f"{entry.name}.tif"

    def read_annotation(self, entry: Entry) -> Annotation | None:
        """Read an image's annotation; None if there is none yet.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        from napari_unet.annotations.storage import read_annotation

        path = self.annotation_path(entry)
        return read_annotation(path) if path.exists() else None

    def counts(self) -> Counts:
        """Return how much is annotated in all (`planes` are those of all images); quick."""
        counts = [self._counted(entry) for entry in self.entries]
        return Counts(*(sum(c[i] for c in counts if c) for i in range(3)))

    def pairs(self) -> list[tuple[Path, Path]]:
        """Return images and annotations that a training can learn from.

        Left out are images that are untouched or not there (see :meth:`missing`), annotations in
        which no pixel counts, and those without any object unless they are marked as done.
        """
        return [
            (entry.image, self.annotation_path(entry))
            for entry in self.entries
            if entry.image.is_file() and self._teaches(entry)
        ]

    def _teaches(self, entry: Entry) -> bool:
        if not self.annotation_path(entry).exists():
            return False
        counts = self._counted(entry)
        if counts is None:  # somebody else's labels
            return True
        return counts.pixels > 0 and (counts.objects > 0 or self.state(entry) is State.DONE)

    def _counted(self, entry: Entry) -> Counts | None:
        from napari_unet.annotations.storage import read_counts

        try:
            return read_counts(self.annotation_path(entry))
        except ValueError:
            return None  # it is told when the annotation is read

    def _read(self) -> Contents:
        """Return what project.json holds; read again if it is not what was read last."""
        with self._lock:
            try:
                status = (self.folder / FILE).stat()
                read_at = (status.st_mtime_ns, status.st_ino)
                if read_at != self._read_at:
                    self._contents = read_contents(self.folder)
                    self._read_at = read_at
            except FileNotFoundError:
                pass  # a drive that is gone for a while; the next write tells
            return self._contents

    def _write(self, contents: Contents) -> None:
        if contents != self._contents:
            write_contents(self.folder, contents)
            self._contents = contents

    @property
    def _records(self) -> Mapping[str, Record]:
        return self._read().records

    def _record(self, entry: Entry) -> Record:
        record = self._records.get(entry.name)
        if record is None:
            raise ValueError(f"The project {self.name} has no image {entry.name}: add it.")
        return record

    def _put(self, record: Record) -> Entry:
        with self._lock:
            contents = self._read()
            self._write(replace(contents, records={**contents.records, record.name: record}))
        return self._entry(record)

    def _entry(self, record: Record) -> Entry:
        return Entry(record.name, resolved(self.folder, record), record.digest)

    @contextmanager
    def _reserve(self, wish: str) -> Iterator[str]:
        """Give a name that nobody else is given while its image is written."""
        with self._lock:
            images = (path.stem for path in (self.folder / "images").glob("*"))
            name = free_name(wish, (*self._records, *self._reserved, *images))
            self._reserved.add(name)
        try:
            yield name
        finally:
            self._reserved.discard(name)


def default_project() -> Project:
    """Return the user's own project, in which images are annotated while no other is open.

    Raises
    ------
    OSError, ValueError
        If it cannot be made, or read.
    """
    folder = user_data_path("napari-unet", appauthor=False) / f"annotations{SUFFIX}"
    return Project._made(folder)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
