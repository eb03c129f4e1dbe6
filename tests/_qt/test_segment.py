"""The dock as its users see it: real widgets, real threads, the network that comes with it."""

from __future__ import annotations

import gc
import shutil
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.layers import Labels
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QThreadPool, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QMessageBox,
    QPushButton,
)

import napari_unet
from napari_unet._qt import preferences
from napari_unet._qt.model_box import OTHER_FILE
from napari_unet._qt.segment import result, saving
from napari_unet._qt.segment import widget as segment
from napari_unet._qt.segment.inputs import NO_IMAGE
from napari_unet._qt.segment.request import Part
from napari_unet._qt.segment.result import Answer
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import Preprocessing, Target, UNetConfig
from napari_unet.engines import DeviceError, OutOfMemory, TorchEngine
from napari_unet.images import read_image, read_provenance
from napari_unet.library import Card, find_model, read_card
from napari_unet.model import UNet
from napari_unet.provenance import KEY, sha256_of
from napari_unet.samples import load_sample
from napari_unet.segmentation import live

PLUGIN = "napari-unet-segmentation"
TILE = 64


@pytest.fixture
def image() -> np.ndarray:
    """Nuclei, on four tiles of 64 pixels."""
    return load_sample("tissue")[:128, :128]


@pytest.fixture
def open_dock(make_napari_viewer, qtbot):
    """Returns a viewer with the dock, opened as from the menu."""
    docks = []

    def open_in(*layers, show: bool = False, **options):
        viewer = make_napari_viewer(show=show)
        for data in layers:
            viewer.add_image(data, name="cells", **options)
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
        docks.append(dock)
        box = dock.inputs.device.native
        qtbot.waitUntil(lambda: box.itemText(0).startswith("Automatic:"), timeout=30_000)
        dock.inputs.device.value = "cpu"
        dock.inputs.advanced["tile"].value = TILE
        return viewer, dock

    yield open_in
    for dock in filter(isalive, docks):
        wait(qtbot, dock)


@pytest.fixture
def slow(monkeypatch):
    """Let each tile take a while."""
    run, tiles = TorchEngine.__call__, []

    def run_slowly(self, batch):
        time.sleep(0.1)
        tiles.append(batch.shape)
        return run(self, batch)

    monkeypatch.setattr(TorchEngine, "__call__", run_slowly)
    return tiles


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def wait(qtbot, dock) -> None:
    qtbot.waitUntil(lambda: not dock.is_running, timeout=60_000)


def run(qtbot, dock) -> None:
    press(dock.segment_button)
    assert dock.is_running, dock.message.text()
    assert not dock.segment_button.isEnabled()
    assert dock.stop_button.isEnabled()
    wait(qtbot, dock)
    assert dock.segment_button.isEnabled()
    assert not dock.stop_button.isEnabled()


def labels_of(viewer) -> list[Labels]:
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def expected(data, **options) -> np.ndarray:
    return napari_unet.segment(data, device="cpu", tile=TILE, **options)


def first_labels(qtbot, viewer) -> Labels:
    qtbot.waitUntil(lambda: bool(labels_of(viewer)), timeout=30_000)
    return labels_of(viewer)[0]


