"""Scores to objects: threshold, split, clean, and give the separation ridge back.

A network learns its classes from a target in which touching objects were parted by a background
ridge, one pixel off each of them, so that its foreground falls apart into objects. Here the way
back is gone, on scores alone and without a network, fast enough to follow a threshold slider.

Labels are int32: 0 is background, objects count from 1. All functions take any number of
dimensions unless said otherwise, and return new arrays.
"""

from collections.abc import Iterator
from itertools import product
from math import pi, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from napari_unet.config import Target

Labels = NDArray[np.int32]
Floats = NDArray[np.floating[Any]]

RUNS_AT_A_TIME = 2**14
"""Of equal labels in a row: some million pixels, written in a millisecond or two."""
PROMINENCE = 0.3
"""By which a peak of the distance rises above its surroundings, to count as an object."""
OUTSIDE = -2.0
"""What the distance is taken to be outside an object: below all that it is within."""
SMALLEST_SHARE = 0.05
"""Of a typical object's area: what is smaller is noise."""
RIDGE_REACH = 3
"""Pixels to look for a second object from a ridge pixel: ridge width plus one."""


class Evidence(NamedTuple):
    """What objects are found by: the first arguments of :func:`label_scores`."""

    foreground: Floats
    distance: Floats | None
    ridges: bool


def object_evidence(scores: Floats, target: Target) -> Evidence:
    """Return what objects are found by in a network's scores (K, Y, X).

    With an output "extent", that is the foreground, without ridges between objects. They are split
    by the mean of the output "distance" and the score of the classes, which is low on the ridges.

    Scores of 0 everywhere, where nothing was predicted, are background.
    """
    classes = len(target.classes)
    extras = dict(zip(target.extras, scores[classes:], strict=True))
    foreground, distance = scores[1:classes].sum(axis=0), extras.get("distance")
    if "extent" not in extras:
        return Evidence(foreground, distance, target.has_ridges)
    split_by = foreground if distance is None else (distance + foreground) / 2
    return Evidence(extras["extent"], split_by, target.has_ridges)


def label_scores(
    foreground: Floats,
    distance: Floats | None = None,
    ridges: bool = True,
    *,
    threshold: float = 0.4,
    prominence: float = PROMINENCE,
    min_size: int = 15,
    fill_holes: bool = True,
    remove_border: bool = False,
    keep_cut: bool = False,
) -> Labels:
    """Turn scores into labelled objects.

    Objects are the components of ``foreground >= threshold``. Those in which `distance` has
    several peaks are split between them (:func:`split_touching`). Small objects are dropped, and
    the others grow back into the ridges between them (:func:`grow_into_ridges`), if there are any.

    Pixels belong together where they share a face (4-connected in 2D), so that a ridge also
    separates what touches by a corner.

    Parameters
    ----------
    foreground : float array, shape (Y, X) or (Z, Y, X)
        Score of being in an object, in [0, 1]. NaN is background.
    distance : float array of the same shape, optional
        Distance to the object's border divided by its maximum in the object: 1 in the middle.
    ridges : bool
        Whether touching objects have a ridge of background between them in `foreground`. Where
        they have none, growing would fill true gaps.
    threshold : float
        Foreground score from which a pixel belongs to an object.
    prominence : float
        A peak of `distance` is an object of its own if it rises so much above the way to a higher
        one.
    min_size : int
        Objects with fewer pixels, before they grow into ridges, are dropped.
    fill_holes : bool
        Fill holes inside objects.
    remove_border : bool
        Drop objects that touch the border of the array.
    keep_cut : bool
        Keep objects that touch the border whatever their size: of a tile, the rest of them may lie
        in the next one.

    Returns
    -------
    int32 array
        Objects are numbered 1..n in the order in which a scan in C order meets them.

    Raises
    ------
    ValueError
        If the shapes of `foreground` and `distance` differ.
    """
    if distance is not None and distance.shape != foreground.shape:
        raise ValueError(
            f"The foreground has shape {foreground.shape} and the distance {distance.shape}: "
            "give two outputs of the same image."
        )
    labels = _components(foreground >= threshold)[0]
    if distance is not None:
        labels = split_touching(labels, distance, prominence)
    if fill_holes:  # once split: what a ring of touching objects surrounds is no hole of one
        labels = fill_object_holes(labels)
    if keep_cut:
        uncut = remove_border_objects(labels)
        labels = np.where(uncut > remove_small_objects(uncut, min_size), 0, labels)
    else:
        labels = remove_small_objects(labels, min_size)
    if ridges:
        labels = grow_into_ridges(labels)
    if remove_border:
        labels = remove_border_objects(labels)
    return relabel(labels)


