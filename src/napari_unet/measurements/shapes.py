"""Where objects are, how large, how long and how round."""

from __future__ import annotations

from math import atan2, hypot, pi
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_unet.images.image import PixelSize
from napari_unet.measurements.hulls import hull_areas
from napari_unet.measurements.runs import Floats, Runs

SQUARE = (1.0, 1.0)


class Moments(NamedTuple):
    """Centroids and second central moments of N objects, each an array of shape (N,), in pixels."""

    y: Floats
    x: Floats
    yy: Floats
    yx: Floats
    xx: Floats


def measure_shapes(
    plane: NDArray[Any], runs: Runs, pixel_size: PixelSize | None
) -> dict[str, NDArray[Any]]:
    """Measure the objects of a plane.

    Parameters
    ----------
    plane : integer array, shape (Y, X)
        Labels.
    runs : Runs
        Of the plane.
    pixel_size : (float, float) or None
        Height and width of a pixel in micrometres.

    Returns
    -------
    dict of str to array, shape (N,)
        As :func:`napari_unet.measurements.measure` tells them.
    """
    size = pixel_size or SQUARE
    area, entries = runs.total(runs.length), count_entries(plane, runs)
    moments, perimeter = central_moments(runs, area), perimeters(entries, size)
    eccentricity, orientation = _direction(moments, size)
    lengths = {  # in pixels, and in micrometres
        "centroid_y": (moments.y, moments.y * size[0]),
        "centroid_x": (moments.x, moments.x * size[1]),
        "equivalent_diameter": (_diameter(area), _diameter(area * _area(size))),
        "perimeter": (perimeters(entries, SQUARE), perimeter),
        "major_axis": (_axes(moments, SQUARE)[0], _axes(moments, size)[0]),
        "minor_axis": (_axes(moments, SQUARE)[1], _axes(moments, size)[1]),
    }
    columns: dict[str, NDArray[Any]] = {"area_px": area.astype(np.int64)}
    if pixel_size:
        columns["area_um2"] = area * _area(size)
    for name, (pixels, micrometres) in lengths.items():
        columns[f"{name}_px"] = pixels
        if pixel_size:
            columns[f"{name}_um"] = micrometres
    return columns | {
        "eccentricity": eccentricity,
        "orientation_deg": orientation,
        "solidity": area / hull_areas(runs),
        "circularity": 4 * pi * area * _area(size) / perimeter**2,
        **measure_boxes(runs, None),
    }


def _area(size: PixelSize) -> float:
    return size[0] * size[1]


def _diameter(area: Floats) -> Floats:
    return np.sqrt(4 / pi * area)


def central_moments(runs: Runs, area: Floats) -> Moments:
    """Return the moments of objects of given areas; a pixel is a square, not a point.

    They are summed from each object's first row and column on, in which they are exact.
    """
    top, left = runs.row[runs.first], np.minimum.reduceat(runs.start, runs.first)
    y, x, n = runs.row - top[runs.owner], runs.start - left[runs.owner], runs.length
    sum_x = n * x + n * (n - 1) // 2
    sum_xx = n * x * x + x * n * (n - 1) + n * (n - 1) * (2 * n - 1) // 6
    means = [runs.total(part) / area for part in (n * y, sum_x, n * y * y, y * sum_x, sum_xx)]
    my, mx, myy, myx, mxx = means
    own = 1 / 12  # of a square of side 1
    return Moments(top + my, left + mx, myy - my**2 + own, myx - my * mx, mxx - mx**2 + own)


def count_entries(plane: NDArray[Any], runs: Runs) -> Floats:
    """Count how often each object is entered along rows, columns and both diagonals: (4, N)."""
    (height, width), count = plane.shape, runs.labels.size
    padded = np.pad(plane, 1)
    entries = [np.bincount(runs.owner, minlength=count)]  # a run is where a row enters one
    for down, right in ((1, 0), (1, 1), (1, -1)):
        before = padded[1 - down : 1 - down + height, 1 - right : 1 - right + width]
        entered = plane[(plane > 0) & (plane != before)]
        entries.append(np.bincount(np.searchsorted(runs.labels, entered), minlength=count))
    return np.array(entries, np.float64)


def perimeters(entries: Floats, size: PixelSize) -> Floats:
    """Return perimeters by Crofton's formula, shape (N,).

    Lines of one direction, d apart, meet a curve the more often the longer it is, and the mean over
    all directions of d times the number of meetings is 2 / pi times its length. Here four
    directions stand for all, each for the angles nearest to it. That is far less biased than the
    length of the staircase of pixels, which is 4 / pi times too long for a disc. (For square pixels
    it is what ``skimage.measure.perimeter_crofton`` returns.)

    Parameters
    ----------
    entries : array, shape (4, N)
        From :func:`count_entries`; an object is left as often as it is entered.
    size : (float, float)
        Height and width of a pixel.
    """
    height, width = size
    diagonal = atan2(height, width)
    apart = height * width / hypot(height, width)
    weights = (diagonal * height, (pi / 2 - diagonal) * width, pi / 4 * apart, pi / 4 * apart)
    return np.array(weights) @ entries


def _axes(moments: Moments, size: PixelSize) -> tuple[Floats, Floats]:
    """Return the axes of the ellipses that have the same second moments."""
    height, width = size
    yy, xx, yx = moments.yy * height**2, moments.xx * width**2, moments.yx * height * width
    difference = np.hypot(yy - xx, 2 * yx)
    smaller = np.maximum(yy + xx - difference, 0)
    return np.sqrt(8 * (yy + xx + difference)), np.sqrt(8 * smaller)


def _direction(moments: Moments, size: PixelSize) -> tuple[Floats, Floats]:
    """Return eccentricity, and the direction of the major axis in degrees."""
    major, minor = _axes(moments, size)
    height, width = size
    yy, xx, yx = moments.yy * height**2, moments.xx * width**2, moments.yx * height * width
    eccentricity = np.sqrt(np.maximum(1 - (minor / major) ** 2, 0))
    orientation = np.degrees(np.arctan2(-2 * yx, xx - yy)) / 2  # rows count downwards
    return eccentricity, orientation % 180 % 180  # a tiny negative angle becomes 180 at first


def measure_boxes(runs: Runs, pixel_size: PixelSize | None) -> dict[str, NDArray[Any]]:
    """Return bounding boxes, and whether they reach the border of the plane.

    A box goes from its first row and column to the ones after its last; in micrometres, which are
    there with a pixel size, from the outer corner of the plane's first pixel.
    """
    first, (height, width) = runs.first, runs.shape
    last = np.append(first[1:], runs.row.size) - 1
    box = {
        "top": runs.row[first],
        "left": np.minimum.reduceat(runs.start, first),
        "bottom": runs.row[last] + 1,
        "right": np.maximum.reduceat(runs.stop, first),
    }
    columns: dict[str, NDArray[Any]] = {f"{side}_px": at for side, at in box.items()}
    if pixel_size:
        sizes = dict(zip(box, (*pixel_size, *pixel_size), strict=True))
        columns |= {f"{side}_um": at * sizes[side] for side, at in box.items()}
    cut = (box["top"] == 0) | (box["left"] == 0) | (box["bottom"] == height)
    return {**columns, "touches_border": cut | (box["right"] == width)}