def test_one_click_labels_the_image_as_the_core_does(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(image)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    found = expected(image)
    np.testing.assert_array_equal(layer.data, found)
    assert layer.data.dtype == np.uint16
    assert layer.name == "cells [nuclei]"
    assert layer.editable
    known = read_card(find_model("nuclei")).preprocessing.diameter
    told = f"{found.max()} objects in cells [nuclei]. Objects are much smaller than the {known:.0f}"
    assert dock.message.text().startswith(told)
    layer.undo()
    np.testing.assert_array_equal(layer.data, found)


def test_labels_appear_tile_by_tile_and_the_view_stays(
    open_dock, qtbot, image, slow, monkeypatch
) -> None:
    viewer, dock = open_dock(np.stack([image] * 3), show=True)
    camera = getattr(viewer, "scene", viewer).camera
    camera.zoom, camera.center = 2.3, (0, 60, 70)
    viewer.dims.set_point(0, 1)
    before = (camera.zoom, camera.center, viewer.dims.current_step, viewer.dims.ndisplay)
    texts, tell = [], dock.message.tell
    monkeypatch.setattr(dock.message, "tell", lambda text: (texts.append(text), tell(text)))
    press(dock.segment_button)
    layer = first_labels(qtbot, viewer)
    assert not layer.editable
    grown = []
    while dock.is_running:
        grown.append(int((layer.data > 0).sum()))
        qtbot.wait(30)
    assert len(set(grown)) > 5
    assert "Slice 2 of 3, tile 1 of 16" in "".join(texts)
    assert any("left" in text for text in texts)
    assert (camera.zoom, camera.center, viewer.dims.current_step, viewer.dims.ndisplay) == before
    np.testing.assert_array_equal(layer.data, expected(np.stack([image] * 3)))


def test_of_a_stack_the_current_slice_alone(open_dock, qtbot, image) -> None:
    stack = np.stack([image[::-1], image])
    viewer, dock = open_dock(stack)
    viewer.dims.set_point(0, 1)
    dock.inputs.part.value = Part.SLICE
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    assert layer.data.shape == stack.shape
    assert not layer.data[0].any()
    np.testing.assert_array_equal(layer.data[1], expected(stack)[1])


def test_the_current_view_alone(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(image, show=True)
    camera = getattr(viewer, "scene", viewer).camera
    camera.zoom, camera.center = 12, (0, 64, 64)
    viewer.screenshot(flash=False)
    dock.inputs.part.value = Part.VIEW
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    labelled = np.argwhere(layer.data)
    (top, left), (bottom, right) = labelled.min(axis=0), labelled.max(axis=0)
    height, width = viewer.screenshot(flash=False).shape[:2]
    assert 64 - height / 24 - 1 <= top < bottom <= 64 + height / 24 + 1
    assert 64 - width / 24 - 1 <= left < right <= 64 + width / 24 + 1
    assert bottom - top < 100
    inside = (slice(top + 10, bottom - 10), slice(left + 10, right - 10))
    assert ((layer.data > 0)[inside] == (expected(image) > 0)[inside]).mean() > 0.98


def test_stop_keeps_what_is_done(open_dock, qtbot, image, slow) -> None:
    viewer, dock = open_dock(image)
    press(dock.segment_button)
    layer = first_labels(qtbot, viewer)
    press(dock.stop_button)
    assert dock.message.text() == "Stopping after this tile…"
    assert not dock.stop_button.isEnabled()
    wait(qtbot, dock)
    assert layer.data.max() > 0
    assert not layer.data[64:].any()
    assert layer.editable
    assert "stopped, what was done is kept" in dock.message.text()
    dock.decisions["threshold"].value = 0.6  # of what is done
    qtbot.waitUntil(lambda: "stopped" not in dock.message.text())


CHANGES = [
    ("threshold", 0.7),
    ("min_size", 120),
    ("fill_holes", False),
    ("remove_border", True),
]


@pytest.mark.parametrize("diameter", [0.0, 26.0])
def test_labels_follow_the_form_without_the_network(open_dock, qtbot, image, monkeypatch, diameter):
    viewer, dock = open_dock(image)
    dock.inputs.main["diameter"].value = diameter
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    first, typed = layer.data.copy(), {"diameter": diameter or None}

    def wanted() -> np.ndarray:
        return expected(image, **typed)

    results = []
    for name, value in CHANGES:
        typed[name] = value
        results.append(wanted())
    assert any((r != first).any() for r in results)
    monkeypatch.setattr(TorchEngine, "__call__", lambda *_: pytest.fail("the network runs"))
    for (name, value), after in zip(CHANGES, results, strict=True):
        dock.decisions[name].value = value
        qtbot.waitUntil(lambda after=after: np.array_equal(layer.data, after), timeout=5000)
        text = f"{after.max()} object"
        qtbot.waitUntil(lambda text=text: dock.message.text().startswith(text))
    assert labels_of(viewer) == [layer]


def test_the_last_of_many_wishes_is_granted(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(np.stack([image] * 2))
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    for threshold in np.arange(0.3, 0.61, 0.05):
        dock.decisions["threshold"].value = threshold
    last = expected(np.stack([image] * 2), threshold=dock.decisions["threshold"].value)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, last), timeout=10_000)


def test_a_wish_that_is_taken_back_is_not_granted(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(image)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    for threshold in (0.5, 0.7, 0.5):
        dock.decisions["threshold"].value = threshold
    after = expected(image, threshold=0.5)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, after))
    qtbot.wait(500)
    np.testing.assert_array_equal(layer.data, after)


