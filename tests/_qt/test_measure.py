"""The dock that measures objects, as its users see it: real widgets and threads."""

from __future__ import annotations

import csv
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt

from napari_unet._qt.measure import MeasureWidget
from napari_unet._qt.measure import widget as module
from napari_unet._qt.measure.report import in_words
from napari_unet._qt.object_classes import kinds_in, show_kinds
from napari_unet.measurements import measure


@pytest.fixture
def labels() -> np.ndarray:
    """Three cells of 20, 6 and 100 pixels."""
    drawn = np.zeros((40, 60), np.int32)
    drawn[2:6, 3:8], drawn[20:22, 10:13], drawn[25:35, 40:50] = 7, 3, 12
    return drawn


@pytest.fixture
def open_dock(make_napari_viewer, qtbot):
    """Returns the dock on a viewer, in a window, if wanted."""
    docks = []

    def open_on(viewer=None):
        is_shown = viewer is None
        viewer = make_napari_viewer(show=True) if is_shown else viewer
        # napari hands its plugins a viewer whose private parts they do not see.
        dock = MeasureWidget(PublicOnlyProxy(viewer) if is_shown else viewer)
        if is_shown:
            viewer.window.add_dock_widget(dock, name="Measure")
        else:
            for name in ("inserted", "removed", "renamed"):  # as a window does
                getattr(viewer.layers.events, name).connect(dock.reset_choices)
        docks.append(dock)
        return viewer, dock

    yield open_on
    for dock in docks:
        qtbot.waitUntil(lambda dock=dock: not dock.is_running, timeout=20_000)
        dock.close()


def press(qtbot, dock) -> None:
    dock.button.click()
    assert not dock.button.isEnabled()
    qtbot.waitUntil(dock.button.isEnabled, timeout=20_000)
    qtbot.waitUntil(lambda: not dock.is_running, timeout=20_000)


def chosen_rows(dock) -> list[int]:
    return [index.row() for index in dock.table.selectionModel().selectedRows()]


