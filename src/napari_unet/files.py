"""Files that are written whole or not at all, and folders that can be written to."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

_REST = re.compile(r"\..+\.part-[0-9a-f]{8}(\.[^.]*)?")
"""Files that :func:`write_whole` fills, of which a program that is killed leaves half."""
_MINUTE = 60.0
Stamp = tuple[int, int]
"""Bytes of a file, and when it was changed, in nanoseconds: what tells it from any other."""
_WINDOWS = os.name == "nt"
PATIENCE = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds to wait before a file that somebody reads is replaced, time after time."""
_DENIED = "it may not be written to, or another program has it open; choose another place."
REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder.",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "the disk is read-only; choose another folder.",
    errno.ENOENT: "its folder does not exist; make it first.",
    errno.EEXIST: "a file of that name is in the way; choose another name.",
    errno.ENOTDIR: "a file is where a folder is needed; choose another folder.",
}


def stamp(path: Path) -> Stamp | None:
    """Return what tells a file from any other of its path; None if it is not there."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def write_whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary file beside `path`, then rename it.

    Parameters
    ----------
    path : Path
        The file to write; its folder exists.
    write : callable
        Takes the path of the temporary file, which has the suffix of `path`.

    Raises
    ------
    OSError
        If that cannot be done; `path` is then as it was.
    """
    temporary = path.with_name(f".{path.stem[:60]}.part-{token_hex(4)}{path.suffix}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the user's mask has it; some writers set their own
        write(temporary)
        temporary.chmod(mode)
        _rename(temporary, path)
    except OSError as error:
        raise OSError(f"{path} could not be written: {_reason(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path


def _rename(source: Path, target: Path) -> None:
    """Rename, and wait for those who read the target just now, which Windows does not allow."""
    for wait in (*PATIENCE, None):
        try:
            source.replace(target)
            return
        except PermissionError:
            if wait is None or not _WINDOWS:
                raise
            time.sleep(wait)


def clean(folder: Path) -> None:
    """Remove what programs that were killed left half-written in a folder.

    What another program may be writing just now stays: all that has changed in the last minute.
    """
    for path in folder.glob(".*"):
        with suppress(OSError):
            is_old = time.time() - path.stat().st_mtime > _MINUTE
            if is_old and _REST.fullmatch(path.name) and path.is_file():
                path.unlink()


def make_folder(folder: Path) -> None:
    """Make a folder unless it is there, and find out whether files can be put into it.

    Raises
    ------
    OSError
        If not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "")
    except OSError as error:
        raise OSError(f"Nothing can be written into {folder}: {_reason(error)}") from error


def is_same(one: Path, other: Path) -> bool:
    """Say whether two paths lead to one file that exists."""
    return one.exists() and other.exists() and one.samefile(other)


def _reason(error: OSError) -> str:
    return REMEDIES.get(error.errno or 0, f"{error.strerror or error}.")
