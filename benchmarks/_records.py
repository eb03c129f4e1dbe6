"""What benchmarks note down: results as lines of JSON, and the machine in words."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from napari_unet.config import TrainConfig, TrainProgress

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from napari_unet.checkpoint import Checkpoint

Line = TypeVar("Line", bound="DataclassInstance")


@dataclass(frozen=True)
class Trained:
    """What a line of results says of the training behind it.

    Parameters
    ----------
    name : str
        Of the variant.
    seed : int
        Of its training.
    budget : str
        Of its training, in words.
    parameters : int
        Of the network.
    iterations, seconds : int
        After which training had the network that is scored.
    machine : str
        What scored it, in words; what trained it, where nothing was moved.
    """

    name: str
    seed: int
    budget: str
    parameters: int
    iterations: int
    seconds: int
    machine: str = field(default="", kw_only=True)

    @property
    def key(self) -> tuple[str, int, str]:
        """What is not done twice."""
        return self.name, self.seed, self.budget


def training_of(name: str, config: TrainConfig, model: Checkpoint) -> dict[str, Any]:
    """Return the fields of a :class:`Trained` for a model that was just trained."""
    told = model.card.provenance["training"]
    return {
        "name": name,
        "seed": config.seed,
        "budget": budget_of(config),
        "parameters": sum(p.numel() for p in model.build().parameters()),
        "iterations": told["iteration"],
        "seconds": told["seconds"],
        "machine": machine(),
    }


def read_lines(path: Path, kind: type[Line]) -> list[Line]:
    """Return the results in a file, oldest first; none where it does not exist.

    Parameters
    ----------
    path : Path
        A line of JSON each.
    kind : type
        Dataclass of a line. Fields that older lines lack have defaults.
    """
    if not path.exists():
        return []
    lines = (json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip())
    return [kind(**{k: _frozen(v) for k, v in line.items()}) for line in lines]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def add_line(path: Path, result: DataclassInstance) -> None:
    """Add a result to a file, and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")
    print(result, flush=True)


def budget_of(config: TrainConfig) -> str:
    """Return how long a training may take, in words."""
    if config.minutes is None:
        return f"{config.iterations} steps"
    return f"{config.minutes:g} minutes"


def told(progress: TrainProgress) -> str:
    """Return how a training goes, in words."""
    scores = ", ".join(f"{name} {value:.3f}" for name, value in progress.validation.items())
    step = f"step {progress.iteration}, {progress.seconds:.0f} s, loss {progress.loss:.3f}"
    return f"{step}; held out: {scores}" if scores else step


def mean_and_range(values: Sequence[float], digits: int = 2) -> str:
    """Return mean and range in words."""
    if not values:
        return "-"
    mean, low, high = (f"{f(values):.{digits}f}" for f in (np.mean, min, max))
    return mean if len(values) == 1 else f"{mean} ({low} to {high})"


def machine() -> str:
    """Return what runs this, in words."""
    threads = torch.get_num_threads()
    return (
        f"{_processor()}, {os.cpu_count()} cores, {threads} thread{'s' * (threads > 1)};"
        f" torch {torch.__version__}"
    )


def _processor() -> str:
    """Return the processor's name; on Linux, where platform knows its kind only, the kernel's."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
