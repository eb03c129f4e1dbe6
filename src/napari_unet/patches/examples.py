"""Annotated images as what a network learns from, one example a plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Preprocessing, Target
from napari_unet.preprocessing import (
    Array,
    as_planes,
    measure,
    rescale,
    restore,
    scaled_shape,
)
from napari_unet.weightmap import area_target, as_labels, distance_target, training_target


@dataclass(frozen=True)
class Origin:
    """Where an example is from.

    Parameters
    ----------
    image : int
        Number of the annotated image.
    plane : int
        Number of the plane in it, along its leading axes.
    row, column : int
        The example's first pixel in that plane, in network pixels.
    zoom : float
        Network pixels per image pixel.
    """

    image: int = 0
    plane: int = 0
    row: int = 0
    column: int = 0
    zoom: float = 1.0


@dataclass(frozen=True)
class Plane:
    """One annotated plane, as a network is shown it.

    Parameters
    ----------
    image : float32 array, shape (C, Y, X)
        Normalised image.
    labels : int32 array, shape (Y, X)
        The annotation: -1 not annotated, 0 background, 1.. objects.
    classes : mapping of int to int, or None
        Class of each object, counted from 1; None: they are all alike.
    pixel_size : float or None
        Micrometres per (network) pixel, if that is known.
    origin : Origin
        Where it is from.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    classes: Mapping[int, int] | None = field(default=None, kw_only=True)
    pixel_size: float | None = field(default=None, kw_only=True)
    origin: Origin = field(default=Origin(), kw_only=True)

    @property
    def objects(self) -> int:
        """Number of annotated objects."""
        return int(np.unique(self.labels[self.labels > 0]).size)

    def part(self, region: tuple[slice, slice]) -> Self:
        """Cut out a rectangle."""
        starts = [s.indices(n)[0] for s, n in zip(region, self.labels.shape, strict=True)]
        here = self.origin
        return replace(
            self,
            origin=replace(here, row=here.row + starts[0], column=here.column + starts[1]),
            image=self.image[:, *region],
            labels=self.labels[region],
        )

    def resized(self, zoom: float) -> Plane:
        """Return the plane with so many pixels for each of its own."""
        if zoom == 1:
            return self
        here = self.origin
        row, column = (round(at * zoom) for at in (here.row, here.column))
        return Plane(
            rescale(self.image, zoom),
            restore(self.labels, scaled_shape(self.labels.shape, zoom)),
            classes=self.classes,
            pixel_size=None if self.pixel_size is None else self.pixel_size / zoom,
            origin=replace(here, row=row, column=column, zoom=here.zoom * zoom),
        )


@dataclass(frozen=True)
class Example(Plane):
    """One annotated plane, ready for training.

    Parameters
    ----------
    image, labels, classes, pixel_size, origin
        As of a :class:`Plane`.
    target : float32 array, shape (T, Y, X)
        Class of each pixel, followed by the target's extra outputs.
    weights : float32 array, shape (Y, X)
        Loss weight of each pixel; 0 where it is not annotated.
    """

    target: NDArray[np.float32]
    weights: NDArray[np.float32]

    def part(self, region: tuple[slice, slice]) -> Self:
        """Cut out a rectangle."""
        cut = super().part(region)
        return replace(cut, target=self.target[:, *region], weights=self.weights[region])


