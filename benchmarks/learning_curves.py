"""Draw how trainings went, from the logs that they write: loss, IoU and AP, over steps and minutes.

    python benchmarks/learning_curves.py runs/nuclei.log.csv -o docs/learning.png
    python benchmarks/learning_curves.py a.log.csv b.log.csv --names first second -o two.png

A training has its log beside its model, with a line a validation. Losses are those of the held-out
part, and dashed that of the last training step before; IoU is of the foregrounds; AP is at an IoU
of 0.5, and dashed the mean over IoU 0.1 to 0.9. All scores are of the held-out part.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

import _figure

LOG = ".log.csv"
PANELS = (
    ("loss (dashed: of training)", (("loss", "-"), ("train_loss", "--"))),
    ("IoU of foregrounds", (("iou", "-"),)),
    ("AP@0.5 (dashed: 0.1 to 0.9)", (("ap50", "-"), ("ap", "--"))),
)
"""Rows of the picture, and the columns of the log that are drawn in each."""
SINGLE = 1
"""Validations that are drawn as a point, as they make no line."""


@dataclass(frozen=True)
class Log:
    """What a training has written.

    Parameters
    ----------
    name : str
        What the picture calls it.
    columns : dict of str to float array
        A value a validation each.
    """

    name: str
    columns: dict[str, NDArray[np.float64]]

    @classmethod
    def read(cls, path: Path, name: str = "") -> Self:
        """Read a log; without a name, it is called as its file is.

        Raises
        ------
        ValueError
            If it has no validation yet, or is no log of a training.
        """
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        needed = {"iteration", "seconds", *(c for _, columns in PANELS for c, _ in columns)}
        if not rows:
            raise ValueError(f"{path} holds no validation yet: wait for the first one.")
        if missing := sorted(needed - set(rows[0])):
            raise ValueError(
                f"{path} has no column {', '.join(missing)}: give logs of trainings (NAME{LOG})."
            )
        columns = {key: np.array([float(row[key]) for row in rows]) for key in needed}
        return cls(name or path.name.removesuffix(LOG), columns)


def draw(logs: Sequence[Log], output: Path) -> None:
    """Draw the curves of all logs together."""
    figure, grid = _figure.axes(8, 7.5, len(PANELS), 2, sharex="col", sharey="row")
    times = (("steps", "iteration", 1), ("minutes", "seconds", 60))
    for row, (title, columns) in zip(grid, PANELS, strict=True):
        for ax, (_, time, unit) in zip(row, times, strict=True):
            for number, log in enumerate(logs):
                marker = "o" if len(log.columns[time]) <= SINGLE else None
                for column, style in columns:
                    ax.plot(
                        log.columns[time] / unit,
                        log.columns[column],
                        style,
                        marker=marker,
                        color=_figure.COLOURS[number % len(_figure.COLOURS)],
                        linewidth=1.8 if style == "-" else 1.1,
                        label=log.name if style == "-" else None,
                    )
        _figure.write_labels(row[0], y=title)
    for ax in grid[0]:  # from hundreds to fractions within a training
        _figure.make_logarithmic(ax)
    for ax, (title, _, _) in zip(grid[-1], times, strict=True):
        _figure.write_labels(ax, x=title)
    _figure.put_legend(figure, grid[0, 0])
    _figure.save(figure, output)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    parser.add_argument("--names", nargs="+", help="one a log (default: those of the files)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .png path")
    args = parser.parse_args()
    names = args.names or [""] * len(args.logs)
    if len(names) != len(args.logs):
        parser.error(f"{len(args.logs)} logs need as many names, and there are {len(names)}")
    try:
        logs = [Log.read(path, name) for path, name in zip(args.logs, names, strict=True)]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    draw(logs, args.output)


if __name__ == "__main__":
    main()
