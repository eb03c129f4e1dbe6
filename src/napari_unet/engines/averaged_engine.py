"""A network's scores averaged over the orientations of an image."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import NetworkConfig
from napari_unet.engines.protocol import Engine

Floats = NDArray[np.float32]


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
        total: Floats = np.zeros(1, np.float32)
        for step, quarters in product((1, -1), range(4)):  # mirrored or not, and turned
            turned = np.rot90(batch[..., ::step], quarters, (2, 3))
            scores = self._engine(np.ascontiguousarray(turned))
            total = total + np.rot90(scores, -quarters, (2, 3))[..., ::step]
        return total / np.float32(8)

    @property
    def config(self) -> NetworkConfig:
        """The network's geometry."""
        return self._engine.config

    @property
    def channels(self) -> int:
        """Channels of the scores."""
        return self._engine.channels

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
