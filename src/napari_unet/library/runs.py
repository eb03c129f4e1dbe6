"""Trainings that were broken off, by the state files that they left, of which metadata is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from napari_unet.config import TrainConfig
from napari_unet.files import write_whole
from napari_unet.library.cards import SUFFIX, read_metadata
from napari_unet.library.folders import STATE
from napari_unet.library.naming import ENDINGS

RUN_KEY = "napari_unet_run"
"""Metadata entry of a state file that holds its config and counters, as JSON."""
_ENDING = f"{STATE}{SUFFIX}"
_ASIDE = ".aside"


@dataclass(frozen=True)
class StoppedRun:
    """How a training that was broken off was begun; it can only go on in the same way.

    Parameters
    ----------
    config : TrainConfig
        Its settings.
    start : str or None
        Name or path of the model that it started from; None: from scratch, or unknown.
    """

    config: TrainConfig
    start: str | None


def stopped_runs(folder: Path) -> list[str]:
    """Return the names of the trainings in a folder that have something left to do."""
    states = sorted(folder.glob(f"[!.]*{_ENDING}"))
    return [path.name.removesuffix(_ENDING) for path in states if can_go_on(path)]


def can_go_on(state: Path) -> bool:
    """Say whether the budget of a training is not used up, by the state that it left."""
    try:
        told = json.loads(read_metadata(state)[RUN_KEY])
        config, run = told["config"], told["run"]
        if run["due"]:
            return True
        if 0 < config["patience"] <= run["stale"]:
            return False
        if config["minutes"] is not None:
            return bool(run["seconds"] < 60 * config["minutes"])
        return bool(run["iteration"] < config["iterations"])
    except (OSError, ValueError, KeyError, TypeError):  # gone, damaged, or of another version
        return False


def read_run(name: str, folder: Path) -> StoppedRun:
    """Return how the training of that name was begun.

    Raises
    ------
    OSError, ValueError
        If it left no state, or one of another version.
    """
    path = folder / f"{name}{_ENDING}"
    try:
        told = json.loads(read_metadata(path)[RUN_KEY])
        config = _config(told["config"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} was begun by another napari-unet: start anew under another name."
        ) from error
    start = told.get("start")
    return StoppedRun(config, None if start is None else str(start))


def _config(values: Mapping[str, Any]) -> TrainConfig:
    return TrainConfig(**{f.name: values[f.name] for f in fields(TrainConfig)})


def set_aside(model: Path) -> None:
    """Keep a model, with what its training left, as it is now, until somebody has decided.

    The copies are hidden beside it. A training that has no model yet has nothing to go back to.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    drop_aside(model)
    if not model.is_file():
        return
    for path in reversed(_files(model)):  # the model last: it stands for all of them
        if path.is_file():
            write_whole(_aside(path), partial(_copy, path))


def is_aside(model: Path) -> bool:
    """Say whether a model was set aside."""
    return _aside(model).is_file()


def put_back(model: Path) -> None:
    """Let a model that was set aside be again as it was then.

    Raises
    ------
    OSError
        If that cannot be done; it can be tried again.
    """
    for path in reversed(_files(model)):
        if _aside(path).is_file():
            _aside(path).replace(path)


def drop_aside(model: Path) -> None:
    """Delete what was set aside of a model."""
    for path in _files(model):
        _aside(path).unlink(missing_ok=True)


def _files(model: Path) -> list[Path]:
    """Return the files that a training can have, the model first."""
    return [model.with_name(f"{model.stem}{ending}") for ending in ENDINGS]


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}{_ASIDE}")


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
