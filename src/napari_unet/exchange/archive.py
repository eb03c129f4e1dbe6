"""A zip file from anybody: looked through before anything of it is read, and never unpacked."""

from __future__ import annotations

import hashlib
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from zlib import error as ZlibError

MANY = 1000
"""Files that a package has at most."""
LARGEST = 2**31
"""Bytes that all of them have at most, once unpacked."""
RATIO = 200
"""How many times smaller a file is packed at most, from `SMALL` bytes on; deflate reaches 1032."""
SMALL = 2**26


class Archive:
    """The files of a zip file, each read into memory when it is asked for.

    Parameters
    ----------
    file : zipfile.ZipFile
        Open for reading.
    path : Path
        For messages.

    Raises
    ------
    ValueError
        If a name leads out of the archive, or an entry is a link, encrypted, there twice, or would
        fill the memory.
    """

    def __init__(self, file: zipfile.ZipFile, path: Path) -> None:
        self._file, self._path = file, path
        entries = [entry for entry in file.infolist() if not entry.is_dir()]
        for entry in entries:
            fault = _fault(entry)
            if fault:
                raise ValueError(f"{path} is refused: its entry {entry.filename!r} {fault}.")
        self._entries = {str(PurePosixPath(entry.filename)): entry for entry in entries}
        size = sum(entry.file_size for entry in entries)
        if len(self._entries) < len(entries):
            raise ValueError(f"{path} is refused: it has two files of one name.")
        if len(entries) > MANY or size > LARGEST:
            raise ValueError(
                f"{path} is refused: it would unpack to {len(entries)} files of {size:,} bytes;"
                f" {MANY} files of {LARGEST:,} bytes are allowed."
            )

    @property
    def names(self) -> list[str]:
        """Paths of the files, with slashes."""
        return list(self._entries)

    def read(self, name: str, sha256: str | None = None) -> bytes:
        """Return a file's content.

        Parameters
        ----------
        name : str
            Its path in the archive.
        sha256 : str or None
            Its hash, if that was told.

        Raises
        ------
        ValueError
            If there is no such file, it is damaged, or has another hash.
        """
        if name not in self._entries:
            raise ValueError(f"{self._path} has no file {name!r}: copy or download it again.")
        try:
            data = self._file.read(self._entries[name])
        except (
            zipfile.BadZipFile,
            ZlibError,
            LZMAError,
            OSError,
            EOFError,
            NotImplementedError,
        ) as error:
            raise ValueError(
                f"{name} in {self._path} is damaged ({error}): copy or download it again."
            ) from error
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ValueError(
                f"{name} in {self._path} is not the file that was described: its SHA-256 differs;"
                " copy or download it again."
            )
        return data


def _fault(entry: zipfile.ZipInfo) -> str:
    """Return what is wrong with an entry; empty if nothing is."""
    name = entry.filename
    if name.startswith(("/", "\\")) or ":" in name or ".." in name.replace("\\", "/").split("/"):
        return "leads out of the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link to another file"
    if entry.flag_bits & 1:
        return "is encrypted"
    if entry.file_size > max(SMALL, RATIO * entry.compress_size):
        return f"would unpack from {entry.compress_size:,} bytes to {entry.file_size:,}"
    return ""


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip file, and close it in the end.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is none, or refused.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The package {path} does not exist: check its path.")
    try:
        with zipfile.ZipFile(path) as file:
            yield Archive(file, path)
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path} is no complete zip file ({error}): copy or download it again."
        ) from error
