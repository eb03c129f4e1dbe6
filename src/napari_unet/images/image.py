"""An image as a file has it, and what to say of a file that has none."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Image:
    """An image as a file has it.

    Parameters
    ----------
    data : array or memory-mapped array
        Pixels, of bool, integer or float type.
    axes : str
        A letter per dimension: T, Z, C, Y, X, S for colour samples, Q where the file does not say.
    pixel_size : float or None
        Micrometres per pixel, if the file states a unit of length.
    spacing : float or None
        Micrometres between planes, likewise.
    source : Path or None
        The file.
    tag : bytes
        Value of the private tag that was asked for; empty without.
    """

    data: NDArray[Any]
    axes: str
    pixel_size: float | None = None
    spacing: float | None = None
    source: Path | None = field(default=None, compare=False)
    tag: bytes = field(default=b"", compare=False)


def damaged(path: Path, reason: object) -> str:
    """Return what to tell of a file that cannot be read."""
    return (
        f"{path} cannot be read as an image ({first_line(reason)}): it is damaged or of another"
        " kind; export it again."
    )


def first_line(reason: object) -> str:
    """Return the first line of an error, or its type's name."""
    return (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
