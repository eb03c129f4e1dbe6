"""What a training learns from, taken from the window once: a copy of layers, or a project."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_unet._qt.annotate.start import SOURCE
from napari_unet._qt.annotated_plane import annotated_plane
from napari_unet._qt.fine_tune.neighbours import docks_of
from napari_unet._qt.fine_tune.network import Meaning
from napari_unet._qt.fine_tune.overlays import Origin
from napari_unet._qt.fine_tune.pairs import ALL, AS_MODEL, IN_VIEW, LayerPair
from napari_unet._qt.layers import axes_of, images_of, pixel_size, pixels, position
from napari_unet._qt.object_classes import class_numbers, kinds_in, tells_kinds
from napari_unet.library import Card

if TYPE_CHECKING:  # loads torch
    from napari_unet.annotations import Autosave, Project
    from napari_unet.training import Pair, TuneProgress

MOST_CLASSES = 20
"""Labels with more numbers are objects, and no areas."""
LOOKED_AT = 2**26
"""Pixels of labels in which classes are looked for, at most."""
Learnt = tuple[tuple["Pair", ...], tuple[Origin, ...]]
"""The pairs, and where each is from."""
Learning = Callable[[], Generator["TuneProgress", "bool | None", Learnt | None]]
"""Reads them, one after the other; send True to stop, and it returns None."""


def from_layers(
    viewer: napari.viewer.ViewerModel,
    chosen: Sequence[LayerPair],
    card: Card,
    which: str = AS_MODEL,
) -> Learning:
    """Return what copies the pairs of layers; to be called in a thread, soon.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are.
    chosen : sequence of LayerPair
        Which ones.
    card : Card
        Of the network: how many channels it takes, and what it tells apart.
    which : {AS_MODEL, IN_VIEW, ALL}
        Which ones to learn from, of images that have several; for a gray model, that is the one in
        view.

    Raises
    ------
    ValueError
        If the network tells objects of several classes apart, and these do not have them.
    """
    origins = tuple(Origin.of(pair.image) for pair in chosen)
    makers = [_pair_of(viewer, pair, card, which) for pair in chosen]

    def learn() -> Generator[TuneProgress, bool | None, Learnt | None]:
        pairs = yield from _one_by_one(make() for make in makers)
        return None if pairs is None else (pairs, origins)

    return learn


def _one_by_one(
    found: Iterable[Pair],
) -> Generator[TuneProgress, bool | None, tuple[Pair, ...] | None]:
    """Take pairs that are read as they are taken; None after a stop."""
    from napari_unet.training import Stage, TuneProgress

    pairs = []
    for pair in found:
        pairs.append(pair)
        if (yield TuneProgress(Stage.PREPARING)):
            return None
    return tuple(pairs)


def _pair_of(
    viewer: napari.viewer.ViewerModel, pair: LayerPair, card: Card, which: str
) -> Callable[[], Pair]:
    image, axes = pair.image, axes_of(pair.image)
    data, name, size = pixels(image), image.name, pixel_size(image)
    channel: tuple[int, ...] | None = None
    if "C" in axes and which == ALL:
        channel = tuple(range(data.shape[axes.index("C")]))
    elif "S" in axes and which == ALL:
        channel = (0, 1, 2)
    elif "C" in axes and (which == IN_VIEW or card.preprocessing.channels == 1):
        channel = (position(viewer, image)[axes.index("C")],)
    classes = class_numbers(pair.labels, card.target)
    target = _target_of(viewer, pair.labels)

    def make() -> Pair:
        from napari_unet.training import Pair

        # Other arrays, such as those of dask, are not written into.
        copy = np.array(data) if isinstance(data, np.ndarray) else data
        return Pair(copy, target(), axes, channel, size, classes, name)

    return make


def _target_of(
    viewer: napari.viewer.ViewerModel, labels: Labels
) -> Callable[[], NDArray[np.int32]]:
    """Return what copies labels as a training reads them: -1 is not annotated."""
    drawn = annotated_plane(viewer, labels)

    def make() -> NDArray[np.int32]:
        from napari_unet.annotations import Annotation
        from napari_unet.weightmap import as_labels

        copy = np.array(as_labels(np.asarray(drawn.labels)))
        if not drawn.is_annotation:  # labels from elsewhere: they may say -1 themselves
            return copy if (copy < 0).any() else Annotation(copy).target()
        return Annotation(copy, drawn.meant(), drawn.regions).target()

    return make


def from_project(viewer: napari.viewer.Viewer, project: Project | None, card: Card) -> Learning:
    """Return what reads the annotated images of a project; to be called in a thread.

    Parameters
    ----------
    viewer : napari.Viewer
        Where some of its images may be layers.
    project : Project or None
        None: that of images which are in no other.
    card : Card
        Of the network: how many channels it takes, and what it tells apart.
    """
    from napari_unet._qt.annotate.widget import AnnotateWidget

    opened = [_Opened.of(layer) for layer in images_of(viewer)]
    kinds = card.target.classes if tells_kinds(card.target) else None
    channels = card.preprocessing.channels
    savers = [dock.autosave for dock in docks_of(viewer, AnnotateWidget)]

    def learn() -> Generator[TuneProgress, bool | None, Learnt | None]:
        from napari_unet.annotations import default_project
        from napari_unet.batch import load_pairs

        for saver in savers:
            _save(saver)
        learnt = project or default_project()
        found = learnt.pairs()
        if not found:
            raise ValueError(
                f"No image of the project {learnt.name} is annotated yet: label some objects with"
                " the dock Annotate."
            )
        if kinds is not None:
            _check_kinds([labels for _, labels in found])
        origins = _origins(learnt, [path for path, _ in found], opened)
        read = load_pairs(found, classes=kinds)
        pairs = yield from _one_by_one(_in_gray(pair, channels) for pair in read)
        return None if pairs is None else (pairs, origins)

    return learn


def _check_kinds(annotations: Sequence[Path]) -> None:
    """Say it before anything is read if objects have no class."""
    from napari_unet.annotations.kinds import read_kinds
    from napari_unet.annotations.storage import read_counts

    for path in annotations:
        counts = read_counts(path)
        is_empty = counts is not None and not counts.objects
        if not is_empty and not read_kinds(path):
            raise ValueError(
                f"No object of {path.stem} has a class: open it in the dock Annotate, and give each"
                " object its own with Set class."
            )


def names_in_layers(layers: Sequence[Labels], meaning: Meaning) -> list[str]:
    """Return the names of the classes in labels; of areas without names, "class 1" and so on."""
    if meaning is not Meaning.AREAS:
        return sorted({kind for layer in layers for kind in kinds_in(layer).values()})
    arrays = [pixels(layer) for layer in layers]
    if any(not isinstance(a, np.ndarray) or a.size > LOOKED_AT for a in arrays):
        return []
    last = max((int(a.max(initial=0)) for a in arrays), default=0)
    if last > MOST_CLASSES:  # these are objects
        return []
    kinds = {n: kind for layer in layers for n, kind in kinds_in(layer).items()}
    names = [kinds.get(number, f"class {number}") for number in range(1, last + 1)]
    return names if len(set(names)) == last else []


def names_in_project(project: Project | None, meaning: Meaning) -> list[str]:
    """Return the names of the classes that objects of a project have."""
    if project is None or meaning is not Meaning.KINDS:
        return []
    from napari_unet.annotations.kinds import known_kinds

    return known_kinds(project.annotation_path(entry) for entry in project.entries)


@dataclass(frozen=True, eq=False)
class _Opened:
    """An image layer, with nothing left to look up in a window."""

    origin: Origin
    path: str
    pixels: Any

    @property
    def size(self) -> int:
        return prod(self.pixels.shape)

    @classmethod
    def of(cls, layer: Image) -> _Opened:
        path = layer.metadata.get(SOURCE) or layer.source.path
        return cls(Origin.of(layer), str(path or ""), pixels(layer))


def _origins(
    project: Project, paths: Sequence[Path], opened: Sequence[_Opened]
) -> tuple[Origin, ...]:
    """Return which layers a project's images are: by their files, or else by their pixels."""
    from napari_unet.annotations.records import digest

    by_path = {one.path: one.origin for one in opened}
    kept = {entry.image: entry.digest for entry in project.entries if entry.digest}
    by_digest = {}
    if any(path in kept and str(path) not in by_path for path in paths):
        # One that is annotated without a file was in memory.
        rest = [o for o in opened if o.path not in {*map(str, paths)} and o.size <= LOOKED_AT]
        by_digest = {digest(np.asarray(one.pixels)): one.origin for one in rest}
    return tuple(
        by_path.get(str(path)) or by_digest.get(kept.get(path, "")) or Origin(path.stem, None)
        for path in paths
    )


def _save(saver: Autosave) -> None:
    """Write what is drawn, as it is read from disk; in a thread."""
    if not saver.flush() and saver.problem:
        raise OSError(f"What was drawn last is not saved yet, so it cannot teach: {saver.problem}")


def _in_gray(pair: Pair, channels: int) -> Pair:
    """Let a model of one channel see the first of several."""
    several = channels == 1 and "C" in (pair.axes or "")
    return replace(pair, channel=(0,)) if several else pair
