"""What tells that layers may not hold any more what was evaluated, and how they are read again."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import napari

from napari_unet._qt.annotated_plane import regions_layers
from napari_unet._qt.evaluate.report import Report
from napari_unet._qt.watching import EVENTS, Print, Reading, fingerprint


def emitters(viewer: napari.viewer.ViewerModel, report: Report) -> list[Any]:
    """Return whose events may mean that a report is not true any more."""
    request = report.request
    regions = regions_layers(viewer, request.truth)
    return [
        *(
            getattr(one.events, name)
            for one in (request.prediction, request.truth)
            for name in EVENTS
        ),
        *(layer.events.data for layer in regions),
    ]


def reading(viewer: napari.viewer.ViewerModel, report: Report) -> Reading:
    """Return what reads a report's layers again.

    Raises
    ------
    ValueError
        If they cannot be compared any more.
    """
    now = report.request.again(viewer)

    def steps() -> Generator[None, None, Print]:
        yield
        pair = now.read()
        yield
        return fingerprint(*pair)

    return steps
