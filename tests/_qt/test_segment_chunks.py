"""Images that the dock segments by chunks, and networks that run on the workers of a scheduler."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest
import zarr
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

import napari_unet
from _drawn import lively
from napari_unet._qt.segment import request, size, so_far
from napari_unet._qt.segment import widget as segment
from napari_unet._qt.segment.inputs import CLUSTER, NO_ADDRESS
from napari_unet._qt.segment.request import Part
from napari_unet.checkpoint import Checkpoint
from napari_unet.chunked import parts, workers
from napari_unet.config import Preprocessing, SegmentConfig, Target, UNetConfig
from napari_unet.images import ngff
from napari_unet.library import Card
from napari_unet.model import build
from napari_unet.prediction import predict_scores, run_to_end
from napari_unet.segmentation import Area, load_engine, segment_steps

NETWORK = UNetConfig(out_channels=3, base_channels=2, depth=1, padding="same")
TYPED = {"tile": 32, "threshold": 0.35}


@pytest.fixture
def image(tmp_path: Path, rng: np.random.Generator) -> Path:
    pixels = rng.integers(0, 1000, (130, 150), np.uint16)
    zarr.save_array(tmp_path / "cells.zarr", pixels)
    return tmp_path / "cells.zarr"


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A model that has learnt nothing, and is quick."""
    card = Card(NETWORK, Target(extras=("distance",)), Preprocessing())
    return str(Checkpoint.of(lively(build(NETWORK)), card).save(tmp_path / "model.safetensors"))


@pytest.fixture
def open_dock(make_napari_viewer, qtbot, model, monkeypatch):
    """Returns a viewer with the dock, in which every lazy image is a large one."""
    monkeypatch.setattr(size, "LAZY_PIXELS", 100)
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-unet-segmentation", "Segment")
    box = dock.inputs.device.native
    qtbot.waitUntil(lambda: box.itemText(0).startswith("Automatic:"), timeout=60_000)
    dock.inputs.choose_model(model)
    dock.inputs.device.value = "cpu"
    dock.inputs.advanced["tile"].value = TYPED["tile"]
    dock.decisions["threshold"].value = TYPED["threshold"]
    yield viewer, dock
    wait(qtbot, dock)


class Gate:
    """Predicts the scores of a chunk, and of others once it is open."""

    def __init__(self) -> None:
        self.calls, self.open = 0, Event()

    def __call__(self, *arguments, **options):
        self.calls += 1
        assert self.calls == 1 or self.open.wait(60)
        return predict_scores(*arguments, **options)


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def wait(qtbot, dock) -> None:
    qtbot.waitUntil(lambda: not dock.is_running, timeout=120_000)


def labels_of(viewer) -> list[Labels]:
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def expected(path: Path, model: str, **options) -> np.ndarray:
    return napari_unet.segment(
        zarr.open_array(path, mode="r")[:], model, device="cpu", **TYPED | options
    )


