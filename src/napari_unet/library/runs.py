"""Trainings that were broken off, by the state files that they left. Reads metadata only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from napari_unet.config import TrainConfig
from napari_unet.files import write_whole
from napari_unet.library.cards import SUFFIX, read_metadata
from napari_unet.library.naming import files_of

RUN_KEY = "napari_unet_run"
"""Metadata entry of a state file that holds its config and counters, as JSON."""
_ENDING = f".resume{SUFFIX}"
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
    if model.is_file():
        # The model last: as long as it is not there, nothing counts as set aside.
        for path in reversed(files_of(model.stem, model.parent)):
            write_whole(_aside(path), lambda copy, path=path: _copy(path, copy))


def put_back(model: Path) -> bool:
    """Let a model be again as it was set aside, and say whether there was one.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    if not _aside(model).is_file():
        return False
    for path in files_of(model.stem, model.parent):
        copy = _aside(path)
        if copy.is_file():
            copy.replace(path)
    return True


def is_aside(model: Path) -> bool:
    """Say whether a model was set aside."""
    return _aside(model).is_file()


def drop_aside(model: Path) -> None:
    """Delete what was set aside of a model."""
    for path in (model, *model.parent.glob(f".{glob.escape(model.stem)}.*{_ASIDE}")):
        _aside(path)
