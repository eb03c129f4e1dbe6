"""The dock as its users see it: real widgets, real threads, the map that training takes."""

from __future__ import annotations

import time

import numpy as np
import pytest
from napari.layers import Image
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet._qt.annotation_layers import PATH, add_labels
from napari_unet._qt.fine_tune.network import Meaning
from napari_unet._qt.layers import MADE_HERE
from napari_unet._qt.weight_map.augmentation_preview import NO_IMAGE
from napari_unet._qt.weight_map.colour_bar import ColourBar
from napari_unet._qt.weight_map.widget import NO_LABELS
from napari_unet.config import FINE_TUNE, TrainConfig
from napari_unet.preprocessing import restore
from napari_unet.samples import load_sample
from napari_unet.weightmap import area_target, live, weight_map

PLUGIN = "napari-unet-segmentation"
CLOSE = {"rtol": 0, "atol": 1.2e-3}


@pytest.fixture
def labels() -> np.ndarray:
    """Two cells with a gap, and two that touch."""
    labels = np.zeros((90, 120), np.int32)
    labels[10:30, 10:30], labels[10:30, 34:60] = 1, 2
    labels[50:80, 10:40], labels[50:80, 40:70] = 3, 4
    return labels


@pytest.fixture
def open_dock(make_napari_viewer, qtbot):
    """Returns a viewer with labels, and the dock, opened as from the menu."""
    docks = []

    def open_on(*layers, show: bool = False, **options):
        viewer = make_napari_viewer(show=show)
        for data in layers:
            viewer.add_labels(data, name="cells", **options)
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Weight Map")
        docks.append(dock)
        return viewer, dock

    yield open_on
    for dock in filter(isalive, docks):
        wait(qtbot, dock)


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def wait(qtbot, dock) -> None:
    qtbot.waitUntil(lambda: not dock.is_running, timeout=30_000)


def shown(qtbot, dock) -> np.ndarray:
    qtbot.wait(30)  # napari tells of a change, and the dock waits for others
    wait(qtbot, dock)
    return dock.layer.data


def expected(labels, **options) -> np.ndarray:
    config = TrainConfig(**options)
    return weight_map(labels, config.w0, config.sigma, balance=config.balance)


def test_one_click_shows_the_map_that_training_takes(open_dock, qtbot, labels) -> None:
    viewer, dock = open_dock(labels, scale=(0.5, 0.5), units=("um", "um"), translate=(3, 4))
    assert dock.labels.value is viewer.layers["cells"]
    press(dock.show_button)
    np.testing.assert_allclose(shown(qtbot, dock), expected(labels), **CLOSE)
    layer = viewer.layers["cells weight map"]
    assert layer is viewer.layers[-1]
    assert layer.data.dtype == np.float32
    assert layer.contrast_limits == [0, 6]
    assert viewer.layers.selection.active is viewer.layers["cells"]
    for point in [(0, 0), (80, 3.5)]:
        np.testing.assert_allclose(
            layer.data_to_world(point), viewer.layers["cells"].data_to_world(point)
        )
    assert "bright gaps" in dock.message.text()
    viewer.layers["cells"].translate = (30, 40)
    viewer.layers["cells"].name = "mine"
    shown(qtbot, dock)
    np.testing.assert_allclose(layer.data_to_world((2, 0)), (31, 40))
    assert layer.name == "mine weight map"
    press(dock.show_button)
    assert [layer.name for layer in viewer.layers] == ["mine"]


def test_it_follows_the_sliders(open_dock, qtbot, labels) -> None:
    _, dock = open_dock(labels)
    press(dock.show_button)
    before = shown(qtbot, dock).copy()
    layer = dock.layer
    for w0 in np.arange(6, 12, 0.5):  # a drag
        dock.settings["w0"].value = w0
        qtbot.wait(1)
    np.testing.assert_allclose(shown(qtbot, dock), expected(labels, w0=11.5), **CLOSE)
    assert layer.contrast_limits == [0, 12.5]
    dock.settings["sigma"].value = 12
    np.testing.assert_allclose(shown(qtbot, dock), expected(labels, w0=11.5, sigma=12), **CLOSE)
    dock.settings["balance"].value = True
    np.testing.assert_allclose(
        shown(qtbot, dock), expected(labels, w0=11.5, sigma=12, balance=True), **CLOSE
    )
    dock.show_settings(TrainConfig())
    np.testing.assert_allclose(shown(qtbot, dock), before, **CLOSE)
    assert dock.layer is layer


