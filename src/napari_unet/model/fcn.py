"""A fully convolutional network: what a U-Net is without its skip connections."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from napari_unet.config import FCNConfig
from napari_unet.model.blocks import DoubleConv, initialise
from napari_unet.model.network import Network


class FCN(Network):
    """Contracting and expanding path of a U-Net; the latter sees only what comes from below.

    All that it says of a place has passed the lowest level, so that a comparison with a U-Net tells
    what skip connections are good for. (It is not the FCN-8s of Long et al., 2015, which adds
    scores of earlier levels, and so has skip connections of its own.)

    Parameters
    ----------
    config : FCNConfig
        Shape of the network.
    """

    def __init__(self, config: FCNConfig | None = None) -> None:
        super().__init__(config or FCNConfig())
        self.expand = nn.Sequential()
        for a, b in pairwise(reversed(self.widths)):
            self.expand.append(nn.ConvTranspose2d(a, b, 2, stride=2))
            self.expand.append(DoubleConv(b, b, self.config))
        self.output = nn.Conv2d(self.widths[0], self.config.out_channels, 1)
        self.apply(initialise)

    def predictions(self, x: Tensor) -> list[Tensor]:
        """Return the logits (B, K, H', W') of images (B, C, H, W), as the only ones."""
        x = self.descend(x).pop()  # and forget the other levels
        return [self.output(self.expand(x))]
