"""A chunk to its part of the objects: those it holds whole are finished, those it cuts are kept."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.chunked.plan import Plan, lent_engine
from napari_unet.chunked.runs import Runs
from napari_unet.engines import Engine
from napari_unet.instances import (
    class_map,
    fill_object_holes,
    object_evidence,
    split_touching,
)
from napari_unet.prediction import predict_scores
from napari_unet.preprocessing import ScaledPlane
from napari_unet.segmentation.sizing import choose_size

Labels = NDArray[np.int32]
Floats = NDArray[np.floating[Any]]

SIDES = ("top", "bottom", "left", "right")


def predict(plan: Plan, index: int, engine: Engine | None = None) -> str:
    """Predict a chunk and find its objects; returns what the user should be told, if anything.

    Parameters
    ----------
    plan : Plan
        The segmentation.
    index : int
        The chunk, of `plan.seen`.
    engine : Engine or None
        What runs the network; None: that of the plan's model, loaded once a process.
    """
    with nullcontext(engine) if engine else lent_engine(plan) as network:
        scores, message = _scores(plan, index, network)
    target = plan.card.target
    if target.instances:
        foreground, distance, _ = object_evidence(scores, target)
        found = _cut(plan, index, foreground, distance)
    else:
        found = Runs.of(class_map(scores[: len(target.classes)])).arrays()
    plan.work.save(f"parts/{index}", **found)
    return message


def size_up(plan: Plan, _: int = 0, engine: Engine | None = None) -> str:
    """Choose, as a task, how large the network is to see the image.

    Returns
    -------
    str
        The factor, a space, and what the user should be told, if anything.
    """
    with nullcontext(engine) if engine else lent_engine(plan) as network:
        size = choose_size(plan.planes, plan.normalisation, network, plan.card, plan.config)
    return f"{size.zoom!r} {size.message}"


def _scores(plan: Plan, index: int, engine: Engine) -> tuple[NDArray[np.float32], str]:
    """Return the scores of a chunk, and what the user should be told."""
    plane, *_ = plan.seen.place(index)
    channels = plan.card.preprocessing.channels
    pixels = ScaledPlane(plan.planes[plane], plan.normalisation, plan.zoom, channels)
    tiles = predict_scores(engine, pixels, plan.config.tile, region=plan.seen.region(index))
    messages = []
    while True:
        try:
            messages.append(next(tiles).message)
        except StopIteration as end:
            return end.value, " ".join(filter(None, messages))


def _cut(
    plan: Plan, index: int, foreground: Floats, distance: Floats | None
) -> dict[str, NDArray[Any]]:
    """Return what is to be kept of a chunk.

    Objects are numbered thus: from 1 those that are whole and large enough, then those that are
    whole and too small (they still keep a hole around them from being filled), then the components
    of the foreground that a seam cuts. Of these the distances are kept, too, pixel by pixel.
    """
    components = np.empty(foreground.shape, np.int32)
    count = ndimage.label(foreground >= plan.config.threshold, output=components)
    crosses = np.zeros(count + 1, bool)
    for side in _seams(plan, index):
        crosses[_line(components, side)] = True
    crosses[0] = False
    is_cut = crosses[components]
    cut = (np.cumsum(crosses, dtype=np.int32) * crosses)[components]  # 1.. in scan order
    pieces = np.where(is_cut, 0, components)
    if distance is not None:
        pieces = split_touching(pieces, distance)
    if plan.config.fill_holes:
        pieces = _filled(pieces, cut)
    pieces, kept, whole = _sorted_by_size(pieces, plan.min_size)
    labels = np.where(is_cut, whole + cut, pieces)
    none = np.zeros(0, np.float32)
    return {
        **Runs.of(labels).arrays(),
        "kept": np.array(kept),
        "whole": np.array(whole),
        "boxes": _boxes(cut),
        "distances": none if distance is None else distance[is_cut].astype(np.float32),
        **{side: _line(cut, side) for side in SIDES},
    }


def _seams(plan: Plan, index: int) -> list[str]:
    """Return the sides of a chunk on which another one lies."""
    _, row, column = plan.seen.place(index)
    _, rows, columns = plan.seen.counts
    there = (row > 0, row < rows - 1, column > 0, column < columns - 1)
    return [side for side, neighbour in zip(SIDES, there, strict=True) if neighbour]


def _line(labels: Labels, side: str) -> Labels:
    """Return the outermost pixels of a chunk on a side."""
    places: dict[str, Any] = {"top": 0, "bottom": -1, "left": (..., 0), "right": (..., -1)}
    line: Labels = labels[places[side]]
    return line


def _filled(pieces: Labels, cut: Labels) -> Labels:
    """Fill the holes of the whole pieces; what a cut component encloses waits until it is whole."""
    last = int(pieces.max(initial=0))
    filled = fill_object_holes(np.where(cut > 0, last + cut, pieces))
    return np.where(filled <= last, filled, 0)


def _sorted_by_size(pieces: Labels, min_size: int) -> tuple[Labels, int, int]:
    """Give pieces new numbers, the small ones last; return how many are large enough, and all."""
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    large = sizes >= max(min_size, 1)
    small = (sizes > 0) & ~large
    kept, whole = int(large.sum()), int(large.sum() + small.sum())
    numbers = np.cumsum(large) * large + (kept + np.cumsum(small)) * small
    return numbers.astype(np.int32)[pieces], kept, whole


def _boxes(cut: Labels) -> NDArray[np.int64]:
    """Return (top, left, bottom, right) of each cut component in the chunk, shape (n, 4)."""
    found = ndimage.find_objects(cut)
    boxes = [(r.start, c.start, r.stop, c.stop) for r, c in found]
    return np.array(boxes, np.int64).reshape(-1, 4)
