"""What was chosen last time, where napari keeps settings of plugins (from 0.9 on)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

PLUGIN = "napari-unet-segmentation"
NAMES = ("model", "device", "scheduler")


def recall() -> dict[str, str]:
    """Return model, device and scheduler of last time, as far as they are known."""
    section = _section()
    if section is None:
        return {}
    return {name: value for name in NAMES if (value := str(getattr(section, name, "") or ""))}


def remember(model: str, device: str, scheduler: str = "") -> None:
    """Keep them for the next time; of the scheduler, the last one that there was."""
    section = _section()
    if section is None:
        return
    for name, value in zip(NAMES, (model, device, scheduler), strict=True):
        if value:
            with suppress(ValueError):  # the manifest names no such setting, or value
                setattr(section, name, value)


def _section() -> Any:
    """Return napari's settings for the dock, or None where it has none."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # napari before 0.9
        return None
    try:
        return get_plugin_settings(PLUGIN).segment
    except (AttributeError, KeyError):  # as when the manifest is not registered
        return None