def test_objects_are_measured_and_found_again(open_dock, qtbot, labels, tmp_path, monkeypatch):
    viewer, dock = open_dock()
    assert "no labels layer to measure" in dock.message.text()
    place = {"scale": (2.0, 0.5, 0.5), "units": ("um",) * 3, "translate": (1, 3, 5)}
    stack = np.stack([labels, labels[::-1]])
    image = np.random.default_rng(0).random(stack.shape)
    viewer.add_image(image, name="cells", **place)
    viewer.add_image(image[:, :20], name="other")
    layer = viewer.add_labels(stack, name="cells [nuclei]", **place)
    assert (dock.sources.labels.value, dock.sources.image.value.name) == (layer, "cells")
    press(qtbot, dock)
    expected = measure(stack, image, pixel_size=0.5)
    assert list(dock.report.table) == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(dock.report.table[name], column, err_msg=name)
        np.testing.assert_array_equal(layer.features[name], column, err_msg=name)
    assert layer.features["index"].isna().all()  # a number is an object in each plane
    told = "6 objects measured: median area 20 px (5 µm²), 0 at the border."
    assert dock.message.text() == told

    # From the table to the image, also once it is sorted.
    dock.table.sortByColumn(list(expected).index("area_px"), Qt.SortOrder.DescendingOrder)
    assert dock.table.texts(0)[:3] == ["12", "0", "100"]
    dock.table.selectRow(1)
    assert dock.table.texts(1)[:2] == ["12", "1"]
    assert viewer.dims.point[0] == 3.0
    camera = getattr(viewer, "scene", viewer).camera
    assert camera.center[-2:] == pytest.approx((3 + 9.5 / 2, 5 + 44.5 / 2))
    assert layer.selected_label == 12
    assert dock.plot._line.value() == 25
    # And from the image to the table.
    layer.selected_label = 3
    assert [dock.table.texts(row)[:2] for row in chosen_rows(dock)] == [["3", "1"]]
    assert dock.plot._line.value() == 1.5

    edges, heights = dock.plot.drawn()
    assert (heights.sum(), edges[0], edges[-1]) == (6, 1.5, 25)
    dock.plot.against.value = "perimeter_um"
    x, y = dock.plot.drawn()
    np.testing.assert_array_equal(x, expected["perimeter_um"])
    np.testing.assert_array_equal(y, expected["area_um2"])
    for theme in ("light", "dark"):
        viewer.theme = theme
        colour = dock.plot._area.backgroundBrush().color().name()
        assert colour == get_theme(theme).background.as_hex(format="long")

    path = tmp_path / "cells"
    monkeypatch.setattr(module.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    dock.save_button.click()
    qtbot.waitUntil(lambda: dock.message.text() == f"Saved to {path}.csv")
    (first, *_) = csv.DictReader(path.with_suffix(".csv").read_text("utf-8").splitlines())
    assert (first["image"], first["label"], first["area_um2"]) == ("cells [nuclei]", "3", "1.5")
    dock.save(tmp_path / "nowhere" / "t.csv")
    qtbot.waitUntil(lambda: "could not be written" in dock.message.text())


def test_features_are_of_their_numbers(open_dock, qtbot, labels) -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(labels, name="a")
    _, dock = open_dock(viewer)
    assert dock.sources.image.value is None
    press(qtbot, dock)
    assert list(layer.features["index"]) == [3, 7, 12]
    assert not [name for name in dock.report.table if "um" in name or "intensity" in name]
    assert any(
        "area_px: 20" in text for text in layer.get_status((3, 4))["coordinates"].split(", ")
    )
    layer.data = np.zeros_like(labels)
    press(qtbot, dock)
    assert dock.message.text() == "a holds no object."
    assert not dock.table.isVisibleTo(dock)


def test_what_is_old_is_told(open_dock, qtbot, labels) -> None:
    viewer = ViewerModel()
    layer, other = viewer.add_labels(labels, name="a"), viewer.add_labels(labels, name="b")
    _, dock = open_dock(viewer)
    dock.sources.labels.value = layer
    press(qtbot, dock)
    layer.paint((30, 3), 5)
    qtbot.waitUntil(lambda: dock.message.text() == module.CHANGED)
    assert not dock.table.isEnabled()
    layer.undo()
    qtbot.waitUntil(lambda: "3 objects" in dock.message.text())
    layer.data[30, 3] = 5  # as Segment does, when its threshold is moved
    layer.refresh()
    qtbot.waitUntil(lambda: dock.message.text() == module.CHANGED)
    press(qtbot, dock)
    assert dock.table.isEnabled()
    assert "4 objects" in dock.message.text()
    dock.sources.labels.value = other
    assert dock.message.text().startswith("Below are the objects of a. 4 objects")
    viewer.layers.remove(layer)
    assert dock.report is None
    assert dock.message.text() == module.AT_FIRST
    viewer.layers.clear()
    assert dock.sources.labels.value is None
    dock.button.click()
    assert dock.message.text() == module.NO_LABELS


def test_images_of_the_labels_shape_are_offered(open_dock, labels) -> None:
    viewer = ViewerModel()
    for name, shape in {"gray": (), "colour": (3,), "larger": (2,)}.items():
        viewer.add_image(np.zeros((40, 60, *shape), np.uint8), name=name, rgb=name == "colour")
    viewer.add_image(np.zeros((2, 40, 60)), name="channels", axis_labels=("c", "y", "x"))
    viewer.add_labels(labels, name="gray [nuclei]")
    _, dock = open_dock(viewer)
    choices = [choice.name for choice in dock.sources.image.choices if choice is not None]
    assert choices == ["channels", "colour", "gray"]
    assert dock.sources.image.value.name == "gray"
    dock.sources.image.value = viewer.layers["colour"]
    viewer.add_labels(labels, name="x")
    assert dock.sources.image.value.name == "colour"
    dock.sources.labels.value = viewer.layers["x"]
    assert dock.sources.image.value.name == "channels"
    viewer.layers["x"].name = "gray annotation"
    viewer.add_labels(labels, name="y")
    for name, of in {"y": "channels", "gray annotation": "gray"}.items():
        dock.sources.labels.value = viewer.layers[name]
        assert dock.sources.image.value.name == of


def test_a_layer_or_a_dock_that_goes_ends_its_work(open_dock, qtbot, labels, monkeypatch) -> None:
    def slowly(*_):
        def steps():
            for share in range(1000):
                time.sleep(0.01)
                yield share / 1000

        return steps

    viewer, dock = open_dock()
    layer = viewer.add_labels(labels)
    dock.button.click()
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not dock.is_running, timeout=20_000)
    assert "was removed meanwhile" in dock.message.text()
    monkeypatch.setattr(module, "measuring", slowly)
    viewer.add_labels(labels)
    dock.button.click()
    qtbot.wait(30)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not dock.is_running, timeout=3000)
    assert dock.report is None


