"""Copies of what is drawn: by them it is known what has changed, and they hold still."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from napari_unet.annotations.annotation import Annotation

PLANES = ".planes"
"""Suffix of the folder beside a stack for planes that were written after it."""
LARGE = 2**26
"""Bytes from which a stack is written plane by plane."""
MEMORY = 2**29
"""Bytes that copies may take together, the last one excepted."""

Plane = tuple[int, ...]


class Copy:
    """A copy of an annotation, and what of it is not on disk.

    Parameters
    ----------
    annotation : Annotation
        What is drawn; its labels are copied.
    """

    def __init__(self, annotation: Annotation) -> None:
        labels = np.array(annotation.labels, np.int32, order="C")
        self.annotation = replace(annotation, labels=labels)
        self.planes: set[Plane] = set()
        """Planes that are not on disk."""
        self.is_changed = True
        self.is_settled = True
        """Whether the file holds all that is on disk: no plane is beside it."""
        self._is_whole = True

    @property
    def is_by_planes(self) -> bool:
        """Whether no more than planes, or regions, have changed in something large."""
        labels = self.annotation.labels
        return not self._is_whole and labels.ndim > 2 and labels.nbytes >= LARGE

    def update(self, annotation: Annotation) -> None:
        """Follow what is drawn now; of the labels, the planes that changed are copied."""
        own = self.annotation
        for plane in np.ndindex(own.labels.shape[:-2]):
            if not np.array_equal(own.labels[plane], annotation.labels[plane]):
                own.labels[plane] = annotation.labels[plane]
                self.planes.add(plane)
        self._is_whole |= annotation.mode is not own.mode
        self.is_changed |= (
            bool(self.planes)
            or self._is_whole
            or (annotation.regions, annotation.classes) != (own.regions, own.classes)
            or not _are_alike(annotation.pixel_size, own.pixel_size)
        )
        self.annotation = replace(annotation, labels=own.labels)

    def written(self, by_planes: bool = False) -> None:
        """Note that all of it is on disk."""
        self.planes.clear()
        self.is_settled = not by_planes
        self.is_changed = self._is_whole = False


class Copies:
    """The copies of the annotations that changed last."""

    def __init__(self) -> None:
        self._copies: dict[Path, Copy] = {}
        self._lock = Lock()

    def know(self, path: Path, copy: Copy) -> None:
        """Take over what a file holds."""
        with self._lock:
            self._put(path, copy)

    def take(self, path: Path, annotation: Annotation) -> Copy:
        """Return the copy of a file, after what is drawn now."""
        with self._lock:
            copy = self._copies.pop(path, None)
        if copy is None or copy.annotation.labels.shape != annotation.labels.shape:
            copy = Copy(annotation)
        else:
            copy.update(annotation)
        with self._lock:
            self._put(path, copy)
        return copy

    def copy(self, path: Path) -> Copy:
        """Return the copy of a file as it is."""
        return self._copies[path]

    def _put(self, path: Path, copy: Copy) -> None:
        """Keep a copy as the last one, and let go of the first that are on disk."""
        self._copies.pop(path, None)
        taken = sum(other.annotation.labels.nbytes for other in self._copies.values())
        for first, other in list(self._copies.items()):
            if taken > MEMORY and other.is_settled and not other.is_changed:
                taken -= self._copies.pop(first).annotation.labels.nbytes
        self._copies[path] = copy


def _are_alike(one: Any, other: Any) -> bool:
    """Say whether pixel sizes are equal but for the rounding of a file, which holds fractions."""
    if one is None or other is None:
        return one is other
    return np.allclose(one, other, rtol=1e-6, atol=0)
