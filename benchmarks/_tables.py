"""Tables that experiments share: what each variant gets wrong, and what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from _commands import budget_told, table_of
from _experiment import Result
from _records import mean_and_range, read_lines
from _speed import read_speed
from napari_unet.metrics import THRESHOLDS


def mistakes_table(output: Path, told: Mapping[str, str]) -> list[str]:
    """Return a row a variant: its average precision, and what kinds of mistakes it makes.

    Parameters
    ----------
    output : Path
        The results.
    told : mapping of str to str
        What each variant is, by its name, in words.
    """
    kinds = ("missed", "merged", "split", "invented")
    heads = ["variant", "AP@0.5", "0.7", "0.9", *kinds, "steps", "seeds"]
    rows = []
    for alike in _alike(output):
        aps = [mean_and_range([line.ap[at] for line in alike], 3) for at in (0, 2, 4)]
        counts = [f"{np.mean([getattr(line, kind) for line in alike]):.0f}" for kind in kinds]
        rows.append([told[alike[0].name], *aps, *counts, *_budget(alike)])
    return table_of(heads, rows)


def cost_table(output: Path) -> list[str]:
    """Return a row a network: its size, its average precision, and how fast it segments."""
    speed = read_speed(output)
    rates = speed.get("per_second", {})
    means = "AP, mean of 0.5 to 0.9"
    heads = ["network", "parameters", "AP@0.5", means, "MP/s", "steps", "seeds"]
    rows = []
    for alike in _alike(output):
        aps = [
            mean_and_range([line.ap[0] for line in alike], 3),
            mean_and_range([line.mean_ap for line in alike], 3),
        ]
        name = alike[0].name
        rate = _rate(rates, name)
        rows.append([name, f"{alike[0].parameters:,}", *aps, rate, *_budget(alike)])
    return [*table_of(heads, rows), *_timed(speed)]


def scores_table(output: Path, told: Mapping[str, str]) -> list[str]:
    """Return a row a method: its average precision at each threshold, and how fast it segments."""
    speed = read_speed(output)
    rates = speed.get("per_second", {})
    heads = ["method", "parameters", *(f"{t:.1f}" for t in THRESHOLDS), "MP/s", "steps", "seeds"]
    rows = []
    for alike in _alike(output):
        at = range(len(THRESHOLDS))
        aps = [mean_and_range([line.ap[n] for line in alike], 3) for n in at]
        rate = _rate(rates, alike[0].name)
        row = [told[alike[0].name], f"{alike[0].parameters:,}", *aps, rate, *_budget(alike)]
        rows.append(row)
    return [*table_of(heads, rows), *_timed(speed)]


def _rate(rates: Mapping[str, list[float]], name: str) -> str:
    known = rates.get(name)
    return f"{statistics.median(known):.2f}" if known else "-"


def _timed(speed: Mapping[str, Any]) -> list[str]:
    """Return the lines that say on what was timed, if anything was."""
    if not speed:
        return []
    return ["", f"Timed on {speed['megapixels']:.1f} megapixels; {speed['machine']}."]


def _alike(output: Path) -> Iterator[list[Result]]:
    """Yield the results of each variant and budget: one a seed."""
    lines = read_lines(output, Result)
    for name, budget in dict.fromkeys((line.name, line.budget) for line in lines):
        yield [line for line in lines if (line.name, line.budget) == (name, budget)]


def _budget(alike: list[Result]) -> list[str]:
    return [budget_told(alike[-1]), str(len(alike))]