def annotated_planes(
    image: Array,
    labels: Array,
    rule: Preprocessing,
    *,
    axes: str | None = None,
    channel: tuple[int, ...] | None = None,
    pixel_size: float | None = None,
    classes: Mapping[int, int] | None = None,
    number: int = 0,
) -> list[Plane]:
    """Normalise the planes of an annotated image, but for those without annotation.

    They keep their size, whatever the rule says of it.

    Parameters
    ----------
    image : array-like
        The image, of any axes that :func:`napari_unet.preprocessing.as_planes` takes.
    labels : integer array-like
        0 background, 1.. objects, -1 not annotated; the image's shape without channels.
    rule : Preprocessing
        What the network takes.
    axes, channel
        As in :func:`napari_unet.preprocessing.as_planes`.
    pixel_size : float or None
        Micrometres per pixel of the image, if that is known.
    classes : mapping of int to int, or None
        Class of each object, counted from 1.
    number : int
        Of the image, for the planes' origin.

    Raises
    ------
    ValueError
        If the shapes do not agree, or the labels are no whole numbers.
    """
    labels = np.asarray(labels)
    planes = as_planes(image, rule, axes, channel)
    shape = (*planes.leading, *planes.plane_shape)
    if labels.shape != shape:
        raise ValueError(
            f"The labels' shape {labels.shape} is not the image's {shape}: each pixel of the"
            " image needs a label (-1 where it is not annotated)."
        )
    normalise = measure(planes, rule)
    flat = as_labels(labels).reshape(-1, *planes.plane_shape)
    return [
        Plane(
            normalise(plane),
            annotation,
            classes=classes,
            pixel_size=pixel_size,
            origin=Origin(number, index),
        )
        for index, (plane, annotation) in enumerate(zip(planes, flat, strict=True))
        if (annotation >= 0).any()
    ]


def teach(
    plane: Plane, target: Target, *, w0: float = 10.0, sigma: float = 5.0, balance: bool = True
) -> Example:
    """Add to a plane what a network is to answer, and how much each pixel counts.

    Parameters
    ----------
    plane : Plane
        At the size at which the network sees it.
    target : Target
        What the network predicts.
    w0, sigma, balance
        Of the weight map.

    Raises
    ------
    ValueError
        If the annotation does not say what the target's classes are.
    """
    if target.instances:
        inside, weights = training_target(plane.labels, w0, sigma, balance=balance)
        classes = np.where(inside > 0, _object_classes(plane, target), 0)
    else:
        classes, weights = area_target(plane.labels, len(target.classes), balance=balance)
    channels = [classes.astype(np.float32)]
    extras = {"distance": distance_target, "extent": _extent_target}
    channels += [extras[name](plane.labels) for name in target.extras]
    return Example(
        plane.image,
        plane.labels,
        np.stack(channels),
        weights,
        classes=plane.classes,
        pixel_size=plane.pixel_size,
        origin=plane.origin,
    )


def _extent_target(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    return (labels > 0).astype(np.float32)


def _object_classes(plane: Plane, target: Target) -> NDArray[np.intp]:
    """Return the class of the object in each pixel; that of the background says nothing."""
    known = target.classes[1:]
    if len(known) == 1 or not (plane.labels > 0).any():
        return np.ones(plane.labels.shape, np.intp)
    if plane.classes is None:
        raise ValueError(
            f"The model tells {', '.join(known)} apart: state the class of each object."
        )
    numbers, places = np.unique(plane.labels, return_inverse=True)
    classes = [plane.classes.get(number, 0) if number > 0 else 1 for number in numbers.tolist()]
    for number, one in zip(numbers.tolist(), classes, strict=True):
        if not 1 <= one <= len(known):
            raise ValueError(
                f"Object {number} has no class that the model knows ({one}): give it one of"
                f" {', '.join(f'{n} ({name})' for n, name in enumerate(known, start=1))}."
            )
    return np.array(classes)[places].reshape(plane.labels.shape)


def prepare(
    image: Array,
    labels: Array,
    rule: Preprocessing,
    target: Target,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    balance: bool = True,
    axes: str | None = None,
    channel: tuple[int, ...] | None = None,
    pixel_size: float | None = None,
    number: int = 0,
) -> list[Example]:
    """Turn an annotated image into examples, resized by the rule's zoom.

    Parameters and errors are those of :func:`annotated_planes` and :func:`teach`.
    """
    planes = annotated_planes(
        image, labels, rule, axes=axes, channel=channel, pixel_size=pixel_size, number=number
    )
    return [
        teach(plane.resized(rule.zoom), target, w0=w0, sigma=sigma, balance=balance)
        for plane in planes
    ]