def _components(mask: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Return the components by faces, numbered in scan order, and how many there are."""
    labels = np.empty(mask.shape, np.int32)
    return labels, ndimage.label(mask, output=labels)


def split_touching(labels: Labels, distance: Floats, prominence: float = PROMINENCE) -> Labels:
    """Split the objects in which `distance` has several peaks, by a watershed from these.

    A peak counts if every way from it to a higher one leads down by more than `prominence`: these
    are the h-maxima (Soille, Morphological Image Analysis, 2003). An object with one is kept.
    (On 44 validation images of DSB 2018 the network that learnt from the others had an AP at IoU
    0.5 of 0.801 so, and 0.787 with the components of ``distance >= 0.5`` that reach 0.6: where
    objects overlap, it often stays above that.)

    What becomes of an object depends on its own pixels only, so parts of an image that hold whole
    objects are split alike.

    Parameters
    ----------
    labels : int32 array
        Objects that do not share a face with one another.
    distance : float array of the same shape
        High in the middle of an object, low where two of them touch, in [0, 1]. NaN counts as 0.
    prominence : float
        Above 0 and at most 1.

    Returns
    -------
    int32 array
        The pieces have new numbers, past the largest in `labels`.
    """
    split = labels.copy()
    last = int(labels.max(initial=0))
    faces = ndimage.generate_binary_structure(labels.ndim, 1)
    for member, box in _members(labels, _uneven(labels, distance, prominence)):
        height = np.where(member, _known(distance[box]), OUTSIDE)
        lowered = np.where(member, height - prominence, OUTSIDE)
        level = reconstruction(lowered, height, footprint=faces)
        peaks, count = _components(local_maxima(level, connectivity=1))
        if count > 1:
            pieces = watershed(-height, peaks, mask=member)
            split[box][member] = last + pieces[member]
            last += count
    return split


def _uneven(labels: Labels, distance: Floats, prominence: float) -> NDArray[np.intp]:
    """Return the objects that may hold several peaks: told fast, without looking at each.

    From one peak to another the distance falls by the prominence, and so by one step at least
    where it is cut into steps of that height.
    """
    steps = np.where(labels > 0, _known(distance) // prominence, OUTSIDE).astype(np.int32)
    tops, count = _components(local_maxima(steps, connectivity=1))
    lengths, numbers = _runs(tops)
    owner = np.zeros(count + 1, np.int32)
    owner[numbers] = labels.ravel()[np.cumsum(lengths) - lengths]
    return np.flatnonzero(np.bincount(owner[1:], minlength=1)[1:] > 1) + 1


def _known(distance: Floats) -> Floats:
    """Return the distance, in [0, 1]; where none is known it is 0."""
    return np.clip(np.nan_to_num(distance), 0, 1)


def _members(
    labels: Labels, numbers: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.bool_], tuple[slice, ...]]]:
    """Yield where in its bounding box each of these objects is, and the box."""
    if not numbers.size:
        return
    lengths, values = _runs(labels)
    rank = np.zeros(values.max() + 1, np.int32)
    rank[numbers] = np.arange(1, numbers.size + 1)
    # Of the few alone: find_objects lets no other thread run meanwhile, such as that of a window.
    chosen = _painted(rank[values], lengths, labels.shape)
    for number, box in enumerate(ndimage.find_objects(chosen), start=1):
        yield chosen[box] == number, box


def grow_into_ridges(labels: Labels) -> Labels:
    """Give the pixels of the ridges between objects to the nearest object.

    The target's ridge is two pixels wide. A background pixel is ridge if the morphological closing
    of all objects by a cube of 3 pixels, which fills gaps of that width and no wider, covers it,
    and a second object lies as near as the other side of such a gap. Outlines that face the
    background therefore stay where they are. Of two objects equally near the first in scan order
    around the pixel gets it, whatever their numbers.

    On masks of DSB 2018 whose touching objects were parted so, this restores AP 0.97 at IoU 0.9,
    from 0.86; the same pixels by distance alone (d1 + d2 <= 4) 0.92; one pixel everywhere 0.02.
    """
    gap = _closing(np.pad(labels > 0, RIDGE_REACH)) & (labels == 0)
    padded = np.pad(labels, RIDGE_REACH)
    pixels = np.ravel_multi_index([i + RIDGE_REACH for i in np.nonzero(gap)], padded.shape)
    nearest = np.zeros(pixels.size, labels.dtype)
    between = np.zeros(pixels.size, bool)
    for offset in _ball(labels.ndim, RIDGE_REACH):
        near = padded.ravel()[pixels + _flat(offset, padded.shape)]
        nearest = np.where(nearest == 0, near, nearest)
        between |= (near != 0) & (near != nearest)
    grown = labels.copy()
    grown[gap] = np.where(between, nearest, 0)
    return grown


def _closing(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close a mask padded by RIDGE_REACH, by a cube of 3 pixels; return it without the padding."""
    for combine in (np.logical_or, np.logical_and):
        for axis in range(mask.ndim):
            line = np.moveaxis(mask, axis, 0)
            line = combine(combine(line[:-2], line[1:-1]), line[2:])
            mask = np.moveaxis(line, 0, axis)
    rest = RIDGE_REACH - 2  # each pass above took one pixel a side
    return mask[(slice(rest, -rest),) * mask.ndim]


def _ball(ndim: int, radius: int) -> list[tuple[int, ...]]:
    """Return the offsets to the pixels within `radius`, nearest first, then in scan order."""
    cube = product(range(-radius, radius + 1), repeat=ndim)
    squared = {offset: sum(i * i for i in offset) for offset in cube}
    inside = [offset for offset, square in squared.items() if 0 < square <= radius**2]
    return sorted(inside, key=squared.__getitem__)


def _flat(offset: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Return the step in a flattened C-ordered array that `offset` is."""
    return sum(step * int(np.prod(shape[axis + 1 :])) for axis, step in enumerate(offset))


def fill_object_holes(labels: Labels) -> Labels:
    """Fill the background that one object encloses alone.

    A hole is a component of the background (by faces) that neither reaches the border of the array
    nor touches a second object.
    """
    background, count = _components(labels == 0)
    enclosed = np.arange(count + 1) > 0
    for face in _faces(background):
        enclosed[face] = False
    holes = np.flatnonzero(enclosed[background])  # never at the border: all neighbours exist
    component = background.ravel()[holes]
    steps = [_flat(o, labels.shape) for o in _ball(labels.ndim, 1)]
    near = [labels.ravel()[holes + step] for step in steps]
    owner = np.zeros(count + 1, labels.dtype)
    for value in near:
        owner[component[value > 0]] = value[value > 0]
    shared = [component[(value > 0) & (value != owner[component])] for value in near]
    owner[np.concatenate(shared)] = 0
    filled = labels.copy()
    filled.reshape(-1)[holes] = owner[component]
    return filled


def smallest_area(diameter: float) -> int:
    """Return how many pixels an object has at least, where a typical one has that diameter."""
    return round(SMALLEST_SHARE * pi / 4 * diameter**2)


def remove_small_objects(labels: Labels, min_size: int) -> Labels:
    """Drop the objects with fewer than `min_size` pixels; the others keep their numbers."""
    lengths, values = _runs(labels)
    sizes = np.bincount(values, weights=lengths)
    return _painted(np.where(sizes[values] >= min_size, values, 0), lengths, labels.shape)


def remove_border_objects(labels: Labels) -> Labels:
    """Drop the objects that touch the border of the array; the others keep their numbers."""
    lengths, values = _runs(labels)
    inner = np.ones(values.max(initial=0) + 1, bool)
    for face in _faces(labels):
        inner[face] = False
    return _painted(np.where(inner[values], values, 0), lengths, labels.shape)


def relabel(labels: Labels) -> Labels:
    """Give the objects the numbers 1..n, in the order in which a scan in C order meets them."""
    lengths, values = _runs(labels)
    first = np.full(values.max(initial=0) + 1, values.size)
    first[values[::-1]] = np.arange(values.size)[::-1]  # the last assignment holds
    first[0] = -1
    number = np.empty(first.size, np.int32)
    number[np.argsort(first, kind="stable")] = np.arange(first.size)
    return _painted(number[values], lengths, labels.shape)


def _runs(labels: Labels) -> tuple[NDArray[np.intp], Labels]:
    """Return lengths and values of the runs of equal labels, in scan order.

    Objects are solid, so there are some forty times fewer runs than pixels to look at.
    """
    flat = labels.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
    return np.diff(ends, prepend=-1), flat[ends]


def _painted(values: Labels, lengths: NDArray[np.intp], shape: tuple[int, ...]) -> Labels:
    """Undo `_runs`, a part at a time: np.repeat lets no other thread run, as that of a window."""
    ends = np.cumsum(lengths)
    flat = np.empty(prod(shape), values.dtype)
    for first in range(0, values.size, RUNS_AT_A_TIME):
        part = slice(first, first + RUNS_AT_A_TIME)
        start = ends[first] - lengths[first]
        flat[start : ends[part][-1]] = np.repeat(values[part], lengths[part])
    return flat.reshape(shape)


def _faces(array: Labels) -> Iterator[Labels]:
    """Yield the first and the last layer along each axis, both in one array."""
    for axis in range(array.ndim):
        yield np.take(array, [0, -1], axis)


def object_scores(labels: Labels, score: Floats) -> NDArray[np.float64]:
    """Return the mean score in each object, shape (n,): that of object 1 first.

    Numbers that no pixel has get 0; NaN counts as 0.
    """
    inside = labels > 0
    numbers, count = labels[inside], int(labels.max(initial=0)) + 1
    total = np.bincount(numbers, weights=np.nan_to_num(score[inside]), minlength=count)
    means: NDArray[np.float64] = total / np.maximum(np.bincount(numbers, minlength=count), 1)
    return means[1:]


def classify(
    labels: Labels, scores: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Give each object the class of the highest mean score in it.

    Parameters
    ----------
    labels : int32 array, shape (Y, X)
        Objects 1..n.
    scores : float array, shape (K, Y, X)
        Score of each class, the background first; it is no candidate.

    Returns
    -------
    classes : intp array, shape (n,)
        Channel of each object's class, from 1 to K - 1.
    means : float64 array, shape (n,)
        Mean score of that class in the object; with one class, the mean foreground score.
    """
    means = np.stack([object_scores(labels, score) for score in scores[1:]])  # (K - 1, n)
    return means.argmax(axis=0) + 1, means.max(axis=0)


def class_map(scores: Floats) -> Labels:
    """Return the class of the highest score for each pixel: (K, Y, X) to (Y, X), 0 where NaN."""
    best: Labels = scores.argmax(axis=0).astype(np.int32)
    best[np.isnan(scores).any(axis=0)] = 0
    return best
