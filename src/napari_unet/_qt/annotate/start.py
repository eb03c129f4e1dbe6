"""Where an annotation begins: from nothing, from what is on disk, or from a result."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from numpy.typing import NDArray

from napari_unet._qt.layers import annotated_shape, axes_of, labels_shape, pixel_sides, pixels
from napari_unet.annotations import Annotation, Mode
from napari_unet.memory import free_memory

if TYPE_CHECKING:  # load TIFF libraries
    from napari_unet.annotations import Autosave, Entry, Project
    from napari_unet.images import Image

SHARE = 0.5
"""Of the free memory that an annotation may take."""
COMPARED = 8
"""Planes by which it is found out whether a layer still has the pixels of its file."""
SOURCE = "image file"
"""Entry in the metadata of an image layer: the file that a project has read it from."""


@dataclass(frozen=True)
class Subject:
    """An image layer, with nothing left to look up in a window.

    Parameters
    ----------
    name : str
        Of the layer.
    source : Path or None
        The file that it was opened from.
    pixels : array-like
        Its pixels.
    axes : str
        A letter per dimension.
    shape : tuple of int
        Of its annotation.
    pixel_sides : (float, float) or None
        Height and width of a pixel in micrometres.
    """

    name: str
    source: Path | None
    pixels: Any
    axes: str
    shape: tuple[int, ...]
    pixel_sides: tuple[float, float] | None


def subject_of(image: ImageLayer) -> Subject:
    """Read off an image layer what an annotation of it needs to know."""
    source = image.metadata.get(SOURCE) or image.source.path
    return Subject(
        image.name,
        Path(source) if source else None,
        pixels(image),
        axes_of(image),
        annotated_shape(image),
        pixel_sides(image),
    )


@dataclass(frozen=True)
class Start:
    """What an annotation begins with.

    Parameters
    ----------
    project, entry : Project, Entry
        Where it belongs.
    path : Path
        The file that it is saved in.
    annotation : Annotation
        What to show at first.
    found : bool
        Whether that was on disk.
    result : int32 array or None
        Labels to begin from.
    image : Image or None
        Pixels to show with it.
    kinds : sequence of str
        The classes that objects of the project have.
    result_kinds : mapping of int to str
        Of which class their objects are, if a model has said so.
    """

    project: Project
    entry: Entry
    path: Path
    annotation: Annotation
    found: bool
    result: NDArray[np.int32] | None = None
    image: Image | None = None
    kinds: Sequence[str] = ()
    result_kinds: Mapping[int, str] = field(default_factory=dict)


def begin(
    subject: Subject, project: Project | None, mode: Mode, result: Any, autosave: Autosave
) -> Generator[str, None, Start]:
    """Find the place of an image in a project, and what is annotated of it already.

    Parameters
    ----------
    subject : Subject
        The image.
    project : Project or None
        None: the user's own.
    mode : Mode
        Of an annotation that is new.
    result : array-like or None
        Labels to begin from.
    autosave : Autosave
        Which is told what the file holds.

    Yields
    ------
    str
        What takes its time.

    Raises
    ------
    ValueError, OSError
        If the project cannot be used, or holds an annotation of another shape.
    """
    from napari_unet.annotations import default_project

    project = project or default_project()
    yield f"Looking for an annotation of {subject.name}…"
    _check_memory(subject)
    if subject.source is not None and _is_all_of(subject.source, subject):
        entry = project.add(subject.source)
    else:
        entry = project.add_array(
            subject.name, np.asarray(subject.pixels), subject.axes, subject.pixel_sides
        )
    labels = None if result is None else np.asarray(result).astype(np.int32)
    annotation, found = _read(project, entry, subject.shape, mode, autosave)
    path, kinds = project.annotation_path(entry), _kinds_of(project)
    return Start(project, entry, path, annotation, found, labels, kinds=kinds)


def _check_memory(subject: Subject) -> None:
    """Raise for an image that does not fit into memory, where all that is drawn has to be."""
    needed = prod(subject.pixels.shape) * subject.pixels.dtype.itemsize + 4 * prod(subject.shape)
    if needed > SHARE * free_memory():
        raise ValueError(
            f"{subject.name} would take {needed / 1e9:.1f} GB of memory to annotate, of which"
            f" {free_memory() / 1e9:.1f} GB are free: cut a part of it out as an image of its own,"
            " and annotate that. What is taught there serves for all of it."
        )


def open_entry(
    project: Project, entry: Entry, mode: Mode, model: str | None, autosave: Autosave
) -> Generator[str, None, Start]:
    """Read an image of a project and its annotation; with a model, predict one where there is none.

    Parameters
    ----------
    project, entry : Project, Entry
        Which image.
    mode : Mode
        Of an annotation that is new.
    model : str or None
        By which to segment the image first.
    autosave : Autosave
        Which is told what the file holds.

    Yields
    ------
    str
        What takes its time.

    Raises
    ------
    ValueError, OSError
        If the image is gone or cannot be read, or its annotation has another shape.
    """
    from napari_unet.images import read_image

    yield f"Opening {entry.name}…"
    image = read_image(project.image(entry))
    shape = labels_shape(image.data.shape, image.axes)
    annotation, found = _read(project, entry, shape, mode, autosave)
    labels: NDArray[np.int32] | None = None
    named: Mapping[int, str] = {}
    if model is not None and not found:
        yield f"Predicting {entry.name} with {model}…"
        labels, named = yield from _predict(image, model)
    path, kinds = project.annotation_path(entry), _kinds_of(project)
    return Start(project, entry, path, annotation, found, labels, image, kinds, named)


def _kinds_of(project: Project) -> list[str]:
    from napari_unet.annotations.kinds import known_kinds

    return known_kinds(project.annotation_path(entry) for entry in project.entries)


def _is_all_of(source: Path, subject: Subject) -> bool:
    """Say whether a file, as training will read it, has just the pixels of a layer."""
    from napari_unet.images import read_image

    try:
        image = read_image(source)
    except (ValueError, OSError):
        return False
    shape = labels_shape(image.data.shape, image.axes)
    if image.data.shape != subject.pixels.shape or shape != subject.shape:
        return False
    return _are_alike(image.data, subject.pixels, image.data.ndim - 2 - ("S" in image.axes))


def _are_alike(one: Any, other: Any, leading: int) -> bool:
    """Say whether arrays of one shape are equal in some of their planes."""
    lengths = one.shape[:leading]
    count = prod(lengths)
    chosen = np.unique(np.linspace(0, count - 1, min(count, COMPARED)).round().astype(int))
    planes = zip(*np.unravel_index(chosen, lengths), strict=True) if lengths else [()]
    pairs = ((np.asarray(one[p]), np.asarray(other[p])) for p in planes)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in pairs)


def _read(
    project: Project, entry: Entry, shape: tuple[int, ...], mode: Mode, autosave: Autosave
) -> tuple[Annotation, bool]:
    from napari_unet.annotations.versions import version_of

    path = project.annotation_path(entry)
    is_saved = autosave.flush()  # what was drawn a moment ago
    unsaved = None if is_saved else autosave.pending_of(path)
    version = version_of(path)
    found = unsaved or project.read_annotation(entry)
    if found is None:
        return Annotation(np.zeros(shape, np.int32), mode), False
    if found.labels.shape != shape:
        raise ValueError(
            f"The annotation {path} has the shape {found.labels.shape}, and the image {shape}: move"
            " that file away to begin anew."
        )
    if unsaved is None:
        autosave.known(path, found, version)
        labels = np.require(found.labels, np.int32, ["C", "W"])
    else:
        labels = found.labels.copy()  # those of a layer that may still be somewhere
    return replace(found, labels=labels), True


def _predict(
    image: Image, model: str
) -> Generator[str, None, tuple[NDArray[np.int32], dict[int, str]]]:
    """Return what a model finds, and of which class it is where the model tells."""
    from napari_unet.config import SegmentConfig
    from napari_unet.segmentation import load_engine, segment_steps

    engine, card = load_engine(config := SegmentConfig(model=model))
    rule = card.preprocessing
    config = SegmentConfig(
        model=model,
        pixel_size=image.pixel_size if rule.pixel_size is not None else None,
        channel=(0,) if rule.channels == 1 and "C" in image.axes else None,
    )
    steps = segment_steps(image.data, engine, card, config, image.axes)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            table = end.value.features()
            named = zip(table.get("index", ()), table.get("class", ()), strict=False)
            return end.value.labels, {int(n): str(kind) for n, kind in named if n}
        yield ""  # a place to end
