"""What was chosen last time, where napari keeps settings of plugins (from 0.9 on)."""

from __future__ import annotations

from typing import Any

PLUGIN = "napari-unet-segmentation"
NAMES = ("model", "device")


def recall() -> dict[str, str]:
    """Return the model and the device of last time, as far as they are known."""
    section = _section()
    if section is None:
        return {}
    return {name: value for name in NAMES if (value := str(getattr(section, name, "") or ""))}


def remember(model: str, device: str) -> None:
    """Keep them for the next time."""
    section = _section()
    if section is not None:
        section.model, section.device = model, device


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
