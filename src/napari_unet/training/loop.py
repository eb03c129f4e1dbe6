"""The training loop: a generator of progress that takes a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from functools import cached_property
from math import cos, nan, pi
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.augmentation import Augmentation, Batch
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import TrainConfig, TrainProgress
from napari_unet.engines import DeviceError, OutOfMemory, autocast, explain, first_line
from napari_unet.library import Card
from napari_unet.model import UNet
from napari_unet.patches import Example, sample_windows
from napari_unet.training.scoring import merit, validate, weighted_loss
from napari_unet.training.state import DEFAULT_RATE, Files, Run, described, fingerprint

WARM_UP = 0.05
"""Share of the budget over which the learning rate rises to its peak."""
SAVE_EVERY = 60.0
"""Seconds after which the state is saved even if no validation is due: a crash costs no more."""
WINDOW = 1.5
"""Side of the window cut from an image, over the patch's: room for rotation and deformation."""


def train(
    training: Sequence[Example],
    validation: Sequence[Example],
    start: Checkpoint,
    config: TrainConfig,
    *,
    device: torch.device | str = "cpu",
    output: Path | None = None,
    resume: bool = False,
    probabilities: NDArray[np.float64] | None = None,
) -> Generator[TrainProgress, bool | None, Checkpoint]:
    """Train a network on annotated images.

    Parameters
    ----------
    training, validation : sequence of Example
        What to learn from, and what to score it on; see :func:`napari_unet.patches.hold_out`.
    start : Checkpoint
        Where to start: a trained network, or :func:`untrained`.
    config : TrainConfig
        How to train.
    device : torch.device or str
        Where.
    output : Path or None
        File for the best checkpoint, written as it arises. Beside it come the last one
        (``NAME.last.safetensors``), the state to resume from (``NAME.resume.safetensors``) and a
        log (``NAME.log.csv``). None: nothing is written.
    resume : bool
        Go on from ``NAME.resume.safetensors``. On the CPU, with the same number of threads and a
        budget in iterations, the result is bitwise that of a run without the break.
    probabilities : array or None
        Of drawing each training example; None: all alike.

    Yields
    ------
    TrainProgress
        After each step. Send True to stop; what was reached is kept.

    Returns
    -------
    Checkpoint
        The best by validation.

    Raises
    ------
    ValueError
        If there is nothing to train on or to validate on, a model of that name exists, or resuming
        does not fit.
    OSError
        If a checkpoint cannot be written, or a GPU fails.
    OutOfMemory
        If a step does not fit into memory; what was saved before stays.
    """
    _check_examples(training, validation)
    session = Session(training, validation, start, config, torch.device(device), output)
    session.probabilities = probabilities
    if session.files is not None:
        session.files.check(resume)
        if not resume:
            session.files.log.unlink(missing_ok=True)  # of an earlier run whose model is gone
    if resume:
        session.resume()
    elif start.card.is_trained and (yield session.assess()):
        return session.best  # what was trained before is kept until something better comes of it
    while session.fraction < 1:
        if (yield session.advance()):
            session.keep()
            break
    return session.best


