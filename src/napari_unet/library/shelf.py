"""The user's models are renamed, deleted, exported and imported; the bundled ones stay."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

from napari_unet.files import REMEDIES, is_same, make_folder, write_whole
from napari_unet.library.cards import SUFFIX, read_card
from napari_unet.library.folders import find_model, list_models, own_models, user_folder
from napari_unet.library.hold import held_message, is_held
from napari_unet.library.naming import check_name, files_of, free_name, is_taken

_IN_THE_WAY = "it is write-protected or open in another program; change that and try again."


def rename(name: str, new: str, folder: Path | None = None) -> Path:
    """Rename a model of the user's, with what its training left; returns its new path.

    Parameters
    ----------
    name, new : str
        The name that it has, and the one that it gets.
    folder : Path or None
        Where it is; None: :func:`~napari_unet.library.user_folder`.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If it is a bundled one, or the new name is not possible or not free.
    OSError
        If it is being trained, or cannot be renamed; it then has its old name.
    """
    files = check_own(name, folder)
    check_name(new)
    place = files[0].parent
    moves = [(old, place / f"{new}{old.name.removeprefix(name)}") for old in files]
    # On Windows and macOS "Cells" and "cells" are one file, which may be given either name.
    others = [path for path in files_of(new, folder) if not any(is_same(path, f) for f in files)]
    if new == name or others:
        raise ValueError(f"There is a model named {new!r} already: choose another name.")
    if is_held(place / f"{new}{SUFFIX}"):  # and has saved nothing yet
        raise OSError(held_message(new))
    _move(moves)
    return place / f"{new}{SUFFIX}"


def delete(name: str, folder: Path | None = None) -> list[Path]:
    """Delete a model of the user's, with what its training left; returns the files that are gone.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If it is a bundled one.
    OSError
        If it is being trained, or cannot be deleted.
    """
    files = check_own(name, folder)
    for path in reversed(files):  # the model last: until then it is listed, and can be tried again
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OSError(f"{path} could not be deleted: {_reason(error)}") from error
    return files


def export(
    name: str, path: str | Path, folder: Path | None = None, overwrite: bool = False
) -> Path:
    """Copy a model, bundled or not, to a path, whole or not at all; returns the path.

    Parameters
    ----------
    name : str
        The model's name.
    path : str or Path
        A folder that exists, or a path; ``.safetensors`` is appended where it has no suffix.
    folder : Path or None
        Where the own models are; None: :func:`~napari_unet.library.user_folder`.
    overwrite : bool
        Whether a file of that path may be replaced.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, it is damaged, or the path is no model's.
    FileExistsError
        If the path is taken.
    OSError
        If it cannot be written.
    """
    source = find_model(name, folder)
    read_card(source)
    path = Path(path)
    path = path / source.name if path.is_dir() else path
    path = path if path.suffix else path.with_suffix(SUFFIX)
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"{path} cannot be a model's name: let it end in {SUFFIX}.")
    if is_same(source, path):
        raise ValueError(f"{path} is the model itself: choose another place.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already.")
    return _copy(source, path)


def import_model(path: str | Path, name: str | None = None, folder: Path | None = None) -> str:
    """Copy a file into the user's models; returns the name that it got.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file that napari-unet wrote.
    name : str or None
        What it is to be called; None: as the file, or nearly so if that name is not free.
    folder : Path or None
        Where it goes; None: :func:`~napari_unet.library.user_folder`. It is made.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no file, it is no complete model, or the name is not possible or not free.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    read_card(path)
    if name is None:
        name = free_name(path.stem, folder)
    elif is_taken(check_name(name), folder):
        raise ValueError(f"There is a model named {name!r} already: choose another name.")
    folder = user_folder() if folder is None else folder
    _copy(path, folder / f"{name}{SUFFIX}")
    return name


def check_own(name: str, folder: Path | None = None) -> list[Path]:
    """Return the files of a user's model that may be renamed or deleted; its own is first.

    Raises
    ------
    FileNotFoundError, ValueError, OSError
        If there is no such model, it is a bundled one, or it is being trained.
    """
    files = files_of(name, folder)
    if files:
        if is_held(files[0].parent / f"{name}{SUFFIX}"):
            raise OSError(held_message(name))
        return files
    if name in list_models(folder):
        raise ValueError(
            f"{name} comes with napari-unet and stays as it is: only your own models can be renamed"
            " or deleted."
        )
    known = ", ".join(own_models(folder)) or "none"
    raise FileNotFoundError(f"You have no model named {name!r}. Your own models: {known}.")


def _move(moves: Sequence[tuple[Path, Path]]) -> None:
    """Rename all of them or none."""
    done: list[tuple[Path, Path]] = []
    for old, new in moves:
        try:
            old.rename(new)
        except OSError as error:
            for back, there in reversed(done):
                there.rename(back)
            raise OSError(f"{old} could not be renamed: {_reason(error)}") from error
        done.append((old, new))


def _copy(source: Path, path: Path) -> Path:
    """Copy a checkpoint, and see that the copy is complete before it gets its name."""

    def write(temporary: Path) -> None:
        shutil.copyfile(source, temporary)
        read_card(temporary)

    make_folder(path.parent)
    return write_whole(path, write)


def _reason(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return _IN_THE_WAY
    return REMEDIES.get(error.errno or 0, f"{error.strerror or error}.")
