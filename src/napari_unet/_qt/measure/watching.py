"""What tells that a layer may not hold any more what was measured, and how it is read again."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from napari_unet._qt.layers import pixels
from napari_unet._qt.measure.report import Report
from napari_unet._qt.watching import EVENTS, Print, Reading, fingerprint


def emitters(report: Report) -> list[Any]:
    """Return whose events may mean that a report is not true any more."""
    return [getattr(report.labels.events, name) for name in EVENTS]


def reading(report: Report) -> Reading | None:
    """Return what reads a report's labels again; None where they are not in memory."""
    labels = pixels(report.labels)
    if not isinstance(labels, np.ndarray) or isinstance(labels, np.memmap):
        return None

    def steps() -> Generator[None, None, Print]:
        yield
        return fingerprint(labels)

    return steps
