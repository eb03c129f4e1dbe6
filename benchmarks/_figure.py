"""The look of the pictures: large enough to be read at half their size, safe for the colour-blind.

The only module here that imports matplotlib, without a window and without its global state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter
except ImportError as error:
    raise SystemExit(
        f"Pictures need matplotlib ({error}): pip install 'napari-unet-segmentation[benchmarks]'."
    ) from error

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of M. Okabe and K. Ito, who chose them so that all kinds of colour vision tell them apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""A second way to tell them apart."""
DPI = 200
"""Pixels an inch of a picture that is shown at half its size."""
INK, FRAME = "#333333", "#999999"
FONT = 11


def axes(width: float, height: float, rows: int, columns: int, **shared: Any) -> Any:
    """Return a figure and an array (rows, columns) of axes; sizes in units of 100 shown pixels."""
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = np.asarray(figure.subplots(rows, columns, squeeze=False, **shared))
    for ax in grid.flat:
        _dress(ax)
    return figure, grid


def _dress(ax: Axes) -> None:
    ax.tick_params(labelsize=FONT - 1, colors=INK, color=FRAME)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FRAME)
    ax.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    ax.set_axisbelow(True)


def write_labels(ax: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Write what is given beside the axes."""
    if title:
        ax.set_title(title, fontsize=FONT + 1, color=INK, loc="left")
    if x:
        ax.set_xlabel(x, fontsize=FONT, color=INK)
    if y:
        ax.set_ylabel(y, fontsize=FONT, color=INK)


def put_ticks(ax: Axes, places: list[int], texts: list[str]) -> None:
    """Put ticks on a logarithmic x axis, and none elsewhere; it ends a little beyond them."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(places))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels(texts)
    ax.set_xlim(places[0] / 1.3, places[-1] * 1.3)


def make_logarithmic(ax: Axes) -> None:
    """Make the y axis logarithmic, its numbers written out."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def put_legend(figure: Figure, ax: Axes, on: str = "") -> None:
    """Put the legend of some axes below all of them, on a dark ground if that is named."""
    handles, texts = ax.get_legend_handles_labels()
    figure.legend(
        handles,
        texts,
        loc="outside lower center",
        ncols=min(len(texts), 4),
        frameon=bool(on),
        facecolor=on or "inherit",
        labelcolor="white" if on else INK,
        fontsize=FONT,
        columnspacing=1.4,
        handlelength=1.8,
    )


def save(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write a picture, and say where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, facecolor="white")
    print(f"wrote {path}")
