"""An annotation as it is drawn, and what it says to a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import ceil, floor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # loads TIFF libraries
    from napari_unet.images.image import PixelSize

Labels = NDArray[np.integer[Any]]

BACKGROUND = -1
"""Label of background in a scribble layer, where 0 is not annotated: on disk they are exchanged."""
NOT_ANNOTATED = -1
"""Label on disk of pixels that do not count."""


class Mode(StrEnum):
    """What pixels that nobody painted mean.

    REGIONS: background, inside the regions; without any region, everywhere. SCRIBBLES: nothing;
    background is painted with a label of its own. (A region in this mode, too, says that all in it
    is annotated: what is not painted inside is background.)
    """

    REGIONS = "regions"
    SCRIBBLES = "scribbles"


class Region(NamedTuple):
    """A rectangle of pixels in which the annotation is complete.

    Parameters
    ----------
    plane : tuple of int
        Which plane: an index for each axis before Y and X; empty in 2D.
    rows, columns : slice
        Its pixels, inside the image; neither is empty.
    """

    plane: tuple[int, ...]
    rows: slice
    columns: slice

    @property
    def where(self) -> tuple[int | slice, ...]:
        """What to index the labels with."""
        return (*self.plane, self.rows, self.columns)

    def corners(self) -> NDArray[np.float64]:
        """Return the four corners, (4, ndim), in pixels whose centres are whole numbers."""
        low, high = self.rows.start - 0.5, self.rows.stop - 0.5
        left, right = self.columns.start - 0.5, self.columns.stop - 0.5
        ends = ((low, left), (low, right), (high, right), (high, left))
        return np.array([(*self.plane, *end) for end in ends], float)


def region_of(vertices: NDArray[Any], shape: Sequence[int]) -> Region | None:
    """Return the region that a drawn shape bounds.

    Parameters
    ----------
    vertices : array, shape (N, ndim)
        In pixels of the labels, whose centres are whole numbers. For the leading axes the nearest
        plane of the first vertex counts.
    shape : sequence of int
        The labels' shape.

    Returns
    -------
    Region or None
        The pixels whose centres lie within its bounding rectangle, as far as they are inside the
        image; None if there are none.
    """
    vertices = np.asarray(vertices, float)
    if vertices.ndim != 2 or vertices.shape[1] != len(shape) or not np.isfinite(vertices).all():
        return None
    plane = tuple(round(at) for at in vertices[0, :-2])
    if not all(0 <= at < n for at, n in zip(plane, shape, strict=False)):
        return None
    sides = []
    for axis in (-2, -1):
        start = max(ceil(vertices[:, axis].min()), 0)
        stop = min(floor(vertices[:, axis].max()) + 1, shape[axis])
        if stop <= start:
            return None
        sides.append(slice(start, stop))
    return Region(plane, *sides)


class Counts(NamedTuple):
    """How much is annotated.

    `objects` is the number of labels, each plane's counted by themselves; `pixels` that of pixels
    that count, background among them; `planes` that of planes with any.
    """

    objects: int
    pixels: int
    planes: int


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is drawn.

    Parameters
    ----------
    labels : int32 array, shape (..., Y, X)
        As in the layer. Under SCRIBBLES 0 is not annotated and BACKGROUND is background; under
        REGIONS 0 is background, and -1 is never counted.
    mode : Mode
        What unpainted pixels mean.
    regions : tuple of Region
        Where the annotation is complete. Under REGIONS, if there are any, nothing else counts; if
        there are none, all of a 2D image counts, and of a stack all planes with an object.
    pixel_size : float, (float, float) or None
        Micrometres per pixel, of height and width where they differ; written to the file for
        other programs.
    classes : mapping of int to str
        What kind of object each is, by its label, where that is said.
    """

    labels: NDArray[np.int32]
    mode: Mode = Mode.REGIONS
    regions: tuple[Region, ...] = ()
    pixel_size: float | PixelSize | None = None
    classes: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.labels.shape
        for region in self.regions:
            if clipped(region, shape) != region:
                raise ValueError(
                    f"{region} is not inside labels of shape {shape}: draw it inside the image."
                )

    def target(self) -> NDArray[np.int32]:
        """Return int32 labels, a copy: -1 not annotated, 0 background, 1.. objects."""
        target = exchanged(self.labels, self.mode)
        np.maximum(target, NOT_ANNOTATED, out=target)
        if self.mode is Mode.SCRIBBLES:
            for region in self.regions:
                inside = target[region.where]
                inside[self.labels[region.where] == 0] = 0
            return target
        target[~self._complete(target)] = NOT_ANNOTATED
        return target

    def _complete(self, labels: Labels) -> NDArray[np.bool_]:
        """Return where unpainted pixels are background; may be broadcast to the labels' shape."""
        if self.regions:
            inside = np.zeros(labels.shape, bool)
            for region in self.regions:
                inside[region.where] = True
            return inside
        if labels.ndim == 2:
            return np.ones(labels.shape, bool)
        return np.broadcast_to((labels > 0).any(axis=(-2, -1), keepdims=True), labels.shape)

    def counts(self) -> Counts:
        """Count what is annotated (about 0.1 s for 4096 x 4096 pixels)."""
        return counted(self.target())

    def in_mode(self, mode: Mode) -> Annotation:
        """Return it in another mode: objects are kept, what else was painted becomes unpainted."""
        if mode is self.mode:
            return self
        return replace(self, labels=np.maximum(self.labels, 0), mode=mode)


def exchanged(labels: Labels, mode: Mode) -> NDArray[np.int32]:
    """Return int32 labels of a layer as on disk, or the other way round; regions aside."""
    if mode is Mode.REGIONS:
        return labels.astype(np.int32)
    disk = np.where(labels == 0, np.int32(NOT_ANNOTATED), labels).astype(np.int32, copy=False)
    disk[labels == BACKGROUND] = 0
    return disk


def clipped(region: Region, shape: Sequence[int]) -> Region | None:
    """Return a region as far as it is inside labels of a shape; None if it is not at all."""
    corners = region.corners()
    return region_of(corners, shape) if corners.shape[1] == len(shape) else None


def counted(target: NDArray[np.int32]) -> Counts:
    """Count what labels as on disk hold."""
    counts = [_plane_counted(target[i]) for i in np.ndindex(target.shape[:-2])]
    return Counts(
        sum(objects for objects, _ in counts),
        sum(pixels for _, pixels in counts),
        sum(pixels > 0 for _, pixels in counts),
    )


def _plane_counted(plane: NDArray[np.int32]) -> tuple[int, int]:
    pixels = int(np.count_nonzero(plane >= 0))
    largest = int(plane.max(initial=0))
    if largest > plane.size:
        return len(np.unique(plane[plane > 0])), pixels
    # A table is quicker than sorting. Its last place is that of -1, its first that of background.
    seen = np.zeros(largest + 2, bool)
    seen[plane] = True
    return int(seen[1:-1].sum()), pixels
