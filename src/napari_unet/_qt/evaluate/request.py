"""What is asked for: two labels layers as they are now, and how to compare them."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import napari
import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_unet._qt.annotated_plane import AnnotatedPlane, annotated_plane
from napari_unet._qt.layers import pixels, position
from napari_unet.annotations import Annotation


class Wish(NamedTuple):
    """How to compare.

    `plane_only` leaves out all planes but those in view. `by_plane` says that objects are numbered
    anew in each plane, so that a number is another object in each. `threshold` is the IoU of the
    layer that colours objects.
    """

    plane_only: bool = False
    by_plane: bool = False
    threshold: float = 0.5


@dataclass(frozen=True, eq=False)
class Request:
    """The layers, and what a thread reads of them.

    Parameters
    ----------
    prediction, truth : Labels
        The layers, which no thread touches.
    found : array-like
        The prediction.
    at : tuple of int
        Its plane in view.
    drawn : AnnotatedPlane
        The truth.
    wish : Wish
        How to compare.
    """

    prediction: Labels
    truth: Labels
    found: Any
    at: tuple[int, ...]
    drawn: AnnotatedPlane
    wish: Wish

    @property
    def name(self) -> str:
        """What compares the two is called."""
        return f"{self.prediction.name} against {self.truth.name}"

    def is_in(self, layers: Container[Labels]) -> bool:
        """Say whether both layers are still there."""
        return self.prediction in layers and self.truth in layers

    def again(self, viewer: napari.viewer.ViewerModel) -> Request:
        """Return the same of what the layers hold now.

        Raises
        ------
        ValueError
            If a layer has another shape now.
        """
        found, drawn = pixels(self.prediction), annotated_plane(viewer, self.truth)
        for layer, now, before in (
            (self.prediction, found, self.found),
            (self.truth, drawn.labels, self.drawn.labels),
        ):
            if now.shape != before.shape:
                raise ValueError(f"{layer.name} has another shape now: press Evaluate again.")
        return replace(self, found=found, drawn=replace(drawn, at=self.drawn.at))

    def read(self) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]:
        """Return prediction and truth as the metrics take them, copies; call it in a thread.

        Raises
        ------
        ValueError
            If nothing of the truth is annotated, or it holds what no annotation does.
        """
        plane_only, by_plane, _ = self.wish
        found = np.array(self.found[self.at] if plane_only else self.found)
        truth = self._target()
        if not (truth >= 0).any():
            where = " in this plane" if plane_only else ""
            raise ValueError(
                f"Nothing of the truth is annotated{where}: draw objects, or choose other labels."
            )
        if not by_plane:
            return found, truth
        from napari_unet.metrics import number_by_plane

        return number_by_plane(found), number_by_plane(truth)

    def _target(self) -> NDArray[np.integer[Any]]:
        drawn, plane_only = self.drawn, self.wish.plane_only
        if not drawn.is_annotation:
            return np.array(drawn.labels[drawn.at] if plane_only else drawn.labels)
        if plane_only:
            return drawn.target()
        from napari_unet.weightmap import as_labels

        labels = as_labels(np.asarray(drawn.labels))
        return Annotation(labels, drawn.meant(), drawn.regions).target()


def request(
    viewer: napari.viewer.ViewerModel, prediction: Labels | None, truth: Labels | None, wish: Wish
) -> Request:
    """Put together what is asked for.

    Raises
    ------
    ValueError
        If a layer is missing, or their shapes differ.
    """
    if prediction is None or truth is None:
        missing = "predicted" if prediction is None else "true"
        raise ValueError(f"There are no {missing} labels: choose a labels layer above.")
    found, drawn = pixels(prediction), annotated_plane(viewer, truth)
    shapes = tuple(found.shape), tuple(drawn.labels.shape)
    if wish.plane_only:
        shapes = shapes[0][-2:], shapes[1][-2:]
    if shapes[0] != shapes[1]:
        advice = "choose labels of one image"
        if not wish.plane_only and shapes[0][-2:] == shapes[1][-2:]:
            advice += ', or check "This plane only"'
        raise ValueError(
            f"{prediction.name} has the shape {shapes[0]} and {truth.name} {shapes[1]}: {advice}."
        )
    return Request(prediction, truth, found, position(viewer, prediction), drawn, wish)
