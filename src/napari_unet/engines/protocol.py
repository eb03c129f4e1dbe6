"""What an engine is: whatever runs a network on arrays."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import NetworkConfig

Precision = Literal["auto", "float32", "bfloat16"]


class Engine(Protocol):
    """What prediction asks of whatever runs the network."""

    notice: str
    """What the user should be told with the next tile; prediction takes it away."""

    @property
    def config(self) -> NetworkConfig:
        """The network's geometry."""

    @property
    def channels(self) -> int:
        """Channels of the scores, K."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores (B, K, H', W') of images (B, C, H, W); may raise OutOfMemory."""

    def choose_tile(self, shape: tuple[int, ...]) -> int:
        """Return the written side, in pixels, that suits an image of that height and width."""

    def fall_back(self) -> bool:
        """Move to a device with more memory; False if there is none."""