def test_labels_drawn_while_others_are_decided_on_are_kept(
    open_dock, qtbot, image, monkeypatch
) -> None:
    """Of a stack the slices change one after the other, which may take a while."""
    asked = []
    monkeypatch.setattr(result, "ask_about_edits", lambda *a: asked.append(a) or Answer.CANCEL)
    viewer, dock = open_dock(np.stack([image] * 3))
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    before = layer.data.copy()
    decide = live.Segmentation.relabel_plane

    def decide_slowly(*args):
        time.sleep(0.3)
        return decide(*args)

    monkeypatch.setattr(live.Segmentation, "relabel_plane", decide_slowly)
    dock.decisions["threshold"].value = 0.6
    qtbot.waitUntil(lambda: not np.array_equal(layer.data[1], before[1]), timeout=5000)
    layer.paint((2, 80, 90), 999)
    mine = layer.data[2].copy()
    qtbot.waitUntil(lambda: bool(asked), timeout=5000)
    qtbot.wait(500)
    np.testing.assert_array_equal(layer.data[2], mine)


def test_a_run_that_cannot_begin_leaves_the_last_result(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(image)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    dock.inputs.device.choices = [("GPU (CUDA)", "cuda"), ("CPU", "cpu")]
    dock.inputs.device.value = "cuda"
    run(qtbot, dock)
    assert "not available" in dock.message.text()
    assert layer.contour == 0
    dock.decisions["threshold"].value = 0.6
    after = expected(image, threshold=0.6)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, after))


@pytest.mark.parametrize("answer", Answer)
def test_own_labels_are_not_overwritten_without_asking(
    open_dock, qtbot, image, monkeypatch, answer
) -> None:
    asked = []
    monkeypatch.setattr(result, "ask_about_edits", lambda *a: asked.append(a) or answer)
    viewer, dock = open_dock(image)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    layer.paint((80, 90), 999)
    mine = layer.data.copy()
    dock.decisions["threshold"].value = 0.6
    assert len(asked) == 1
    if answer is Answer.CANCEL:
        qtbot.wait(300)
        assert dock.decisions["threshold"].value == pytest.approx(0.4)
        np.testing.assert_array_equal(layer.data, mine)
        return
    target = layer if answer is Answer.OVERWRITE else labels_of(viewer)[-1]
    after = expected(image, threshold=0.6)
    qtbot.waitUntil(lambda: np.array_equal(target.data, after), timeout=5000)
    if answer is Answer.NEW_LAYER:
        assert target is not layer
        assert target.editable
        np.testing.assert_array_equal(layer.data, mine)
    dock.decisions["threshold"].value = 0.65
    assert len(asked) == 1


