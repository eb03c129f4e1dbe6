"""From an image to a label TIFF by clicks alone, under every Qt binding and supported napari."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

import napari_unet
from napari_unet._qt.segment import saving
from napari_unet._qt.segment.request import Part
from napari_unet._qt.segment.result import Answer
from napari_unet.engines import TorchEngine
from napari_unet.images import read_image
from napari_unet.samples import load_sample

PLUGIN = "napari-unet-segmentation"


run_tile = TorchEngine.__call__


def slowly(engine, batch):
    time.sleep(0.3)
    return run_tile(engine, batch)


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_biologists_first_minute(
    make_napari_viewer, qtbot, tmp_path: Path, monkeypatch
) -> None:
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    box = dock.inputs.device.native
    qtbot.waitUntil(lambda: box.itemText(0).startswith("Automatic:"), timeout=30_000)
    assert "File > Open Sample" in dock.message.text()
    (image,) = viewer.open_sample(PLUGIN, "tissue")
    assert dock.inputs.image.value is image

    def wait() -> None:
        qtbot.waitUntil(lambda: not dock.is_running, timeout=60_000)

    def labels() -> list[Labels]:
        return [layer for layer in viewer.layers if isinstance(layer, Labels)]

    # Try it on what the window shows, and stop half-way.
    camera = getattr(viewer, "scene", viewer).camera
    camera.zoom = 4
    viewer.screenshot(flash=False)
    dock.inputs.advanced["tile"].value = 64
    dock.inputs.part.value = Part.VIEW
    with monkeypatch.context() as patch:
        patch.setattr(TorchEngine, "__call__", slowly)
        press(dock.segment_button)
        qtbot.waitUntil(lambda: bool(labels()), timeout=30_000)
        press(dock.stop_button)
        wait()
    assert "stopped, what was done is kept" in dock.message.text()
    assert labels()[0].data.any()
    assert not labels()[0].data[:40].any()

    # Measure an object, and segment all.
    press(dock.inputs.measure.native)
    viewer.layers["Object diameter"].add_lines(np.array([[100, 100], [100, 122]]))
    qtbot.waitUntil(lambda: dock.inputs.main["diameter"].value == 22)
    dock.inputs.part.value = Part.LAYER
    press(dock.segment_button)
    wait()
    first, layer = labels()
    expected = napari_unet.segment(load_sample("tissue"), diameter=22.0, tile=64)
    assert dock.message.text() == f"{expected.max()} objects in tissue [nuclei] [1]."
    np.testing.assert_array_equal(layer.data, expected)
    assert (first.contour, layer.contour) == (1, 0)

    # Adjust, look, draw, and keep what was drawn.
    dock.decisions["threshold"].value = 0.6
    expected = napari_unet.segment(load_sample("tissue"), diameter=22.0, tile=64, threshold=0.6)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, expected))
    dock.view.value = "Outlined"
    assert layer.contour == 1
    layer.paint((80, 90), 999)
    mine = layer.data.copy()
    assert (mine == 999).any()

    def keep() -> None:
        buttons = QApplication.activeModalWidget().buttons()
        press(next(b for b in buttons if b.text() == Answer.NEW_LAYER.value))

    QTimer.singleShot(300, keep)
    dock.decisions["threshold"].value = 0.5
    qtbot.waitUntil(lambda: len(labels()) == 3)
    expected = napari_unet.segment(load_sample("tissue"), diameter=22.0, tile=64, threshold=0.5)
    qtbot.waitUntil(lambda: np.array_equal(labels()[2].data, expected))
    np.testing.assert_array_equal(layer.data, mine)

    # Save.
    path = tmp_path / "mine.tif"
    monkeypatch.setattr(saving.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    viewer.layers.selection.active = layer
    press(dock.save_button)
    qtbot.waitUntil(lambda: dock.message.text() == f"Saved to {path}")
    np.testing.assert_array_equal(read_image(path).data, mine)
