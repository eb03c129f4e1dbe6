"""Homotopic warping: a mask deformed towards another without a change of topology.

Cells are 4-connected, what parts them is 8-connected, and so is what lies outside the image.

References
----------
.. [1] V. Jain et al.: Boundary Learning by Optimization with Topological Constraints, CVPR 2010
   (warping error, section 2).
.. [2] G. Bertrand, G. Malandain: A new characterization of three-dimensional simple points, Pattern
   Recognition Letters 15, 1994.
.. [3] S. Yokoi, J. Toriwaki, T. Fukumura: An analysis of topological properties of digitized binary
   pictures using local features, Computer Graphics and Image Processing 4, 1975.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""The eight neighbours in their order around a pixel, from its right."""
BANDS = 10
"""Steps of certainty in which the disagreements are taken, the surest first."""


def _connectivity() -> NDArray[np.int64]:
    """Return Yokoi's 4-connectivity number ([3]_) of a pixel, by the bits of its ring.

    It is how many arcs of the mask along the ring touch the pixel by a side; 0 if none does, or if
    all of the ring is of the mask.
    """
    ring = np.arange(256)[:, None] >> np.arange(8) & 1
    sides, corners = ring[:, ::2], ring[:, 1::2]
    arcs: NDArray[np.int64] = (sides * (1 - corners * np.roll(sides, -1, axis=1))).sum(axis=1)
    return arcs


ARCS = _connectivity()
SIMPLE = ARCS == 1
"""Whether a pixel can be flipped without a change of topology, by its ring ([2]_)."""


@dataclass(frozen=True)
class Warped:
    """A mask after warping.

    Parameters
    ----------
    mask : bool array, shape (Y, X)
        What has the topology of the source, and comes as close to the target as the order of the
        flips allowed.
    wrong : bool array, shape (Y, X)
        Where it still differs from the target.
    """

    mask: Mask
    wrong: Mask

    def splits_and_mergers(self) -> int:
        """Count the wrong pixels of which each, flipped by itself, splits a cell or merges some.

        Without a pixel whose ring has C arcs of cell and touches k gaps between cells, its cell is
        in C - k + 1 parts: of the C - 1 by which the Euler characteristic grows, k - 1 are gaps
        that become one. So the pieces need not be followed through the image.
        """
        cells = ndimage.label(np.pad(self.mask, 1))[0]
        gaps = ndimage.label(np.pad(~self.mask, 1, constant_values=True), np.ones((3, 3)))[0]
        where = np.flatnonzero(np.pad(self.wrong, 1))
        ring = where[:, None] + _steps(cells.shape[1])
        arcs = ARCS[_codes(cells.ravel() > 0, where, cells.shape[1])]
        is_cell = cells.ravel()[where] > 0
        parts = arcs - _distinct(gaps.ravel()[ring]) + 1
        neighbours = _distinct(cells.ravel()[ring[:, ::2]])
        return int(np.count_nonzero(np.where(is_cell, parts, neighbours) > 1))


def warp(source: Mask, target: Mask, certainty: NDArray[np.floating]) -> Warped:
    """Warp a mask towards another one, pixel by pixel, as far as its topology allows.

    Only simple pixels are flipped, and only where the masks differ, those with the greatest
    certainty first ([1]_, algorithm 1), in ten steps; in each, what parts cells grows before cells
    do, which leaves less than growing both at once. Where that leaves a choice, four grids of
    pixels that are no neighbours take turns, so that all simple pixels of one can be flipped at
    once.

    Parameters
    ----------
    source, target : bool arrays, shape (Y, X)
        Masks of the cells.
    certainty : float array, shape (Y, X)
        How sure the target is of each pixel.
    """
    state, goal = np.pad(source, 1).ravel(), np.pad(target, 1).ravel()
    width = source.shape[1] + 2
    sure = np.pad(certainty, 1).ravel()
    highest = sure[state != goal].max(initial=0)
    for band in reversed(range(BANDS)):
        sure_enough = sure >= highest * band / BANDS
        for allowed in (sure_enough & ~goal, sure_enough):
            _flip(state, goal, np.flatnonzero((state != goal) & allowed), allowed, width)
    inside = (slice(1, -1), slice(1, -1))
    warped, wrong = (a.reshape(-1, width)[inside] for a in (state, state != goal))
    return Warped(warped, wrong)


def _flip(state: Mask, goal: Mask, where: NDArray[np.intp], allowed: Mask, width: int) -> None:
    """Flip wrong pixels, as long as some are simple; looks again only next to flipped ones."""
    while where.size:
        flipped = []
        grid = where // width % 2 * 2 + where % width % 2
        for turn in range(4):
            mine = where[grid == turn]
            mine = mine[SIMPLE[_codes(state, mine, width)]]
            state[mine] = goal[mine]
            flipped.append(mine)
        around = (np.concatenate(flipped)[:, None] + _steps(width)).ravel()
        where = np.unique(around[(state[around] != goal[around]) & allowed[around]])


def _codes(state: Mask, where: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """Return the ring of each pixel as a number of eight bits."""
    codes = np.zeros(where.size, np.intp)
    for bit, step in enumerate(_steps(width)):
        codes += state[where + step].astype(np.intp) << bit
    return codes


def _steps(width: int) -> NDArray[np.intp]:
    """Return how far the ring's pixels are in a flat image."""
    return np.array([row * width + column for row, column in RING], np.intp)


def _distinct(numbers: NDArray[np.integer]) -> NDArray[np.intp]:
    """Count the different numbers above 0 in each row."""
    ordered = np.sort(numbers, axis=1)
    new = np.diff(ordered, axis=1, prepend=0) != 0
    count: NDArray[np.intp] = (new & (ordered > 0)).sum(axis=1)
    return count