def test_the_question_is_a_dialog_whose_buttons_say_what_they_do(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(image)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    layer.paint((80, 90), 999)
    seen = []

    def answer() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        seen.append((box.text(), {button.text() for button in box.buttons()}))
        press(next(b for b in box.buttons() if b.text() == Answer.CANCEL.value))

    QTimer.singleShot(200, answer)
    dock.decisions["threshold"].value = 0.6
    ((text, buttons),) = seen
    assert "cells [nuclei]" in text
    assert buttons == {a.value for a in Answer}
    assert layer.data[80, 90] == 999


def test_labels_of_a_second_run_can_be_compared(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(image)
    run(qtbot, dock)
    (first,) = labels_of(viewer)
    before = first.data.copy()
    dock.decisions["threshold"].value = 0.6
    qtbot.waitUntil(lambda: not np.array_equal(first.data, before))
    before = first.data.copy()
    run(qtbot, dock)
    assert [layer.name for layer in labels_of(viewer)] == ["cells [nuclei]", "cells [nuclei] [1]"]
    np.testing.assert_array_equal(first.data, before)
    np.testing.assert_array_equal(labels_of(viewer)[1].data, expected(image, threshold=0.6))
    assert (first.contour, labels_of(viewer)[1].contour) == (1, 0)


def test_scores_of_earlier_runs_are_let_go(open_dock, qtbot, image) -> None:
    _, dock = open_dock(image)
    run(qtbot, dock)
    scores = weakref.ref(dock._result._segmentation.scores[0])
    assert scores() is not None
    run(qtbot, dock)
    gc.collect()
    assert scores() is None
    assert len(dock.findChildren(result.Result)) == 1


def test_every_control_says_what_it_does(open_dock, image) -> None:
    _, dock = open_dock(image)
    found = children(dock, QPushButton, QComboBox, QAbstractSpinBox, QCheckBox)
    controls = [w for w in found if not _belongs_to_a_control(w.parentWidget())]
    assert len(controls) > 12
    silent = [
        w for w in controls if not w.toolTip() and "Advanced" not in getattr(w, "text", str)()
    ]
    assert silent == []


def test_objects_are_filled_or_outlined(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(image)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    assert layer.contour == 0
    dock.view.value = "Outlined"
    assert layer.contour == 1
    dock.view.value = "Filled"
    assert layer.contour == 0


def test_labels_lie_on_the_image_and_carry_its_scale(open_dock, qtbot, image, tmp_path) -> None:
    options = {"scale": (0.5, 0.5), "translate": (3, 4), "rotate": 20, "units": ("um", "um")}
    viewer, dock = open_dock(image, **options)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    for point in ((0, 0), (30, 50)):
        source = viewer.layers["cells"]
        np.testing.assert_allclose(layer.data_to_world(point), source.data_to_world(point))
    assert layer.units == viewer.layers["cells"].units
    dock.save(layer, tmp_path / "out")
    qtbot.waitUntil(lambda: dock.message.text().startswith("Saved to"))
    assert str(tmp_path / "out.tif") in dock.message.text()
    saved = read_image(tmp_path / "out.tif")
    assert saved.pixel_size == pytest.approx(0.5)
    np.testing.assert_array_equal(saved.data, layer.data)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_imagej
    made = read_provenance(tmp_path / "out.tif")  # with what was decided afterwards
    assert made.image == "cells"
    assert made.sha256 == sha256_of(find_model(made.config.model))
    dock.decisions["threshold"].value = 0.77
    qtbot.waitUntil(lambda: layer.metadata[KEY]["threshold"] == 0.77)


def test_the_save_button_asks_where(open_dock, qtbot, image, tmp_path, monkeypatch) -> None:
    viewer, dock = open_dock(image)
    press(dock.save_button)
    assert dock.message.text().startswith("There are no labels to save")
    run(qtbot, dock)
    asked = []

    def choose(parent, title, path, kinds):
        asked.append(Path(path).name)
        return str(tmp_path / "mine.tif"), kinds

    monkeypatch.setattr(saving.QFileDialog, "getSaveFileName", choose)
    press(dock.save_button)
    qtbot.waitUntil(lambda: (tmp_path / "mine.tif").exists())
    qtbot.waitUntil(lambda: "Saved" in dock.message.text())
    assert asked == ["cells_labels.tif"]
    levels = viewer.add_labels([np.ones((8, 8), int), np.ones((4, 4), int)], multiscale=True)
    dock.save(levels, tmp_path / "levels.tif")
    qtbot.waitUntil(lambda: "levels.tif" in dock.message.text())
    assert tifffile.imread(tmp_path / "levels.tif").shape == (8, 8)
    (tmp_path / "file").touch()
    dock.save(labels_of(viewer)[0], tmp_path / "file" / "out.tif")
    qtbot.waitUntil(lambda: "Saving" not in dock.message.text())
    assert "Saved" not in dock.message.text()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ["rgb", "dask", "multiscale", "channels"])
def test_layers_of_all_kinds_are_segmented(open_dock, qtbot, image, kind: str) -> None:
    gray = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    options: dict[str, object] = {}
    if kind == "rgb":
        data, options["rgb"] = np.stack([gray] * 3, axis=-1), True
    elif kind == "dask":
        data = da.from_array(gray, chunks=(50, 60))
    elif kind == "multiscale":
        data, options["multiscale"] = [gray, gray[::2, ::2]], True
    else:
        data, options["axis_labels"] = np.stack([0 * gray, gray]), ("c", "y", "x")
        options |= {"scale": (1, 0.5, 0.5), "units": ("pixel", "um", "um")}
    viewer, dock = open_dock(data, **options)
    if kind == "channels":
        viewer.dims.set_point(0, 1)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    assert layer.data.shape == gray.shape
    assert layer.data.max() > 10
    if kind != "rgb":
        np.testing.assert_array_equal(layer.data, expected(gray))
    if kind == "channels":
        assert tuple(layer.scale) == (0.5, 0.5)


@pytest.fixture
def two_channels(tmp_path) -> Path:
    """A model of nuclei and membranes, which has learnt nothing."""
    network = UNetConfig(in_channels=2, base_channels=2, depth=2, padding="same")
    card = Card(network, Target(), Preprocessing(channels=2))
    return Checkpoint.of(UNet(network), card).save(tmp_path / "membranes.safetensors")


def test_two_layers_are_the_channels_of_a_model_that_takes_two(
    open_dock, qtbot, image, two_channels, monkeypatch
) -> None:
    viewer, dock = open_dock(image, image[::-1])
    assert not dock.inputs.second.native.isVisibleTo(dock)
    path = str(two_channels)
    monkeypatch.setattr("qtpy.QtWidgets.QFileDialog.getOpenFileName", lambda *_: (path, ""))
    dock.inputs.model.value = OTHER_FILE
    assert dock.inputs.model.value == path
    assert "not been taught" in dock.inputs.about.text()
    press(dock.segment_button)
    assert "choose a second layer" in dock.message.text()
    dock.inputs.image.value, dock.inputs.second.value = viewer.layers[0], viewer.layers[1]
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    stack = np.stack([image, image[::-1]])
    np.testing.assert_array_equal(layer.data, expected(stack, model=path, axes="CYX"))
    assert layer.name == "cells [membranes]"


@pytest.mark.parametrize(
    ("shape", "scale", "message"),
    [
        ((80, 128), (1, 1), "choose images of one shape"),
        ((128, 128), (2, 2), "do not lie on one another"),
        ((3, 128, 128), (1, 1, 1), "do not lie on one another"),
    ],
)
def test_channels_that_do_not_fit_are_told(
    open_dock, qtbot, image, two_channels, shape, scale, message
) -> None:
    viewer, dock = open_dock(image)
    nuclei = viewer.layers[0]
    other = viewer.add_image(np.zeros(shape), scale=scale)
    dock.inputs.choose_model(str(two_channels))
    dock.inputs.image.value, dock.inputs.second.value = nuclei, other
    press(dock.segment_button)
    wait(qtbot, dock)
    assert message in dock.message.text()


def test_the_diameter_is_measured_on_the_image(open_dock, qtbot, image) -> None:
    viewer, dock = open_dock(image, scale=(0.5, 0.5), units=("um", "um"))
    known = read_card(find_model("nuclei")).preprocessing.expected_diameter()
    assert known is not None
    text = f"about {known:.0f} pixels ({known / 2:.1f} µm) across"
    assert text in dock.inputs.about.text()
    press(dock.inputs.measure.native)
    names = [layer.name for layer in viewer.layers]
    assert names == ["cells", "Size the model expects", "Object diameter"]
    viewer.layers["Object diameter"].add_lines(np.array([[10, 10], [10, 40]]))
    qtbot.waitUntil(lambda: dock.inputs.main["diameter"].value == 30)
    assert "about 30 pixels (15.0 µm)" in dock.inputs.about.text()
    ghost = np.concatenate(viewer.layers["Size the model expects"].data)
    np.testing.assert_allclose(np.ptp(ghost, axis=0), known, atol=0.5)  # what it was taught on
    run(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ["cells", "cells [nuclei]"]
    assert not dock.inputs.measure.native.isChecked()
    np.testing.assert_array_equal(labels_of(viewer)[0].data, expected(image, diameter=30.0))


def test_a_new_image_is_taken_up_and_a_removed_one_let_go(open_dock, image) -> None:
    viewer, dock = open_dock()
    assert dock.message.text() == NO_IMAGE
    assert dock.inputs.image.value is None
    first = viewer.add_image(image, name="first")
    assert dock.inputs.image.value is first
    second = viewer.add_image(image, name="second")
    assert dock.inputs.image.value is second
    viewer.add_labels(np.zeros((5, 5), int))
    assert dock.inputs.image.value is second
    second.name = "renamed"
    assert "renamed" in dock.inputs.image.current_choice
    viewer.layers.remove(second)
    assert dock.inputs.image.value is first


def test_without_an_image_the_dock_says_how_to_get_one(open_dock) -> None:
    _, dock = open_dock()
    press(dock.segment_button)
    assert not dock.is_running
    assert "File > Open Sample" in dock.message.text()
    assert dock.message.styleSheet()
    press(dock.inputs.measure.native)
    assert "no image" in dock.message.text()
    assert not dock.inputs.measure.native.isChecked()


@pytest.mark.parametrize("end", ["labels removed", "labels reshaped", "image removed", "replaced"])
def test_a_layer_that_changes_during_the_run_ends_it(open_dock, qtbot, image, slow, end) -> None:
    viewer, dock = open_dock(image)
    press(dock.segment_button)
    layer = first_labels(qtbot, viewer)
    if end == "labels removed":
        viewer.layers.remove(layer)
    elif end == "labels reshaped":
        layer.data = np.zeros((10, 10), np.uint16)
    elif end == "image removed":
        viewer.layers.remove("cells")
    else:
        viewer.layers["cells"].data = image[:80]
    wait(qtbot, dock)
    assert "during the run" in dock.message.text()
    assert not dock.progress.isVisible()
    if "labels" not in end:
        assert layer.editable
    assert QThreadPool.globalInstance().waitForDone(10_000)
    viewer.layers.clear()
    viewer.add_image(image, name="again")
    run(qtbot, dock)
    assert labels_of(viewer)[-1].name == "again [nuclei]"


def test_the_window_closes_during_a_run(open_dock, qtbot, image, slow) -> None:
    viewer, dock = open_dock(image)
    press(dock.segment_button)
    first_labels(qtbot, viewer)
    done = len(slow)
    viewer.close()
    assert len(slow) - done < 4  # it has not waited for all 16
    assert QThreadPool.globalInstance().waitForDone(3000)


def test_closing_the_dock_ends_the_run_and_keeps_the_labels(open_dock, qtbot, image, slow) -> None:
    viewer, dock = open_dock(image)
    press(dock.segment_button)
    layer = first_labels(qtbot, viewer)
    viewer.window.remove_dock_widget(dock)
    wait(qtbot, dock)
    assert layer.editable
    assert layer.contour == 0
    assert QThreadPool.globalInstance().waitForDone(3000)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OutOfMemory("no room"), "Memory is not enough even for a tile of 16 pixels"),
        (DeviceError("The CUDA GPU failed (unplugged): use the CPU instead."), "use the CPU inste"),
        (RuntimeError("shape mismatch"), "shape mismatch"),
        (KeyError("a slip of ours"), "Please report it"),
    ],
)
def test_what_fails_in_the_network_is_a_sentence(
    open_dock, qtbot, image, monkeypatch, error, message, caplog
) -> None:
    working = TorchEngine.__call__
    calls = []

    def fail(self, batch):
        calls.append(batch)
        if len(calls) > 3:
            raise error
        return working(self, batch)

    viewer, dock = open_dock(image)
    monkeypatch.setattr(TorchEngine, "__call__", fail)
    run(qtbot, dock)
    assert message in dock.message.text()
    (layer,) = labels_of(viewer)
    assert layer.data.any(), "what was done is kept"
    assert layer.editable
    monkeypatch.setattr(TorchEngine, "__call__", working)
    run(qtbot, dock)
    np.testing.assert_array_equal(labels_of(viewer)[-1].data, expected(image))


