"""The table: a row per object and plane."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.images.image import PixelSize, as_pair
from napari_unet.measurements.intensities import measure_intensities
from napari_unet.measurements.planes import (
    NOTHING,
    Known,
    Table,
    as_planes,
    run_to_table,
    tabulate,
)
from napari_unet.measurements.runs import Runs
from napari_unet.measurements.shapes import measure_boxes, measure_shapes


def measure(
    labels: Any,
    image: Any = None,
    *,
    axes: str | None = None,
    pixel_size: float | PixelSize | None = None,
    known: Known = NOTHING,
) -> Table:
    """Measure each object, in each plane by itself.

    Parameters
    ----------
    labels : integer or bool array-like, shape (*leading, Y, X)
        Numbered objects; planes are read one after the other.
    image : array-like of bool, integer or float, optional
        Gray values, of the labels' shape and, besides, channels or colours.
    axes : str, optional
        A letter per dimension of the image (of the labels, if there is none): Y and X, C for
        channels, S for colour samples, T, Z or Q for what is walked plane by plane. Without it,
        all but the last two dimensions are walked.
    pixel_size : float or (float, float), optional
        Micrometres per pixel; height and width, where they differ.
    known : mapping of int to dict of str to array, optional
        What is known of the objects of a plane already, by the plane's index: columns, of which
        "index" has their numbers. The others become columns of the table.

    Returns
    -------
    dict of str to array
        The columns, in this order:

        label
            The object's number.
        t, z, plane
            Its plane, counted from 0, along each dimension that is walked (`plane` for one without
            a name; `plane_1` and so on for several).
        class, score
            What is known already, under whichever names; "" or NaN for an object that is not.
        area_px, area_um2
            Number of pixels; their area.
        centroid_y, centroid_x (_px, _um)
            Mean position of its pixels, from the centre of the first pixel of the image.
        equivalent_diameter (_px, _um)
            Of the circle of the same area.
        perimeter (_px, _um)
            By Crofton's formula in four directions.
        major_axis, minor_axis (_px, _um)
            Full axes of the ellipse of the same second moments.
        eccentricity
            Of that ellipse: 0 for a circle, towards 1 for a line.
        orientation_deg
            Of its major axis: from the rows (0) counter-clockwise, as seen, to below 180.
        solidity
            Area over that of the convex hull: 1 where convex.
        circularity
            4 pi area / perimeter^2: 1 for a circle, less for others; small objects may exceed it.
        top_px, left_px, bottom_px, right_px
            The bounding box: its first row and column, and the ones after its last.
        touches_border
            Whether it reaches the border of the plane, where it may be cut off.
        intensity_mean, _std, _median, _min, _max, _sum
            Of the gray values of its pixels (the standard deviation divided by their number, the
            sum over all of them: the integrated intensity). Of an image with several channels
            `intensity_mean_c0` and so on. NaN where a pixel is NaN.

        Where pixels are not square, eccentricity, orientation and circularity are those of the
        true shape.

    Raises
    ------
    ValueError
        If the labels are no integers, image or axes do not fit them, or the pixel size is not
        above 0.
    """
    return run_to_table(measure_steps(labels, image, axes=axes, pixel_size=pixel_size, known=known))


def measure_steps(
    labels: Any,
    image: Any = None,
    *,
    axes: str | None = None,
    pixel_size: float | PixelSize | None = None,
    known: Known = NOTHING,
) -> Generator[float, None, Table]:
    """Do what :func:`measure` does, and yield the share that is done after each plane."""
    planes, channels = as_planes(labels, image, axes)
    size = as_pair(pixel_size)

    def rows(number: int, plane: NDArray[Any], runs: Runs) -> Table:
        gray = channels[number] if channels is not None else ()
        return measure_shapes(plane, runs, size) | _intensities(gray, runs)

    return (yield from tabulate(planes, known, rows))


def _intensities(channels: Any, runs: Runs) -> Table:
    """Measure the gray values of the objects of one plane, in channels (C, Y, X)."""
    rows: Table = {}
    for number, channel in enumerate(channels):
        suffix = f"_c{number}" if len(channels) > 1 else ""
        measured = measure_intensities(np.asarray(channel), runs)
        rows |= {f"intensity_{name}{suffix}": column for name, column in measured.items()}
    return rows


def find_boxes(
    labels: Any,
    *,
    axes: str | None = None,
    pixel_size: float | PixelSize | None = None,
    known: Known = NOTHING,
) -> Table:
    """Return the bounding box of each object, in each plane by itself.

    Parameters
    ----------
    labels, axes, pixel_size, known
        As for :func:`measure`.

    Returns
    -------
    dict of str to array
        The columns label, those of the plane, what is known (such as class and score), and

        top_px, left_px, bottom_px, right_px
            The first row and column of the box, and the ones after its last: it is
            ``labels[top:bottom, left:right]``, and bottom - top pixels high.
        top_um, left_um, bottom_um, right_um
            The same in micrometres from the outer corner of the first pixel of the image.

    Raises
    ------
    ValueError
        As :func:`measure`.
    """
    planes, _ = as_planes(labels, None, axes)
    size = as_pair(pixel_size)

    def rows(_: int, plane: NDArray[Any], runs: Runs) -> Table:
        del plane
        boxes = measure_boxes(runs, size)
        del boxes["touches_border"]
        return boxes

    return run_to_table(tabulate(planes, known, rows))
