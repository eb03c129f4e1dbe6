"""What is held out to judge by, and the part of it that is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_unet.patches.examples import Example, Plane

Shown = TypeVar("Shown", bound=Plane)


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
    pairs = _split_blocks(groups[only], fraction)
    others = [e for i, g in enumerate(groups) if i != only for e in g]
    return [a for a, _ in pairs] + others, [b for _, b in pairs]


def _split_blocks(planes: Sequence[Example], fraction: float) -> list[tuple[Example, Example]]:
    """Cut planes of one stack at one place of their longer side.

    There the area of all objects is parted as asked, and some of it at least lies on either side.
    Of the two ends that could be held out it is the one in which less is annotated.
    """
    axis = int(np.argmax(planes[0].weights.shape))
    annotated = _area_along(axis, [plane.weights > 0 for plane in planes])
    profile = _area_along(axis, [plane.labels > 0 for plane in planes])
    profile = profile if profile.any() else annotated
    cut, other = _cut(profile, fraction), profile.size - _cut(profile[::-1], fraction)
    first, second = slice(None, cut), slice(cut, None)
    if annotated[:other].sum() < annotated[cut:].sum():
        first, second = slice(other, None), slice(None, other)

    def part(plane: Example, along: slice) -> Example:
        return plane.part((along, slice(None)) if axis == 0 else (slice(None), along))

    return [(part(plane, first), part(plane, second)) for plane in planes]


def _cut(profile: NDArray[np.intp], fraction: float) -> int:
    """Return where so much of an area lies beyond, and neither side is without any."""
    area = profile.cumsum()
    cut = int(np.searchsorted(area, (1 - fraction) * area[-1])) + 1
    last = int(np.flatnonzero(profile)[-1]) if profile.any() else profile.size - 1
    return min(max(min(cut, last), 1), profile.size - 1)


def _area_along(axis: int, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.intp]:
    """Return the number of pixels that are set at each place along an axis, in all masks."""
    area: NDArray[np.intp] = np.sum([mask.sum(axis=1 - axis) for mask in masks], axis=0)
    return area


def limited(examples: Sequence[Shown], pixels: int) -> list[Shown]:
    """Return examples (or planes) of no more than so many pixels together, or about; at least one.

    Of one that is larger alone, the part with most objects is taken.
    """
    chosen: list[Shown] = []
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


def richest(example: Shown, side: int) -> Shown:
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