def test_what_happened_on_the_way_is_told_to_the_end(open_dock, qtbot, image, monkeypatch) -> None:
    working, batches = TorchEngine.__call__, []

    def run_out_once(self, batch):
        batches.append(batch)
        if len(batches) == 1:
            raise OutOfMemory("no room")
        return working(self, batch)

    _, dock = open_dock(image)
    monkeypatch.setattr(TorchEngine, "__call__", run_out_once)
    run(qtbot, dock)
    assert len(batches) > 2
    count = f"{expected(image).max()} objects in "
    assert dock.message.text().startswith(count)
    assert ". Memory ran out: going on with tiles of 32 pixels." in dock.message.text()
    run(qtbot, dock)
    assert "Memory" not in dock.message.text()


def test_labels_that_do_not_fit_into_memory_are_told(open_dock, qtbot, image, monkeypatch) -> None:
    viewer, dock = open_dock(image)

    def refuse(*_: object):
        raise MemoryError("Unable to allocate 9.00 TiB for an array")

    monkeypatch.setattr(segment, "np", SimpleNamespace(zeros=refuse))
    press(dock.segment_button)
    wait(qtbot, dock)
    assert "Memory is not enough" in dock.message.text()
    assert labels_of(viewer) == []


def test_a_missing_or_broken_model_is_told(open_dock, qtbot, image, tmp_path, monkeypatch) -> None:
    _, dock = open_dock(image)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    chosen = [str(broken)]
    monkeypatch.setattr("qtpy.QtWidgets.QFileDialog.getOpenFileName", lambda *_: (chosen[0], ""))
    dock.inputs.model.value = OTHER_FILE
    assert f"{broken} is no complete .safetensors file" in dock.message.text()
    assert dock.inputs.model.value == "nuclei"
    gone = shutil.copy(find_model("nuclei"), tmp_path / "gone.safetensors")
    dock.inputs.choose_model(str(gone))
    gone.unlink()
    press(dock.segment_button)
    assert f"{gone} does not exist" in dock.message.text()
    dock.inputs.reset_choices()
    assert dock.inputs.about.text() == "This model cannot be used."
    dock.inputs.model.value = "nuclei"
    run(qtbot, dock)
    assert "objects in" in dock.message.text()