def test_of_areas_the_rarer_class_counts_more(open_dock, qtbot) -> None:
    areas = np.zeros((40, 50), np.int32)
    areas[:20, :30], areas[:5, :5], areas[30:] = 1, 2, -1
    viewer, dock = open_dock(areas)
    _, teacher = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune")
    teacher.plan.start.value = ""
    teacher.plan.network.meaning.value = Meaning.AREAS
    teacher.plan.network.classes.value = "cytoplasm, nucleus"
    teacher.plan.settings["balance"].value = True
    press(dock.show_button)
    _, weights = area_target(areas, 3, balance=True)
    np.testing.assert_allclose(shown(qtbot, dock), weights, **CLOSE)
    assert weights[0, 0] > weights[10, 10] > weights[35, 0] == 0
    assert dock.layer.contrast_limits == [0, 5]
    assert "rare classes" in dock.message.text()
    assert not dock.settings["w0"].enabled
    teacher.plan.settings["balance"].value = False
    np.testing.assert_array_equal(shown(qtbot, dock), areas >= 0)
    teacher.plan.start.value = teacher.plan.start.choices[0]  # objects again
    parted = expected(areas, w0=dock.settings["w0"].value, balance=dock.settings["balance"].value)
    np.testing.assert_allclose(shown(qtbot, dock), parted, **CLOSE)
    assert dock.settings["w0"].enabled
    wait(qtbot, teacher)


def test_it_follows_strokes_and_their_undo(open_dock, qtbot, labels, monkeypatch) -> None:
    sizes = []
    measure = live.LiveMap._measure

    def measured(self, region):
        sizes.append(np.prod([part.stop - part.start for part in region]))
        measure(self, region)

    monkeypatch.setattr(live.LiveMap, "_measure", measured)
    large = np.pad(labels, ((0, 400), (0, 400)))
    viewer, dock = open_dock(large)
    press(dock.show_button)
    before = shown(qtbot, dock).copy()
    layer = viewer.layers["cells"]
    layer.paint((20, 32), 1)
    layer.paint((40, 25), 7)
    np.testing.assert_allclose(shown(qtbot, dock), expected(layer.data), **CLOSE)
    assert np.abs(dock.layer.data - before).max() > 1
    layer.undo()
    layer.undo()
    np.testing.assert_allclose(shown(qtbot, dock), before, **CLOSE)
    layer.redo()
    np.testing.assert_allclose(shown(qtbot, dock), expected(layer.data), **CLOSE)
    layer.data_setitem((np.array([60]), np.array([20])), 0)
    np.testing.assert_allclose(shown(qtbot, dock), expected(layer.data), **CLOSE)
    assert sizes[0] == large.size
    assert len(sizes) >= 4
    assert max(sizes[1:]) < large.size / 8


def test_strokes_while_it_computes(open_dock, qtbot, labels, monkeypatch) -> None:
    """What was begun with older labels or settings is ended early, and nothing of it stays."""
    monkeypatch.setattr(live, "TILE", 32)
    measure = live.LiveMap._measure
    monkeypatch.setattr(live.LiveMap, "_measure", lambda *a: time.sleep(0.02) or measure(*a))
    viewer, dock = open_dock(labels)
    press(dock.show_button)
    layer = viewer.layers["cells"]
    for x in range(20, 100, 10):
        layer.paint((40, x), 1 + x % 3)
        dock.settings["w0"].value = 5 + x / 20
        qtbot.wait(25)
    wanted = expected(layer.data, w0=dock.settings["w0"].value)
    np.testing.assert_allclose(shown(qtbot, dock), wanted, **CLOSE)


def test_of_a_stack_the_plane_in_view(open_dock, qtbot, labels) -> None:
    stack = np.stack([labels, labels[::-1], np.zeros_like(labels)])
    viewer, dock = open_dock(stack, scale=(2, 0.5, 0.5))
    press(dock.show_button)
    for plane in (1, 2, 0):
        viewer.dims.set_point(0, 2 * plane)
        counts = plane != 2  # nothing is painted there, so training does not look at it
        wanted = expected(stack[plane]) if counts else np.zeros(labels.shape)
        np.testing.assert_allclose(shown(qtbot, dock), wanted, **CLOSE)
    assert dock.layer.data.ndim == 2
    np.testing.assert_allclose(dock.layer.scale, (0.5, 0.5))


