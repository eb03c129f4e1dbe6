"""Whether a window can be opened here."""

from __future__ import annotations

import os
import subprocess
import sys


def has_display() -> bool:
    """Say whether there is a display; Windows and macOS are taken to have one."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def window_opens() -> bool:
    """Try it in a process of its own: without a usable display Qt ends the one that asks."""
    code = "from qtpy.QtWidgets import QApplication; QApplication([])"
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return tried.returncode == 0
