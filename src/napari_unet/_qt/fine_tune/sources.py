"""What a training learns from, taken from the window once: a copy of layers, or a project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import napari
import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_unet._qt.annotate.start import SOURCE
from napari_unet._qt.annotated_plane import annotated_plane
from napari_unet._qt.fine_tune.overlays import Origin
from napari_unet._qt.fine_tune.pairs import LayerPair
from napari_unet._qt.layers import axes_of, pixel_size, pixels, position

if TYPE_CHECKING:  # loads torch
    from napari_unet.annotations import Project
    from napari_unet.training import Pair

Learnt = tuple[tuple["Pair", ...], tuple[Origin, ...]]
"""The pairs, and where each is from."""


def from_layers(
    viewer: napari.viewer.ViewerModel, chosen: Sequence[LayerPair], channels: int
) -> Callable[[], Learnt]:
    """Return what copies the pairs of layers; to be called in a thread, soon.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are.
    chosen : sequence of LayerPair
        Which ones.
    channels : int
        How many the model takes; of a gray one, the channel in view is learnt from.
    """
    origins = tuple(Origin.of(pair.image) for pair in chosen)
    makers = [_pair_of(viewer, pair, channels) for pair in chosen]
    return lambda: (tuple(make() for make in makers), origins)


def _pair_of(
    viewer: napari.viewer.ViewerModel, pair: LayerPair, channels: int
) -> Callable[[], Pair]:
    image, axes = pair.image, axes_of(pair.image)
    data, name, size = pixels(image), image.name, pixel_size(image)
    channel = None
    if channels == 1 and "C" in axes:
        channel = (position(viewer, image)[axes.index("C")],)
    target = _target_of(viewer, pair.labels)

    def make() -> Pair:
        from napari_unet.training import Pair

        # Other arrays, such as those of dask, are not written into.
        copy = np.array(data) if isinstance(data, np.ndarray) else data
        return Pair(copy, target(), axes, channel, size, name)

    return make


def _target_of(
    viewer: napari.viewer.ViewerModel, labels: Labels
) -> Callable[[], NDArray[np.int32]]:
    """Return what copies labels as a training reads them: -1 is not annotated."""
    drawn = annotated_plane(viewer, labels)

    def make() -> NDArray[np.int32]:
        from napari_unet.annotations import BACKGROUND, Annotation, Mode
        from napari_unet.weightmap import as_labels

        copy = np.array(as_labels(np.asarray(drawn.labels)))
        if not drawn.is_annotation:  # a label image from elsewhere, in which -1 is said
            return copy
        scribbled = drawn.mode is None and bool((copy == BACKGROUND).any())
        mode = Mode.SCRIBBLES if scribbled else Mode(drawn.mode or Mode.REGIONS)
        return Annotation(copy, mode, drawn.regions).target()

    return make


def from_project(
    viewer: napari.viewer.ViewerModel, project: Project | None, channels: int
) -> Callable[[], Learnt]:
    """Return what reads the annotated images of a project; to be called in a thread.

    Parameters
    ----------
    viewer : napari.Viewer
        Where some of its images may be layers.
    project : Project or None
        None: that of images which are in no other.
    channels : int
        How many the model takes.
    """
    layers = [layer for layer in viewer.layers if isinstance(layer, Image)]
    opened = {str(layer.metadata.get(SOURCE) or layer.source.path): layer for layer in layers}
    origins = {path: Origin.of(layer) for path, layer in opened.items()}

    def make() -> Learnt:
        from napari_unet.annotations import default_project
        from napari_unet.batch import load_pairs

        learnt = project or default_project()
        found = learnt.pairs()
        if not found:
            raise ValueError(
                f"No image of the project {learnt.name} is annotated yet: label some objects with"
                " the dock Annotate."
            )
        known = (origins.get(str(path), Origin(path.stem, None)) for path, _ in found)
        pairs = tuple(_in_gray(pair, channels) for pair in load_pairs(found))
        return pairs, tuple(known)

    return make


def _in_gray(pair: Pair, channels: int) -> Pair:
    """Let a model of one channel see the first of several."""
    several = channels == 1 and "C" in (pair.axes or "")
    return replace(pair, channel=(0,)) if several else pair
