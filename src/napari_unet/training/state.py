"""What changes while a network is trained, and the files that keep it."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_unet import __version__
from napari_unet.checkpoint import Checkpoint, Tensors, read_tensors, write_tensors
from napari_unet.config import TrainConfig
from napari_unet.engines import layout_of, prefers_bfloat16
from napari_unet.files import clean, make_folder
from napari_unet.library import LAST, LOG, RUN_KEY, STATE, SUFFIX, Card, read_metadata
from napari_unet.model import Network
from napari_unet.patches import Example
from napari_unet.training.scoring import Judgement, pack, unpack

DEFAULT_RATE = 1e-3
MOMENTUM = 0.99
"""Of SGD: "a large number of the previously seen training samples determine the update"
(Ronneberger et al., 2015, section 3)."""
NORM_MOMENTUM = 0.1
"""Weight of a pass in the running batch statistics, as torch has it."""
STEADY = 4
"""Patches from which on a pass has that weight."""
BEFORE = "before"
"""What tensors are called that are not of the run itself, but of the start model's judgement."""
COUNTERS = (
    "bfloat16",
    "together",
    "patch",
    "rate",
    "divergences",
    "iteration",
    "seconds",
    "best",
    "stale",
    "loss",
    "due",
)


@dataclass
class Run:
    """What changes while a network is trained; its tensors are what resuming needs."""

    network: Network
    averaged: Network
    optimizer: torch.optim.Optimizer
    bfloat16: bool = False
    """Measured at the start, once: a resumed run must not round otherwise."""
    together: int = 1
    """Patches that pass through the network at a time; less than a batch where memory is short."""
    patch: int = 0
    """Side of a patch in pixels; less than the config's where memory is short."""
    rate: float = 1.0
    """Factor of the learning rate; less after a divergence."""
    divergences: int = 0
    iteration: int = 0
    seconds: float = 0.0
    best: float = -1.0
    stale: int = 0
    """Validations since the best."""
    loss: float = nan
    """Of the last step."""
    due: bool = False
    """Whether a validation is due, which a stop has broken off."""

    @classmethod
    def begin(cls, checkpoint: Checkpoint, config: TrainConfig, device: torch.device) -> Run:
        """Begin from a checkpoint's weights."""
        network = checkpoint.build().to(device)
        network.to(memory_format=layout_of(device))  # type: ignore[call-overload]
        bfloat16 = prefers_bfloat16(device)
        optimizer = _optimizer(network, config)
        run = cls(network, deepcopy(network), optimizer, bfloat16, patch=config.patch)
        run.pass_together(config.batch)
        return run

    def pass_together(self, count: int) -> None:
        """Let so many patches pass through the network at a time.

        Few patches say little of the batch statistics, so that each pass then counts less in their
        running mean: over a while they are as steady as with four patches.
        """
        self.together = count
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = NORM_MOMENTUM * min(1.0, count / STEADY)

    def to(self, device: torch.device) -> None:
        """Move everything to another device."""
        for network in (self.network, self.averaged):
            network.to(device)
            network.to(memory_format=layout_of(device))  # type: ignore[call-overload]
        for state in self.optimizer.state.values():
            for key, value in state.items():
                if isinstance(value, Tensor) and value.ndim:  # AdamW counts steps on the CPU
                    state[key] = value.to(device)

    @property
    def counters(self) -> dict[str, Any]:
        """What resuming needs beside the tensors."""
        return {name: getattr(self, name) for name in COUNTERS}

    def count_from(self, counters: Mapping[str, Any]) -> None:
        """Put counters back."""
        for name in COUNTERS:
            setattr(self, name, counters[name])
        self.pass_together(self.together)

    def prepare(self, rate: float) -> None:
        """Make ready for the gradients of a step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)

    def step(self, config: TrainConfig) -> None:
        """Apply the gradients and follow them with the averaged weights."""
        self.optimizer.step()
        self.iteration += 1
        # A young average forgets faster, or the random start would stay in it for long.
        decay = min(config.average, self.iteration / (10 + self.iteration))
        own = self.network.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(own[name], 1 - decay)
            else:
                value.copy_(own[name])

    def tensors(self) -> dict[str, Tensor]:
        """Collect every tensor of the run, by name."""
        state = self.optimizer.state_dict()["state"]
        found = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        found |= {f"averaged.{k}": v for k, v in self.averaged.state_dict().items()}
        found |= {f"optimizer.{i}.{k}": v for i, s in state.items() for k, v in s.items()}
        return {k: v.detach().cpu().clone().contiguous() for k, v in found.items()}

    def restore(self, tensors: Tensors) -> None:
        """Put tensors back that :meth:`tensors` collected."""
        parts: dict[str, dict[str, Tensor]] = {
            part: {} for part in ("network", "averaged", "optimizer", BEFORE)
        }
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = value
        self.network.load_state_dict(parts["network"])
        self.averaged.load_state_dict(parts["averaged"])
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in parts["optimizer"].items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _optimizer(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    rate = config.learning_rate or DEFAULT_RATE
    if config.optimizer == "sgd":
        return torch.optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM)
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)


def described(card: Card, config: TrainConfig, run: Run, scores: dict[str, float]) -> Card:
    """Add to a card how its network was trained."""
    training = {**asdict(config), "iteration": run.iteration, "seconds": round(run.seconds)}
    versions = {"napari-unet": __version__, "torch": torch.__version__}
    return replace(
        card,
        provenance={
            **card.provenance,
            "date": datetime.now(UTC).date().isoformat(),
            "versions": versions,
            "training": training,
            "validation": scores,
        },
    )


def fingerprint(*parts: Sequence[Example]) -> str:
    """Return a short digest of what is trained and validated on."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(str(len(part)).encode())
        for example in part:
            digest.update(str(example.labels.shape).encode())
            digest.update(np.ascontiguousarray(example.labels).data)
            digest.update(np.ascontiguousarray(example.image).data)
            if example.classes is not None:
                digest.update(np.ascontiguousarray(example.target).data)
    return digest.hexdigest()[:16]


