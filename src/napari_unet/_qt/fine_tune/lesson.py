"""What a fine-tuning does in its thread: load, copy what it learns from, train, compare."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet._qt import plots
from napari_unet._qt.fine_tune.overlays import Origin
from napari_unet._qt.fine_tune.sources import Learning
from napari_unet.config import Target, TrainConfig
from napari_unet.library import Start, drop_aside, held_message, is_held, set_aside
from napari_unet.wording import lasting

if TYPE_CHECKING:  # loads torch
    from napari_unet.training import Task, Tuned, TuneProgress

STOPPING = "Stopping…"
DEVICES = {"cpu": "CPU", "cuda": "GPU", "mps": "GPU"}


@dataclass(frozen=True)
class Lesson:
    """What was asked for, with nothing left to look up in a window.

    Parameters
    ----------
    learn : callable
        Returns the generator that reads what to learn from; called in a thread.
    start : str, NewNetwork or None
        Name of the model to start from, or what a new network is to be; None: what the run that
        goes on started from.
    output : Path
        File of the model to be.
    config : TrainConfig
        How to train.
    device : str
        Where.
    target : Target
        What the network predicts.
    resume : bool
        Whether to go on with a run that was stopped.
    """

    learn: Learning
    start: Start
    output: Path
    config: TrainConfig
    device: str
    target: Target
    resume: bool = False

    def prepare(
        self,
    ) -> Generator[TuneProgress, bool | None, tuple[Task, tuple[Origin, ...]] | None]:
        """Return the task, and where its pairs are from, or None after a stop; in a thread."""
        from napari_unet.training import Task

        learnt = yield from self.learn()
        if learnt is None:
            return None
        pairs, origins = learnt
        task = Task(pairs, self.start, self.output, self.config, self.device, self.resume)
        return task, origins


def in_a_line(step: TuneProgress, stopping: bool) -> str:
    """Say what is being done, how long it takes, where, and in how much memory."""
    parts = [f"{STOPPING} {step.stage}" if stopping else str(step.stage)]
    if step.seconds_left is not None and not stopping:
        parts.append(f"{lasting(step.seconds_left)} left")
    parts.append(DEVICES.get(step.device, step.device))
    if step.memory is not None:
        parts.append(f"{step.memory / 2**30:.1f} GB")
    return " · ".join(part for part in parts if part)


def load_all() -> Generator[None, None, list[str]]:
    """Load what is slow to load; return the devices that there are."""
    from napari_unet import training  # noqa: F401 (all that a run needs)
    from napari_unet.engines import available_devices

    plots.load()
    yield
    return available_devices()


def tune_steps(
    lesson: Lesson,
) -> Generator[TuneProgress | tuple[Origin, ...], bool | None, Tuned | None]:
    """Run in a thread what was asked for; before it trains, it yields where its pairs are from.

    What a run that is resumed has left so far is set aside first.
    """
    from napari_unet.training import fine_tune

    prepared = yield from lesson.prepare()
    if prepared is None:
        return None
    task, origins = prepared
    yield origins
    if is_held(lesson.output):  # what is set aside is that other window's
        raise OSError(held_message(lesson.output.stem))
    if lesson.resume:
        set_aside(lesson.output)
    else:
        drop_aside(lesson.output)
    return (yield from fine_tune(task))
