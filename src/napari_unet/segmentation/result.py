"""Scores to labels: what was found, and how it is decided on anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import SegmentConfig, Target
from napari_unet.instances import class_map, classify, label_scores, object_evidence, smallest_area
from napari_unet.library import Card
from napari_unet.preprocessing import Frame, restore
from napari_unet.provenance import Provenance
from napari_unet.wording import counted

TYPICAL_DIAMETER = 20.0
"""Of objects in network pixels, where a model does not state its own."""


@dataclass(frozen=True)
class Objects:
    """What the objects of a plane are, that of number 1 first.

    Parameters
    ----------
    classes : intp array, shape (n,)
        Index of each one's class among the target's, where 0 is background.
    scores : float array, shape (n,)
        Mean score of that class in it, in [0, 1].
    """

    classes: NDArray[np.intp]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Segmentation:
    """Labels, and what the network said before they were decided on.

    Parameters
    ----------
    labels : int32 array, shape (*leading, Y, X)
        0 background, 1.. objects, numbered anew in each plane; 0 outside of the area asked for.
    scores : tuple of float32 array, each (K, y, x)
        A plane each, in network pixels; empty if they were not to be kept.
    card : Card
        Of the network that gave them.
    objects : tuple of Objects
        A plane each; empty for models that label areas instead of objects.
    planes : tuple of int
        Index, among those of the image, of each plane that was asked for.
    frame : Frame
        The rectangle that was asked for in each, and where the network saw it.
    made : Provenance or None
        How, where the model came from a file and whoever asked for it said so.
    """

    labels: NDArray[np.int32]
    scores: tuple[NDArray[np.float32], ...]
    card: Card
    objects: tuple[Objects, ...]
    planes: tuple[int, ...]
    frame: Frame
    made: Provenance | None = None

    def plane(self, index: int) -> NDArray[np.int32]:
        """See the labels of plane `index` of the image in the rectangle asked for."""
        part: NDArray[np.int32] = _flat(self.labels)[index][self.frame.region]
        return part

    @cached_property
    def in_words(self) -> str:
        """What was found: "3 objects", or how many are of which class, or classes' shares."""
        classes = self.card.target.classes
        if not self.card.target.instances:
            pixels = _counts((self.plane(index) for index in self.planes), len(classes))
            shares = pixels / max(pixels.sum(), 1)
            told = zip(classes[1:], shares[1:], strict=True)
            return ", ".join(f"{name} {100 * share:.1f} %" for name, share in told)
        number = sum(objects.scores.size for objects in self.objects)
        text = counted(number)
        if len(classes) == 2 or not number:
            return text
        found = _counts((o.classes for o in self.objects), len(classes))
        told = zip(classes[1:], found[1:], strict=True)
        return f"{text}: {', '.join(f'{count} {name}' for name, count in told if count)}"

    def known(self) -> dict[int, dict[str, NDArray[Any]]]:
        """Return what is known of each number in the labels of a plane, as columns of a table.

        Returns
        -------
        dict of int to dict
            By the plane's index: "index" is the number, "class" its name, where there are several,
            and "score" that of an object.
        """
        target = self.card.target
        names = np.array(target.classes)
        if not target.instances:
            areas = {"index": np.arange(names.size), "class": names}
            return {plane: areas for plane in self.planes}
        tables = {}
        for plane, objects in zip(self.planes, self.objects, strict=True):
            table: dict[str, NDArray[Any]] = {"index": 1 + np.arange(objects.scores.size)}
            if names.size > 2:
                table["class"] = names[objects.classes]
            tables[plane] = {**table, "score": objects.scores}
        return tables

    def features(self) -> dict[str, NDArray[Any]]:
        """Return what is known of each number in the labels, whichever plane it is in.

        Returns
        -------
        dict
            Columns, as of :meth:`known`. Empty where several planes number their objects anew.
        """
        known = self.known()
        is_one = len(known) == 1 or not self.card.target.instances
        return next(iter(known.values())) if is_one and known else {}

    def relabel_plane(self, index: int, config: SegmentConfig) -> NDArray[np.int32]:
        """Decide anew on the kept scores of plane `index`, in the rectangle asked for.

        Raises
        ------
        ValueError
            If scores were not kept.
        """
        if not self.scores:
            raise ValueError("The scores were not kept: segment with keep_scores=True.")
        return label_plane(self.scores[self.planes.index(index)], self.card, config, self.frame)

    def relabel(self, config: SegmentConfig) -> NDArray[np.int32]:
        """Decide anew on the kept scores; the network is not run again.

        Raises
        ------
        ValueError
            If scores were not kept.
        """
        labels = np.zeros_like(self.labels)
        for index in self.planes:
            _flat(labels)[index][self.frame.region] = self.relabel_plane(index, config)
        return labels


def label_plane(
    scores: NDArray[np.float32], card: Card, config: SegmentConfig, frame: Frame
) -> NDArray[np.int32]:
    """Decide on the scores (K, y, x) of one plane.

    Parameters
    ----------
    scores : float32 array, shape (K, y, x)
        In network pixels; 0 where nothing was predicted, which is background.
    card : Card
        Of the network.
    config : SegmentConfig
        Threshold and size; `min_size` counts image pixels.
    frame : Frame
        The rectangle of the image that they show.

    Returns
    -------
    int32 array, shape of the rectangle
    """
    target = card.target
    if not target.instances:
        return frame.restore(class_map(scores[: len(target.classes)]))
    labels = label_scores(
        *object_evidence(scores, target),
        threshold=config.threshold,
        min_size=smallest_object(card, config, frame.zoom),
        fill_holes=config.fill_holes,
        remove_border=config.remove_border,
    )
    return frame.restore(labels)


def smallest_object(card: Card, config: SegmentConfig, zoom: float) -> int:
    """Return how many network pixels an object has at least.

    That is a share of a typical object of those that the network knows, in image pixels also
    where the image was enlarged for its objects being smaller (`sizing.choose_size`). Where it was
    shrunk for their being larger, what is dropped is so, too.
    """
    if config.min_size is not None:
        return round(config.min_size * zoom**2)
    rule = card.preprocessing
    enlarged = 1.0 if config.is_sized else max(zoom / rule.zoom, 1.0)
    return smallest_area((rule.diameter or TYPICAL_DIAMETER) * enlarged)


def describe_objects(
    labels: NDArray[np.int32], scores: NDArray[np.float32], target: Target
) -> Objects:
    """Return class and score of the objects of one plane.

    Parameters
    ----------
    labels : int32 array, shape (Y, X)
        Objects 1..n, in image pixels.
    scores : float32 array, shape (K, y, x)
        In network pixels.
    target : Target
        What the channels mean.
    """
    shown = restore(labels, scores.shape[1:])
    classes, means = classify(shown, scores[: len(target.classes)])
    missing = int(labels.max(initial=0)) - len(classes)  # too small to have a network pixel
    return Objects(np.pad(classes, (0, missing), constant_values=1), np.pad(means, (0, missing)))


def _counts(numbers: Iterable[NDArray[np.integer[Any]]], size: int) -> NDArray[np.intp]:
    """Return how often each number below `size` occurs, in all arrays."""
    total = np.zeros(size, np.intp)
    for part in numbers:
        total += np.bincount(part.ravel(), minlength=size)
    return total


def _flat(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """See labels (*leading, Y, X) as (N, Y, X)."""
    return labels.reshape(-1, *labels.shape[-2:])


def count_objects(labels: NDArray[np.int32]) -> int:
    """Count the objects of all planes (*leading, Y, X), numbered 1..n in each."""
    return sum(int(plane.max(initial=0)) for plane in _flat(labels))
