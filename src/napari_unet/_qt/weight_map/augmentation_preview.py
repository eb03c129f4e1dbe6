"""Samples as training will draw them, as layers beside the image."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from magicgui.widgets import ComboBox
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.annotated_plane import Place, annotated_plane, place_on
from napari_unet._qt.class_colours import PALETTE
from napari_unet._qt.fine_tune.neighbours import training_plan
from napari_unet._qt.layers import MADE_HERE, annotated_shape, axes_of, images_of, pixels, position
from napari_unet._qt.object_classes import class_numbers
from napari_unet._qt.pairing import fits, image_of, possible_images
from napari_unet._qt.weight_map.map_layer import COLOURS, Look
from napari_unet._qt.worker import Job, UserErrors, sentence
from napari_unet.library import card_of

if TYPE_CHECKING:  # loads torch
    from napari_unet.previewing import Samples

IMAGE, TARGET, WEIGHTS = "augmented image", "augmented target", "augmented weights"
COUNT, COLUMNS = 8, 4
SPACE = 8
"""Pixels between two samples."""
BESIDE = 24
"""Pixels between the image and the samples."""
_COLOURS: dict[int | None, str] = {None: "transparent", 1: "#00e5ff"}
OUTLINES = DirectLabelColormap(color_dict=_COLOURS | dict(enumerate(PALETTE, start=2)))
"""Of classes; seen on what is dark and what is bright."""
NO_IMAGE = "There is no image that fits the annotation: open the image that was annotated."
DRAWING = "Drawing samples…"


class AugmentationPreview(QWidget):
    """Draws samples of an image and its annotation.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are.
    """

    wanted = Signal()
    """The button was pressed."""
    told = Signal(str)
    warned = Signal(str)

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._job: Job | None = None
        self._seed = 0
        self._labels: Labels | None = None
        self._is_chosen = False  # whether someone has chosen the image
        self.image = ComboBox(
            name="image",
            label="Image",
            tooltip="The image that was annotated.",
            choices=self._images,
            nullable=True,
        )
        self.button = QPushButton("Preview augmentation")
        self.button.setToolTip(
            "Draw eight samples as training will: turned, bent, resized, and with other gray"
            " values. They come beside the image, with their target and, below, their weights."
            " Press again for eight others."
        )
        self.button.clicked.connect(self.wanted)
        self.image.changed.connect(self._on_image)
        title = QLabel("<b>What training will see</b>")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(title)
        layout.addWidget(form.lay_out(self.image))
        layout.addWidget(self.button)

    @property
    def is_running(self) -> bool:
        """Whether samples are being drawn."""
        return self._job is not None

    def _images(self, _: object = None) -> list[tuple[str, Image]]:
        layers = images_of(self._viewer)
        return [(layer.name, layer) for layer in layers if MADE_HERE not in layer.metadata]

    def follow(self, labels: Labels | None) -> None:
        """Offer the images that there are now, at first the one that an annotation is of.

        What someone has chosen stays, as long as it is there and the annotation is the same.
        """
        before = self.image.value
        self._is_chosen &= labels == self._labels
        self._labels = labels
        with self.image.changed.blocked():
            self.image.reset_choices()
            images = [image for image in self.image.choices if image is not None]
            self._is_chosen &= before in images
            self.image.value = before if self._is_chosen else _guess(labels, images, before)

    def _on_image(self, image: Image | None) -> None:
        self._is_chosen = image is not None

    def draw(self, labels: Labels, look: Look) -> None:
        """Draw samples of the plane in view."""
        if self._job is not None:
            return
        try:
            make = self._task(labels, look)
        except UserErrors as error:
            self.warned.emit(sentence(error))
            return
        self._job = job = Job(make, self)
        job.returned.connect(lambda samples: self._show(samples, labels, look.zoom))
        job.failed.connect(self.warned)
        job.ended.connect(self._on_ended)
        self.button.setEnabled(False)
        self.told.emit(DRAWING)
        job.start()

    def _task(self, labels: Labels, look: Look) -> Callable[[], Generator[None, None, Samples]]:
        """Return what is run in the thread.

        Raises
        ------
        ValueError, OSError
            If no image fits the labels, or these do not fit the network that is to be taught.
        """
        self.follow(labels)  # a layer's shape may be another one now
        image = self.image.value
        if image is None:
            raise ValueError(NO_IMAGE)
        if not fits(image, labels):
            raise ValueError(
                f"{image.name} and {labels.name} differ in shape ({annotated_shape(image)} and"
                f" {tuple(pixels(labels).shape)}): choose the image that was annotated."
            )
        drawn = annotated_plane(self._viewer, labels)
        plane, axes, channel = _plane(self._viewer, image)
        planned, start = training_plan(self._viewer)
        card = card_of(start)
        takes, classes = card.preprocessing.channels, class_numbers(labels, card.target)
        config = replace(planned, w0=look.w0, sigma=look.sigma, balance=look.balance)
        self._seed += 1
        seed = self._seed

        def make() -> Generator[None, None, Samples]:
            from napari_unet.previewing import draw_samples

            yield
            return draw_samples(
                plane,
                drawn.target(),
                config,
                start=start,
                axes=axes,
                channel=channel if takes == 1 else None,
                classes=classes,
                zoom=look.zoom,
                count=COUNT,
                seed=seed,
            )

        return make

    def _show(self, samples: Samples, labels: Labels, zoom: float) -> None:
        """Put the samples right of the plane: image and target, and the weights below."""
        if labels not in self._viewer.layers:
            self.warned.emit(f"{labels.name} was removed meanwhile: choose another annotation.")
            return
        image, weights = mosaic(samples.image[:, 0]), mosaic(samples.weights)
        width = pixels(labels).shape[-1]
        above = Place(position(self._viewer, labels), (1 / zoom,) * 2).moved(0, width + BESIDE)
        below = above.moved((len(image) + SPACE) / zoom, 0)
        highest = max(float(weights.max()), 1.0)
        new = self._put("image", IMAGE, image, above, labels, contrast_limits=(0.0, 1.2))
        target = mosaic(samples.target)
        self._put("labels", TARGET, target, above, labels, opacity=1, colormap=OUTLINES)
        self._put(
            "image",
            WEIGHTS,
            weights,
            below,
            labels,
            contrast_limits=(0.0, highest),
            colormap=COLOURS,
        )
        if new:
            self._viewer.reset_view()
        self.told.emit(
            f"{COUNT} samples beside the image, their targets outlined; below them the weights."
            " Press again for others."
        )

    def _put(
        self,
        kind: str,
        name: str,
        data: NDArray[Any],
        place: Place,
        on: Layer,
        **options: Any,
    ) -> bool:
        """Show an array in the layer that is made for it; returns whether it is a new one."""
        viewer = self._viewer
        for layer in viewer.layers:
            if layer.metadata.get(MADE_HERE) == name:
                layer.data = data
                if "contrast_limits" in options:
                    layer.contrast_limits = options["contrast_limits"]
                place_on(layer, place, on)
                return False
        selected, active = set(viewer.layers.selection), viewer.layers.selection.active
        add = viewer.add_labels if kind == "labels" else viewer.add_image
        layer = add(data, name=name, metadata={MADE_HERE: name}, **options, **place.geometry(on))
        if kind == "labels":
            layer.contour = 2
        viewer.layers.selection = selected & set(viewer.layers)
        viewer.layers.selection.active = active
        return True

    def _on_ended(self) -> None:
        self._job = None
        self.button.setEnabled(True)

    def stop(self) -> None:
        """Draw nothing any more."""
        if self._job is not None:
            self._job.abandon()


def mosaic(samples: NDArray[Any]) -> NDArray[Any]:
    """Return squares (N, S, S) in rows of four, with space between them."""
    side = samples.shape[-1] + SPACE
    rows = -(-len(samples) // COLUMNS)
    tiled = np.zeros((rows * side - SPACE, COLUMNS * side - SPACE), samples.dtype)
    for number, sample in enumerate(samples):
        y, x = (side * i for i in divmod(number, COLUMNS))
        tiled[y : y + len(sample), x : x + len(sample)] = sample
    return tiled


def _guess(labels: Labels | None, images: Sequence[Image], shown: Image | None) -> Image | None:
    """Return the image that labels are of; where nobody knows, the first that they may be of."""
    if labels is None:
        return next(iter(images), None)
    possible = possible_images(labels, images)
    if shown not in possible:
        shown = next(iter(possible), None)
    return image_of(labels, images) or shown


def _plane(
    viewer: napari.viewer.ViewerModel, image: Image
) -> tuple[Any, str, tuple[int, ...] | None]:
    """Return the plane in view with its channels, its axes, and the channel in view."""
    axes, at = axes_of(image), position(viewer, image)
    leading = axes[: len(at)]
    index = tuple(slice(None) if a == "C" else i for a, i in zip(leading, at, strict=True))
    kept = "".join(a for a in axes if a in "CSYX")
    channel = (at[axes.index("C")],) if "C" in axes else None
    return pixels(image)[index], kept, channel
