"""What has to work under every Qt binding and every supported napari."""

from __future__ import annotations

import os
import sys

import qtpy
from npe2 import PluginManager

from napari_unet._qt.demo import segment_in
from napari_unet.config import SegmentConfig
from napari_unet.samples import load_picture, load_sample

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


def test_the_demo_draws_labels_over_the_sample(make_napari_viewer, qtbot) -> None:
    image, picture = load_sample("tissue")[:128, :128], load_picture("tissue")[:128, :128]
    viewer = make_napari_viewer(show=True)
    dock = segment_in(viewer, image, "tissue", picture, SegmentConfig(device="cpu"))
    assert dock.is_running
    qtbot.waitUntil(lambda: not dock.is_running, timeout=60_000)
    names = [layer.name for layer in viewer.layers]
    assert names == ["tissue", "tissue [colour]", "tissue [nuclei]"]
    assert "objects in tissue [nuclei]" in dock.message.text()
    with_labels = viewer.screenshot(flash=False)
    viewer.layers[-1].visible = False
    without = viewer.screenshot(flash=False)
    assert without[..., :3].std() > 10, "the image is not drawn"
    assert (with_labels != without).any(axis=-1).mean() > 0.05, "the labels are not drawn"
