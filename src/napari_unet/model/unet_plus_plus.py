"""The U-Net++ of Zhou, Rahman Siddiquee, Tajbakhsh and Liang (2018)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from napari_unet.config import UNetPlusPlusConfig
from napari_unet.model.blocks import Expand, Mean, initialise
from napari_unet.model.network import Network


class UNetPlusPlus(Network):
    r"""U-Nets of all depths in one: they share the contracting path, and nodes between the two.

    ::

        level 0   X00 - X01 - X02 - X03 - X04
                    \   /     /     /     /
        level 1      X10 - X11 - X12 - X13        \  pooled
                       \   /     /     /          /  upsampled
        level 2         X20 - X21 - X22           -  to all that follow in the row
                          \   /     /
        level 3            X30 - X31
                             \   /
        level 4               X40

    Node (i, j) convolves all earlier nodes of its level, and the upsampled node (i + 1, j - 1).
    With deep supervision, each of (0, 1), (0, 2), ... has an output. All of them are trained, by
    the mean of their losses, and their mean is what ``forward`` returns (the paper's accurate
    mode; there of probabilities, here of logits). The output of (0, L) needs no node but those with
    i + j <= L, which are a U-Net++ of L levels: that is what the network is pruned to (its fast
    mode), see :meth:`napari_unet.config.UNetPlusPlusConfig.pruned`.

    Parameters
    ----------
    config : UNetPlusPlusConfig
        Shape of the network.
    """

    def __init__(self, config: UNetPlusPlusConfig | None = None) -> None:
        config = config or UNetPlusPlusConfig()
        super().__init__(config)
        # Names are those of level and column, each below 10; a pruned network has the same ones.
        self.nodes = nn.ModuleDict(
            {
                f"{i}{j}": Expand(self.widths[i + 1], self.widths[i], config, skips=j)
                for i, j in nodes(config.depth)
            }
        )
        first = 1 if config.deep_supervision else config.depth
        self.outputs = nn.ModuleDict(
            {
                str(level): nn.Conv2d(config.base_channels, config.out_channels, 1)
                for level in range(first, config.depth + 1)
            }
        )
        self.output_layers = tuple(f"outputs.{level}" for level in self.outputs)
        self.mean = Mean()
        self.apply(initialise)

    def logits(self, x: Tensor) -> Tensor:
        """Return the mean of all outputs (B, K, H, W) for images (B, C, H, W) whose size fits."""
        logits: Tensor = self.mean(*self.predictions(x))
        return logits

    def predictions(self, x: Tensor) -> list[Tensor]:
        """Return the logits (B, K, H, W) of each output, that of the smallest U-Net first."""
        rows = [[x] for x in self.descend(x)]
        for i, j in nodes(self.config.depth):
            rows[i].append(self.nodes[f"{i}{j}"](rows[i + 1][-1], *rows[i]))
        return [output(rows[0][int(level)]) for level, output in self.outputs.items()]


def nodes(depth: int) -> Iterator[tuple[int, int]]:
    """Yield level and column of the nodes after the contracting path, in the order they run."""
    for j in range(1, depth + 1):
        for i in range(depth + 1 - j):
            yield i, j
