"""The training loop: a generator of progress that takes a stop."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import TrainConfig, TrainProgress, check_trainable
from napari_unet.library import Card, Hold
from napari_unet.model import build
from napari_unet.patches import Example
from napari_unet.training.session import Session


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
        After each step, and now and then during a validation. Send True to stop; what was reached
        is kept.

    Returns
    -------
    Checkpoint
        The best by validation.

    Raises
    ------
    ValueError
        If there is nothing to train on or to validate on, a model of that name exists, resuming
        does not fit, or the loss stops being a number for the third time.
    OSError
        If a checkpoint cannot be written, or a GPU fails.
    OutOfMemory
        If not even one small patch at a time fits into memory; what was saved before stays.
    """
    session = Session(training, validation, start, config, torch.device(device), output)
    session.probabilities = probabilities
    yield from follow(session, resume)
    return session.best


def follow(session: Session, resume: bool = False) -> Generator[TrainProgress, bool | None, None]:
    """Run a session to its end, or to a stop; see :func:`train`."""
    with Hold(session.files.best) if session.files is not None else nullcontext():
        yield from _follow(session, resume)


def _follow(session: Session, resume: bool) -> Generator[TrainProgress, bool | None, None]:
    session.open(resume)
    if not resume and session.card.is_trained and (yield from session.assess()):
        return  # what was trained before is kept until something better comes of it
    while not session.is_over:
        step = session.assess() if session.run.due else session.advance()
        if (yield from step):
            session.keep()
            return


def untrained(card: Card, seed: int = 0) -> Checkpoint:
    """Return a checkpoint with random weights, reproducible from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Checkpoint.of(build(check_trainable(card.network)), card)
