"""Tables that experiments share: what each variant gets wrong, and what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from _commands import budget_told, table_of
from _experiment import Result
from _records import mean_and_range, read_lines
from _speed import read_speed


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
        name, known = alike[0].name, rates.get(alike[0].name)
        rate = f"{statistics.median(known):.2f}" if known else "-"
        rows.append([name, f"{alike[0].parameters:,}", *aps, rate, *_budget(alike)])
    text = table_of(heads, rows)
    if speed:
        text += ["", f"Timed on {speed['megapixels']:.1f} megapixels; {speed['machine']}."]
    return text


def _alike(output: Path) -> Iterator[list[Result]]:
    """Yield the results of each variant and budget: one a seed."""
    lines = read_lines(output, Result)
    for name, budget in dict.fromkeys((line.name, line.budget) for line in lines):
        yield [line for line in lines if (line.name, line.budget) == (name, budget)]


def _budget(alike: list[Result]) -> list[str]:
    return [budget_told(alike[-1]), str(len(alike))]
