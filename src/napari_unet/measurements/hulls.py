"""Convex hulls of all objects of a plane at once."""

from __future__ import annotations

import numpy as np

from napari_unet.measurements.runs import Floats, Ints, Runs


def hull_areas(runs: Runs) -> Floats:
    """Return the area of the convex hull of each object's pixel squares, shape (N,).

    The hull lies between its left and its right side, each a chain of corners from the top to the
    bottom; its area is what one integrates to, less the other.
    """
    firsts = np.flatnonzero(np.diff(runs.owner, prepend=-1) | np.diff(runs.row, prepend=-1))
    lasts = np.append(firsts[1:], runs.row.size) - 1  # of the runs of an object in a row
    owner = np.repeat(runs.owner[firsts], 2)
    y = np.repeat(runs.row[firsts], 2)
    y[1::2] += 1  # corners at the top and at the bottom of the pixels
    count = runs.labels.size
    left = _side(owner, y, np.repeat(runs.start[firsts], 2), count)
    right = _side(owner, y, -np.repeat(runs.stop[lasts], 2), count)
    return -(left + right)


def _side(owner: Ints, y: Ints, x: Ints, count: int) -> Floats:
    """Integrate x over y along the convex chain of least x, for each of `count` objects.

    Parameters
    ----------
    owner, y, x : int64 array
        Points, sorted by object and y; in an object at most two have the same y.

    Notes
    -----
    A point to the right of the line between its neighbours is no corner of the chain, whichever
    others are none: so all such points are dropped at once, until there are none.
    """
    while True:
        to_next, across = y[1:-1] - y[:-2], y[2:] - y[:-2]
        right = (x[1:-1] - x[:-2]) * across >= (x[2:] - x[:-2]) * to_next
        drop = right & (owner[2:] == owner[:-2])
        if not drop.any():
            break
        kept = np.concatenate(([True], ~drop, [True]))
        owner, y, x = owner[kept], y[kept], x[kept]
    piece = (x[1:] + x[:-1]) / 2 * (y[1:] - y[:-1]) * (owner[1:] == owner[:-1])
    return np.bincount(owner[1:], piece, count).astype(np.float64)
