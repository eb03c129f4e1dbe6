"""The plane in view of an annotation, as a training reads it; and where layers on it belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import napari
import numpy as np
from napari.layers import Labels, Layer, Shapes
from numpy.typing import NDArray

from napari_unet._qt.annotation_layers import PATH, REGIONS, read_region
from napari_unet._qt.layers import pixels, position
from napari_unet.annotations import BACKGROUND, Annotation, Mode, Region
from napari_unet.annotations.annotation import clipped


@dataclass(frozen=True, eq=False)
class AnnotatedPlane:
    """What is drawn on a plane.

    Parameters
    ----------
    labels : array-like, shape (..., Y, X)
        Those of the layer itself: what is drawn later is in it, too.
    at : tuple of int
        Which plane.
    is_annotation : bool
        Whether it was drawn by the dock Annotate; other labels count everywhere, but for planes
        of a stack without an object, unless -1 somewhere says what does not count.
    mode : str or None
        What 0 means in an annotation, if that is known.
    regions : tuple of Region
        Where an annotation is complete.
    """

    labels: Any
    at: tuple[int, ...]
    is_annotation: bool = False
    mode: str | None = None
    regions: tuple[Region, ...] = ()

    def target(self) -> NDArray[np.int32]:
        """Return the plane as training takes it (-1: not annotated), a copy; call it in a thread.

        Raises
        ------
        ValueError
            If labels are not whole numbers from -1 to 2147483647.
        """
        from napari_unet.weightmap import as_labels

        plane = np.array(as_labels(np.asarray(self.labels[self.at])))
        if not self.is_annotation:
            return np.full_like(plane, -1) if self._is_unpainted(plane) else plane
        here = tuple(
            region._replace(plane=()) for region in self.regions if region.plane == self.at
        )
        mode = self.meant()
        if mode is Mode.REGIONS and not here and self._counts_elsewhere(plane):
            return np.full_like(plane, -1)
        return Annotation(plane, mode, here).target()

    def _is_unpainted(self, plane: NDArray[np.int32]) -> bool:
        """Say whether a plane of others' labels does not count."""
        return bool(self.at) and not plane.any() and not (np.asarray(self.labels) < 0).any()

    def meant(self) -> Mode:
        """Return what 0 means in it: as the dock Annotate says, or by whether -1 is painted."""
        if self.mode is None:
            scribbled = bool((np.asarray(self.labels) == BACKGROUND).any())
            return Mode.SCRIBBLES if scribbled else Mode.REGIONS
        return Mode(self.mode)

    def _counts_elsewhere(self, plane: NDArray[np.int32]) -> bool:
        """Say whether a plane without regions does not count: others have some, or it is empty."""
        return bool(self.regions) or (bool(self.at) and not (plane > 0).any())


def annotated_plane(viewer: napari.viewer.ViewerModel, layer: Labels) -> AnnotatedPlane:
    """Return what is drawn on the plane in view, in a labels layer and that of its regions.

    Raises
    ------
    ValueError
        If the layer has no plane.
    """
    labels = pixels(layer)
    if labels.ndim < 2 or not all(labels.shape):
        raise ValueError(f"{layer.name} has the shape {labels.shape}: choose labels of an image.")
    at, metadata = position(viewer, layer), layer.metadata
    if drawn := regions_layers(viewer, layer):
        found = [r for shapes in drawn for r in _read_regions(shapes, labels.shape)]
    else:  # they count without being seen
        said = metadata.get(REGIONS, ()) if PATH in metadata else ()
        found = [region for region in said if clipped(region, labels.shape) == region]
    return AnnotatedPlane(labels, at, PATH in metadata, metadata.get("mode"), tuple(found))


def regions_layers(viewer: napari.viewer.ViewerModel, layer: Labels) -> list[Shapes]:
    """Return the layers that say where an annotation is complete."""
    path = layer.metadata.get(PATH)
    shapes = [other for other in viewer.layers if isinstance(other, Shapes)]
    return [s for s in shapes if path and s.metadata.get(PATH) == path]


def _read_regions(layer: Shapes, shape: tuple[int, ...]) -> list[Region]:
    """Return the rectangles that count."""
    found = []
    for vertices, kind in zip(layer.data, layer.shape_type, strict=True):
        try:
            found.append(read_region(vertices, kind, shape))
        except ValueError:
            continue  # the dock Annotate tells
    return found


@dataclass(frozen=True)
class Place:
    """Where a layer of two dimensions lies on the plane of another one.

    Parameters
    ----------
    at : tuple of int
        Which plane.
    step : tuple of float
        Height and width of a pixel, in pixels of the plane.
    offset : tuple of float
        Rows and columns of the plane before the first pixel.
    """

    at: tuple[int, ...]
    step: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def moved(self, rows: float, columns: float) -> Place:
        """Return it so many pixels of the plane farther on."""
        return replace(self, offset=(self.offset[0] + rows, self.offset[1] + columns))

    def geometry(self, plane_of: Layer) -> dict[str, Any]:
        """Return what puts a layer there: scale, affine, units and axis labels."""
        lead, sides = plane_of.ndim - 2, slice(plane_of.ndim - 2, plane_of.ndim)
        first = np.array([*self.at, *self._first])
        origin = np.asarray(plane_of.data_to_world(first))
        ends = [plane_of.data_to_world(first + unit) for unit in np.eye(plane_of.ndim)[sides]]
        steps = np.stack([np.asarray(end) - origin for end in ends], axis=1)[sides]
        scale = np.asarray(plane_of.scale)[sides] * self.step  # what files are told is the scale
        affine = np.eye(3)
        affine[:2, :2] = steps * self.step / scale
        affine[:2, 2] = origin[sides]
        return {
            "scale": scale,
            "affine": affine,
            "units": tuple(plane_of.units[lead:]),
            "axis_labels": tuple(plane_of.axis_labels[lead:]),
        }

    @property
    def _first(self) -> Sequence[float]:
        """The centre of the first pixel."""
        return [o + s / 2 - 0.5 for o, s in zip(self.offset, self.step, strict=True)]


def place_on(layer: Layer, place: Place, plane_of: Layer) -> None:
    """Move a layer to a place, if it is not there."""
    geometry = place.geometry(plane_of)
    if not np.allclose(layer.scale, geometry["scale"]):
        layer.scale = geometry["scale"]
    if not np.allclose(layer.affine.affine_matrix, geometry["affine"]):
        layer.affine = geometry["affine"]
    for name in ("units", "axis_labels"):
        if tuple(getattr(layer, name)) != geometry[name]:
            setattr(layer, name, geometry[name])
