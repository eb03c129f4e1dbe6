"""Where a line that somebody drew cuts a shape in two."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import points_in_poly

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Pixels = NDArray[np.intp]

_AROUND = np.array([(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)])


def divided(inside: Mask, line: Points) -> Mask | None:
    """Return the part of a shape that a line cuts off.

    The pieces that touch the line are told apart by the side of it on which they lie; the side
    without the largest piece is cut off. Each pixel under the line goes with a piece beside it.

    Parameters
    ----------
    inside : bool array, shape (Y, X)
        The shape, in its bounding box.
    line : array, shape (N, 2)
        Rows and columns; tried as it is, then with its ends continued straight through the shape.

    Returns
    -------
    bool array, or None
        Not empty, nor the whole shape; None if the line cuts nothing off.
    """
    for points in (line, _continued(inside, line)):
        path = _pixels(points, inside.shape)
        cut = np.zeros(inside.shape, bool)
        cut[path[:, 0], path[:, 1]] = True
        cut &= inside
        pieces, count = ndimage.label(inside & ~cut, np.ones((3, 3)))
        if count > 1:
            part = _cut_off(pieces, cut, path, points)
            if part is not None:
                return part
    return None


def _cut_off(pieces: NDArray[Any], cut: Mask, path: Pixels, line: Points) -> Mask | None:
    """Return the pieces on one side of the line, with the pixels under it that go with them."""
    beside = _inside((path[:, None] + _AROUND).reshape(-1, 2), pieces.shape)
    touched = pieces[beside[:, 0], beside[:, 1]]
    numbers = np.unique(touched[touched > 0])
    if numbers.size < 2:
        return None
    left = points_in_poly(beside, _closed(line, pieces.shape))
    lefts = np.array([left[touched == n].mean() > 0.5 for n in numbers])
    sizes = np.bincount(pieces.ravel())[numbers]
    largest = np.arange(numbers.size) == sizes.argmax()
    other = ~largest if lefts.all() or not lefts.any() else lefts != lefts[largest]
    is_cut_off = np.zeros(int(pieces.max()) + 1, bool)
    is_cut_off[numbers[other]] = True
    parts = np.where(pieces > 0, 1 + is_cut_off[pieces], 0)
    _join(parts, np.argwhere(cut))
    return np.asarray(parts == 2)


def _join(parts: NDArray[Any], pixels: Pixels) -> None:
    """Give each pixel of 0 the part of a neighbour, from both sides inwards."""
    while pixels.size:
        near = pixels[:, None] + _AROUND
        valid = ((near >= 0) & (near < parts.shape)).all(axis=-1)
        near = np.where(valid[..., None], near, 0)
        around = np.where(valid, parts[near[..., 0], near[..., 1]], 0)
        ones, twos = (around == 1).sum(axis=1), (around == 2).sum(axis=1)
        found = np.where(ones >= twos, np.minimum(ones, 1), 2)
        alone = not found.any()  # a piece that the line covers altogether
        parts[pixels[:, 0], pixels[:, 1]] = 1 if alone else found
        pixels = pixels[(found == 0) & (not alone)]


def _continued(inside: Mask, line: Points) -> Points:
    """Continue a line at both ends until it is out of the shape."""
    head, tail = _onward(inside, line[::-1]), _onward(inside, line)
    return np.concatenate([head[None], line, tail[None]])


def _onward(inside: Mask, line: Points) -> Points:
    """Return where a line leaves the shape, going on as it ends."""
    end: Points = line[-1]
    apart = np.linalg.norm(line - end, axis=1)
    if not apart.any():
        return np.asarray(end)
    # A hand shakes: the direction is that of the last pixels together.
    before = line[np.flatnonzero(apart >= min(5.0, float(apart.max())))[-1]]
    step = (end - before) / np.linalg.norm(end - before)
    for at in range(1, sum(inside.shape)):
        row, column = np.round(end + at * step).astype(int)
        within = 0 <= row < inside.shape[0] and 0 <= column < inside.shape[1]
        if not within or not inside[row, column]:
            end = end + at * step
            break
    return np.asarray(end)


def _pixels(line: Points, shape: tuple[int, ...]) -> Pixels:
    """Return the pixels under a line: each shares a side with the next, so nothing slips by."""
    lengths = np.abs(np.diff(line, axis=0)).max(axis=1)
    pieces = [
        np.linspace(a, b, max(int(np.ceil(4 * length)), 1) + 1)
        for a, b, length in zip(line[:-1], line[1:], lengths, strict=True)
    ]
    path = np.round(np.concatenate(pieces)).astype(np.intp)
    corners = np.stack([path[:-1, 0], path[1:, 1]], axis=1)
    return np.unique(_inside(np.concatenate([path, corners]), shape), axis=0)


def _inside(pixels: Pixels, shape: tuple[int, ...]) -> Pixels:
    return pixels[((pixels >= 0) & (pixels < shape)).all(axis=1)]


def _closed(line: Points, shape: tuple[int, ...]) -> Points:
    """Return a polygon: the line, its ends continued far out and joined around the shape."""
    centre = np.array(shape) / 2
    far = 10 * (sum(shape) + float(np.abs(line - centre).max()))
    ends = []
    for end, inner in ((line[0], line[1]), (line[-1], line[-2])):
        step = end - inner
        length = float(np.linalg.norm(step))
        ends.append(end + far * step / length if length else end + np.array((far, 0.0)))
    first, last = (float(np.arctan2(*(end - centre))) for end in ends)
    angles = np.linspace(last, first, 65)
    around = centre + 2 * far * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return np.concatenate([ends[:1], line, ends[1:], around])
