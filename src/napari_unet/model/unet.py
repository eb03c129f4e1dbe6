"""The U-Net of Ronneberger, Fischer and Brox (2015), padded or not."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from napari_unet.config import TrainableConfig, UNetConfig
from napari_unet.model.blocks import Expand, initialise
from napari_unet.model.network import Network


class UNet(Network):
    """Contracting and expanding path joined by skip connections (Ronneberger et al., 2015, fig. 1).

    Parameters
    ----------
    config : UNetConfig
        Shape of the network; ``UNetConfig()`` is the published one: 23 convolutional layers,
        31,030,658 parameters, 572x572 in and 388x388 out.
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__(config or UNetConfig())
        path = pairwise(reversed(self.widths))
        self.expand = nn.ModuleList(
            Expand(a, b, self.config, margin=margin(self.config, below))
            for below, (a, b) in enumerate(path, start=1)
        )
        self.output = nn.Conv2d(self.widths[0], self.config.out_channels, 1)
        self.apply(initialise)

    def predictions(self, x: Tensor) -> list[Tensor]:
        """Return the logits (B, K, H', W') of images (B, C, H, W), as the only ones."""
        *skips, x = self.descend(x)
        for expand in self.expand:
            x = expand(x, skips.pop())
        return [self.output(x)]


def margin(config: TrainableConfig, below: int) -> int:
    """Return the pixels a side by which a skip connection that spans so many levels is cropped.

    Without padding, the lowest level loses 2, which are 4 in the one above it; with the 2 that each
    path loses there, they become 2 * (2 + 4 + 2) = 16 in the next one, and so on.
    """
    return 6 * 2**below - 8 if config.padding == "valid" else 0
