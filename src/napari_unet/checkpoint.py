"""A saved network: one ``.safetensors`` file with config, weights and provenance."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from napari_unet.library import KEY, SUFFIX, Card, check_path, find_model, read_card
from napari_unet.model import UNet

Tensors = Mapping[str, Tensor]


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
    def of(cls, network: UNet, card: Card) -> Checkpoint:
        """Copy the weights of a network."""
        state = {k: v.detach().cpu().clone().contiguous() for k, v in network.state_dict().items()}
        return cls(replace(card, network=network.config), state)

    def build(self) -> UNet:
        """Return the network, ready for prediction.

        Raises
        ------
        ValueError
            If the weights are not those of the network that the card describes.
        """
        network = UNet(self.card.network)
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise ValueError(
                f"The weights do not fit the network that the file describes: {error}"
            ) from error
        return network.eval()

    def half(self) -> Checkpoint:
        """Return it with weights in half precision, for a file of half the size."""
        return replace(
            self,
            weights={k: v.half() if v.is_floating_point() else v for k, v in self.weights.items()},
        )

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
        """Read a checkpoint by a model's name or its path.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is none, or the file is none; see :func:`napari_unet.library.read_card`.
        """
        path = find_model(model)
        card = read_card(path)
        weights = read_tensors(path)
        return cls(card, {k: v.float() if v.dtype == torch.half else v for k, v in weights.items()})


def write_tensors(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    """Write a ``.safetensors`` file whole or not at all.

    Raises
    ------
    OSError
        If the folder cannot be written to or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        save_file(dict(tensors), temporary, metadata)
        temporary.chmod(0o666 & ~_umask())  # mkstemp keeps files to their owner
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise OSError(
            f"The model could not be written to {path}: {error}. Free some space or choose"
            " another folder."
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none or it is damaged.
    """
    path = check_path(path)
    try:
        tensors: dict[str, Any] = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}. Copy it again.") from error
    return tensors
