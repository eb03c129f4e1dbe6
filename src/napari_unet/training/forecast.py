"""What a fine-tuning will take, measured by a few of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from math import ceil

from napari_unet.engines import choose_device
from napari_unet.prediction import run_to_end
from napari_unet.training.scoring import judge
from napari_unet.training.session import Session
from napari_unet.training.tuning import PREVIEW_EVERY, Lesson, Task, prepare_task
from napari_unet.wording import counted, lasting

TIMED = 2
"""Steps whose time is taken, after one that warms up."""


@dataclass(frozen=True)
class Estimate:
    """What a fine-tuning will take.

    Parameters
    ----------
    seconds : float
        In all, at most.
    step_seconds : float
        A step.
    device : str
        Where: "cpu", "cuda" or "mps".
    images, objects, held_out : int
        Annotated images, their objects, and those of them that are held out to judge by. Where
        labels are areas there are no objects to be counted: None.
    zoom : float
        Network pixels per image pixel.
    """

    seconds: float
    step_seconds: float
    device: str
    images: int
    objects: int | None
    held_out: int | None
    zoom: float

    def sentence(self) -> str:
        """Say it to whoever is about to press the button."""
        there = "this CPU" if self.device == "cpu" else "this GPU"
        images = counted(self.images, "image")
        time_taken = f"{lasting(self.seconds).capitalize()} on {there}. {images}"
        if self.objects is None:
            return f"{time_taken}; a part of what is annotated is held out to judge by."
        objects = f"{counted(self.objects)}; {self.held_out} of them"
        return f"{time_taken}, {objects} are held out to judge by."


def estimate(task: Task) -> Generator[None, bool | None, Estimate | None]:
    """Measure what a fine-tuning will take, by a few of its steps; nothing is kept or written.

    Returns
    -------
    Estimate or None
        None after a stop.

    Raises
    ------
    ValueError, OutOfMemory
        As :func:`fine_tune`.
    """
    device = choose_device(task.device)
    steps = prepare_task(replace(task, resume=False))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            lesson: Lesson = end.value
            break
        if (yield):
            return None
    config = task.config
    session = Session(lesson.training, lesson.held_out, lesson.start, config, device, None)
    seconds = []
    for _ in range(1 + TIMED):
        seconds.append(_timed(lambda: session.learn(0.0)))
        if (yield):
            return None
    step = min(seconds[1:])
    sample = lesson.part_to_show
    network, card = session.run.averaged, session.card
    looked = _timed(lambda: run_to_end(judge(network, card, [sample], session.device)))
    validation = looked * sum(e.labels.size for e in lesson.held_out) / sample.labels.size
    steps_taken = config.iterations
    times = ceil(steps_taken / config.validate_every)
    total = steps_taken * (step + looked * step / PREVIEW_EVERY) + (times + 1) * validation
    held, taught = (sum(e.objects for e in part) for part in (lesson.held_out, lesson.training))
    return Estimate(
        total if config.minutes is None else 60 * config.minutes,
        step,
        session.device.type,
        lesson.images,
        held + taught if card.target.instances else None,
        held if card.target.instances else None,
        lesson.start.card.preprocessing.zoom,
    )


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
