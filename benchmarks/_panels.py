"""Pictures of images and of what was found in them, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

import _figure

Picture = NDArray[np.float64]
"""Shape (Y, X, 3), in [0, 1]."""
PALETTE = np.array([list(bytes.fromhex(colour[1:])) for colour in _figure.COLOURS[:-1]]) / 255
FILL = 0.4
"""How much of an object's colour there is in it; its outline has all of it."""


def painted(
    image: NDArray[Any],
    labels: NDArray[np.integer[Any]] | None = None,
    classes: NDArray[np.integer[Any]] | None = None,
) -> Picture:
    """Return a gray or colour image with labels over it.

    Parameters
    ----------
    image : array, shape (Y, X) or (Y, X, 3)
        Stretched to its percentiles, unless it is of floats: those are in [0, 1].
    labels : integer array, shape (Y, X), or None
        What is to be outlined and filled.
    classes : integer array, or None
        For each number in the labels, from 0 on, that of its colour; None: numbers take turns.
    """
    values = np.asarray(image, np.float64)
    if image.dtype.kind != "f":
        low, high = np.percentile(values, (0.5, 99.5))
        values = (values - low) / max(high - low, 1e-9)
    values = values if values.ndim == 3 else np.stack([values] * 3, axis=-1)
    shown: Picture = np.clip(values[..., :3], 0, 1)
    if labels is None:
        return shown
    numbers = labels if classes is None else np.asarray(classes)[labels]
    colours = PALETTE[(numbers - 1) % len(PALETTE)]
    edge = (maximum_filter(labels, 3) != minimum_filter(labels, 3)) & (labels > 0)
    share = np.where(edge, 1.0, FILL * (labels > 0))[..., None]
    return np.asarray((1 - share) * shown + share * colours)


def draw(rows: Sequence[Sequence[tuple[str, Picture]]], output: Path) -> None:
    """Draw rows of titled pictures; titles stand above the first row, and where they change."""
    columns = max(map(len, rows))
    figure, grid = _figure.axes(2.6 * columns, 2.75 * len(rows), len(rows), columns)
    for ax in grid.flat:
        ax.set_axis_off()
    above = [""] * columns
    for line, row in zip(grid, rows, strict=True):
        for column, (title, picture) in enumerate(row):
            line[column].imshow(picture, interpolation="nearest")
            if title != above[column]:
                _figure.write_labels(line[column], title=title)
                above[column] = title
    _figure.save(figure, output, dpi=150)