def test_choosing_no_file_goes_back_to_the_model(
    open_dock, image, monkeypatch, two_channels
) -> None:
    _, dock = open_dock(image)
    dock.inputs.choose_model(str(two_channels.parent / "." / two_channels.name))
    assert dock.inputs.model.value == str(two_channels)
    monkeypatch.setattr("qtpy.QtWidgets.QFileDialog.getOpenFileName", lambda *_: ("", ""))
    dock.inputs.model.value = OTHER_FILE
    assert dock.inputs.model.value == str(two_channels)


def test_a_device_that_is_gone_is_told_and_replaced(open_dock, image) -> None:
    _, dock = open_dock(image)
    dock.inputs.device.choices = [("GPU (CUDA)", "cuda")]
    dock.inputs.offer_devices(["cpu"])
    assert "GPU (CUDA) is not there any more: CPU is used instead" in dock.message.text()
    assert dock.inputs.device.value == "auto"


def test_model_and_device_are_remembered(open_dock, qtbot, image, two_channels) -> None:
    if preferences.recall() == {}:
        pytest.skip("napari before 0.9 keeps no settings of plugins")
    assert preferences.recall() == {"model": "nuclei", "device": "auto"}
    _, dock = open_dock(image)
    run(qtbot, dock)
    assert preferences.recall() == {"model": "nuclei", "device": "cpu"}
    preferences.remember(str(two_channels), "cpu")
    _, dock = open_dock(image)
    assert dock.inputs.model.value == str(two_channels)
    two_channels.unlink()
    _, dock = open_dock(image)  # it is gone, and nobody is bothered
    assert dock.inputs.model.value == "nuclei"
    assert dock.message.text() == ""


