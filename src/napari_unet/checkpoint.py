"""A saved network: one ``.safetensors`` file with config, weights and provenance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_unet.config import NetworkConfig, Preprocessing, Target, check_trainable
from napari_unet.files import make_folder, write_whole
from napari_unet.library import KEY, SUFFIX, Card, find_model, read_card, read_metadata
from napari_unet.model import Network, frame

Tensors = Mapping[str, Tensor]
NEW_STD = 0.01
"""Of a new output's weights: so small that it says nothing yet, and differs from the next one."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network, complete: nothing else is needed to use it or to train it further.

    Parameters
    ----------
    card : Card
        Config, target, preprocessing and provenance.
    weights : mapping of str to Tensor
        Parameters and buffers of the network, on the CPU.
    """

    card: Card
    weights: Tensors

    @classmethod
    def of(cls, network: Network, card: Card) -> Checkpoint:
        """Copy the weights of a network."""
        state = {k: v.detach().cpu().clone().contiguous() for k, v in network.state_dict().items()}
        return cls(replace(card, network=network.config), state)

    def build(self) -> Network:
        """Return the network in float32 with a copy of the weights, ready for prediction.

        Raises
        ------
        ValueError
            If the weights are not those of the network that the card describes, or it is one from
            elsewhere, which only an engine can run.
        """
        network = _frame(self.card.network)
        shapes = network.state_dict()
        _check_fit(shapes, self.weights)
        copies = {name: w.to(shapes[name].dtype, copy=True) for name, w in self.weights.items()}
        network.load_state_dict(copies, assign=True)
        return network.eval()

    def seeing(self, rule: Preprocessing) -> Checkpoint:
        """Return it with another rule by which images become the network's input."""
        return replace(self, card=replace(self.card, preprocessing=rule))

    def half(self) -> Checkpoint:
        """Return it with the kernels in half precision, for a file of half the size.

        Vectors (biases, batch statistics) stay as they are: they are small, and a variance can
        exceed what half precision holds.
        """
        halves = {k: v.half() if v.ndim > 1 else v for k, v in self.weights.items()}
        return replace(self, weights=halves)

    def pruned(self, levels: int) -> Checkpoint:
        """Return the part of a network that gives the output at a level, faster than the whole.

        Parameters
        ----------
        levels : int
            What its depth becomes.

        Raises
        ------
        ValueError
            If the network has no output there; a U-Net++ with deep supervision has.
        """
        network = self.card.network.pruned(levels)
        card = replace(self.card, network=network, provenance=_unscored(self.card))
        return Checkpoint(card, {name: self.weights[name] for name in _frame(network).state_dict()})

    def save(self, path: str | Path) -> Path:
        """Write to a temporary file, then rename: `path` is complete or untouched.

        Raises
        ------
        ValueError
            If the name does not end in ``.safetensors``.
        OSError
            If it cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != SUFFIX:
            raise ValueError(f"{path} cannot be a model's name: let it end in {SUFFIX}.")
        write_tensors(path, self.weights, {KEY: self.card.to_json()})
        return path

    @classmethod
    def load(cls, model: str | Path) -> Checkpoint:
        """Read a checkpoint by a model's name or its path; its weights become float32.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is none, or the file is none; see :func:`napari_unet.library.read_card`.
        """
        path = find_model(model)
        card = read_card(path)
        weights = read_tensors(path)
        return cls(card, {k: v.float() if v.is_floating_point() else v for k, v in weights.items()})


def _frame(config: NetworkConfig) -> Network:
    """Return a network without weights, if it is one that can have any."""
    return frame(check_trainable(config))


def _unscored(card: Card) -> dict[str, Any]:
    """Return where a network comes from, without the scores that it had before it was changed."""
    return {k: v for k, v in card.provenance.items() if k not in ("scores", "validation")}


def _check_fit(network: Tensors, weights: Tensors) -> None:
    wanted, found = ({k: tuple(v.shape) for k, v in part.items()} for part in (network, weights))
    for name in (*wanted, *found):
        if wanted.get(name) != found.get(name):
            raise ValueError(
                "The weights do not fit the network that the file describes:"
                f" {name} is {found.get(name, 'missing')} and should be"
                f" {wanted.get(name, 'absent')}; copy or download the file again."
            )


def rehead(checkpoint: Checkpoint, channels: int, target: Target, seed: int = 0) -> Checkpoint:
    """Return a checkpoint for other channels of the image or other outputs, the rest kept.

    Parameters
    ----------
    checkpoint : Checkpoint
        What is known already.
    channels : int
        Channels of the images. What the network says of an image whose channels are all alike
        stays the same: the sum of the kernels over the channels is kept.
    target : Target
        What the outputs are to mean. Those that have a name of before keep their weights; the
        others begin with small random ones.
    seed : int
        Of the random weights.

    Raises
    ------
    ValueError
        If `channels` is less than 1.
    """
    card = checkpoint.card
    if (channels, target) == (card.network.in_channels, card.target):
        return checkpoint
    network = replace(card.network, in_channels=channels, out_channels=len(target.outputs))
    rule = replace(card.preprocessing, channels=channels)
    frame, weights = _frame(network), dict(checkpoint.weights)
    first = f"{frame.input_layer}.weight"
    weights[first] = _spread(weights[first].float(), channels).to(weights[first].dtype)
    random = torch.Generator().manual_seed(seed)
    for layer in frame.output_layers:
        weights |= _renamed(weights, layer, card.target.outputs, target.outputs, random)
    provenance = _unscored(card)
    return Checkpoint(
        replace(card, network=network, target=target, preprocessing=rule, provenance=provenance),
        weights,
    )


def _spread(kernels: Tensor, channels: int) -> Tensor:
    """Give kernels (outputs, C, 3, 3) another C: shared channels keep theirs, the sum stays."""
    before = kernels.shape[1]
    if channels <= before:
        dropped = kernels[:, channels:].sum(1, keepdim=True)
        return kernels[:, :channels] + dropped / channels
    new = kernels.mean(1, keepdim=True).expand(-1, channels - before, -1, -1)
    return torch.cat((kernels, new), 1) * (before / channels)


def _renamed(
    weights: Tensors,
    layer: str,
    before: tuple[str, ...],
    after: tuple[str, ...],
    random: torch.Generator,
) -> dict[str, Tensor]:
    """Return a last layer's weights for other outputs, those of the same name as they were."""
    kernels, biases = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
    shape = (len(after), *kernels.shape[1:])
    noise = torch.randn(shape, generator=random) * NEW_STD
    own, bias = noise.to(kernels.dtype), torch.zeros(len(after), dtype=biases.dtype)
    for row, name in enumerate(after):
        if name in before:
            own[row], bias[row] = kernels[before.index(name)], biases[before.index(name)]
    return {f"{layer}.weight": own, f"{layer}.bias": bias}


def write_tensors(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    """Write a ``.safetensors`` file whole or not at all.

    Raises
    ------
    OSError
        If the folder cannot be written to or the disk is full.
    """

    def write(temporary: Path) -> None:
        try:
            save_file(dict(tensors), temporary, metadata)
        except SafetensorError as error:  # it carries the system's error as words only
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number.group(1)) if number else 0, str(error)) from error

    make_folder(path.parent)
    write_whole(path, write)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file into memory.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none or it is damaged.
    """
    read_metadata(path)  # has the sentence for a file that cannot be read
    # Copies: what is loaded stays mapped, and Windows does not replace a mapped file.
    return {name: tensor.clone() for name, tensor in load_file(path).items()}
