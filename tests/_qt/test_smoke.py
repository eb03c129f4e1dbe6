"""What has to work under every Qt binding and every supported napari."""

from __future__ import annotations

import os
import sys

import numpy as np
import qtpy
from npe2 import PluginManager
from skimage.data import immunohistochemistry

from napari_unet._qt.demo import add_layers

MODULES = {"pyqt6": "PyQt6", "pyside6": "PySide6"}


def test_only_the_binding_asked_for_is_loaded() -> None:
    asked = os.environ.get("QT_API", qtpy.API)
    assert asked == qtpy.API
    assert not [m for name, m in MODULES.items() if name != asked and m in sys.modules]


def test_napari_knows_the_plugin() -> None:
    manager = PluginManager()
    manager.discover()
    manifest = manager.get_manifest("napari-unet-segmentation")
    assert manifest.display_name == "U-Net Segmentation"


def test_viewer_draws_an_image_and_its_labels(make_napari_viewer) -> None:
    image = immunohistochemistry()[:64, :96]
    labels = np.zeros((64, 96), np.int32)
    labels[16:48, 24:72] = 1
    viewer = make_napari_viewer(show=True)
    add_layers(viewer, image, labels, "tissue")
    with_labels = viewer.screenshot(flash=False)
    viewer.layers[-1].visible = False
    without = viewer.screenshot(flash=False)
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Labels"]
    assert without[..., :3].std() > 10, "the image is not drawn"
    outline = (with_labels != without).any(axis=-1)
    assert 100 < outline.sum() < outline.size / 10, "the labels are not drawn as outlines"
