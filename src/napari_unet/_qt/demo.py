"""A window that segments a sample, as its user would."""

from __future__ import annotations

from typing import Any

import napari

from napari_unet._qt.preferences import PLUGIN
from napari_unet._qt.segment.widget import SegmentWidget
from napari_unet.config import SegmentConfig


def show(image: Any, name: str, picture: Any, config: SegmentConfig) -> None:
    """Open napari on an image, with the dock at work; returns when the window is closed.

    Parameters
    ----------
    image : array, shape (Y, X) or (Z, Y, X)
        The image.
    name : str
        Name of its layer.
    picture : array, shape of the image or (Y, X, 3)
        What people look at: the image, or the colours of which it is one stain.
    config : SegmentConfig
        Model and device.
    """
    segment_in(napari.Viewer(title="napari-unet demo"), image, name, picture, config)
    napari.run()


def segment_in(
    viewer: napari.viewer.Viewer, image: Any, name: str, picture: Any, config: SegmentConfig
) -> SegmentWidget:
    """Add an image, over it the picture if that is another one, and press Segment in the dock."""
    layer = viewer.add_image(image, name=name)
    if picture.shape != image.shape:
        viewer.add_image(picture, name=f"{name} [colour]", rgb=True)
    dock: SegmentWidget
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    dock.inputs.image.value = layer
    dock.inputs.choose_model(config.model)
    dock.inputs.device.value = config.device
    dock.segment_button.click()
    return dock
