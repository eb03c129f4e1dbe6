"""Progress on the terminal, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def tell(message: str) -> None:
    """Write a line to stdout, at once."""
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


def warn(message: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f"napari-unet: {message}\n")


@contextmanager
def progress_bar(unit: str, total: float | None = None) -> Iterator[Any]:
    """Show a progress bar on stderr, if that is a terminal."""
    from tqdm import tqdm

    with tqdm(
        total=total, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True, disable=None
    ) as bar:
        yield bar


def stoppable(steps: Generator[T, bool | None, Any]) -> Generator[T, None, Any]:
    """Go through `steps`; Ctrl-C asks them to stop and keep what is done, a second one ends all."""
    pressed: list[int] = []

    def press(number: int, _: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)
        warn("stopping after this step; once more ends at once.")

    before = signal.signal(signal.SIGINT, press)
    try:
        stop: bool | None = None
        while True:
            try:
                step = steps.send(stop)
            except StopIteration as end:
                return end.value
            yield step
            stop = bool(pressed) or None
    finally:
        signal.signal(signal.SIGINT, before)
