"""What an evaluation has found: numbers, in words, and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet._qt import plots
from napari_unet._qt.evaluate.request import Request
from napari_unet._qt.watching import fingerprint
from napari_unet.wording import counted

if TYPE_CHECKING:  # loads scipy
    from napari_unet.metrics import Matching

RATIOS = ("ap", "precision", "recall", "f1", "panoptic_quality")
COUNTS = ("tp", "fp", "fn")
"""Attributes of a matching, in the order in which they are shown."""


@dataclass(frozen=True, eq=False)
class Report:
    """How well two layers agree.

    Parameters
    ----------
    request : Request
        What was compared.
    matchings : tuple of Matching
        At the thresholds of the table.
    chosen : Matching
        At the threshold that was asked for.
    foreground_iou, dice, seg, dsb_mean : float
        As in :mod:`napari_unet.metrics`.
    outcome : uint8 array
        As of :func:`napari_unet.metrics.compare_objects`.
    fingerprint : tuple
        Of the arrays.
    """

    request: Request
    matchings: tuple[Matching, ...]
    chosen: Matching
    foreground_iou: float
    dice: float
    seg: float
    dsb_mean: float
    outcome: NDArray[np.uint8]
    fingerprint: tuple[Any, ...]

    def sentence(self) -> str:
        """Say it in plain words."""
        m, plane = self.chosen, self._plane
        objects = m.tp + m.fn
        where = f" in plane {plane}" if plane else ""
        if objects:
            found = f"{m.tp:,} of {counted(objects)} found{where}, {m.fn:,} missed"
        else:
            found = f"The truth has no object{where}"
        return (
            f"{found}, {m.fp:,} invented, at an IoU of {m.threshold:.2f}; foreground IoU"
            f" {self.foreground_iou:.2f}."
        )

    @property
    def _plane(self) -> str:
        """The only plane that was compared, as the sliders count it; "" if it was not one alone."""
        return " ".join(map(str, self.request.drawn.at)) if self.request.wish.plane_only else ""

    def csv(self) -> str:
        """Return a table with a row per threshold; tables of several pairs can be joined."""
        pair = {"prediction": self.request.prediction.name, "truth": self.request.truth.name}
        if self._plane:
            pair["plane"] = self._plane
        whole = {
            "foreground_iou": self.foreground_iou,
            "dice": self.dice,
            "seg": self.seg,
            "dsb_mean": self.dsb_mean,
        }
        rows = [
            {
                **pair,
                "iou_threshold": matching.threshold,
                **{name: getattr(matching, name) for name in (*RATIOS, *COUNTS)},
                **whole,
            }
            for matching in self.matchings
        ]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def evaluate_steps(request: Request) -> Generator[None, None, Report]:
    """Compare; run in a thread, which may end it between two steps."""
    plots.load()
    from napari_unet.metrics import (
        DSB_THRESHOLDS,
        Evaluation,
        compare_objects,
        dice,
        iou,
        match,
        match_all,
        seg,
    )

    pair = request.read()
    yield
    matchings = match_all(*pair, DSB_THRESHOLDS)
    yield
    threshold = request.wish.threshold
    known = [matching for matching in matchings if matching.threshold == threshold]
    chosen = known[0] if known else match(*pair, threshold)
    yield
    outcome = compare_objects(*pair, threshold)
    yield
    return Report(
        request,
        matchings,
        chosen,
        foreground_iou=iou(*pair),
        dice=dice(*pair),
        seg=seg(*pair),
        dsb_mean=Evaluation((matchings,)).mean_ap,
        outcome=outcome,
        fingerprint=fingerprint(*pair),
    )
