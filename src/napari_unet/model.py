"""The U-Net of Ronneberger, Fischer and Brox (2015), padded or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn

from napari_unet.config import UNetConfig


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each followed by (batch normalisation and) a ReLU."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig) -> None:
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
    """Skip connection: the middle of the contracting path's features beside the upsampled ones."""

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        """Join `skip` (B, C, H, W), cropped, and `x` (B, C, h, w) to (B, 2C, h, w)."""
        return torch.cat((crop_to(skip, x), x), dim=1)


class Expand(nn.Module):
    """One level of the expanding path: 2x2 up-convolution, skip connection, two convolutions."""

    def __init__(self, inputs: int, outputs: int, config: UNetConfig) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.skip = CopyAndCrop()
        self.convs = DoubleConv(2 * outputs, outputs, config)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Upsample `x` (B, 2C, h, w), put the cropped `skip` beside it, and convolve."""
        x = self.up(x)  # (B, C, 2h, 2w)
        x = self.skip(skip, x)  # (B, 2C, 2h, 2w)
        y: Tensor = self.convs(x)
        return y


def crop_to(x: Tensor, like: Tensor) -> Tensor:
    """Cut the middle of `x` (B, C, H, W) that has the height and width of `like`."""
    (height, width), (h, w) = x.shape[-2:], like.shape[-2:]
    top, left = (height - h) // 2, (width - w) // 2
    return x[..., top : top + h, left : left + w]


class UNet(nn.Module):
    """Contracting and expanding path joined by skip connections (Ronneberger et al., 2015, fig. 1).

    Parameters
    ----------
    config : UNetConfig
        Shape of the network; ``UNetConfig()`` is the published one: 23 convolutional layers,
        31,030,658 parameters, 572x572 in and 388x388 out.

    Notes
    -----
    ``forward`` takes images (B, C, H, W) and returns logits (B, K, H', W'); which sizes are
    possible, and what they lead to, is told by the config (`halo`, `output_size`).
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        widths = [config.base_channels * 2**level for level in range(config.depth + 1)]
        self.contract = nn.ModuleList(
            DoubleConv(a, b, config) for a, b in pairwise([config.in_channels, *widths])
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout2d(config.dropout)
        self.expand = nn.ModuleList(Expand(a, b, config) for a, b in pairwise(reversed(widths)))
        self.output = nn.Conv2d(widths[0], config.out_channels, 1)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K, H', W').

        Raises
        ------
        ValueError
            If height or width does not fit; the message names the nearest sizes that do.
        """
        for size in x.shape[-2:]:
            self.config.output_size(size)
        skips = []
        for level, convs in enumerate(self.contract):
            x = convs(self.pool(x) if level else x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for expand in self.expand:
            x = expand(x, skips.pop())
        y: Tensor = self.output(x)
        return y


def initialise(module: nn.Module) -> None:
    """Draw weights from a Gaussian of std sqrt(2 / N), N the inputs of one neuron (section 3)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not module.weight.is_meta:
        # Each output pixel of the 2x2 up-convolution with stride 2 sees one input pixel.
        taps = module.weight[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
        nn.init.normal_(module.weight, std=sqrt(2 / (module.in_channels * taps)))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class Layer:
    """One row of the layer table: name, kind, output shape (C, H, W) and parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def layer_table(config: UNetConfig, size: int) -> list[Layer]:
    """List the layers in the order they run, with their output shapes for a square input.

    Parameters
    ----------
    config : UNetConfig
        The network.
    size : int
        Height and width of the input in pixels.

    Raises
    ------
    ValueError
        If `size` does not fit the network.
    """
    rows: list[Layer] = []

    def record(name: str, module: nn.Module, output: Tensor) -> None:
        count = sum(p.numel() for p in module.parameters())
        rows.append(Layer(name, type(module).__name__, tuple(output.shape[1:]), count))

    with torch.device("meta"):  # shapes only: nothing is allocated or computed
        network = UNet(config).eval()
        for name, module in _leaves(network):
            module.register_forward_hook(lambda m, _, y, name=name: record(name, m, y))
        network(torch.empty(1, config.in_channels, size, size))
    return rows


def _leaves(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((n, m) for n, m in network.named_modules() if not any(m.children()))