def test_columns_are_named_in_words() -> None:
    assert in_words("equivalent_diameter_um") == "equivalent diameter (µm)"
    assert in_words("area_um2") == "area (µm²)"
    assert in_words("orientation_deg") == "orientation (°)"
    assert in_words("intensity_mean_c0") == "intensity mean c0"


def test_boxes_lie_on_the_outer_edges_of_pixels(open_dock, qtbot, labels) -> None:
    viewer = ViewerModel()
    place = {"scale": (0.5, 0.25), "units": ("um", "um"), "translate": (3, 5)}
    layer = viewer.add_labels(labels, name="fruit", **place)
    kinds = ["background", "pear", "apple", "pear"]
    layer.features = {"index": [0, 3, 7, 12], "class": kinds, "score": [np.nan, 0.5, 0.75, 1]}
    colours = {None: "white", 0: "transparent", 3: "red", 7: "blue", 12: "red"}
    layer.colormap = DirectLabelColormap(color_dict=colours)
    _, dock = open_dock(viewer)
    press(qtbot, dock)
    assert list(dock.report.table)[:3] == ["label", "class", "score"]
    assert list(layer.features["class"]) == ["pear", "apple", "pear"]  # a measurement keeps it
    dock.table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert dock.table.texts(0)[:3] == ["7", "apple", "0.75"]
    for _ in range(2):  # the second time in place of the first ones
        dock.boxes_button.click()
        assert not dock.boxes_button.isEnabled()
        qtbot.waitUntil(dock.boxes_button.isEnabled, timeout=20_000)
    assert [each.name for each in viewer.layers] == ["fruit", "fruit boxes"]
    boxes = viewer.layers["fruit boxes"]
    assert viewer.layers.selection.active == layer
    assert set(boxes.shape_type) == {"rectangle"}
    np.testing.assert_allclose(boxes.data[1].min(axis=0), (1.5, 2.5))
    np.testing.assert_allclose(boxes.data[1].max(axis=0), (5.5, 7.5))
    for corner in ((0, 0), (7, 4)):
        np.testing.assert_allclose(boxes.data_to_world(corner), layer.data_to_world(corner))
    assert list(boxes.features["class"]) == ["pear", "apple", "pear"]
    assert list(boxes.features["score"]) == [0.5, 0.75, 1]
    np.testing.assert_allclose(boxes.edge_color, [[1, 0, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1]])


def test_boxes_of_a_stack_are_in_their_planes(open_dock, qtbot, labels, monkeypatch) -> None:
    viewer = ViewerModel()
    viewer.add_labels(np.stack([labels, labels[::-1]]), name="a")
    _, dock = open_dock(viewer)
    press(qtbot, dock)
    dock.boxes_button.click()
    qtbot.waitUntil(dock.boxes_button.isEnabled, timeout=20_000)
    boxes = viewer.layers["a boxes"]
    assert [box[0, 0] for box in boxes.data] == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(boxes.data[0][:, 1:].max(axis=0), (21.5, 12.5))
    monkeypatch.setattr("napari_unet._qt.measure.boxes.LARGEST", 5)
    dock.boxes_button.click()
    assert "6 boxes are too many to be drawn: save the table" in dock.message.text()


def test_measuring_a_stack_keeps_the_classes_of_objects_that_go_on(qtbot, labels, open_dock):
    viewer, dock = open_dock(ViewerModel())
    layer = viewer.add_labels(np.stack([labels, labels]), name="fruit")
    show_kinds(layer, {3: "apple", 7: "pear"})
    for _ in range(2):
        press(qtbot, dock)
        assert layer.features["index"].isna().all(), "a number is of two rows"
        assert kinds_in(layer) == {3: "apple", 7: "pear"}
    show_kinds(layer, {7: "pear", 12: "plum"})
    assert kinds_in(layer) == {7: "pear", 12: "plum"}
    layer.features = {"label": [3, 3, 7], "index": [np.nan] * 3, "class": ["apple", "plum", "pear"]}
    assert kinds_in(layer) == {7: "pear"}, "3 is another object in each plane"
