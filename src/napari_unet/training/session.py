"""One run of training: what it works with, what changes, and how it copes with trouble."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from functools import cached_property
from math import cos, inf, isfinite, nan, pi
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.augmentation import Augmentation, Batch
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import TrainConfig, TrainProgress
from napari_unet.engines import (
    NO_ROOM,
    DeviceError,
    OutOfMemory,
    autocast,
    explain,
    first_line,
    layout_of,
)
from napari_unet.patches import SMALLEST_PATCH, Example, sample_windows, side_of_patches
from napari_unet.training.scoring import (
    Judgement,
    doubt,
    judge,
    merit,
    summarise,
    weighted_loss,
)
from napari_unet.training.state import DEFAULT_RATE, Files, Run, described, fingerprint

WARM_UP = 0.05
"""Share of the budget over which the learning rate rises to its peak."""
COOLING = 0.5
"""Share of the budget from which validations without an improvement count."""
SAVE_EVERY = 60.0
"""Seconds after which the state is saved even if no validation is due: a crash costs no more."""
WINDOW = 1.5
"""Side of the window cut from an image, over the patch's: room for rotation and deformation."""
PATIENCE = 1.0
"""Seconds of a validation after which it shows a sign of life, and hears a stop."""
DIVERGENCES = 2
"""Times that a run goes back to what was last good."""
SLOWER = 0.2
"""Factor of the learning rate each time."""

Steps = Generator[TrainProgress, bool | None, bool]
"""Progress out, a stop in; returns whether it came."""


class Diverged(ValueError):
    """The loss is no number any more, and a lower learning rate did not help."""