class Files:
    """The files of a run: best and last checkpoint, state to resume from, and a log."""

    def __init__(self, output: Path) -> None:
        self.best = output
        self.last = output.with_suffix(f"{LAST}{SUFFIX}")
        self.state = output.with_suffix(f"{STATE}{SUFFIX}")
        self.log = output.with_suffix(LOG)

    def check(self, resume: bool) -> None:
        """Find out before hours of training whether the files can be written.

        Raises
        ------
        ValueError
            If the name is no model's, a model of that name exists, or there is nothing to resume.
        OSError
            If the folder cannot be made or written to.
        """
        if self.best.suffix.lower() != SUFFIX:
            raise ValueError(f"{self.best} cannot be a model's name: let it end in {SUFFIX}.")
        if resume and not self.state.exists():
            raise ValueError(f"There is nothing to resume: {self.state} does not exist.")
        if self.best.exists() and not resume:
            raise ValueError(
                f"{self.best} exists already: name another file, or go on with --resume."
            )
        make_folder(self.best.parent)
        clean(self.best.parent)

    def save_state(
        self,
        tensors: Tensors,
        counters: Mapping[str, Any],
        config: TrainConfig,
        data: str,
        start: str | None = None,
        before: Sequence[Judgement] = (),
    ) -> None:
        """Write what resuming needs, whole or not at all.

        Parameters
        ----------
        tensors, counters
            Of the run.
        config : TrainConfig
            Which has to be the same then.
        data : str
            Fingerprint of the examples, likewise.
        start : str or None
            Name of the model that the run started from.
        before : sequence of Judgement
            What that one finds in the held-out examples.
        """
        arrays, told = pack(before)
        state = {
            "config": asdict(config),
            "data": data,
            "start": start,
            "before": told,
            "run": counters,
        }
        named = {f"{BEFORE}.{name}": array for name, array in arrays.items()}
        write_tensors(self.state, {**tensors, **named}, {RUN_KEY: json.dumps(state)})

    def restore(
        self, run: Run, config: TrainConfig, data: str
    ) -> tuple[Checkpoint, list[Judgement], str | None]:
        """Continue where the last save was.

        Returns
        -------
        best : Checkpoint
            So far.
        before : list of Judgement
            What the model that the run started from finds; nothing of a new one.
        start : str or None
            What that model is called, if it is known.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is nothing to resume, or it was started with another config or other data.
        """
        try:
            tensors, metadata = read_tensors(self.state), read_metadata(self.state)
            # Before the first validation there is no best yet.
            best = Checkpoint.load(self.best if self.best.exists() else self.last)
        except ValueError as error:
            raise ValueError(
                f"The training cannot go on, as a file of it is damaged ({error}) Start anew under"
                f" another name{', from the best until then' * self.best.exists()}."
            ) from error
        if RUN_KEY not in metadata:
            raise ValueError(
                f"{self.state} is not the state of a training: start anew under another name."
            )
        state = json.loads(metadata[RUN_KEY])
        if "run" not in state:
            raise ValueError(
                f"{self.state} was begun by an older napari-unet: start anew under another name."
            )
        then, now = state["config"], asdict(config)
        changed = [f"{k} = {then.get(k)}, not {v}" for k, v in now.items() if then.get(k) != v]
        if changed:
            raise ValueError(
                f"{self.state} was begun with {'; '.join(changed)}: resume with the same settings,"
                " or start anew under another name."
            )
        if state["data"] != data:
            raise ValueError(
                f"{self.state} was begun with other images or annotations: resume with the same,"
                " or start anew under another name."
            )
        run.restore(tensors)
        run.count_from(state["run"])
        named = {k.split(".", 1)[1]: v for k, v in tensors.items() if k.startswith(f"{BEFORE}.")}
        return best, unpack(named, state["before"]), state["start"]

    def append(self, run: Run, loss: float, scores: dict[str, float]) -> None:
        """Add a line to the log."""
        row = {"iteration": run.iteration, "seconds": round(run.seconds, 1), "train_loss": loss}
        new = not self.log.exists()
        with self.log.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*row, *scores])
            if new:
                writer.writeheader()
            writer.writerow(row | scores)
