"""The table: a row per object and plane."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.measurements.intensities import measure_intensities
from napari_unet.measurements.runs import Runs
from napari_unet.measurements.shapes import PixelSize, measure_shapes
from napari_unet.preprocessing import Planes

Table = dict[str, NDArray[Any]]
"""Columns by their names, each an array with an entry per row."""


def measure(
    labels: Any,
    image: Any = None,
    *,
    axes: str | None = None,
    pixel_size: float | PixelSize | None = None,
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

    Returns
    -------
    dict of str to array
        The columns, in this order:

        label
            The object's number.
        t, z, plane
            Its plane, counted from 0, along each dimension that is walked (`plane` for one without
            a name; `plane_1` and so on for several).
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
    steps = measure_steps(labels, image, axes=axes, pixel_size=pixel_size)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            table: Table = end.value
            return table


def measure_steps(
    labels: Any,
    image: Any = None,
    *,
    axes: str | None = None,
    pixel_size: float | PixelSize | None = None,
) -> Generator[float, None, Table]:
    """Do what :func:`measure` does, and yield the share that is done after each plane."""
    planes, channels = _as_planes(labels, image, axes)
    size = _as_pair(pixel_size)
    letters = [letter for letter in planes.axes if letter not in "YX"]
    names = _names_of_planes(letters)
    parts: list[Table] = []
    for number in range(len(planes)):
        plane = np.array(planes[number][0])  # a copy, which nobody paints in meanwhile
        gray = channels[number] if channels is not None else ()
        rows = _measure_plane(plane, gray, size)
        at = np.unravel_index(number, planes.leading) if planes.leading else ()
        count = rows["label"].size
        where = {name: np.full(count, int(i)) for name, i in zip(names, at, strict=True)}
        parts.append({"label": rows.pop("label"), **where, **rows})
        yield (number + 1) / len(planes)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _measure_plane(plane: NDArray[Any], channels: Any, size: PixelSize | None) -> Table:
    """Measure the objects of one plane, in channels (C, Y, X)."""
    if plane.dtype == bool:
        plane = plane.view(np.uint8)
    runs = Runs.of(plane)
    if not runs.labels.size:  # of which reduceat knows nothing: measure one, and tell of none
        stand_in = np.zeros_like(plane)
        stand_in[:1, :1] = 1
        rows = _measure_plane(stand_in, channels, size)
        return {name: column[:0] for name, column in rows.items()}
    rows = {"label": runs.labels, **measure_shapes(plane, runs, size)}
    for number, channel in enumerate(channels):
        suffix = f"_c{number}" if len(channels) > 1 else ""
        measured = measure_intensities(np.asarray(channel), runs)
        rows |= {f"intensity_{name}{suffix}": column for name, column in measured.items()}
    return rows


def _as_planes(labels: Any, image: Any, axes: str | None) -> tuple[Planes, Planes | None]:
    """See labels and image as planes, and make sure that they fit."""
    of = labels if image is None else image
    if labels.dtype.kind not in "bui":
        raise ValueError(f"The labels hold {labels.dtype}: give labels, which are integers.")
    if of.dtype.kind not in "buif":
        raise ValueError(
            f"An image of type {of.dtype} cannot be measured: convert it to real numbers (for"
            " complex data, take the magnitude)."
        )
    axes = (axes or "Q" * (of.ndim - 2) + "YX").upper()
    if len(axes) != of.ndim or any(axes.count(letter) != 1 for letter in "YX"):
        raise ValueError(
            f"axes = {axes!r} do not fit an array of shape {of.shape}: give one letter a dimension,"
            " with Y and X once each."
        )
    own = "".join(letter for letter in axes if letter not in "CSYX") + "YX"
    if image is None:
        own = axes
    elif Planes(image, axes).leading + Planes(image, axes).plane_shape != labels.shape:
        raise ValueError(
            f"The labels have the shape {labels.shape} and the image {image.shape} with axes"
            f" {axes}: measure labels in the image that they are of."
        )
    if 0 in labels.shape or "C" in own or "S" in own:
        raise ValueError(
            f"Labels of shape {labels.shape} with axes {own} cannot be measured: give planes of"
            " height and width, without channels."
        )
    return Planes(labels, own), None if image is None else Planes(image, axes)


def _as_pair(pixel_size: float | PixelSize | None) -> PixelSize | None:
    if pixel_size is None:
        return None
    given = np.array(pixel_size, float)
    if given.shape not in ((), (2,)) or not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(
            f"pixel_size = {pixel_size} is no size: give micrometres above 0, of height and width"
            " where they differ."
        )
    height, width = np.broadcast_to(given, 2).tolist()
    return height, width


def _names_of_planes(letters: list[str]) -> list[str]:
    """Name a column for each dimension that is walked."""
    known = [letter if letter in "TZ" and letters.count(letter) == 1 else "" for letter in letters]
    nameless = known.count("")
    numbers = iter(range(1, nameless + 1))
    return [
        letter.lower() or ("plane" if nameless == 1 else f"plane_{next(numbers)}")
        for letter in known
    ]
