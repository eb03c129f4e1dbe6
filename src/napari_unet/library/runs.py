"""Trainings that were broken off, by the state files that they left. Reads metadata only."""

from __future__ import annotations

import json
from pathlib import Path

from napari_unet.library.cards import SUFFIX, read_metadata

RUN_KEY = "napari_unet_run"
"""Metadata entry of a state file that holds its config and counters, as JSON."""
_ENDING = f".resume{SUFFIX}"


def stopped_runs(folder: Path) -> list[str]:
    """Return the names of the trainings in a folder that have something left to do."""
    states = sorted(folder.glob(f"[!.]*{_ENDING}"))
    return [path.name.removesuffix(_ENDING) for path in states if can_go_on(path)]


def can_go_on(state: Path) -> bool:
    """Say whether the budget of a training is not used up, by the state that it left."""
    try:
        told = json.loads(read_metadata(state)[RUN_KEY])
        config, run = told["config"], told["run"]
        if 0 < config["patience"] <= run["stale"]:
            return False
        if config["minutes"] is not None:
            return bool(run["seconds"] < 60 * config["minutes"])
        return bool(run["iteration"] < config["iterations"])
    except (OSError, ValueError, KeyError, TypeError):  # gone, damaged, or of another version
        return False
