"""A viewer that shows the demo's sample and its labels."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from numpy.typing import NDArray


def show(image: Any, labels: NDArray[np.int32], name: str, picture: Any) -> None:
    """Open napari with an image and its labels; returns when the window is closed.

    Parameters
    ----------
    image : array, shape (Y, X) or (Y, X, 3)
        The image.
    labels : int32 array, shape (Y, X)
        Its labels.
    name : str
        Name of the image layer.
    picture : array, shape (Y, X) or (Y, X, 3)
        What people look at: the image, or the colours of which it is one stain.
    """
    add_layers(napari.Viewer(title="napari-unet demo"), image, labels, name, picture)
    napari.run()


def add_layers(
    viewer: napari.viewer.ViewerModel,
    image: Any,
    labels: NDArray[np.int32],
    name: str,
    picture: Any = None,
) -> None:
    """Add the image, over it the picture if that is another one, and the outlines of the labels."""
    viewer.add_image(image, name=name, rgb=image.ndim > labels.ndim)
    if picture is not None and picture.shape != image.shape:
        viewer.add_image(picture, name=f"{name} [colour]", rgb=picture.ndim > labels.ndim)
    viewer.add_labels(labels, name=f"{name} [nuclei]").contour = 1