class Session:
    """One run of :func:`napari_unet.training.train`, which has the parameters."""

    def __init__(
        self,
        training: Sequence[Example],
        validation: Sequence[Example],
        start: Checkpoint,
        config: TrainConfig,
        device: torch.device,
        output: Path | None,
    ) -> None:
        _check_examples(training, validation)
        self.training, self.validation = training, validation
        self.card, self.config, self.device = start.card, config, device
        self.probabilities: NDArray[np.float64] | None = None
        self._message = ""
        self.run = self._begin(start)
        self.files = Files(output) if output is not None else None
        self.best = start
        self.start: str | None = None
        """What the model that it starts from is called, for whoever resumes it."""
        self.before: list[Judgement] = []
        """What that model finds in the held-out examples, if it had learnt anything."""
        self.judgements: list[Judgement] = []
        """What the best network finds, once it was validated."""
        self._augment = augmentation(config)
        self._predict: Callable[[Tensor], list[Tensor]] = self.run.network.predictions
        if config.compile:
            self._predict = torch.compile(self._predict)
        self._clock = self._saved = time.monotonic()
        self._remember()

    def _begin(self, start: Checkpoint) -> Run:
        """Begin on the device, or on the CPU where a GPU has no room for the network alone."""
        try:
            return Run.begin(start, self.config, self.device)
        except RuntimeError as error:
            problem = explain(error, self.device)
            if not isinstance(problem, OutOfMemory) or self.device.type == "cpu":
                raise problem from error
        # Past the handler the traceback is gone, and with it what was on the GPU by then.
        self.device = torch.device("cpu")
        self._message = f"{NO_ROOM} It is slower."
        return Run.begin(start, self.config, self.device)

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

    @property
    def is_over(self) -> bool:
        """Whether the budget is used, or nothing has improved for long."""
        patience = self.config.patience
        done = self.fraction >= 1 or 0 < patience <= self.run.stale
        return done and not self.run.due

    def open(self, resume: bool) -> None:
        """Check the files, and go on where they say that an earlier run was, if asked.

        Raises
        ------
        ValueError, OSError
            If they cannot be written, are in the way, or do not fit.
        """
        if self.files is None:
            if resume:
                raise ValueError("There is nothing to resume without an output file: name one.")
            return
        self.files.check(resume)
        if not resume:
            self.files.log.unlink(missing_ok=True)  # of an earlier run whose model is gone
            return
        restored = self.files.restore(self.run, self.config, self.fingerprint)
        self.best, self.before, self.start = restored
        self._clock = time.monotonic() - self.run.seconds
        self._remember()

    def advance(self) -> Steps:
        """Take one step, and validate and save when it is time to."""
        rate = learning_rate(self.config, self.fraction) * self.run.rate
        loss = self.learn(rate)
        if not isfinite(loss):
            self._go_back()
            return bool((yield self._progress(loss, rate)))
        self.run.seconds, self.run.loss = time.monotonic() - self._clock, loss
        self.run.due = self.run.iteration % self.config.validate_every == 0 or self.fraction >= 1
        if self.run.due:
            return (yield from self.assess())
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self._save({}, nan, kept=False)
        return bool((yield self._progress(loss, rate)))

    def assess(self) -> Steps:
        """Validate, keep the checkpoint if none before was surely better, and save."""
        loss, rate = self.run.loss, learning_rate(self.config, self.fraction) * self.run.rate
        steps = judge(self.run.averaged, self.card, self.validation, self.device)
        heard = time.monotonic()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                judgements: list[Judgement] = end.value
                break
            if time.monotonic() - heard > PATIENCE:
                if (yield self._progress(loss, rate)):
                    return True
                heard = time.monotonic()
        scores = summarise(judgements)
        self.run.due = False
        if not self.run.iteration:
            self.before = judgements
        worth = merit(scores)
        kept = self._is_kept(worth, judgements)
        # Much is still to come while the rate is high.
        hopeless = worth <= self.run.best and self.fraction >= COOLING
        self.run.stale = self.run.stale + 1 if hopeless else 0
        self.run.best = max(self.run.best, worth)
        if kept:
            self.judgements = judgements
            self.best = self._checkpoint(scores)
        self._save(scores, loss, kept)
        return bool((yield self._progress(loss, rate, scores, kept)))

    def _is_kept(self, worth: float, judgements: list[Judgement]) -> bool:
        """Whether a checkpoint replaces the one kept: it is later, and as good for all one knows.

        The model that training began from is replaced by what scores better only.
        """
        best = self.run.best
        if worth > best:
            return True
        start = merit(summarise(self.before)) if self.before else -inf
        return worth > max(start, best - doubt(best, judgements, self.card.target))

    def keep(self) -> None:
        """Save what was reached when a stop came between two validations."""
        unjudged = self.run.best < 0  # nothing was ever validated
        if unjudged:
            self.best = self._checkpoint({})
        self._save({}, nan, kept=unjudged)

    def _draw(self) -> Batch:
        """Draw the batch of a step; it depends on the seed and the iteration alone."""
        config, iteration = self.config, self.run.iteration
        size = side_of_patches(self.card.network, self.run.patch)
        random = np.random.default_rng((config.seed, iteration))
        windows = sample_windows(
            self.training,
            round(WINDOW * size),
            config.batch,
            random,
            self.probabilities,
            predicted=self.card.network.output_size(size),
        )
        generator = torch.Generator(self.device).manual_seed(int(random.integers(2**62)))
        return self._augment(windows.to(self.device), size, generator)

    def learn(self, rate: float) -> float:
        """Take one step, with less memory and less again if it is short; returns the loss."""
        while True:
            try:
                return self._step(self._draw(), rate)
            except (RuntimeError, MemoryError) as error:
                problem = self._explain(error)
                if not isinstance(problem, OutOfMemory):
                    raise problem from error
            # Past the handler the traceback is gone, and with it the tensors of the failed step.
            self.run.optimizer.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if not self._take_less():
                raise problem

    def _step(self, batch: Batch, rate: float) -> float:
        """Take one step, unless its loss is no number, and return the loss."""
        run = self.run
        run.prepare(rate)
        parts = split(batch, run.together)
        # Each part counts by its annotated pixels, so that the sum is the loss of the batch.
        counted = [self._counted(part) for part in parts]
        total = sum(counted) or 1.0
        loss = 0.0
        for number, part in enumerate(parts):
            share = counted[number] / total if len(parts) > 1 else 1.0
            partial = self._loss(part, number) * share
            partial.backward()
            loss += float(partial.detach())
        norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), inf)  # changes none
        if not (isfinite(loss) and isfinite(float(norm))):
            return nan
        run.step(self.config)
        return loss

    def _counted(self, batch: Batch) -> float:
        """Return how many annotated pixels a network sees that may not pad its convolutions."""
        size = batch.weights.shape[-1]
        margin = (size - self.card.network.output_size(size)) // 2
        inner = slice(margin, size - margin)
        return float((batch.weights[..., inner, inner] > 0).sum())

    def _loss(self, batch: Batch, number: int) -> Tensor:
        """Return the loss of a part of a batch, the mean over what the network predicts."""
        device = self.device
        image = batch.image.contiguous(memory_format=layout_of(device))
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            # Dropout depends on seed, step and part alone.
            torch.manual_seed(self.config.seed + self.run.iteration + 10**6 * number)
            with autocast(device, self.run.bfloat16):
                predictions = self._predict(image)
        target = self.card.target
        losses = [weighted_loss(logits.float(), batch, target) for logits in predictions]
        return torch.stack(losses).mean()

    def _take_less(self) -> bool:
        """Need less memory from now on, and say so; False if there is no way left."""
        run, device = self.run, self.device
        if run.together > 1:
            run.pass_together(run.together // 2)
            self._message = f"Memory ran out: going on with {run.together} patches at a time."
        elif (patch := self._smaller_patch()) is not None:
            run.patch = patch
            self._message = f"Memory ran out: going on with patches of {patch} pixels."
        elif device.type != "cpu":
            self.device = torch.device("cpu")
            run.to(self.device)
            run.bfloat16 = False
            run.patch = self.config.patch
            self._message = "GPU memory ran out: going on on the CPU, which is slower."
        else:
            return False
        return True

    def _smaller_patch(self) -> int | None:
        """Return the next smaller patch worth training on, None if there is none."""
        network = self.card.network
        smaller, _ = network.nearest_valid_sizes(self.run.patch * 2 // 3)
        if smaller is None or network.output_size(smaller) < SMALLEST_PATCH:
            return None
        return smaller

    def _remember(self) -> None:
        """Keep what is good in memory, to go back to."""
        self._good = (self.run.tensors(), self.run.counters)

    def _go_back(self) -> None:
        """Go back to what was last good, at a lower rate.

        Raises
        ------
        Diverged
            If that was done often enough.
        """
        run = self.run
        tensors, counters = self._good
        again, rate = run.divergences + 1, run.rate * SLOWER
        run.restore(tensors)
        run.count_from({**counters, "divergences": again, "rate": rate})
        if again > DIVERGENCES:
            raise Diverged(
                f"The loss became infinite {again} times, at lower and lower learning rates: look"
                " at the images and labels (an image of one gray value, a wrong pair), or lower the"
                " learning rate. What was saved before is kept."
            )
        self._message = (
            f"The loss became infinite: going on from step {run.iteration} at a lower learning"
            " rate."
        )

    def _explain(self, error: RuntimeError | MemoryError) -> Exception:
        """Return what to raise instead, with the way out of too little memory."""
        problem, config = explain(error, self.device), self.config
        if config.compile and self.run.iteration == 0 and problem is error:
            return DeviceError(
                f"The network could not be compiled ({first_line(error)}): leave that out."
            )
        if isinstance(problem, OutOfMemory):
            return OutOfMemory(
                f"{problem} Not even one patch of {self.run.patch} pixels fits: close other"
                " programs, or start from a smaller network."
            )
        return problem

    def _checkpoint(self, scores: dict[str, float]) -> Checkpoint:
        card = described(self.card, self.config, self.run, scores)
        return Checkpoint.of(self.run.averaged, card)

    def _save(self, scores: dict[str, float], loss: float, kept: bool) -> None:
        self._remember()
        if self.files is None:
            return
        self._saved = time.monotonic()
        if kept:
            self.best.save(self.files.best)
        self._checkpoint(scores).save(self.files.last)
        self.files.save_state(*self._good, self.config, self.fingerprint, self.start, self.before)
        if scores:
            self._log(self.files, loss, scores)

    def _log(self, files: Files, loss: float, scores: dict[str, float]) -> None:
        """Add a line to the log, without which training goes on."""
        try:
            files.append(self.run, loss, scores)
        except OSError as error:
            reason = (error.strerror or first_line(error)).rstrip(".")
            self._message = (
                f"The log {files.log} lacks a line ({reason}): is it open in another program?"
            )

    def _progress(
        self,
        loss: float,
        rate: float,
        scores: dict[str, float] | None = None,
        kept: bool = False,
    ) -> TrainProgress:
        message, self._message = self._message, ""
        return TrainProgress(
            self.run.iteration,
            self.fraction,
            loss,
            rate,
            self.run.seconds,
            scores or {},
            kept,
            message,
        )


def split(batch: Batch, together: int) -> list[Batch]:
    """Part a batch into such of at most so many patches."""
    parts = (x.split(together) for x in (batch.image, batch.target, batch.weights))
    return [Batch(*part) for part in zip(*parts, strict=True)]


def learning_rate(config: TrainConfig, fraction: float) -> float:
    """Return the rate after a share of the budget: a linear warm-up, then half a cosine to zero.

    With "sgd" it is constant after the warm-up, as in the paper.
    """
    peak = config.learning_rate or DEFAULT_RATE
    if fraction < WARM_UP:
        return peak * min(0.1 + fraction / WARM_UP, 1.0)
    if config.optimizer == "sgd":
        return peak
    return peak * (1 + cos(pi * (fraction - WARM_UP) / (1 - WARM_UP))) / 2


def augmentation(config: TrainConfig) -> Augmentation:
    """Return the augmentation that a config asks for."""
    elastic = Augmentation.elastic if config.elastic else 0.0
    return Augmentation(
        elastic=elastic,
        scale=config.scale,
        invert=config.invert,
        sharp=config.sharp,
        plain=config.plain,
    )


def _check_examples(training: Sequence[Example], validation: Sequence[Example]) -> None:
    for examples, purpose in ((training, "train"), (validation, "validate")):
        if not examples:
            raise ValueError(
                f"There is no annotated image to {purpose} on: annotate at least one object."
            )