def test_regions_and_scribbles_say_what_counts(open_dock, qtbot, labels) -> None:
    viewer, dock = open_dock(labels, metadata={PATH: "a.tif", "mode": "regions"})
    press(dock.show_button)
    np.testing.assert_allclose(shown(qtbot, dock), expected(labels), **CLOSE)
    regions = viewer.add_shapes(ndim=2, name="cells regions", metadata={PATH: "a.tif"})
    regions.add_rectangles([[4.5, 4.5], [44.5, 70.5]])
    inside = np.full_like(labels, -1)
    inside[5:45, 5:71] = labels[5:45, 5:71]
    np.testing.assert_allclose(shown(qtbot, dock), expected(inside), **CLOSE)
    assert dock.layer.data[0, 0] == 0
    viewer.layers.remove(regions)
    np.testing.assert_allclose(shown(qtbot, dock), expected(labels), **CLOSE)
    drawn = labels.copy()
    drawn[30:50] = -1
    viewer.layers["cells"].metadata = {PATH: "a.tif", "mode": "scribbles"}
    viewer.layers["cells"].data = drawn
    target = np.where(drawn == 0, -1, np.maximum(drawn, 0))
    np.testing.assert_allclose(shown(qtbot, dock), expected(target), **CLOSE)


def test_weights_under_the_mouse_and_as_training_resizes_it(open_dock, qtbot, labels) -> None:
    viewer, dock = open_dock(labels, scale=(0.5, 0.5), translate=(3, 4))
    press(dock.show_button)
    shown(qtbot, dock)
    viewer.cursor.position = (13, 20)
    assert f"{expected(labels)[20, 32]:.2f} at (20, 32)" in dock.value.text()
    viewer.cursor.position = (-10, 16)
    assert "none" in dock.value.text()
    dock.show_at(0.5)
    small = restore(labels, (45, 60))
    np.testing.assert_allclose(shown(qtbot, dock), expected(small), **CLOSE)
    corner = viewer.layers["cells"].data_to_world((-0.5, -0.5))
    np.testing.assert_allclose(dock.layer.data_to_world((-0.5, -0.5)), corner)
    far = viewer.layers["cells"].data_to_world((89.5, 119.5))
    np.testing.assert_allclose(dock.layer.data_to_world((44.5, 59.5)), far)


def test_the_bar_follows_the_layer(qtbot) -> None:
    layer = Image(np.zeros((8, 8), np.float32), contrast_limits=(0, 6), colormap="gray")
    bar = ColourBar()
    qtbot.addWidget(bar)
    bar.resize(300, bar.sizeHint().height())
    bar.follow(layer)
    assert bar.numbers() == [0, 1, 2, 3, 4, 5, 6]
    layer.contrast_limits = (0, 51)
    assert bar.numbers() == [0, 10, 20, 30, 40, 50]

    def colours() -> list[tuple[int, ...]]:
        picture = bar.grab().toImage()
        ratio = picture.width() / bar.width()
        at = [(int(ratio * x), int(ratio * 12)) for x in (20, 150, 280)]
        return [picture.pixelColor(*place).getRgb()[:3] for place in at]

    first, middle, last = colours()
    assert first[0] < 30 < 110 < middle[0] < 145 < 225 < last[0]
    layer.colormap = "red"
    assert all(green == blue == 0 for _, green, blue in colours())


def test_removed_layers_are_told(open_dock, qtbot, labels) -> None:
    viewer, dock = open_dock(labels)
    press(dock.show_button)
    shown(qtbot, dock)
    viewer.layers.remove("cells weight map")
    assert "press Show weight map to see it again" in dock.message.text()
    assert not dock.show_button.isChecked()
    viewer.layers["cells"].paint((40, 40), 5)
    qtbot.wait(100)
    assert len(viewer.layers) == 1
    press(dock.show_button)
    np.testing.assert_allclose(shown(qtbot, dock), expected(viewer.layers["cells"].data), **CLOSE)
    viewer.layers.remove("cells")
    assert dock.message.text().startswith("cells was removed")
    assert not dock.show_button.isChecked()
    press(dock.show_button)
    assert dock.message.text() == NO_LABELS
    assert not dock.show_button.isChecked()


