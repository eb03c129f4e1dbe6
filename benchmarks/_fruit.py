"""Pictures of fruit on a table that touch one another, made from a seed: objects of three kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KINDS = ("background", "apple", "pear", "strawberry")
SIDE, COUNT = 224, 12
"""Pixels a side of a picture, and fruits in it, at most."""
SKIN = {
    1: ((200, 40, 40), (120, 180, 60), (225, 190, 70)),
    2: ((130, 175, 60), (220, 195, 80)),
    3: ((205, 35, 45),),
}
"""Colours of each kind: apples are as red as strawberries, or as green as pears."""
CLOSER, APART = 1.0, 60
"""Pixels by which a fruit is moved towards another one at a time, and from how far away."""
REACH = 29
"""Pixels a side within which a fruit lies."""


@dataclass(frozen=True)
class Scene:
    """A picture (Y, X, 3) of uint8, the fruits' labels (Y, X), and the kind of each of them."""

    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    classes: dict[int, int]


def make_scene(seed: int) -> Scene:
    """Draw fruits: the first one anywhere, and each other one so that it touches an earlier one."""
    random = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), np.int32)
    image = _table(random)
    centres: list[NDArray[np.float64]] = []
    classes: dict[int, int] = {}
    for _ in range(4 * COUNT):
        kind = int(random.integers(1, len(KINDS)))
        fruit = Fruit(kind, random.uniform(15, 21), random.uniform(0, 2 * np.pi))
        centre = _place(fruit, labels, centres, random)
        if centre is None:
            continue
        centres.append(centre)
        classes[len(centres)] = kind
        box, mask, light = fruit.at(centre)
        labels[box][mask] = len(centres)
        image[box][mask] = _skin(kind, light, random)[mask]
        if len(centres) == COUNT:
            break
    noisy = image + random.normal(0, 6, image.shape)
    return Scene(np.clip(noisy, 0, 255).astype(np.uint8), labels, classes)


@dataclass(frozen=True)
class Fruit:
    """Its kind, its radius in pixels, and how it is turned."""

    kind: int
    radius: float
    angle: float

    def at(
        self, centre: NDArray[np.float64]
    ) -> tuple[tuple[slice, ...], NDArray[np.bool_], NDArray[np.float64]]:
        """Return a part of the picture, where in it the fruit is, and how it is lit, in 0..1."""
        corner = np.clip(centre.astype(int) - REACH, 0, SIDE)
        end = np.clip(centre.astype(int) + REACH, corner, SIDE)
        box = tuple(slice(*ends) for ends in zip(corner.tolist(), end.tolist(), strict=True))
        y, x = np.mgrid[box]
        a, b = (y - centre[0]) / self.radius, (x - centre[1]) / self.radius
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        v, u = a * cos + b * sin, b * cos - a * sin
        if self.kind == 1:
            mask = u**2 + v**2 <= 1
        elif self.kind == 2:
            mask = (u**2 + (v - 0.3) ** 2 <= 0.6) | ((u / 0.5) ** 2 + ((v + 0.6) / 0.7) ** 2 <= 1)
        else:
            mask = (v > -0.8) & (np.abs(u) <= 0.85 * np.sqrt(np.clip((1.1 - v) / 1.9, 0, 1)))
        return box, mask, np.clip(1 - 0.35 * ((a + 0.4) ** 2 + (b + 0.4) ** 2), 0.25, 1)


def _place(
    fruit: Fruit,
    labels: NDArray[np.int32],
    centres: list[NDArray[np.float64]],
    random: np.random.Generator,
) -> NDArray[np.float64] | None:
    """Move a fruit towards another one until they touch; None if it would lie beyond the table."""
    if not centres:
        return random.uniform(60, SIDE - 60, 2)
    direction = random.uniform(0, 2 * np.pi)
    step = np.array([np.sin(direction), np.cos(direction)])
    goal, last = centres[int(random.integers(len(centres)))], None
    for distance in np.arange(APART, 0, -CLOSER):
        centre = goal + distance * step
        box, mask, _ = fruit.at(centre)
        if (labels[box][mask] > 0).any():
            break
        last = centre
    inside = last is not None and bool(((last > REACH) & (last < SIDE - REACH)).all())
    return last if inside else None


def _skin(
    kind: int, light: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return a fruit's colours; strawberries have seeds."""
    colour = np.array(SKIN[kind][int(random.integers(len(SKIN[kind])))], np.float64)
    colours = colour * light[..., None]
    if kind == 3:
        y, x = np.indices(light.shape)
        seeds = ((x + 3 * (y // 6 % 2)) % 6 < 2) & (y % 6 < 2)
        colours[seeds] = (225, 190, 90)
    return colours


def _table(random: np.random.Generator) -> NDArray[np.float64]:
    """Return the colours of the wood, lit unevenly."""
    y, x = np.indices((SIDE, SIDE))
    grain = 10 * np.sin(y / random.uniform(3, 6) + 2 * np.sin(x / random.uniform(30, 60)))
    lit = 1 + random.uniform(-0.2, 0.2) * (x / SIDE - 0.5)
    return np.asarray((np.array([150.0, 115.0, 80.0]) + grain[..., None]) * lit[..., None])
