"""What all networks have in common: the contracting path, and how they are asked."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from napari_unet.config import TrainableConfig
from napari_unet.model.blocks import DoubleConv


class Network(nn.Module):
    """A contracting path; its subclasses add what comes after it.

    Parameters
    ----------
    config : TrainableConfig
        Shape of the network.

    Notes
    -----
    ``forward`` takes images (B, C, H, W) and returns logits (B, K, H', W'); which sizes are
    possible, and what they lead to, is told by the config (`halo`, `output_size`).

    A subclass makes its layers, among them the ones that `output_layers` names, calls
    ``self.apply(initialise)``, and defines :meth:`predictions`. All that it does to tensors it does
    by modules: another engine can then replace what each of them does.
    """

    input_layer = "contract.0.0"
    """Name of the convolution that an image enters by."""
    output_layers: tuple[str, ...] = ("output",)
    """Names of the 1x1 convolutions that predictions come from."""

    def __init__(self, config: TrainableConfig) -> None:
        super().__init__()
        self.config = config
        self.widths = [config.base_channels * 2**level for level in range(config.depth + 1)]
        self.contract = nn.ModuleList(
            DoubleConv(a, b, config) for a, b in pairwise([config.in_channels, *self.widths])
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout2d(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, K, H', W').

        Raises
        ------
        ValueError
            If height or width does not fit; the message names the nearest sizes that do.
        """
        for size in x.shape[-2:]:
            self.config.output_size(size)
        return self.logits(x)

    def logits(self, x: Tensor) -> Tensor:
        """Do what ``forward`` does, with images whose size is known to fit."""
        (logits,) = self.predictions(x)
        return logits

    def predictions(self, x: Tensor) -> list[Tensor]:
        """Return all logits that are to be trained, each (B, K, H', W')."""
        raise NotImplementedError

    def descend(self, x: Tensor) -> list[Tensor]:
        """Return the contracting path's features of images, from the first level to the lowest."""
        levels: list[Tensor] = []
        for convs in self.contract:
            x = convs(self.pool(x) if levels else x)
            levels.append(x)
        levels[-1] = self.dropout(x)
        return levels
