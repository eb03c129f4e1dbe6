"""A network's scores averaged over the orientations of an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import UNetConfig
from napari_unet.engines.protocol import Engine

Floats = NDArray[np.float32]
ORIENTATIONS = 8
"""Quarter turns of a square, mirrored or not."""


class AveragedEngine:
    """Runs another engine on all eight flips and quarter turns of images, and averages its scores.

    The paper averages seven rotated versions of its input (Ronneberger et al., 2015, table 1);
    these eight need no interpolation. The poolings of a turned tile are those of the tile, turned,
    so that tiles agree with one another as they do without.

    Parameters
    ----------
    engine : Engine
        What runs the network.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, batch: Floats) -> Floats:
        """Return the scores (B, K, H', W') of images (B, C, H, W); may raise OutOfMemory."""
        total = self._engine(batch)
        for turn, back in _turns():
            total = total + back(self._engine(np.ascontiguousarray(turn(batch))))
        return total / np.float32(ORIENTATIONS)

    @property
    def config(self) -> UNetConfig:
        """The network's geometry."""
        return self._engine.config

    @property
    def notice(self) -> str:
        """What the user should be told with the next tile."""
        return self._engine.notice

    @notice.setter
    def notice(self, text: str) -> None:
        self._engine.notice = text

    def choose_tile(self, shape: tuple[int, ...]) -> int:
        """Return the written side, in pixels, that suits an image of that height and width."""
        return self._engine.choose_tile(shape)

    def fall_back(self) -> bool:
        """Move to a device with more memory; False if there is none."""
        return self._engine.fall_back()


def _turns() -> list[tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]]:
    """Return the ways to turn images (B, C, H, W) but for none at all, and the ways back."""

    def turning(quarters: int, mirrored: bool) -> Callable[[Floats], Floats]:
        step = -1 if mirrored else 1
        return lambda images: np.rot90(images[..., ::step], quarters, (2, 3))

    def turning_back(quarters: int, mirrored: bool) -> Callable[[Floats], Floats]:
        step = -1 if mirrored else 1
        return lambda scores: np.rot90(scores, -quarters, (2, 3))[..., ::step]

    ways = [(n, mirrored) for mirrored in (False, True) for n in range(4)][1:]
    return [(turning(*way), turning_back(*way)) for way in ways]