class Session:
    """One run of :func:`train`: what it works with, what changes, and its best checkpoint."""

    def __init__(
        self,
        training: Sequence[Example],
        validation: Sequence[Example],
        start: Checkpoint,
        config: TrainConfig,
        device: torch.device,
        output: Path | None,
    ) -> None:
        self.training, self.validation = training, validation
        self.card, self.config, self.device = start.card, config, device
        self.probabilities: NDArray[np.float64] | None = None
        self.run = Run.begin(start, config, device)
        self.files = Files(output) if output is not None else None
        self.best = start
        self._augment = augmentation(config)
        self._network: Callable[[Tensor], Tensor] = self.run.network
        if config.compile:
            self._network = torch.compile(self.run.network)
        self._clock = self._saved = time.monotonic()

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the data, for runs that are saved."""
        return fingerprint(self.training, self.validation)

    @property
    def fraction(self) -> float:
        """Share of the budget that is used, in [0, 1]."""
        run, config = self.run, self.config
        if config.minutes is not None:
            return min(run.seconds / (60 * config.minutes), 1.0)
        return min(run.iteration / config.iterations, 1.0)

    def resume(self) -> None:
        """Go on where the files say that an earlier run was."""
        if self.files is None:
            raise ValueError("There is nothing to resume without an output file: name one.")
        self.best = self.files.restore(self.run, self.config, self.fingerprint)
        self._clock = time.monotonic() - self.run.seconds

    def advance(self) -> TrainProgress:
        """Take one step, and validate and save when it is time to."""
        rate = learning_rate(self.config, self.fraction)
        try:
            loss = self._learn(self._draw(), rate)
        except (RuntimeError, MemoryError) as error:
            raise self._explain(error) from error
        self.run.seconds = time.monotonic() - self._clock
        if self.run.iteration % self.config.validate_every == 0 or self.fraction >= 1:
            return self.assess(loss, rate)
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self._save({}, nan, improved=False)
        return self._progress(loss, rate)

    def assess(self, loss: float = nan, rate: float = 0.0) -> TrainProgress:
        """Validate, keep the checkpoint if it is the best, and save."""
        scores = validate(self.run.averaged, self.card.target, self.validation, self.device)
        improved = merit(scores) > self.run.best
        if improved:
            self.run.best = merit(scores)
            self.best = self._checkpoint(scores)
        self._save(scores, loss, improved)
        return self._progress(loss, rate, scores, improved)

    def keep(self) -> None:
        """Save what was reached when a stop came between two validations."""
        unjudged = self.run.best < 0  # nothing was ever validated
        if unjudged:
            self.best = self._checkpoint({})
        self._save({}, nan, improved=unjudged)

    def _draw(self) -> Batch:
        """Draw the batch of a step; it depends on the seed and the iteration alone."""
        config, iteration = self.config, self.run.iteration
        size = self.card.network.nearest_valid_sizes(config.patch)[1]
        random = np.random.default_rng((config.seed, iteration))
        windows = sample_windows(
            self.training, round(WINDOW * size), config.batch, random, self.probabilities
        )
        generator = torch.Generator(self.device).manual_seed(int(random.integers(2**62)))
        return self._augment(windows.to(self.device), size, generator)

    def _learn(self, batch: Batch, rate: float) -> float:
        """Take one step and return its loss."""
        run, device = self.run, self.device
        run.prepare(rate)
        image = batch.image.contiguous(memory_format=torch.channels_last)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.config.seed + run.iteration)  # dropout
            with autocast(device, run.bfloat16):
                logits = self._network(image)
        loss = weighted_loss(logits.float(), batch, self.card.target)
        loss.backward()
        run.step(self.config)
        return float(loss.detach())

    def _explain(self, error: RuntimeError | MemoryError) -> Exception:
        """Return what to raise instead, with the way out of too little memory."""
        problem, config = explain(error, self.device), self.config
        if config.compile and self.run.iteration == 0 and problem is error:
            return DeviceError(
                f"The network could not be compiled ({first_line(error)}): leave that out."
            )
        if isinstance(problem, OutOfMemory):
            now = f"smaller batch (now {config.batch}) or patch (now {config.patch} pixels)"
            return OutOfMemory(f"{problem} Train with a {now}, or on the CPU.")
        return problem

    def _checkpoint(self, scores: dict[str, float]) -> Checkpoint:
        card = described(self.card, self.config, self.run, scores)
        return Checkpoint.of(self.run.averaged, card)

    def _save(self, scores: dict[str, float], loss: float, improved: bool) -> None:
        if self.files is None:
            return
        self._saved = time.monotonic()
        if improved:
            self.best.save(self.files.best)
        self._checkpoint(scores).save(self.files.last)
        self.files.save_state(self.run, self.config, self.fingerprint)
        if scores:
            self.files.append(self.run, loss, scores)

    def _progress(
        self,
        loss: float,
        rate: float,
        scores: dict[str, float] | None = None,
        improved: bool = False,
    ) -> TrainProgress:
        run = self.run
        return TrainProgress(
            run.iteration, self.fraction, loss, rate, run.seconds, scores or {}, improved
        )


def untrained(card: Card, seed: int = 0) -> Checkpoint:
    """Return a checkpoint with random weights, reproducible from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Checkpoint.of(UNet(card.network), card)


def learning_rate(config: TrainConfig, fraction: float) -> float:
    """Return the rate after a share of the budget: a linear warm-up, then half a cosine to zero.

    With "sgd" it is constant after the warm-up, as in the paper.
    """
    peak = config.learning_rate or DEFAULT_RATE
    if fraction < WARM_UP:
        return peak * (fraction + WARM_UP / 10) / WARM_UP
    if config.optimizer == "sgd":
        return peak
    return peak * (1 + cos(pi * (fraction - WARM_UP) / (1 - WARM_UP))) / 2


def augmentation(config: TrainConfig) -> Augmentation:
    """Return the augmentation that a config asks for."""
    elastic = Augmentation.elastic if config.elastic else 0.0
    return Augmentation(elastic=elastic, scale=config.scale, invert=config.invert)


def _check_examples(training: Sequence[Example], validation: Sequence[Example]) -> None:
    for examples, purpose in ((training, "train"), (validation, "validate")):
        if not examples:
            raise ValueError(
                f"There is no annotated image to {purpose} on: annotate at least one object."
            )
