"""Fine-tuning for those who watch: what it will take, how it goes, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import numpy as np

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import TrainConfig, TrainProgress
from napari_unet.engines import choose_device, used_memory
from napari_unet.library import NewNetwork, Start
from napari_unet.model import Network
from napari_unet.patches import Example, hold_out, limited, richest
from napari_unet.prediction import run_to_end
from napari_unet.training.comparison import Comparison, Overlay, compare
from napari_unet.training.fitting import start_from
from napari_unet.training.loop import follow, untrained
from napari_unet.training.preparing import prepare_pairs
from napari_unet.training.scoring import Judgement, judge
from napari_unet.training.session import Session
from napari_unet.training.settling import Pair
from napari_unet.training.state import Files

PREVIEW_EVERY = 5.0
"""Seconds between looks at what the network finds by now."""
PREVIEW = 256
"""Pixels a side of the region that is looked at, at most."""
HELD_OUT_PIXELS = 2**20
"""Pixels that are held out at most: a validation then takes seconds on a CPU."""
T = TypeVar("T")


class Stage(StrEnum):
    """What a fine-tuning is at."""

    PREPARING = "Preparing"
    MEASURING = "Measuring the start model"
    TRAINING = "Training"
    COMPARING = "Comparing with before"


@dataclass(frozen=True)
class Task:
    """What to fine-tune, on what.

    Parameters
    ----------
    pairs : tuple of Pair
        The annotated images.
    start : str, NewNetwork or None
        Name or path of the model to start from, or what a new network is to be; None: that of the
        recipe "few-shot". A run that is resumed knows what it started from.
    output : Path
        File of the new model; see :func:`napari_unet.training.train`.
    config : TrainConfig
        How.
    device : {"auto", "cpu", "cuda", "mps"}
        Where.
    resume : bool
        Go on with the run that `output` is of.
    """

    pairs: tuple[Pair, ...]
    start: Start
    output: Path
    config: TrainConfig
    device: str = "auto"
    resume: bool = False


@dataclass(frozen=True)
class TuneProgress:
    """State of a fine-tuning, as :func:`fine_tune` yields it.

    Parameters
    ----------
    stage : Stage
        What it is at.
    progress : TrainProgress or None
        The last step, while training.
    share : float
        Of the budget that is used, in [0, 1].
    seconds_left : float or None
        How long it will take yet, at most, if that is known.
    memory : int or None
        Bytes in use: by torch on a GPU, by the whole process on a CPU.
    device : str
        Where it runs now.
    message : str
        What the user should be told, if anything.
    preview : Overlay or None
        What the network finds by now in a held-out region, every few seconds.
    """

    stage: Stage
    progress: TrainProgress | None = None
    share: float = 0.0
    seconds_left: float | None = None
    memory: int | None = None
    device: str = ""
    message: str = ""
    preview: Overlay | None = None


@dataclass(frozen=True)
class Tuned:
    """What came of a fine-tuning.

    Parameters
    ----------
    path : Path
        The new model.
    stopped : bool
        Whether a stop ended it; it can be resumed.
    comparison : Comparison or None
        Before and after; None if a stop came before anything was validated, or, after a resume,
        before anything better was.
    """

    path: Path
    stopped: bool
    comparison: Comparison | None


Steps = Generator[TuneProgress, bool | None, T]


@dataclass(frozen=True)
class Lesson:
    """A task, its images prepared."""

    start: Checkpoint
    training: list[Example]
    held_out: list[Example]
    images: int

    @property
    def part_to_show(self) -> Example:
        """The region that is looked at again and again: of what is held out, the richest part."""
        return richest(max(self.held_out, key=lambda e: e.objects), PREVIEW)


def fine_tune(task: Task) -> Steps[Tuned | None]:
    """Fine-tune a network on annotated images, and compare it with the one before.

    Yields
    ------
    TuneProgress
        At least every step. Send True to stop: the best network until then is kept.

    Returns
    -------
    Tuned or None
        None if a stop came before there was a network to keep.

    Raises
    ------
    ValueError, OSError, OutOfMemory
        As :func:`napari_unet.training.train`, and if image and annotation do not fit.
    """
    device = choose_device(task.device)
    Files(task.output).check(task.resume)  # before images are prepared
    lesson = yield from prepare_task(task)
    if lesson is None:
        return Tuned(task.output, stopped=True, comparison=None) if task.resume else None
    session = Session(
        lesson.training, lesson.held_out, lesson.start, task.config, device, task.output
    )
    session.start = task.start if isinstance(task.start, str) else None
    watch = _Watch(session, lesson)
    steps = follow(session, task.resume)
    stop: bool | None = None
    while True:
        try:
            progress = steps.send(stop)
        except StopIteration:
            break
        stop = yield watch.look(progress)
    if not task.output.exists():
        return None
    after = session.judgements
    if not after and session.run.best >= 0 and not stop:
        after = (yield from watch.judged(session.best.build())) or []
    comparison = None
    if after:
        is_new = session.best.card.provenance["training"]["iteration"] > 0
        target = session.card.target
        comparison = compare(lesson.held_out, session.before, after, is_new, target)
    return Tuned(task.output, bool(stop), comparison)


class _Watch:
    """Looks at a session from outside: time left, memory, and what its network finds."""

    def __init__(self, session: Session, lesson: Lesson) -> None:
        self._session = session
        self._held_out = lesson.held_out
        self._shown = lesson.part_to_show
        self._looked = 0.0
        self._began: tuple[float, float] | None = None

    def look(self, progress: TrainProgress) -> TuneProgress:
        """Say how it goes, with a preview if it is time for one."""
        session = self._session
        preview = None
        if time.monotonic() - self._looked > PREVIEW_EVERY:
            preview = self._preview()
            self._looked = time.monotonic()
        return TuneProgress(
            Stage.TRAINING if progress.iteration else Stage.MEASURING,
            progress,
            progress.fraction,
            self._left(progress.fraction),
            used_memory(session.device),
            session.device.type,
            progress.message,
            preview,
        )

    def judged(self, network: Network) -> Steps[list[Judgement] | None]:
        """Let a network find the held-out objects; None after a stop."""
        session = self._session
        steps = judge(network, session.card, self._held_out, session.device)
        while True:
            try:
                share = next(steps)
            except StopIteration as end:
                judgements: list[Judgement] = end.value
                return judgements
            if (yield TuneProgress(Stage.COMPARING, share=share, device=session.device.type)):
                return None

    def _preview(self) -> Overlay:
        session = self._session
        steps = judge(session.run.averaged, session.card, [self._shown], session.device)
        return Overlay.of(self._shown, run_to_end(steps)[0].labels, "preview")

    def _left(self, fraction: float) -> float | None:
        """Return how long the rest takes, by how long what was done since the start took."""
        now = time.monotonic()
        if self._began is None or fraction <= self._began[1]:
            self._began = self._began or (now, fraction)
            return None
        began, first = self._began
        return (now - began) * (1 - fraction) / (fraction - first)


def prepare_task(task: Task) -> Steps[Lesson | None]:
    """Prepare the images of a task, one after the other; None after a stop."""
    pairs, config = task.pairs, task.config
    yield TuneProgress(Stage.PREPARING)
    if task.resume:
        start = Checkpoint.load(Files(task.output).last)
    else:
        channels = {len(pair.channel) for pair in pairs if pair.channel is not None}
        start = _begin(task.start, max(channels, default=None), config.seed)
    device = choose_device(task.device)
    steps = prepare_pairs(pairs, start, config, device=device, resume=task.resume)
    while True:
        try:
            share = next(steps)
        except StopIteration as end:
            groups, start = end.value
            break
        if (yield TuneProgress(Stage.PREPARING, share=share)):
            return None
    random = np.random.default_rng(config.seed)
    training, held_out = hold_out(groups, config.val_fraction, random)
    return Lesson(start, training, limited(held_out, HELD_OUT_PIXELS), len(pairs))


def _begin(start: Start, channels: int | None, seed: int) -> Checkpoint:
    """Return the network that a training starts from, for images of so many channels."""
    if isinstance(start, str):
        return start_from(start, channels=channels, seed=seed)
    return untrained((start or NewNetwork()).card(channels or 1), seed)
