"""Results in the viewer: an image with its labels on it, or the overview."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.layers import Layer

from napari_unet._qt import annotation_layers
from napari_unet._qt.annotate.start import SOURCE
from napari_unet._qt.layers import (
    MADE_HERE,
    annotated_shape,
    channel_axis,
    geometry,
    labels_name,
)
from napari_unet.provenance import KEY

if TYPE_CHECKING:
    from napari_unet._qt.folder.work import Pair
    from napari_unet.images import Image

OPACITY = 0.5
"""Of labels: the image stays visible under them."""
SHEET = "overview"


class Opened:
    """The layers that were opened from a folder; those of one image are in view at a time.

    Parameters
    ----------
    viewer : napari.Viewer
        Where they are.
    """

    def __init__(self, viewer: napari.viewer.ViewerModel) -> None:
        self._viewer = viewer
        self._layers: dict[Path, list[Layer]] = {}

    def show_again(self, path: Path) -> bool:
        """Show what was opened of a file; say whether it is still there."""
        layers = self._layers.get(path, [])
        if not layers or any(layer not in self._viewer.layers for layer in layers):
            return False
        self._show_only(path)
        return True

    def show_pair(self, pair: Pair) -> None:
        """Show an image, and its labels on its place.

        Raises
        ------
        ValueError
            If they do not fit.
        """
        job = pair.job
        self.forget(job.labels)
        image = annotation_layers.add_image(self._viewer, pair.image, job.name)
        image.metadata[SOURCE] = str(job.source)
        self._layers[job.labels] = [image]
        if pair.labels is not None:
            shape = annotated_shape(image)
            if pair.labels.size != prod(shape):
                raise ValueError(
                    f"{job.labels} has the shape {pair.labels.shape}, and the image {shape}:"
                    " segment it again."
                )
            made = pair.made
            labels = self._viewer.add_labels(
                pair.labels.reshape(shape),
                name=labels_name(job.name, made.config.model if made else "labels"),
                opacity=OPACITY,
                metadata={KEY: made.to_dict()} if made else {},
                **geometry(image, channel_axis(image)),
            )
            self._layers[job.labels].append(labels)
        self._show_only(job.labels)

    def show_sheet(self, path: Path, sheet: Image) -> None:
        """Show an overview."""
        self.forget(path)
        name = f"{SHEET} of {path.parent.name}"
        units = self._viewer.layers[0].units[-2:] if self._viewer.layers else None
        layer = self._viewer.add_image(
            sheet.data,
            name=name,
            rgb=True,
            units=units,  # of any length, but napari shows no layers of several
            metadata={MADE_HERE: SHEET},
        )
        self._layers[path] = [layer]
        self._show_only(path)

    def forget(self, path: Path) -> None:
        """Hide what was opened of a file, which is another one now; next time it is read again."""
        for layer in self._layers.pop(path, []):
            layer.visible = False

    def _show_only(self, path: Path) -> None:
        for other, layers in self._layers.items():
            for layer in layers:
                layer.visible = other == path
        shown = self._layers[path]
        self._viewer.layers.selection.active = shown[-1]
        self._viewer.reset_view()
