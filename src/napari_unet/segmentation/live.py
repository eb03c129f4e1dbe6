"""What to draw while an image is segmented, and while its labels are decided on anew."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import SegmentConfig
from napari_unet.engines import Engine
from napari_unet.instances import class_map, label_scores, object_evidence
from napari_unet.library import Card
from napari_unet.mosaic import Mosaic
from napari_unet.preprocessing import Array, Frame
from napari_unet.segmentation.result import Segmentation, describe_objects, smallest_object
from napari_unet.segmentation.steps import Area, SegmentProgress, segment_steps
from napari_unet.tiling import Region, extent, outside, within

PACE = 3.0
"""Seconds that a tile may take, about: after as many the display moves, and a stop is heeded."""
LARGEST_ID = 65_535
"""Of uint16, in which labels are drawn twenty times faster than in int32."""


@dataclass(frozen=True)
class Piece:
    """Labels to draw in a part of a plane.

    Parameters
    ----------
    plane : int
        Index of the plane among those of the image.
    where : tuple of slice
        Rows and columns, in image pixels.
    labels : uint16 array, or int32 where final labels are too many, of that shape
        0 background.
    objects : int or None
        How many objects they are, if they are what the plane is in the end; None while ids may
        still change.
    """

    plane: int
    where: Region
    labels: NDArray[Any]
    objects: int | None = None

    @property
    def final(self) -> bool:
        """Whether they are what the plane is in the end."""
        return self.objects is not None


@dataclass(frozen=True)
class Shown:
    """A tile that is done, and what to draw of it."""

    progress: SegmentProgress
    pieces: tuple[Piece, ...]


def segment_live(
    image: Array,
    engine: Engine,
    card: Card,
    config: SegmentConfig,
    axes: str | None = None,
    area: Area | None = None,
) -> Generator[Shown, bool | None, Segmentation]:
    """Segment an image as :func:`segment_steps` does, with labels to draw after every tile.

    The ids of a tile are provisional, and objects that a seam cuts are made one. With the last
    tile of a plane come the labels of all of it, which are those of :func:`segment_steps`. Scores
    are kept as far as memory allows.

    Yields
    ------
    Shown
        After each tile, and once more after a stop. Send True to stop.

    Returns
    -------
    Segmentation
        As :func:`segment_steps`, which also says what is raised.
    """
    steps = segment_steps(image, engine, card, config, axes, None, area, PACE)
    preview: _Preview | None = None
    stop: bool | None = None
    while True:
        try:
            progress = steps.send(stop)
        except StopIteration as end:
            result: Segmentation = end.value
            break
        if preview is None or preview.plane != progress.plane:
            preview = _Preview(progress, card, config)
        stop = yield Shown(progress, tuple(preview.add(progress)))
    if stop and progress.labels is None:  # a stop within a plane: what it has is decided on now
        last = _final(progress.plane, progress.frame, result.plane(progress.plane))
        yield Shown(progress, (last,))
    return _counted(result)


def relabel_live(
    result: Segmentation, config: SegmentConfig, first: int
) -> Generator[Piece, None, Segmentation]:
    """Decide anew on the kept scores, plane by plane.

    Parameters
    ----------
    result : Segmentation
        With scores.
    config : SegmentConfig
        What objects are.
    first : int
        Index of the plane to begin with, the one that is looked at.

    Yields
    ------
    Piece
        The final labels of each plane.

    Returns
    -------
    Segmentation
        With the new labels.
    """
    target = result.card.target
    anew = replace(result, labels=np.zeros(result.labels.shape, result.labels.dtype))
    objects = list(result.objects)
    for plane in sorted(result.planes, key=lambda plane: plane != first):
        labels = result.relabel_plane(plane, config)
        anew.plane(plane)[...] = labels
        if target.instances:
            number = result.planes.index(plane)
            objects[number] = describe_objects(labels, result.scores[number], target)
        yield _final(plane, result.frame, labels)
    return _counted(replace(anew, objects=tuple(objects)))


class _Preview:
    """The provisional labels of a plane."""

    def __init__(self, progress: SegmentProgress, card: Card, config: SegmentConfig) -> None:
        self.plane = progress.plane
        self._frame, self._card, self._config = progress.frame, card, config
        self._mosaic = Mosaic(extent(progress.frame.seen))

    def add(self, progress: SegmentProgress) -> Generator[Piece, None, None]:
        """Take in a tile, and yield what is to be drawn."""
        frame = self._frame
        if progress.labels is not None:
            yield _final(self.plane, frame, progress.labels)
            return
        for changed in self._take_in(within(progress.write, frame.seen), progress.scores):
            part = frame.image_part(outside(changed, frame.seen))
            if all(p.start < p.stop for p in part):
                labels = frame.restore(self._mosaic.labels, part)
                yield Piece(self.plane, part, as_drawn(_wrapped(labels)))

    def _take_in(self, write: Region, scores: NDArray[np.float32]) -> list[Region]:
        target = self._card.target
        if not target.instances:
            self._mosaic.labels[write] = class_map(scores[: len(target.classes)])
            return [write]
        labels = label_scores(
            *object_evidence(scores, target),
            threshold=self._config.threshold,
            min_size=smallest_object(self._card, self._config, self._frame.zoom),
            fill_holes=self._config.fill_holes,
            keep_cut=True,
        )
        return self._mosaic.add(write, labels)


def _counted(result: Segmentation) -> Segmentation:
    """Let a result be put into words here: pixels take a while, which a window has not."""
    _ = result.in_words
    return result


def _final(plane: int, frame: Frame, labels: NDArray[np.int32]) -> Piece:
    return Piece(plane, frame.region, as_drawn(labels), int(labels.max(initial=0)))


def as_drawn(labels: NDArray[np.int32]) -> NDArray[Any]:
    """Return a copy in uint16, or int32 where the ids ask for it."""
    dtype = np.uint16 if labels.max(initial=0) <= LARGEST_ID else np.int32
    return labels.astype(dtype)


def _wrapped(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Let provisional ids beyond the largest begin anew."""
    if labels.max(initial=0) <= LARGEST_ID:
        return labels
    return np.where(labels > 0, (labels - 1) % LARGEST_ID + 1, 0)
