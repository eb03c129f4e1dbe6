"""An image as a file has it, and what to say of a file that has none."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PixelSize = tuple[float, float]
"""Height and width of a pixel in micrometres."""


@dataclass(frozen=True)
class Image:
    """An image as a file has it.

    Parameters
    ----------
    data : array or memory-mapped array
        Pixels, of bool, integer or float type.
    axes : str
        A letter per dimension: T, Z, C, Y, X, S for colour samples, Q where the file does not say.
    pixel_sides : (float, float) or None
        Height and width of a pixel in micrometres, if the file states a unit of length.
    spacing : float or None
        Micrometres between planes, likewise.
    source : Path or None
        The file.
    tag : bytes
        Value of the private tag that was asked for; empty without.
    """

    data: NDArray[Any]
    axes: str
    pixel_sides: PixelSize | None = None
    spacing: float | None = None
    source: Path | None = field(default=None, compare=False)
    tag: bytes = field(default=b"", compare=False)

    @property
    def pixel_size(self) -> float | None:
        """Micrometres per pixel in one number, as the scale of a model takes it."""
        return mean_side(self.pixel_sides)

    @property
    def labels_axes(self) -> str:
        """Axes of its labels, which have no channels or colours."""
        return "".join(letter for letter in self.axes if letter not in "CS")


def fit_labels(labels: Image, image: Image) -> NDArray[Any]:
    """Return labels with the axes of the image that they are of, in its order.

    A file of labels may have an order of its own: ImageJ's is time, then depth.

    Parameters
    ----------
    labels : Image
        As a file has them.
    image : Image
        What they are of.

    Raises
    ------
    ValueError
        If their shapes do not fit.
    """
    lengths = zip(image.axes, image.data.shape, strict=True)
    shape = tuple(n for letter, n in lengths if letter not in "CS")
    pixels = in_order(labels, image.labels_axes)
    if pixels.shape != shape:
        if [n for n in pixels.shape if n > 1] != [n for n in shape if n > 1]:
            raise ValueError(
                f"{labels.source} has the shape {labels.data.shape}, and {image.source} with axes"
                f" {image.axes} {image.data.shape}: name the image that the labels are of."
            )
        pixels = np.asarray(pixels).reshape(shape)
    return pixels


def in_order(labels: Image, axes: str) -> NDArray[Any]:
    """Return labels with their axes in that order, if they have these, by their letters."""
    if labels.axes == axes or sorted(labels.axes) != sorted(set(axes)):
        return labels.data
    return np.asarray(labels.data).transpose([labels.axes.index(letter) for letter in axes])


def as_pair(pixel_size: float | PixelSize | None) -> PixelSize | None:
    """Return height and width of a pixel; raise if they are none."""
    if pixel_size is None:
        return None
    given = np.array(pixel_size, float)
    if given.shape not in ((), (2,)) or not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(
            f"pixel_size = {pixel_size} is no size: give micrometres above 0, of height and width"
            " where they differ."
        )
    height, width = np.broadcast_to(given, 2).tolist()
    return height, width


def stated_sides(height: float | None, width: float | None) -> PixelSize | None:
    """Return height and width of a pixel; one that is stated without the other counts for both."""
    height, width = height or width, width or height
    return (height, width) if height and width else None


def mean_side(sides: PixelSize | None) -> float | None:
    """Return the side of a square pixel of the same area."""
    return sides and sqrt(prod(sides))


def damaged(path: Path, reason: object) -> str:
    """Return what to tell of a file that cannot be read."""
    return (
        f"{path} cannot be read as an image ({first_line(reason)}): it is damaged or of another"
        " kind; export it again."
    )


def first_line(reason: object) -> str:
    """Return the first line of an error, or its type's name."""
    return (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")
