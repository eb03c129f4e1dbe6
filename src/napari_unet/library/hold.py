"""Files in the making: while a model is trained, nobody renames, deletes or trains it, too."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from napari_unet.files import make_folder

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class Hold:
    """Holds what is in the making from others, in this program or another one.

    It is a lock on a hidden file beside it, which the system lets go of when the program ends,
    however that ends. Where a disk knows no locks, nothing is held.

    Parameters
    ----------
    path : Path
        Of a model, or of something else, which need not exist yet; its folder is made.
    message : str
        What is told where it is held already; of a model by default.

    Raises
    ------
    OSError
        If it is held already, or nothing can be written into its folder.
    """

    def __init__(self, path: Path, message: str = "") -> None:
        make_folder(path.parent)
        self._path = _beside(path)
        self._file: IO[bytes] | None = None
        with suppress(OSError):
            self._file = self._path.open("ab")
        if self._file is None:
            return
        try:
            _lock(self._file)
        except OSError as error:
            self._file.close()
            self._file = None
            if error.errno in _TAKEN:
                raise OSError(message or held_message(path.stem)) from error

    def release(self) -> None:
        """Let go of it; a second time does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None
            _remove(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(model: Path) -> bool:
    """Say whether a model is being trained, here or in another program."""
    path = _beside(model)
    try:
        with path.open("r+b") as file:
            _lock(file)
    except OSError as error:
        return error.errno in _TAKEN and path.exists() and os.access(path, os.W_OK)
    _remove(path)  # what a program left that was killed
    return False


def held_message(name: str) -> str:
    """Return what to tell of a model that is held."""
    return f"{name} is being trained just now: stop that first, or wait for its end."


def _beside(model: Path) -> Path:
    return model.with_name(f".{model.stem}.lock")


def _remove(path: Path) -> None:
    with suppress(OSError):  # Windows: somebody has opened it again
        path.unlink(missing_ok=True)
