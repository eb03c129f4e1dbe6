"""The upper levels of a nested network, as a model of its own."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from napari_unet.checkpoint import Checkpoint
from napari_unet.library import SUFFIX, find_model, import_model


def prune_model(name: str, levels: int, new: str, folder: Path | None = None) -> str:
    """Write the upper levels of a U-Net++ as a smaller and faster model; returns its name.

    Parameters
    ----------
    name : str
        The model's name; it stays as it is.
    levels : int
        What the depth of the smaller one is.
    new : str
        What that is called.
    folder : Path or None
        Where the own models are; None: :func:`~napari_unet.library.user_folder`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, it has no output at that level, or the new name is not possible
        or not free.
    OSError
        If it cannot be written.
    """
    part = Checkpoint.load(find_model(name, folder)).pruned(levels)
    with TemporaryDirectory() as place:
        path = part.save(Path(place, f"part{SUFFIX}"))
        return import_model(path, new, folder)
