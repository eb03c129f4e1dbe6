"""What a model's file says of itself: its card. Reads metadata only, and no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from napari_unet.config import ARCHITECTURES, NetworkConfig, ONNXConfig, Preprocessing, Target

SUFFIX = ".safetensors"
KEY = "napari_unet"
"""Metadata entry of a checkpoint that holds its card, as JSON."""
FORMAT = 1
_KINDS: dict[str, type[NetworkConfig]] = {**ARCHITECTURES, ONNXConfig.architecture: ONNXConfig}
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin")


@dataclass(frozen=True)
class Card:
    """Everything about a network but its weights.

    Parameters
    ----------
    network : NetworkConfig
        Its architecture and shape.
    target : Target
        What its outputs mean.
    preprocessing : Preprocessing
        How images are made to fit, with the object diameter it was trained at.
    provenance : dict
        Where it comes from: "data", "licence", "command", "versions", "date", "scores", ...
    """

    network: NetworkConfig
    target: Target
    preprocessing: Preprocessing
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """Name of the kind of network."""
        return self.network.architecture

    @property
    def is_trained(self) -> bool:
        """Whether its network, or the one that it is to be trained on from, has learnt anything."""
        return "training" in self.provenance or "started_from" in self.provenance

    def __post_init__(self) -> None:
        _require_same("outputs", self.network.out_channels, "target", len(self.target.outputs))
        rule = self.preprocessing
        _require_same("inputs", self.network.in_channels, "preprocessing", rule.channels)

    def to_json(self) -> str:
        """Write for the metadata of a checkpoint."""
        return json.dumps({"format": FORMAT, **self.to_dict()}, ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that it says, as JSON takes it."""
        return {"architecture": self.architecture, **asdict(self)}

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            If it was written by a newer version, or is damaged.
        """
        try:
            return cls._from_values(json.loads(text))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"Its description is damaged ({error!r}): copy or download the file again."
            ) from error

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Card:
        architecture = values["architecture"]
        if values["format"] != FORMAT or architecture not in _KINDS:
            raise ValueError(
                f"Its format {values['format']} (architecture {architecture!r}) is not known here:"
                " update napari-unet."
            )
        return cls(
            _KINDS[architecture].from_dict(values["network"]),
            Target.from_dict(values["target"]),
            Preprocessing.from_dict(values["preprocessing"]),
            dict(values["provenance"]),
        )


def _require_same(ends: str, network: int, part: str, number: int) -> None:
    if network != number:
        raise ValueError(
            f"The network's {ends} ({network}) do not fit its {part} ({number}): give both the"
            " same number of channels."
        )


def read_card(path: str | Path) -> Card:
    """Read what a checkpoint says of itself, without its weights.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is a pickle, damaged, or not a checkpoint of this package.
    """
    metadata = read_metadata(path)
    if KEY not in metadata:
        raise ValueError(
            f"{path} holds no napari-unet model: choose a file that napari-unet wrote."
        )
    try:
        return Card.from_json(metadata[KEY])
    except ValueError as error:
        raise ValueError(f"{path} cannot be used as a model. {error}") from error


def read_metadata(path: str | Path) -> dict[str, str]:
    """Read the metadata of a ``.safetensors`` file.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, it is of another kind, or damaged.
    """
    path = check_path(path)
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no complete .safetensors file ({error}): copy or download it again."
        ) from error


def check_path(path: str | Path) -> Path:
    """Return `path` if a file is there that may be read as a checkpoint.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or it is a pickle or of another kind.
    """
    path = Path(path)
    if path.suffix.lower() in _PICKLES:
        raise ValueError(
            f"{path} is refused: {path.suffix} files are pickles, which can run any program when"
            " they are opened. Use a .safetensors file written by napari-unet."
        )
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"The model {path} {fault}: check its path.")
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"{path} is not a model: its name has to end in {SUFFIX}.")
    return path