def test_other_labels_another_shape_and_no_labels_at_all(open_dock, qtbot, labels) -> None:
    viewer, dock = open_dock()
    assert dock.message.text() == NO_LABELS
    viewer.add_labels(labels, name="cells")
    assert dock.message.text() != NO_LABELS
    press(dock.show_button)
    shown(qtbot, dock)
    layer = dock.layer
    viewer.layers["cells"].data = labels[:50, :70]
    np.testing.assert_allclose(shown(qtbot, dock), expected(labels[:50, :70]), **CLOSE)
    other = viewer.add_labels(labels[:, ::-1], name="others")
    dock.labels.value = other
    np.testing.assert_allclose(shown(qtbot, dock), expected(labels[:, ::-1]), **CLOSE)
    assert dock.layer is layer
    assert layer.name == "others weight map"
    other.data = np.full((4, 4), -5)
    qtbot.waitUntil(lambda: "reach from -5" in dock.message.text())
    assert not dock.show_button.isChecked()


def test_a_closed_dock_follows_nothing(open_dock, qtbot, labels) -> None:
    viewer, dock = open_dock(labels)
    press(dock.show_button)
    before = shown(qtbot, dock).copy()
    viewer.window.remove_dock_widget(dock)
    viewer.layers["cells"].paint((40, 40), 5)
    viewer.cursor.position = (10, 16)
    qtbot.wait(100)
    np.testing.assert_array_equal(viewer.layers["cells weight map"].data, before)
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, "Weight Map")
    assert again is not dock
    press(again.show_button)
    np.testing.assert_allclose(shown(qtbot, again), expected(viewer.layers["cells"].data), **CLOSE)
    assert [layer.name for layer in viewer.layers] == ["cells", "cells weight map"]


def test_samples_are_of_the_image_that_is_annotated(open_dock, labels) -> None:
    viewer, dock = open_dock()
    box = dock.preview.image
    images = [viewer.add_image(np.zeros(labels.shape), name=name) for name in "abc"]
    a, b, c = images
    annotations = [add_labels(viewer, image, labels, f"{image.name}.tif") for image in (a, b)]
    assert box.value is a
    b.name = "renamed"
    dock.labels.value = annotations[1]
    assert box.value is b
    box.value = c
    viewer.add_image(np.zeros(labels.shape), name="more")  # napari tells of it
    assert box.value is c
    dock.labels.value = annotations[0]
    assert box.value is a
    box.value = c
    viewer.layers.remove(c)
    assert box.value is a
    viewer.layers.remove(a)
    assert box.value.name == "more"  # which may be that image, opened again
    viewer.add_labels(labels[:50], name="small")
    dock.labels.value = viewer.layers["small"]
    assert box.value is None
    press(dock.preview.button)
    assert dock.message.text() == NO_IMAGE
    box.value = b
    press(dock.preview.button)
    assert "differ in shape ((90, 120) and (50, 120))" in dock.message.text()


def test_samples_as_training_draws_them(open_dock, qtbot) -> None:
    tissue = load_sample("tissue")[:200, :240]
    labels = np.zeros((200, 240), np.int32)
    labels[20:60, 20:80], labels[20:60, 84:140], labels[90:160, 50:180] = 1, 2, 3
    viewer, dock = open_dock(labels)
    press(dock.preview.button)
    assert "open the image" in dock.message.text()
    viewer.add_image(tissue, name="tissue")
    press(dock.preview.button)
    assert not dock.preview.button.isEnabled()
    wait(qtbot, dock)
    image, target, weights = (
        viewer.layers[f"augmented {name}"] for name in ("image", "target", "weights")
    )
    side = FINE_TUNE.patch + 8
    assert (
        image.data.shape == target.data.shape == weights.data.shape == (2 * side - 8, 4 * side - 8)
    )
    assert set(np.unique(target.data)) == {0, 1}
    assert weights.data.max() > 2
    assert image.data_to_world((0, 0))[1] > 240
    first = [image.data.copy(), weights.data.copy()]
    press(dock.preview.button)
    wait(qtbot, dock)
    assert sum(isinstance(layer, Image) for layer in viewer.layers) == 3
    assert not np.array_equal(image.data, first[0])
    assert not np.array_equal(weights.data, first[1])
    made = [layer.name for layer in viewer.layers if MADE_HERE in layer.metadata]
    assert made == ["augmented image", "augmented target", "augmented weights"]
    assert dock.preview.image.choices == (None, viewer.layers["tissue"])
    assert dock.labels.choices == (None, viewer.layers["cells"])


def test_it_follows_settings_beyond_its_sliders(open_dock, qtbot, labels) -> None:
    _, dock = open_dock(labels)
    press(dock.show_button)
    shown(qtbot, dock)
    dock.show_settings(TrainConfig(w0=60.0, sigma=25.0))
    np.testing.assert_allclose(shown(qtbot, dock), expected(labels, w0=60, sigma=25), **CLOSE)
