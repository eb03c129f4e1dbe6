"""The results of few_shot.py: a line of them, which are shown, as tables and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from _records import mean_and_range

SETS = {
    "usiigaci": "Phase contrast (usiigaci)",
    "bbbc030_cho_dic": "Interference contrast (bbbc030)",
}
"""Annotated sets, and what the picture calls them."""
STARTS = {
    "nuclei": "from nuclei",
    "cells": "from cells (set unseen)",
    "scratch": "from scratch",
}
"""Starts, and what the picture calls them."""
UNTAUGHT: dict[str, Any] = {"linestyle": "--", "linewidth": 1.4, "zorder": 1}
"""How the picture draws what a start finds before it is taught."""


@dataclass(frozen=True)
class Result:
    """A line of the output. What the oldest lines lack was then the same for all."""

    set: str
    start: str
    seed: int
    stage: str
    ap50: float
    iou: float
    found: int
    invented: int
    missed: int
    iterations: int = 0
    seconds: float = 0.0
    objects: int = 0
    crops: int = 5
    budget: str = "6 minutes"
    model: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """What is not done twice."""
        run = (self.crops, self.seed, self.budget) if self.stage == "after" else ()
        return (self.stage, self.set, self.start, self.model, *run)


@dataclass(frozen=True)
class Shown:
    """What tables and picture show: the results of one budget, a model for each start of a set."""

    budget: str
    before: list[Result]
    after: list[Result]

    @classmethod
    def of(cls, results: Sequence[Result], budget: str) -> Shown:
        """Choose among results; where a start's model was replaced, the later one counts."""
        after = [r for r in results if (r.stage, r.budget) == ("after", budget)]
        models = {(r.set, r.start): r.model for r in after}
        before = [r for r in results if r.stage == "before"]
        return cls(
            budget,
            *(
                [r for r in part if r.model == models.get((r.set, r.start))]
                for part in (before, after)
            ),
        )

    def untaught(self, name: str, start: str) -> list[Result]:
        """Return what the start itself finds, if that is known."""
        return [r for r in self.before if (r.set, r.start) == (name, start)][-1:]

    def taught(self, name: str, start: str = "") -> dict[int, list[Result]]:
        """Return the results on a set by the number of crops, of one start or of all."""
        starts = [start] if start else list(STARTS)
        chosen = [r for r in self.after if r.set == name and r.start in starts]
        return {n: [r for r in chosen if r.crops == n] for n in sorted({r.crops for r in chosen})}

    def objects(self, name: str) -> dict[int, int]:
        """Return the annotated objects by the number of crops: the mean over seeds."""
        by_seed = {n: {r.seed: r.objects for r in rs} for n, rs in self.taught(name).items()}
        return {n: round(float(np.mean(list(seeds.values())))) for n, seeds in by_seed.items()}


def print_tables(shown: Shown) -> None:
    """Print AP and IoU over crops, a row a start."""
    counts = sorted({r.crops for r in shown.after})
    for title, field in (("AP@0.5", "ap50"), ("IoU of the foregrounds", "iou")):
        heads = ["before", *(f"{n} crop{'s' * (n > 1)}" for n in counts), "seeds"]
        print(f"\n{title} after {shown.budget}, mean and range over seeds\n")
        print(f"| set | start | {' | '.join(heads)} |\n|---|---|{'---|' * len(heads)}")
        for name in SETS:
            objects = shown.objects(name)
            if objects:
                cells = [str(objects.get(n, "-")) for n in counts]
                print(f"| {name} | (annotated objects) | - | {' | '.join(cells)} | |")
            for start in STARTS:
                if shown.taught(name, start):
                    print(_row(shown, name, start, counts, field))


def _row(shown: Shown, name: str, start: str, counts: Sequence[int], field: str) -> str:
    taught = shown.taught(name, start)
    parts = [shown.untaught(name, start), *(taught.get(n, []) for n in counts)]
    cells = [mean_and_range([getattr(r, field) for r in part]) for part in parts]
    seeds = max(map(len, taught.values()))
    return f"| {name} | {start} | {' | '.join(cells)} | {seeds} |"


def draw(shown: Shown, path: Path) -> None:
    """Draw AP over crops, a panel a set, a line a start."""
    import _figure

    sets = [name for name in SETS if shown.taught(name)]
    if not sets:
        raise SystemExit(f"There is no result of {shown.budget}: choose by --minutes/--iterations.")
    figure, grid = _figure.axes(8, 4.2, 1, len(sets), sharey=True)
    for ax, name in zip(grid[0], sets, strict=True):
        for number, start in enumerate(STARTS):
            _draw_start(ax, shown, name, start, number)
        objects = shown.objects(name)
        _figure.put_ticks(ax, list(objects), [f"{n}\n({o})" for n, o in objects.items()])
        _figure.write_labels(ax, title=SETS[name], x="annotated crops (objects in them)")
    grid[0][0].set_ylim(bottom=-0.02)  # of both, as they share it
    grid[0][0].plot([], [], color=_figure.INK, label="start, untaught", **UNTAUGHT)
    _figure.write_labels(grid[0][0], y=f"AP@0.5 on test after {shown.budget}")
    _figure.put_legend(figure, grid[0][0])
    _figure.save(figure, path)


def _draw_start(ax: Any, shown: Shown, name: str, start: str, number: int) -> None:
    """Draw mean and range over crops, and as a dashed line what the start itself finds."""
    import _figure

    color = _figure.COLOURS[number]
    for result in shown.untaught(name, start):
        ax.axhline(result.ap50, color=color, **UNTAUGHT)
    values = {n: [r.ap50 for r in results] for n, results in shown.taught(name, start).items()}
    if not values:
        return
    means = {n: float(np.mean(v)) for n, v in values.items()}
    reach = [(means[n] - min(v), max(v) - means[n]) for n, v in values.items()]
    aside = 1.05 ** (number - 1)  # so that ranges do not hide one another
    ax.errorbar(
        [n * aside for n in values],
        list(means.values()),
        yerr=np.transpose(reach),
        color=color,
        marker=_figure.MARKERS[number],
        markersize=7,
        linewidth=2,
        elinewidth=1.3,
        capsize=3,
        label=STARTS[start],
    )
