"""A viewer that shows the demo's sample and its labels."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from numpy.typing import NDArray


def show(image: Any, labels: NDArray[np.int32], name: str) -> None:
    """Open napari with an image and its labels; returns when the window is closed.

    Parameters
    ----------
    image : array, shape (Y, X) or (Y, X, 3)
        The image.
    labels : int32 array, shape (Y, X)
        Its labels.
    name : str
        Name of the image layer.
    """
    add_layers(napari.Viewer(title="napari-unet demo"), image, labels, name)
    napari.run()


def add_layers(
    viewer: napari.viewer.ViewerModel, image: Any, labels: NDArray[np.int32], name: str
) -> None:
    """Add the image and, over it, its labels."""
    viewer.add_image(image, name=name, rgb=image.ndim > labels.ndim)
    viewer.add_labels(labels, name=f"{name} [nuclei]")
