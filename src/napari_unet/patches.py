"""Annotated images as an endless supply of training patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.augmentation import Batch
from napari_unet.config import Preprocessing, Target
from napari_unet.preprocessing import (
    Array,
    as_planes,
    measure,
    rescale,
    restore,
    scaled_shape,
)
from napari_unet.tiling import mirrored
from napari_unet.weightmap import as_labels, distance_target, training_target


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
class Example:
    """One annotated plane, ready for training.

    Parameters
    ----------
    image : float32 array, shape (C, Y, X)
        Normalised image.
    target : float32 array, shape (T, Y, X)
        Class of each pixel, followed by the target's extra outputs.
    weights : float32 array, shape (Y, X)
        Loss weight of each pixel; 0 where it is not annotated.
    labels : int32 array, shape (Y, X)
        The annotation itself.
    pixel_size : float or None
        Micrometres per (network) pixel, if that is known.
    origin : Origin
        Where it is from.
    """

    image: NDArray[np.float32]
    target: NDArray[np.float32]
    weights: NDArray[np.float32]
    labels: NDArray[np.int32]
    pixel_size: float | None = None
    origin: Origin = Origin()

    @property
    def objects(self) -> int:
        """Number of annotated objects."""
        return int(np.unique(self.labels[self.labels > 0]).size)

    def part(self, region: tuple[slice, slice]) -> Example:
        """Cut out a rectangle."""
        starts = [s.indices(n)[0] for s, n in zip(region, self.labels.shape, strict=True)]
        here = self.origin
        return replace(
            self,
            origin=replace(here, row=here.row + starts[0], column=here.column + starts[1]),
            image=self.image[:, *region],
            target=self.target[:, *region],
            weights=self.weights[region],
            labels=self.labels[region],
        )


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
    """Turn an annotated image into examples, one a plane; planes without annotation are left out.

    Image and labels are resized by the rule's zoom.

    Parameters
    ----------
    image : array-like
        The image, of any axes that :func:`napari_unet.preprocessing.as_planes` takes.
    labels : integer array-like
        0 background, 1.. objects, -1 not annotated; the image's shape without channels.
    rule, target : Preprocessing, Target
        What the network takes and what it predicts.
    w0, sigma, balance
        Of the weight map.
    axes, channel
        As in :func:`napari_unet.preprocessing.as_planes`.
    pixel_size : float or None
        Micrometres per pixel of the image, if that is known.
    number : int
        Of the image, for the examples' origin.

    Raises
    ------
    ValueError
        If the shapes do not agree, the labels are no whole numbers, or the network's target is
        another than objects.
    """
    if len(target.classes) != 2 or not target.instances:
        raise ValueError(
            f"The model tells {', '.join(target.classes)} apart, which labels of objects cannot"
            " teach: start from another model."
        )
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
    size = scaled_shape(planes.plane_shape, rule.zoom)
    seen_size = None if pixel_size is None else pixel_size / rule.zoom
    return [
        replace(
            _example(
                rescale(normalise(plane), rule.zoom),
                restore(annotation, size),
                target,
                w0,
                sigma,
                balance,
            ),
            pixel_size=seen_size,
            origin=Origin(number, index, zoom=rule.zoom),
        )
        for index, (plane, annotation) in enumerate(zip(planes, flat, strict=True))
        if (annotation >= 0).any()
    ]


def _example(
    image: NDArray[np.float32],
    labels: NDArray[np.int32],
    target: Target,
    w0: float,
    sigma: float,
    balance: bool,
) -> Example:
    classes, weights = training_target(labels, w0, sigma, balance=balance)
    channels = [classes.astype(np.float32)]
    if "distance" in target.extras:
        channels.append(distance_target(labels))
    return Example(image, np.stack(channels), weights, labels)


def sample_windows(
    examples: Sequence[Example],
    size: int,
    count: int,
    random: np.random.Generator,
    probabilities: NDArray[np.float64] | None = None,
) -> Batch:
    """Cut windows at random places of random examples.

    Parameters
    ----------
    examples : sequence of Example
        Where to cut.
    size : int
        Side of a window in pixels; smaller examples are mirrored.
    count : int
        Number of windows.
    random : numpy.random.Generator
        Source of the choices.
    probabilities : array or None
        Of each example; None: all alike.

    Returns
    -------
    Batch
        Float32 tensors on the CPU.
    """
    chosen = random.choice(len(examples), count, p=probabilities)
    windows = [_window(examples[i], size, random) for i in chosen]
    return Batch(
        torch.from_numpy(np.stack([w.image for w in windows])),
        torch.from_numpy(np.stack([w.target for w in windows])),
        torch.from_numpy(np.stack([w.weights for w in windows]))[:, None],
    )


def _window(example: Example, size: int, random: np.random.Generator) -> Example:
    """Cut around a random annotated pixel, so that sparse annotation is seen, too."""
    shape = example.weights.shape
    middle = [int(random.integers(n)) for n in shape]
    if not example.weights[tuple(middle)] > 0:
        annotated = np.flatnonzero(example.weights > 0)
        if annotated.size:
            pick = annotated[random.integers(annotated.size)]
            middle = [int(i) for i in np.unravel_index(pick, shape)]
    # Two thirds of a window are a patch: where the image is large enough, it stays inside.
    inset = [min(size // 3, n // 2) for n in shape]
    middle = [min(max(m, i), n - i) for m, i, n in zip(middle, inset, shape, strict=True)]
    rows, columns = (
        mirrored(m - size // 2, m - size // 2 + size, n) for m, n in zip(middle, shape, strict=True)
    )
    region = np.ix_(rows, columns)
    return replace(
        example,
        image=example.image[:, region[0], region[1]],
        target=example.target[:, region[0], region[1]],
        weights=example.weights[region],
        labels=example.labels[region],
    )


def hold_out(
    groups: Sequence[Sequence[Example]], fraction: float, random: np.random.Generator
) -> tuple[list[Example], list[Example]]:
    """Part examples into training and validation; objects are held out, always.

    Whole images (a group each) are held out where two or more have objects, since planes of one
    stack are alike; of a single one it is a block at one side. On a part without objects, a network
    that finds nothing would be the best of all.

    Returns
    -------
    training, validation : list of Example
    """
    groups = [g for g in groups if g]
    rich = [i for i, g in enumerate(groups) if any((e.labels > 0).any() for e in g)]
    if len(rich) > 1:
        count = min(max(1, round(fraction * len(groups))), len(rich) - 1)
        held = set(random.permutation(rich)[:count].tolist())
        return (
            [e for i, g in enumerate(groups) if i not in held for e in g],
            [e for i, g in enumerate(groups) if i in held for e in g],
        )
    only = rich[0] if rich else 0
    pairs = [_split_block(e, fraction) for e in groups[only]]
    others = [e for i, g in enumerate(groups) if i != only for e in g]
    return [a for a, _ in pairs] + others, [b for _, b in pairs]


def _split_block(example: Example, fraction: float) -> tuple[Example, Example]:
    """Cut along the longer side where the area of objects is parted as asked."""
    axis = int(np.argmax(example.weights.shape))
    objects = example.labels > 0
    counted = objects if objects.any() else example.weights > 0
    profile = counted.sum(axis=1 - axis).cumsum()
    cut = int(np.searchsorted(profile, (1 - fraction) * profile[-1])) + 1
    cut = min(max(cut, 1), example.weights.shape[axis] - 1)
    return tuple(  # type: ignore[return-value]
        example.part(tuple(s if a == axis else slice(None) for a in (0, 1)))  # type: ignore[arg-type]
        for s in (slice(None, cut), slice(cut, None))
    )


def limited(examples: Sequence[Example], pixels: int) -> list[Example]:
    """Return examples of no more than so many pixels together, or about; at least one.

    Of one that is larger alone, the part with most objects is taken.
    """
    chosen: list[Example] = []
    room = pixels
    for example in sorted(examples, key=lambda e: e.objects, reverse=True):
        if example.labels.size <= room:
            chosen.append(example)
        elif not chosen:
            chosen.append(richest(example, int(pixels**0.5)))
        else:
            continue
        room -= chosen[-1].labels.size
    return chosen


def richest(example: Example, side: int) -> Example:
    """Cut out the square, of those on a grid, in which most is annotated as objects."""
    height, width = (min(side, n) for n in example.labels.shape)
    inside = example.labels > 0
    corners = [
        (y, x)
        for y in _starts(example.labels.shape[0], height)
        for x in _starts(example.labels.shape[1], width)
    ]
    y, x = max(corners, key=lambda at: inside[at[0] : at[0] + height, at[1] : at[1] + width].sum())
    return example.part((slice(y, y + height), slice(x, x + width)))


def _starts(length: int, part: int) -> list[int]:
    """Return where parts begin that overlap by half; the last one ends with the whole."""
    return [*range(0, length - part, max(part // 2, 1)), length - part]
