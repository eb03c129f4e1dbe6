"""The layers of a network, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_unet.config import TrainableConfig
from napari_unet.model.architectures import build


@dataclass(frozen=True)
class Layer:
    """One row of the layer table: name, kind, output shape (C, H, W) and parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def layer_table(config: TrainableConfig, size: int) -> list[Layer]:
    """List the layers in the order they run, with their output shapes for a square input.

    Parameters
    ----------
    config : TrainableConfig
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
        network = build(config).eval()
        for name, module in _leaves(network):
            module.register_forward_hook(lambda m, _, y, name=name: record(name, m, y))
        network(torch.empty(1, config.in_channels, size, size))
    return rows


def _leaves(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((n, m) for n, m in network.named_modules() if not any(m.children()))