def test_the_keyboard_reaches_every_control(open_dock, image) -> None:
    _, dock = open_dock(image, show=True)
    controls = [
        w
        for w in children(dock, QAbstractButton, QComboBox, QAbstractSlider)
        if w.isVisible() and w.isEnabled()
    ]
    assert dock.segment_button in controls
    for control in controls:
        policy = control.focusPolicy()
        assert policy & Qt.FocusPolicy.TabFocus or _belongs_to_a_control(control), control
    dock.segment_button.setFocus()
    QTest.keyClick(dock.segment_button, Qt.Key.Key_Space)
    assert dock.is_running


def children(dock, *kinds):
    return [child for kind in kinds for child in dock.findChildren(kind)]


def _belongs_to_a_control(widget) -> bool:
    """Arrows of spin boxes, and scroll bars, are reached through what they belong to."""
    names = [type(parent).__name__ for parent in _parents(widget)]
    return any(part in name for name in names for part in ("Spin", "Slider", "ScrollBar"))


def _parents(widget):
    while widget is not None:
        yield widget
        widget = widget.parentWidget()


def test_the_docks_are_in_the_layers_menu() -> None:
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(Path(napari_unet.__file__).with_name("napari.yaml"))
    widgets = manifest.contributions.widgets
    titles = [widget.display_name for widget in widgets]
    assert titles == [
        "Segment",
        "Segment Folder",
        "Annotate",
        "Weight Map",
        "Fine-tune",
        "Evaluate",
        "Measure",
        "Models",
    ]
    items = manifest.contributions.menus["napari/layers/segment"]
    assert [item.command for item in items] == [widget.command for widget in widgets]


def test_a_new_layer_for_changes_is_of_the_image_they_are_of(
    open_dock, qtbot, image, monkeypatch
) -> None:
    """Also where a run on another image has failed meanwhile."""
    monkeypatch.setattr(result, "ask_about_edits", lambda *_: Answer.NEW_LAYER)
    viewer, dock = open_dock(image)
    run(qtbot, dock)
    (layer,) = labels_of(viewer)
    layer.paint((80, 90), 999)
    other = viewer.add_image(image[:64, :64], name="other")
    dock.inputs.image.value = other
    dock.inputs.device.choices = [("GPU (CUDA)", "cuda"), ("CPU", "cpu")]
    dock.inputs.device.value = "cuda"
    run(qtbot, dock)
    assert "not available" in dock.message.text()
    dock.decisions["threshold"].value = 0.6
    qtbot.waitUntil(lambda: len(labels_of(viewer)) == 2, timeout=5000)
    fresh = labels_of(viewer)[-1]
    assert fresh.data.shape == layer.data.shape
    wanted = expected(image, threshold=0.6)
    qtbot.waitUntil(lambda: np.array_equal(fresh.data, wanted))
