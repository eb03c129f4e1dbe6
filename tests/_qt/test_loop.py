"""Draw, see the weight map, fine-tune, segment, and find it all the next day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet._qt.segment import saving
from napari_unet.annotations import default_project, read_annotation
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import Preprocessing, Target, UNetConfig
from napari_unet.images import read_labels
from napari_unet.library import Card, user_folder
from napari_unet.training import untrained

PLUGIN = "napari-unet-segmentation"
CENTRES = [(y, x) for y in (14, 38, 62) for x in (14, 38, 62, 86)]
NETWORK = UNetConfig(base_channels=8, depth=2, padding="same", batch_norm=True, dropout=0.0)


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def cells() -> np.ndarray:
    rows, columns = np.indices((76, 100))
    image = np.random.default_rng(0).normal(30, 5, (76, 100))
    for y, x in CENTRES:
        image[(rows - y) ** 2 + (columns - x) ** 2 < 49] += 90
    return image.clip(0, 255).astype(np.uint8)


def make_start() -> None:
    """A small model that has learnt nothing worth keeping, so that any training beats it."""
    card = Card(NETWORK, Target(), Preprocessing(diameter=14.0), {"training": {}, "name": "small"})
    user_folder().mkdir(parents=True)
    untrained(card).save(user_folder() / "small.safetensors")


def test_the_loop(make_napari_viewer, qtbot, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    make_start()
    source = tmp_path / "cells.tif"
    tifffile.imwrite(source, cells())
    viewer = make_napari_viewer(show=True)
    (image,) = viewer.open(source, plugin="napari")

    # Draw what is in one half, and say that it is complete there.
    _, annotate = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate")
    press(annotate.chooser.new_button)
    qtbot.waitUntil(lambda: not annotate.is_busy, timeout=30_000)
    labels = viewer.layers.selection.active
    assert (labels.name, labels.data.dtype) == ("cells annotation", np.int32)
    labels.brush_size = 14
    for number, (y, x) in enumerate(CENTRES, start=1):
        labels.paint((y, x), number)
    press(annotate.chooser.region_button)
    viewer.layers["cells regions"].add_rectangles(np.array([[0, 0], [75, 99]]))
    qtbot.waitUntil(lambda: "12 objects" in annotate.counts.text(), timeout=15_000)

    # Look at what training will look at.
    _, weights = viewer.window.add_plugin_dock_widget(PLUGIN, "Weight Map")
    press(weights.show_button)
    qtbot.waitUntil(lambda: weights.layer is not None and not weights.is_running, timeout=30_000)
    between = weights.layer.data[14, 26]  # in the gap between two cells
    assert between > weights.layer.data[26, 50] > 0
    assert weights.layer.name == "cells weight map"

    # Teach, stop, go on, keep.
    _, tune = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune")
    device = tune.plan.device.native
    qtbot.waitUntil(lambda: device.itemText(0).startswith("Automatic:"), timeout=30_000)
    tune.plan.start.value = "small"
    tune.plan.device.value = "cpu"
    settings = {"iterations": 60, "batch": 2, "patch": 48, "learning_rate": 0.01}
    for name, value in settings.items():
        tune.plan.settings[name].value = value
    press(tune.tune_button)
    qtbot.waitUntil(lambda: "Training" in tune.status.text(), timeout=60_000)
    labels.paint((2, 2), 99)  # the brush works meanwhile
    assert labels.data[2, 2] == 99
    labels.undo()  # the run can be resumed with the same annotation only
    assert labels.data[2, 2] == 0
    press(tune.stop_button)
    qtbot.waitUntil(lambda: not tune.is_running, timeout=30_000)
    assert "Stopped: my-small is the best so far" in tune.message.text()
    assert Checkpoint.load("my-small")
    press(tune.resume_button)
    qtbot.waitUntil(lambda: not tune.is_running, timeout=90_000)
    assert "held-out object" in tune.verdict.text.text(), tune.message.text()
    _, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    offered = segment.inputs.device.native
    qtbot.waitUntil(lambda: offered.itemText(0).startswith("Automatic:"), timeout=30_000)
    press(tune.verdict.flip_button)
    press(tune.verdict.new_button)
    assert Checkpoint.load("my-small").card.provenance["training"]["iteration"] > 0

    # Segment with it, and keep the labels.
    assert segment.inputs.image.value == image
    assert segment.inputs.model.value == "my-small"
    press(segment.segment_button)
    qtbot.waitUntil(lambda: not segment.is_running, timeout=60_000)
    found = viewer.layers["cells [my-small]"]
    assert isinstance(found, Labels)
    path = tmp_path / "found.tif"
    monkeypatch.setattr(saving.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    viewer.layers.selection.active = found
    press(segment.save_button)
    qtbot.waitUntil(lambda: segment.message.text() == f"Saved to {path}", timeout=15_000)
    np.testing.assert_array_equal(read_labels(path), found.data)

    # The next day, all is there.
    drawn = labels.data.copy()
    qtbot.waitUntil(lambda: annotate.state.text().startswith("Saved"), timeout=15_000)
    viewer.close()
    stored = default_project()
    (entry,) = stored.entries
    kept = read_annotation(stored.annotation_path(entry))
    np.testing.assert_array_equal(kept.labels, drawn)
    assert len(kept.regions) == 1
    viewer = make_napari_viewer()
    viewer.open(source, plugin="napari")
    _, annotate = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate")
    press(annotate.chooser.new_button)
    qtbot.waitUntil(lambda: "cells annotation" in viewer.layers, timeout=30_000)
    np.testing.assert_array_equal(viewer.layers["cells annotation"].data, drawn)
    assert len(viewer.layers["cells regions"].data) == 1