def test_a_large_image_goes_by_chunks_and_on_where_it_was_stopped(
    open_dock, qtbot, image, model, monkeypatch
) -> None:
    monkeypatch.setattr(ngff, "COARSEST", 100)
    monkeypatch.setattr(so_far, "PIXELS", 130 * 150 // 4)
    gate = Gate()
    monkeypatch.setattr(parts, "predict_scores", gate)
    viewer, dock = open_dock
    (layer,) = viewer.open(image, plugin="napari")
    layer.scale, layer.translate, layer.units = (0.5, 0.25), (3, 4), ("um", "um")
    place = dock.inputs.place
    assert place.line.text() == "130 x 150: by chunks into"
    assert place.path == image.with_name("cells_labels.ome.zarr")
    dock.inputs.part.value = Part.SLICE
    assert not place.isVisibleTo(dock)
    dock.inputs.part.value = Part.LAYER
    assert place.isVisibleTo(dock)
    press(dock.segment_button)
    qtbot.waitUntil(lambda: "Chunk 1 of 9" in dock.message.text(), timeout=60_000)
    (sketch,) = labels_of(viewer)
    assert (sketch.name, sketch.data.shape) == ("cells [model] so far", (65, 75))
    assert sketch.data[:16, :16].any()
    assert not sketch.data[-8:].any(), "which nothing is known of yet"
    assert viewer.layers.selection.active is layer
    # A pixel of it covers two by two of the image.
    np.testing.assert_allclose(sketch.data_to_world((-0.5, 7.5)), layer.data_to_world((-0.5, 15.5)))
    press(dock.stop_button)
    gate.open.set()
    assert dock.message.text() == "Stopping after this chunk…"
    wait(qtbot, dock)
    assert "Segment goes on" in dock.message.text()
    assert labels_of(viewer) == []
    written = place.path
    dock.decisions["threshold"].value = 0.4
    asked = []
    monkeypatch.setattr(segment, "ask_to_begin_anew", lambda *a: asked.append(a))
    press(dock.segment_button)
    wait(qtbot, dock)
    assert "begun with threshold = 0.35 and not 0.4" in dock.message.text()
    dock.decisions["threshold"].value = TYPED["threshold"]
    press(dock.segment_button)
    qtbot.waitUntil(lambda: "chunks were predicted before" in dock.message.text(), timeout=60_000)
    wait(qtbot, dock)
    assert len(asked) == 1
    (labels,) = labels_of(viewer)
    found = expected(image, model)
    assert found.max() > 1
    assert [level.shape for level in labels.data] == [(130, 150), (65, 75)]
    np.testing.assert_array_equal(labels.data[0][:], found)
    assert isinstance(labels.data[0], zarr.Array)
    assert not isinstance(layer.data, np.ndarray)
    assert f"{found.max()} objects" in dock.message.text()
    for point in ((0, 0), (30, 50)):
        np.testing.assert_allclose(labels.data_to_world(point), layer.data_to_world(point))
    assert labels.units == layer.units
    told = zarr.open_group(written).attrs["ome"]["multiscales"][0]
    assert told["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [0.5, 0.25]},
        {"type": "translation", "translation": [3, 4]},
    ]
    assert [axis["unit"] for axis in told["axes"]] == ["micrometer"] * 2
    press(dock.save_button)
    assert str(written) in dock.message.text()
    assert place.path.name == "cells_labels-2.ome.zarr"


def test_of_a_large_image_the_view_in_memory(open_dock, qtbot, image, model, monkeypatch) -> None:
    """Its layer is as large as the view, and adjusted as ever."""
    view = (slice(20, 90), slice(30, 121))
    monkeypatch.setattr(size, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(request, "visible_region", lambda *_: view)
    viewer, dock = open_dock
    stack = np.stack([zarr.open_array(image, mode="r")[:]] * 3)
    lazy = zarr.create_array(image.with_name("stack.zarr"), data=stack, chunks=(1, 64, 64))
    layer = viewer.add_image(lazy, scale=(2, 0.5, 0.5), translate=(0, 7, 0), rotate=20)
    viewer.dims.set_point(0, 4)
    dock.inputs.part.value = Part.VIEW
    assert not dock.inputs.place.isVisibleTo(dock)
    press(dock.segment_button)
    wait(qtbot, dock)

    def found(threshold: float) -> np.ndarray:
        config = SegmentConfig(model, "cpu", tile=TYPED["tile"], threshold=threshold)
        steps = segment_steps(stack, *load_engine(config), config, "QYX", area=Area((2,), view))
        return run_to_end(steps).labels[2:, *view]

    (labels,) = labels_of(viewer)
    assert labels.data.max() > 1
    np.testing.assert_array_equal(labels.data, found(TYPED["threshold"]))
    for point in ((0, 0), (30, 50)):
        there = layer.data_to_world(np.add((2, 20, 30), (0, *point)))
        np.testing.assert_allclose(labels.data_to_world((0, *point)), there)
    dock.decisions["threshold"].value = 0.45
    after = found(0.45)
    qtbot.waitUntil(lambda: np.array_equal(labels.data, after), timeout=30_000)


def test_what_does_not_fit_goes_by_chunks_and_parts_of_it_are_refused(
    open_dock, image, monkeypatch
) -> None:
    viewer, dock = open_dock
    monkeypatch.setattr(size, "SHARE", 1e-12)
    viewer.add_image(zarr.open_array(image, mode="r")[:], name="my cells")
    place = dock.inputs.place
    assert place.path.name == "my_cells_labels.ome.zarr"
    own = image.with_name("own.zarr")
    place.field.value = str(own)
    dock.inputs.part.value = Part.SLICE
    dock.inputs.part.value = Part.LAYER
    assert place.path == own
    own.mkdir()
    press(dock.segment_button)
    assert f"{own} exists already: choose another name" in dock.message.text()
    assert place.field.value == str(own)
    dock.inputs.part.value = Part.SLICE
    press(dock.segment_button)
    assert "130 x 150 pixels, too large for memory" in dock.message.text()


# What distributed says of a machine that is slow.
@pytest.mark.filterwarnings("ignore::UserWarning:distributed")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_network_runs_on_a_cluster(open_dock, qtbot, image, model, monkeypatch) -> None:
    pytest.importorskip("distributed")
    from distributed import LocalCluster

    viewer, dock = open_dock
    viewer.add_image(zarr.open_array(image, mode="r")[:])
    dock.inputs.device.value = CLUSTER
    press(dock.segment_button)
    assert dock.message.text() == NO_ADDRESS
    dock.inputs.scheduler.value = "tcp://127.0.0.1:9"
    press(dock.segment_button)
    wait(qtbot, dock)
    assert "The scheduler at tcp://127.0.0.1:9 does not answer" in dock.message.text()
    with monkeypatch.context() as patch:
        patch.setattr(workers, "find_spec", lambda name: None)
        press(dock.segment_button)
        wait(qtbot, dock)
        assert "pip install 'napari-unet-segmentation[cluster]'" in dock.message.text()
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "protocol": "tcp://"}
    with LocalCluster(**options, dashboard_address=None, silence_logs="CRITICAL") as cluster:
        dock.inputs.scheduler.value = cluster.scheduler_address
        press(dock.segment_button)
        wait(qtbot, dock)
    (labels,) = labels_of(viewer)
    np.testing.assert_array_equal(labels.data, expected(image, model))
