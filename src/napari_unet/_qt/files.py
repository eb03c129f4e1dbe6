"""Files as layers: images with their pixel size, and labels on the image that they are of.

napari's own reader shows labels as gray images, and no file in its scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from napari.layers import Image, Labels
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtWidgets import QFileDialog

from napari_unet._qt import annotation_layers
from napari_unet._qt.annotate.start import SOURCE
from napari_unet._qt.class_colours import colours_by_class
from napari_unet._qt.layers import (
    annotated_shape,
    axes_of,
    channel_axis,
    geometry,
    images_of,
    pixels,
)
from napari_unet._qt.object_classes import CLASS, INDEX, LABEL, kinds_in
from napari_unet._qt.segment.chunks import STORED
from napari_unet._qt.worker import UserErrors, sentence
from napari_unet.provenance import KEY

if TYPE_CHECKING:  # loads TIFF libraries
    from napari_unet.config import Target
    from napari_unet.images import Image as FileImage
    from napari_unet.provenance import Provenance

OPACITY = 0.5
"""Of labels: the image stays visible under them."""
KINDS = "Labels (*.tif *.tiff *.png);;OME-Zarr (zarr.json .zattrs);;All files (*)"


def open_labels(viewer: napari.viewer.Viewer) -> None:
    """Ask for label files, and add them; what File > IO Utilities calls."""
    window = viewer.window._qt_window
    chosen, _ = QFileDialog.getOpenFileNames(window, "Open labels", "", KINDS)
    for path in map(Path, chosen):
        try:
            # Of a Zarr, which is a folder, one file is chosen in it.
            is_part = path.name in ("zarr.json", ".zattrs")
            add_labels(viewer, path.parent if is_part else path)
        except UserErrors as error:
            show_error(sentence(error))


def open_files(viewer: napari.viewer.ViewerModel, paths: Iterable[Path]) -> None:
    """Add layers of files, and say which could not be opened; labels come after their images.

    What is read by nothing here is left to the readers that napari knows.
    """
    from napari_unet.images.finding import is_readable
    from napari_unet.images.ngff import is_zarr
    from napari_unet.images.opening import holds_labels

    for path in sorted(paths, key=holds_labels):
        try:
            if holds_labels(path):
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
    from napari_unet.images import find_provenance, stem_of
    from napari_unet.images.ngff import is_zarr
    from napari_unet.images.objects import read_objects
    from napari_unet.images.opening import open_labels, open_levels
    from napari_unet.weightmap import as_labels

    stored, made = is_zarr(path), find_provenance(path)
    found = open_labels(path)
    if not stored:
        found = replace(found, data=as_labels(found.data))
    image, data = _placed(viewer, found, made, stored)
    levels = open_levels(path, labels=True) if stored else [data]
    several = len(levels) > 1  # napari takes a single one for something else
    layer = viewer.add_labels(
        levels if several else levels[0],
        multiscale=several,
        name=_name(stem_of(path), image, made),
        opacity=OPACITY,
        metadata={
            **({KEY: made.to_dict()} if made else {}),
            **({STORED: str(path)} if stored else {}),
        },
        **(geometry(image, channel_axis(image)) if image else annotation_layers.place_of(found)),
    )
    if stored:
        layer.editable = False  # what is on disk stays what was found
    elif layer.data.min(initial=0) < 0:
        annotation_layers.show_background(layer)
    table = read_objects(path)
    if table:
        layer.features = {INDEX: table[LABEL], **table}
    _show_classes(layer, made)
    return layer


def _placed(
    viewer: napari.viewer.ViewerModel, labels: FileImage, made: Provenance | None, stored: bool
) -> tuple[Image | None, Any]:
    """Return the open image that labels are of, by its name or else by its shape alone; and them.

    What is stored is not turned: it would be read whole.
    """
    fitting = []
    for image in images_of(viewer):
        if not stored:
            data = _fitted(labels, image)
        else:
            data = labels.data if labels.data.shape == annotated_shape(image) else None
        if data is not None:
            fitting.append((image, data))
    named = [pair for pair in fitting if made and made.image and _is_called(pair[0], made.image)]
    return next(iter(named or fitting), (None, labels.data))


def _fitted(labels: FileImage, image: Image) -> NDArray[Any] | None:
    """Return labels with the axes of an image; None if they do not fit."""
    from napari_unet.images import Image as FileImage
    from napari_unet.images.image import fit_labels

    try:
        return fit_labels(labels, FileImage(pixels(image), axes_of(image)))
    except ValueError:
        return None


def _is_called(image: Image, name: str) -> bool:
    from napari_unet.images import stem_of

    source = image.metadata.get(SOURCE) or image.source.path
    known = {image.name, *([Path(source).name, stem_of(Path(source))] if source else [])}
    return name in known or stem_of(Path(name)) in known


def _name(stem: str, image: Image | None, made: Provenance | None) -> str:
    """Return what Segment calls such labels, or else the name of their file."""
    return f"{image.name} [{Path(made.config.model).stem}]" if image and made else stem


def _show_classes(labels: Labels, made: Provenance | None) -> None:
    """Let labels have the colours of their classes, in the order that their model has them."""
    classes = _classes(made) if made else None
    if classes is not None and not classes.instances:
        labels.features = {
            INDEX: range(1, len(classes.classes)),
            CLASS: classes.classes[1:],
        }
    kinds = kinds_in(labels)
    if kinds:
        names = classes.classes[1:] if classes else sorted(set(kinds.values()))
        labels.colormap = colours_by_class(kinds, names)


def _classes(made: Provenance) -> Target | None:
    """Return what the outputs of the model mean that has made labels, if it is still there."""
    from napari_unet.library import find_model, model_hash, read_card

    try:
        is_same = model_hash(made.config.model) == made.sha256
        return read_card(find_model(made.config.model)).target if is_same else None
    except (OSError, ValueError):
        return None
