"""Segmenting as a file was segmented: by its model and parameters, but for what is typed beside."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from napari_unet import __version__
from napari_unet.cli.terminal import warn
from napari_unet.config import SegmentConfig

SIZES = {"diameter": "pixel_size", "pixel_size": "diameter"}
"""Either of them sets the scale: one that is typed takes the place of the other."""


def repeated(path: Path, typed: dict[str, Any]) -> SegmentConfig:
    """Return how a file was made, but for what is typed; and tell what that is.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it does not say how it was made, or its model is not here.
    """
    from napari_unet.images import read_provenance

    made = read_provenance(path)
    own = made.config
    dropped = {SIZES[name]: None for name in typed if name in SIZES}
    config = replace(own, **{**dropped, **typed})
    if "model" in typed:
        from napari_unet.library import model_hash

        same_model = model_hash(config.model) == made.sha256
    else:
        config, same_model = replace(config, model=_find(path, made.model, own, made.sha256)), True
    names = [f.name for f in fields(config) if f.name not in ("model", "device")]
    plain = SegmentConfig()
    same = [n for n in names if getattr(plain, n) != getattr(config, n) == getattr(own, n)]
    other = [n for n in names if getattr(config, n) != getattr(own, n)]
    told = [f"model {made.model}"] * same_model + [f"{n} = {getattr(config, n)}" for n in same]
    if told:
        warn(f"as {path}: {', '.join(told)}.")
    changes = [f"model {config.model} instead of {made.model}"] * (not same_model)
    changes += [f"{n} = {getattr(config, n)} instead of {getattr(own, n)}" for n in other]
    if changes:
        warn(f"not as {path}: {', '.join(changes)}.")
    if made.version != __version__:
        warn(
            f"{path} was made by napari-unet {made.version}, and this is {__version__}: results may"
            " differ."
        )
    return config


def _find(path: Path, model: str, own: SegmentConfig, sha256: str) -> str:
    """Return the name or path of the very model that made a file.

    Parameters
    ----------
    path : Path
        The file.
    model : str
        The model in words.
    own : SegmentConfig
        By which the file was made.
    sha256 : str
        Of the model.
    """
    from napari_unet.library import list_models, model_hash

    here = ""
    with suppress(FileNotFoundError, ValueError):
        here = model_hash(own.model)
    if here == sha256:
        return own.model
    for name in list_models():
        if model_hash(name) == sha256:  # it was renamed, or copied in here
            return name
    if not here:
        raise ValueError(
            f"{path} was made by {model}, which is not here: give its file by --model."
        )
    raise ValueError(
        f"{path} was made by {model}, and the model of that name is another one now: give the file"
        f" of that one by --model, or take this one by --model {own.model}."
    )
