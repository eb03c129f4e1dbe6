"""Files as layers: images with their pixel size, and labels on the image that they are of.

napari's own reader shows labels as gray images, and no file in its scale.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_unet._qt import annotation_layers
from napari_unet._qt.annotate.start import SOURCE
from napari_unet._qt.class_colours import colours_by_class
from napari_unet._qt.layers import (
    annotated_shape,
    axes_of,
    channel_axis,
    geometry,
    images_of,
    labels_name,
    pixels,
)
from napari_unet._qt.object_classes import CLASS, INDEX, LABEL, kinds_in
from napari_unet._qt.segment.chunks import STORED
from napari_unet._qt.worker import Job, UserErrors, sentence
from napari_unet.provenance import KEY

if TYPE_CHECKING:  # loads TIFF libraries
    from napari_unet.config import Target
    from napari_unet.images import Image as FileImage
    from napari_unet.provenance import Provenance

KINDS = "Labels (*.tif *.tiff *.png);;OME-Zarr (zarr.json .zattrs);;All files (*)"


@dataclass(frozen=True)
class Found:
    """Labels as they were read, with nothing left to read.

    Parameters
    ----------
    path : Path
        Where from.
    labels : napari_unet.images.Image
        Them and their axes.
    levels : list of array-like
        Those of an OME-Zarr, the finest first; empty of files.
    made : Provenance or None
        How they were made.
    table : dict of str to array
        Of their objects, if it is beside them.
    target : Target or None
        What they mean, by the model that has made them.
    """

    path: Path
    labels: FileImage
    levels: list[Any]
    made: Provenance | None
    table: dict[str, NDArray[Any]]
    target: Target | None


def open_labels(viewer: napari.viewer.Viewer) -> None:
    """Ask for label files, and add them; what File > IO Utilities calls."""
    # napari hands over a viewer whose window cannot be anybody's parent.
    parent, app = QApplication.activeWindow(), QApplication.instance()
    assert app is not None
    chosen, _ = QFileDialog.getOpenFileNames(parent, "Open labels", "", KINDS)
    for path in map(Path, chosen):
        # Of a Zarr, which is a folder, one file is chosen in it.
        is_part = path.name in ("zarr.json", ".zattrs")
        job = Job(_reading(path.parent if is_part else path), app)
        job.returned.connect(partial(_show, viewer))
        job.failed.connect(show_error)
        job.start()


def _reading(path: Path) -> Callable[[], Generator[None, None, Found]]:
    def steps() -> Generator[None, None, Found]:
        yield
        return _read(path)

    return steps


def open_files(viewer: napari.viewer.ViewerModel, paths: Iterable[Path]) -> None:
    """Add layers of files, and say which could not be opened; labels come after their images.

    What is read by nothing here is left to the readers that napari knows.
    """
    from napari_unet.images.finding import is_readable
    from napari_unet.images.ngff import is_zarr
    from napari_unet.images.opening import holds_labels

    for is_labels, path in sorted(
        ((holds_labels(path), path) for path in paths), key=itemgetter(0)
    ):
        try:
            if is_labels:
                add_labels(viewer, path)
            elif is_readable(path) or is_zarr(path):
                add_image(viewer, path)
            else:
                _open_by_others(viewer, path)
        except UserErrors as error:
            show_error(sentence(error))


def _open_by_others(viewer: napari.viewer.ViewerModel, path: Path) -> None:
    try:
        viewer.open(str(path))
    except Exception as error:  # whatever a reader, of any plugin, raises
        raise ValueError(
            f"{path} could not be opened ({error}): drag it into the window to try on."
        ) from error


def add_image(viewer: napari.viewer.ViewerModel, path: Path) -> Image:
    """Add a layer of an image with its pixel size; of an OME-Zarr, all levels, read where shown.

    Raises
    ------
    OSError, ValueError
        If it cannot be read.
    """
    from napari_unet.images import stem_of
    from napari_unet.images.ngff import is_zarr
    from napari_unet.images.opening import open_image, open_levels

    image, levels = open_image(path), open_levels(path) if is_zarr(path) else []
    if len(levels) == 1:
        image, levels = replace(image, data=levels[0]), []
    layer = annotation_layers.add_image(viewer, image, stem_of(path), levels)
    layer.metadata[SOURCE] = str(path)
    return layer


def add_labels(viewer: napari.viewer.ViewerModel, path: Path) -> Labels:
    """Add a layer of labels, on the image that they are of if it is open.

    Labels of an OME-Zarr are read where they are shown, and not to be painted in. Where the file of
    measurements is beside them they are the layer's table, and classes have the colours that
    Segment gives them.

    Raises
    ------
    OSError, ValueError
        If there are none, or they cannot be read.
    """
    return _show(viewer, _read(path))


def _read(path: Path) -> Found:
    from napari_unet.images import find_provenance
    from napari_unet.images.ngff import is_zarr
    from napari_unet.images.objects import read_objects
    from napari_unet.images.opening import open_labels, open_levels
    from napari_unet.weightmap import as_labels

    labels, made = open_labels(path), find_provenance(path)
    stored = is_zarr(path)
    if not stored:  # in memory, to be painted in: large files are mapped
        pixels = np.require(as_labels(labels.data), np.int32, ["C", "W"])
        labels = replace(labels, data=pixels)
    levels = open_levels(path, labels=True) if stored else []
    return Found(path, labels, levels, made, read_objects(path, made), _target(made))


def _target(made: Provenance | None) -> Target | None:
    """Return what the outputs of the model mean that has made labels, if it is still there."""
    from napari_unet.library import find_model, model_hash, read_card

    try:
        is_same = made is not None and model_hash(made.config.model) == made.sha256
        return read_card(find_model(made.config.model)).target if made and is_same else None
    except (OSError, ValueError):
        return None


def _show(viewer: napari.viewer.ViewerModel, found: Found) -> Labels:
    """Add a layer of what was read."""
    from napari_unet.images import stem_of

    made, levels = found.made, found.levels
    at = _place(viewer, found)
    several = len(levels) > 1  # napari takes a single one for something else
    layer = viewer.add_labels(
        levels if several else levels[0] if levels else at.data,
        multiscale=several,
        name=_name(at.image, made) or stem_of(found.path),
        opacity=annotation_layers.OPACITY,
        metadata={
            **({KEY: made.to_dict()} if made else {}),
            **({STORED: str(found.path)} if levels else {}),
        },
        **at.options,
    )
    if at.image is not None:
        annotation_layers.tie(layer, at.image)
    if levels:
        layer.editable = False  # what is on disk stays what was found
    elif layer.data.min(initial=0) < 0:
        annotation_layers.show_background(layer)
    if found.table:
        layer.features = {INDEX: found.table[LABEL], **found.table}
    _show_classes(layer, found.target)
    return layer


@dataclass(frozen=True)
class _Place:
    """Where labels lie.

    Parameters
    ----------
    options : dict
        Scale, units and so on of their layer.
    data : array
        With the axes of the image that they lie on, if there is one.
    image : Image or None
        What they are of, which their name or record says.
    """

    options: dict[str, Any]
    data: Any
    image: Image | None = None


def _place(viewer: napari.viewer.ViewerModel, found: Found) -> _Place:
    """Find the open image that labels are of, by its name; else one that they fit on."""
    images = images_of(viewer)
    named = [image for image in images if _is_of(found, image)]
    named.sort(key=lambda image: _source(image).parent != found.path.parent)
    for image in [*named, *images]:
        data = _fitted(found, image)
        if data is not None:
            options = geometry(image, channel_axis(image))
            return _Place(options, data, image if image in named else None)
    data, sides = found.labels.data, found.labels.data.shape[-2:]
    for image in named:  # whose channels have no name
        if pixels(image).shape[-2:] == sides and image.ndim > data.ndim == 2:
            names = ("scale", "translate", "units", "axis_labels")
            return _Place({name: getattr(image, name)[-2:] for name in names}, data)
    return _Place(annotation_layers.place_of(found.labels), data)


def _is_of(found: Found, image: Image) -> bool:
    """Say whether an image is called as the one that labels were made of, or as their file."""
    from napari_unet.images import stem_of
    from napari_unet.images.finding import LABELS_MARK

    told = found.made.image if found.made else ""
    name = Path(told or found.path.name.replace(LABELS_MARK, "")).name
    source = _source(image).name
    return bool({name, stem_of(Path(name))} & {image.name, source, stem_of(Path(source))})


def _source(image: Image) -> Path:
    """Return the file that an image was opened from; an empty path if there is none."""
    return Path(image.metadata.get(SOURCE) or image.source.path or "")


def _fitted(found: Found, image: Image) -> Any:
    """Return labels with the axes of an image; None if they do not fit.

    Those of a Zarr are not turned, as they would be read whole.
    """
    from napari_unet.images import Image as FileImage
    from napari_unet.images.image import fit_labels

    if found.levels:
        data = found.labels.data
        return data if data.shape == annotated_shape(image) else None
    try:
        return fit_labels(found.labels, FileImage(pixels(image), axes_of(image)))
    except ValueError:
        return None


def _name(image: Image | None, made: Provenance | None) -> str:
    """Return what Segment calls such labels."""
    return labels_name(image.name, made.config.model) if image and made else ""


def _show_classes(labels: Labels, target: Target | None) -> None:
    """Let labels have the colours of their classes, in the order that their model has them."""
    if target is not None and not target.instances:
        labels.features = {INDEX: range(1, len(target.classes)), CLASS: target.classes[1:]}
    kinds = kinds_in(labels)
    names = target.classes[1:] if target else sorted(set(kinds.values()))
    if kinds and (colours := colours_by_class(kinds, names)):
        labels.colormap = colours
