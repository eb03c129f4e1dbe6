"""What a network is: its architecture, its shape, and the geometry that follows from them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import ClassVar, Literal, Self, get_args

from napari_unet.config.record import Record, require, require_whole

Padding = Literal["valid", "same"]


@dataclass(frozen=True)
class NetworkConfig(Record):
    """Channels and geometry of a network: all that running it, tile by tile, has to know of it.

    Those that can be trained are :class:`TrainableConfig`.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input image and of the output scores.
    """

    architecture: ClassVar[str]
    """Its name, on the command line and in files."""

    in_channels: int = 1
    out_channels: int = 2

    def __post_init__(self) -> None:
        require_whole(self, 1, "in_channels", "out_channels")

    def pruned(self, levels: int) -> NetworkConfig:
        """Return the part of so many levels that has an output of its own, as a smaller network.

        Raises
        ------
        ValueError
            If there is no such output.
        """
        raise ValueError(
            f"levels = {levels} is not possible: the one output of a network of kind"
            f" {self.architecture} needs all of it; leave it whole."
        )

    @property
    def padding(self) -> Padding:
        """How its 3x3 convolutions are padded, where that is not a matter of choice."""
        return "same"

    @property
    def alignment(self) -> int:
        """Pooling grid in pixels: tiles whose offsets are multiples of it see the same poolings."""
        raise NotImplementedError

    @property
    def halo(self) -> int:
        """Pixels read before the first written one, on each axis."""
        raise NotImplementedError

    @property
    def peak_channels(self) -> int:
        """Channels as large as the input that a pass has in memory at a time, at most."""
        raise NotImplementedError

    @property
    def smallest_size(self) -> int:
        """Smallest input length that has an output."""
        return 2 * self.halo + min(self.alignment, 4) if self.padding == "valid" else self.alignment

    @property
    def output_offset(self) -> int:
        """Index, in the network's output, of the first pixel that lies `halo` inside its input."""
        return 0 if self.padding == "valid" else self.halo

    def input_size(self, write: int) -> int:
        """Return the length to read so that `write` pixels, a multiple of `alignment`, come out."""
        after = -(-self.halo // self.alignment) * self.alignment
        return write + self.halo + after

    def output_size(self, size: int) -> int:
        """Return the output's length for an input of length `size`.

        Raises
        ------
        ValueError
            If no output comes of that size; the message names the nearest valid sizes.
        """
        if not self.is_valid_size(size):
            nearest = " or ".join(str(n) for n in self.nearest_valid_sizes(size) if n)
            less = " less 4" if self.padding == "valid" else ""
            raise ValueError(
                f"An input of {size} pixels does not fit this network: use {nearest} (the multiples"
                f" of {self.alignment}{less}, from {self.smallest_size} on)."
            )
        return size - 2 * self.halo if self.padding == "valid" else size

    def is_valid_size(self, size: int) -> bool:
        """Say whether an input of that length passes through the network."""
        return size >= self.smallest_size and (size - self.smallest_size) % self.alignment == 0

    def nearest_valid_sizes(self, size: int) -> tuple[int | None, int]:
        """Return the nearest valid lengths below (None when there is none) and from `size` up."""
        steps = -(-(size - self.smallest_size) // self.alignment)
        above = self.smallest_size + max(steps, 0) * self.alignment
        below = above if above == size else above - self.alignment
        return (below if below >= self.smallest_size else None), above


@dataclass(frozen=True)
class TrainableConfig(NetworkConfig):
    """Shape of a network with a contracting path: what all architectures have in common.

    An architecture is a subclass of this, a subclass of :class:`napari_unet.model.Network`, and a
    line in each of the two tables of them. All geometry follows from `depth` and `padding`, so
    tiling needs no network to plan by.

    Parameters
    ----------
    base_channels : int
        Feature channels of the first level; each level below has twice as many.
    depth : int
        Number of 2x2 poolings.
    batch_norm : bool
        Batch normalisation after each 3x3 convolution. (Normalisation by the statistics of the
        tile at hand, as by group or instance, is not offered: tiles would no longer agree.)
    dropout : float
        Probability of dropping a feature map at the end of the contracting path, in [0, 1).

    Notes
    -----
    The other parameters are those of :class:`NetworkConfig`.
    """

    base_channels: int = 64
    depth: int = 4
    _: KW_ONLY
    batch_norm: bool = False
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole(self, 1, "base_channels", "depth")
        require(self.depth <= 8, "depth", self.depth, "use 1 to 8 levels")
        paddings = get_args(Padding)
        require(self.padding in paddings, "padding", self.padding, "use 'valid' or 'same'")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "use a value from 0 to below 1")

    @classmethod
    def like(cls, other: NetworkConfig) -> Self:
        """Return a network of this architecture that has all it can of another's shape."""
        names = [f.name for f in fields(cls) if hasattr(other, f.name)]
        return cls(**{name: getattr(other, name) for name in names})

    @property
    def alignment(self) -> int:
        """Pooling grid in pixels: tiles whose offsets are multiples of it see the same poolings."""
        return int(2**self.depth)

    @property
    def halo(self) -> int:
        """Pixels read before the first written one, on each axis.

        Two 3x3 convolutions cost 2 pixels of their level a side, 2 * 2**level of the input's. By
        the longest way, down the contracting path and straight up again, they are 6 * 2**depth - 4
        (92 for depth 4); what a skip connection brings has come a shorter one. With padded
        convolutions the halo is rounded to the pooling grid: 6 * 2**depth (96 for depth 4).
        """
        reach = 6 * self.alignment
        return reach - 4 if self.padding == "valid" else reach

    @property
    def peak_channels(self) -> int:
        """Channels as large as the input that a pass has in memory at a time, at most.

        In base channels, those of a U-Net's last level: the features joined (2) and the skip
        connection (1), the level below (1/2), what goes into and out of the next layer (2), and
        some to spare.
        """
        return 7 * self.base_channels


@dataclass(frozen=True)
class UNetConfig(TrainableConfig):
    """Shape of a U-Net. The defaults are the network of Ronneberger et al. (2015), figure 1.

    Parameters
    ----------
    padding : {"valid", "same"}
        Unpadded convolutions as in the paper, or zero-padded ones that keep the size.

    Notes
    -----
    The other parameters are those of :class:`TrainableConfig`.
    """

    architecture = "unet"

    padding: Padding = "valid"


@dataclass(frozen=True)
class FCNConfig(TrainableConfig):
    """Shape of a fully convolutional network: the paths of a U-Net, and no skip connections.

    Parameters
    ----------
    padding : {"valid", "same"}
        Unpadded or zero-padded convolutions, as of a U-Net.

    Notes
    -----
    The other parameters are those of :class:`TrainableConfig`.
    """

    architecture = "fcn"

    padding: Padding = "valid"


@dataclass(frozen=True)
class UNetPlusPlusConfig(TrainableConfig):
    """Shape of a U-Net++. The defaults are the network of Zhou et al. (2018), figure 1.

    Parameters
    ----------
    deep_supervision : bool
        Whether each level of the nest has an output, trained like the last: predictions are then
        the average of them, or those of a smaller network that the whole is pruned to.

    Notes
    -----
    The other parameters are those of :class:`TrainableConfig`.

    Its halo is that of a U-Net of the same depth, in spite of its many more ways. Let r(i, j) be
    the pixels a side that the convolutions up to node (i, j), the j-th after the contracting path
    at level i, cost together. On that path r(i, 0) = 2 * (1 + 2 + ... + 2**i) = 4 * 2**i - 2, and
    after it r(i, j) = 2 * 2**i + max(r(i, j - 1), r(i + 1, j - 1)). By induction on j, r grows with
    i, so that the node below always counts: r(0, depth) = 2 * (1 + 2 + ... + 2**(depth - 1)) +
    r(depth, 0) = 6 * 2**depth - 4, by the same way as a U-Net's.
    """

    architecture = "unet++"

    base_channels: int = 32
    dropout: float = 0.0
    deep_supervision: bool = True

    @property
    def peak_channels(self) -> int:
        """Channels as large as the input that a pass has in memory at a time, at most.

        Each earlier node of the first level is there once more among the features joined, and
        those of the second one are there, too: measured, 3 base channels for each.
        """
        return super().peak_channels + 3 * (self.depth - 1) * self.base_channels

    def pruned(self, levels: int) -> UNetPlusPlusConfig:
        """Return the part that ends in node (0, levels): a smaller U-Net++ with that output alone.

        Raises
        ------
        ValueError
            If there is no such output.
        """
        outputs = range(1 if self.deep_supervision else self.depth, self.depth + 1)
        known = ", ".join(map(str, outputs))
        require(levels in outputs, "levels", levels, f"this U-Net++ has outputs at {known}")
        return replace(self, depth=levels, deep_supervision=False)


ARCHITECTURES: dict[str, type[TrainableConfig]] = {
    kind.architecture: kind for kind in (UNetConfig, UNetPlusPlusConfig, FCNConfig)
}
"""What kinds of networks there are to train, by name."""


def check_trainable(network: NetworkConfig) -> TrainableConfig:
    """Return a network that can be trained.

    Raises
    ------
    ValueError
        If it is one from elsewhere, which can only be run.
    """
    if isinstance(network, TrainableConfig):
        return network
    raise ValueError(
        "A model that was imported from an ONNX graph can segment, but not be trained or"
        " fine-tuned: start from a model of napari-unet, such as nuclei."
    )
