"""The folder in which a segmentation takes shape: what is done is found again after a crash."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from secrets import token_hex
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from napari_unet.files import make_folder, write_whole

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Work:
    """Files of arrays, each written whole or not at all, and marks of the tasks that are done.

    All who work on an image see the same folder. A task that is done twice, as when its mark was
    not written any more, leaves the same files again. Each attempt has a folder of its own: a task
    that outlives a run that was stopped writes where those who begin anew do not look.

    Parameters
    ----------
    base : Path
        The folder of whatever was begun.
    attempt : str
        The folder in it of this attempt.
    """

    base: Path
    attempt: str

    @classmethod
    def at(cls, base: Path) -> Work:
        """Return the attempt that was begun there, or a new one."""
        begun = sorted(path.parent.name for path in base.glob("*/settings.json"))
        return cls(base, begun[0] if begun else token_hex(4))

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.base / self.attempt

    def save(self, name: str, **arrays: NDArray[Any] | int) -> None:
        """Write arrays as one file.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        path = self._path(name)
        _written(path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]

    def load(self, name: str, *fields: str) -> Arrays:
        """Read what `save` wrote, or some of the arrays.

        Raises
        ------
        FileNotFoundError
            If it is not there: this machine sees another disk.
        """
        path = self._path(name)
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return {field: file[field] for field in fields or file.files}
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{path} is missing on a machine that needs it: let all workers see one disk."
            ) from error
        except (EOFError, BadZipFile, ValueError, KeyError) as error:
            raise ValueError(self._damaged(path)) from error

    def has(self, name: str) -> bool:
        """Say whether `save` wrote that."""
        return self._path(name).exists()

    def within(self, name: str) -> Iterator[str]:
        """Yield the names of all that was saved below one."""
        folder = self.folder / name
        if folder.is_dir():
            for path in sorted(folder.glob("[0-9]*.npz")):
                yield f"{name}/{path.stem}"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def tell(self, name: str, values: Any) -> None:
        """Write what JSON takes."""
        text = json.dumps(values, indent=1)
        _written(
            self.folder / f"{name}.json",
            lambda temporary: temporary.write_text(text, encoding="utf-8"),
        )

    def told(self, name: str) -> Any:
        """Return what `tell` wrote, or None."""
        path = self.folder / f"{name}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(self._damaged(path)) from error

    def _damaged(self, path: Path) -> str:
        return f"{path} is damaged, as after a power cut: delete {self.folder} to begin anew."

    def mark(self, phase: str, index: int) -> None:
        """Note that a task is done."""
        _written(self.folder / "done" / phase / str(index), lambda path: None)

    def marked(self, phase: str) -> set[int]:
        """Return the tasks that are done."""
        folder = self.folder / "done" / phase
        if not folder.is_dir():
            return set()
        return {int(path.name) for path in folder.iterdir() if path.name.isdecimal()}

    def unmark(self, phase: str) -> None:
        """Forget which tasks of a phase, and of those below it, are done."""
        shutil.rmtree(self.folder / "done" / phase, ignore_errors=True)

    def drop(self) -> None:
        """Remove all that was begun.

        Under its name it is there whole or not at all: half of it could be taken for work that is
        done.

        Raises
        ------
        OSError
            If it is not there or may not be moved.
        """
        aside = self.base.with_name(f"{self.base.name}-{token_hex(4)}")
        self.base.replace(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a `drop` that was killed has left."""
        for path in self.base.parent.glob(f"{escape(self.base.name)}-{'[0-9a-f]' * 8}"):
            shutil.rmtree(path, ignore_errors=True)


def _written(path: Path, write: Callable[[Path], object]) -> None:
    if not path.parent.is_dir():
        make_folder(path.parent)
    write_whole(path, lambda temporary: (write(temporary), None)[1])
