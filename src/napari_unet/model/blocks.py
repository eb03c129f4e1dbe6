"""What the networks are made of."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn

from napari_unet.config import TrainableConfig


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each followed by (batch normalisation and) a ReLU."""

    def __init__(self, inputs: int, outputs: int, config: TrainableConfig) -> None:
        layers: list[nn.Module] = []
        for a, b in pairwise((inputs, outputs, outputs)):
            # A bias before batch normalisation would be subtracted again.
            bias = not config.batch_norm
            layers.append(nn.Conv2d(a, b, 3, padding=config.padding, bias=bias))
            if config.batch_norm:
                layers.append(nn.BatchNorm2d(b))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class CopyAndCrop(nn.Module):
    """Skip connections: the middle of earlier features beside the upsampled ones.

    Parameters
    ----------
    margin : int
        Pixels that are cropped from each side of the earlier features.
    """

    def __init__(self, margin: int) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Put each of `skips` (B, C, H, W), cropped, before `x` (B, C, h, w)."""
        middle = slice(self.margin, -self.margin or None)
        return torch.cat([*(skip[..., middle, middle] for skip in skips), x], dim=1)


class Expand(nn.Module):
    """One level of an expanding path: 2x2 up-convolution, skip connections, two convolutions.

    Parameters
    ----------
    inputs, outputs : int
        Feature channels of the level below and of this one.
    config : TrainableConfig
        Of the network.
    skips : int
        How many skip connections end here.
    margin : int
        What they are cropped by.
    """

    def __init__(
        self, inputs: int, outputs: int, config: TrainableConfig, skips: int = 1, margin: int = 0
    ) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.skip = CopyAndCrop(margin)
        self.convs = DoubleConv((skips + 1) * outputs, outputs, config)

    def forward(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Upsample `x` (B, 2C, h, w), put the cropped skips beside it, and convolve."""
        x = self.up(x)  # (B, C, 2h, 2w)
        x = self.skip(x, *skips)  # (B, (skips + 1) C, 2h, 2w)
        y: Tensor = self.convs(x)
        return y


class Mean(nn.Module):
    """The mean of several outputs."""

    def forward(self, *outputs: Tensor) -> Tensor:
        """Return the mean of `outputs`, each (B, K, H, W)."""
        return torch.stack(outputs).mean(0)


def crop_to(x: Tensor, like: Tensor) -> Tensor:
    """Cut the middle of `x` (B, C, H, W) that has the height and width of `like`."""
    (height, width), (h, w) = x.shape[-2:], like.shape[-2:]
    top, left = (height - h) // 2, (width - w) // 2
    return x[..., top : top + h, left : left + w]


def initialise(module: nn.Module) -> None:
    """Draw weights from a Gaussian of std sqrt(2 / N), N the inputs of one neuron.

    As in Ronneberger et al. (2015), section 3, and He et al. (2015).
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not module.weight.is_meta:
        # Each output pixel of the 2x2 up-convolution with stride 2 sees one input pixel.
        taps = module.weight[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
        nn.init.normal_(module.weight, std=sqrt(2 / (module.in_channels * taps)))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
