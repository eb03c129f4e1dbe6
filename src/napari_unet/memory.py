"""How much memory the machine has left, or the container that this runs in."""

from __future__ import annotations

from pathlib import Path

import psutil


def free_memory() -> int:
    """Return the bytes of the CPU's memory that can still be had."""
    return min([int(psutil.virtual_memory().available), *container_memory()])


def container_memory(root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Return the bytes left to this container or cluster job, if it has a limit (Linux)."""
    try:
        limit, used = ((root / f"memory.{name}").read_text() for name in ("max", "current"))
        return [max(int(limit) - int(used) + _file_cache(root), 0)]
    except (OSError, ValueError):  # no such system; or "max", which is no limit
        return []


def _file_cache(root: Path) -> int:
    """Return the bytes of files that are kept in memory as long as nobody else needs it."""
    try:
        lines = (root / "memory.stat").read_text().splitlines()
        told = dict(line.split() for line in lines)
        return int(told.get("active_file", 0)) + int(told.get("inactive_file", 0))
    except (OSError, ValueError):
        return 0
