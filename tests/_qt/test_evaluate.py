"""The dock that compares two labels layers, as its users see it: real widgets and threads."""

from __future__ import annotations

import csv
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest

from napari_unet import metrics
from napari_unet._qt.annotation_layers import PATH
from napari_unet._qt.evaluate import EvaluateWidget
from napari_unet._qt.evaluate import widget as module
from napari_unet._qt.evaluate.outcome_layer import COLOURS, KIND
from napari_unet._qt.evaluate.widget import NO_PAIR
from napari_unet._qt.layers import MADE_HERE

NAME = "cells [nuclei] against cells annotation"


@pytest.fixture
def truth() -> np.ndarray:
    """Four cells."""
    labels = np.zeros((60, 80), np.int32)
    labels[5:15, 5:15], labels[5:15, 25:35] = 1, 2
    labels[30:40, 5:15], labels[30:40, 25:35] = 3, 4
    return labels


@pytest.fixture
def prediction(truth) -> np.ndarray:
    """A cell as it is, one by 0.7, one by 0.4, one missed, and one invented."""
    labels = np.zeros_like(truth)
    labels[5:15, 5:15], labels[8:15, 25:35], labels[30:34, 5:15] = 11, 12, 13
    labels[50:55, 60:70] = 14
    return labels


@pytest.fixture
def open_dock(make_napari_viewer, qtbot):
    """Returns a viewer with labels layers by their names, and the dock; in a window, if wanted."""
    docks = []

    def open_on(layers, in_window: bool = False, **options):
        viewer = make_napari_viewer(show=True) if in_window else ViewerModel()
        for name, data in layers.items():
            viewer.add_labels(data, name=name, **options)
        # napari hands its plugins a viewer whose private parts they do not see.
        dock = EvaluateWidget(PublicOnlyProxy(viewer) if in_window else viewer)
        if in_window:
            viewer.window.add_dock_widget(dock, name="Evaluate")
        else:
            for name in ("inserted", "removed", "renamed"):  # as a window does
                getattr(viewer.layers.events, name).connect(dock.reset_choices)
        docks.append(dock)
        return viewer, dock

    yield open_on
    for dock in docks:
        wait(qtbot, dock)
        if dock.parent() is None:
            dock.deleteLater()


@pytest.fixture
def pair(truth, prediction) -> dict[str, np.ndarray]:
    return {"cells annotation": truth, "cells [nuclei]": prediction}


def wait(qtbot, dock) -> None:
    qtbot.waitUntil(lambda: not dock.is_running, timeout=30_000)


def press(qtbot, dock) -> None:
    assert dock.button.isEnabled()
    QTest.mouseClick(dock.button, Qt.MouseButton.LeftButton)
    wait(qtbot, dock)


def is_old(dock) -> bool:
    return not dock.results.table.isEnabled()


def test_one_click_tells_in_words_numbers_and_colours(
    open_dock, qtbot, pair, truth, prediction
) -> None:
    viewer, dock = open_dock(
        pair, in_window=True, scale=(0.5, 0.5), units=("um", "um"), translate=(3, 4)
    )
    selected = viewer.layers.selection.active
    press(qtbot, dock)
    assert dock.message.text() == (
        f"2 of 4 objects found, 2 missed, 2 invented, at an IoU of 0.50; foreground IoU"
        f" {metrics.iou(prediction, truth):.2f}."
    )
    assert f"<b>{metrics.seg(prediction, truth):.3f}</b>" in dock.results.scores.text()
    table, plot = dock.results.table, dock.results.plot
    first = [table.item(0, column).text() for column in range(table.columnCount())]
    assert first == ["0.50", "0.33", "0.50", "0.50", "0.50", "0.42", "2", "2", "2"]
    expected = metrics.match_all(prediction, truth, metrics.DSB_THRESHOLDS)
    assert plot.drawn() == ([m.threshold for m in expected], [m.ap for m in expected])
    layer = viewer.layers[NAME]
    np.testing.assert_array_equal(layer.data, metrics.compare_objects(prediction, truth))
    assert set(np.unique(layer.data)) == {0, 1, 2, 3, 4}
    for number, colour in enumerate(COLOURS.values(), 1):
        red, green, blue, _ = np.round(255 * layer.get_color(number)).astype(int)
        assert f"#{red:02x}{green:02x}{blue:02x}" == colour
    for point in [(0, 0), (20, 3.5)]:
        np.testing.assert_allclose(
            layer.data_to_world(point), viewer.layers["cells annotation"].data_to_world(point)
        )
    assert layer.visible
    assert not viewer.layers["cells annotation"].visible
    assert viewer.layers.selection.active is selected
    assert layer not in dock.pair.prediction.choices


def test_the_threshold_of_the_colours(open_dock, qtbot, pair, truth, prediction) -> None:
    viewer, dock = open_dock(pair)
    dock.results.threshold.value = 0.6  # which counts for the first evaluation, too
    press(qtbot, dock)
    assert "2 of 4 objects found" in dock.message.text()
    layer = viewer.layers[NAME]
    for threshold in (0.65, 0.7, 0.75):  # the last one wins
        dock.results.threshold.value = threshold
    wait(qtbot, dock)
    assert dock.message.text().startswith("1 of 4 objects found, 3 missed, 3 invented, at an IoU")
    assert viewer.layers[NAME] is layer
    np.testing.assert_array_equal(layer.data, metrics.compare_objects(prediction, truth, 0.75))
    viewer.layers.remove(layer)
    dock.results.threshold.value = 0.5
    wait(qtbot, dock)
    assert dock.message.text().startswith("2 of 4 objects found")
    outcome = metrics.compare_objects(prediction, truth, 0.5)
    np.testing.assert_array_equal(viewer.layers[NAME].data, outcome)


def test_a_guess_gives_way_to_a_better_one(open_dock, qtbot, truth, prediction) -> None:
    viewer, dock = open_dock({"cells [one]": prediction, "cells [two]": prediction})
    layers = viewer.layers
    assert dock.pair.layers == (layers["cells [two]"], layers["cells [one]"])
    viewer.add_labels(truth, name="cells annotation")
    assert dock.pair.layers == (layers["cells [two]"], layers["cells annotation"])
    press(qtbot, dock)
    viewer.add_labels(prediction, name="cells [three]")
    assert dock.pair.layers == (layers["cells [two]"], layers["cells annotation"])
    assert not is_old(dock)


def test_which_is_which_is_guessed(open_dock, truth, prediction) -> None:
    small = np.zeros((9, 9), np.int32)
    viewer, dock = open_dock({"cells [nuclei]": prediction, "small": small})
    assert dock.pair.layers == (None, None)
    assert dock.message.text() == NO_PAIR
    viewer.add_labels(truth, name="by hand")
    layers = viewer.layers
    assert dock.pair.layers == (layers["cells [nuclei]"], layers["by hand"])
    dock.pair.truth.value = layers["cells [nuclei]"]  # they change places
    assert dock.pair.layers == (layers["by hand"], layers["cells [nuclei]"])
    viewer.add_labels(truth, name="cells", metadata={PATH: "cells.tif"})  # too late
    layers["by hand"].name = "by her hand"
    assert dock.pair.layers == (layers["by her hand"], layers["cells [nuclei]"])
    layers.remove("cells [nuclei]")
    assert dock.pair.layers == (layers["by her hand"], layers["cells"])
    dock.pair.truth.value = None
    assert dock.pair.layers == (layers["by her hand"], None)


def test_of_an_annotation_only_what_is_annotated_counts(
    open_dock, qtbot, pair, truth, prediction
) -> None:
    viewer, dock = open_dock(pair)
    layer = viewer.layers["cells annotation"]
    layer.metadata = {PATH: "cells.tif", "mode": "regions"}
    upper = np.array([[-0.5, -0.5], [-0.5, 79.5], [19.5, 79.5], [19.5, -0.5]])
    regions = viewer.add_shapes([upper], metadata={PATH: "cells.tif"})
    press(qtbot, dock)
    assert dock.message.text().startswith("2 of 2 objects found, 0 missed, 0 invented")
    regions.data = [upper + np.array((25, 0))]
    qtbot.waitUntil(lambda: is_old(dock))
    assert "changed" in dock.message.text()
    press(qtbot, dock)
    assert dock.message.text().startswith("0 of 2 objects found, 2 missed, 1 invented")
    viewer.layers.remove(regions)
    layer.metadata = {PATH: "cells.tif", "mode": "scribbles"}
    layer.data = np.where((truth == 0) & (np.arange(80) < 40), -1, truth)
    press(qtbot, dock)
    assert dock.message.text().startswith("2 of 4 objects found, 2 missed, 1 invented")
    layer.data = np.zeros_like(truth)
    press(qtbot, dock)
    assert "Nothing of the truth is annotated" in dock.message.text()


def test_a_stack(open_dock, qtbot, truth, prediction) -> None:
    """By default a number is another object in each plane, as in what Segment makes."""
    stack = {
        "cells annotation": np.stack([truth, truth]),
        "cells [nuclei]": np.stack([truth, prediction]),
    }
    viewer, dock = open_dock(stack)
    viewer.dims.set_current_step(0, 0)
    press(qtbot, dock)
    assert dock.message.text().startswith("6 of 8 objects found, 2 missed, 2 invented")
    np.testing.assert_array_equal(viewer.layers[NAME].data[0], truth > 0)
    dock.by_plane.value = False
    assert is_old(dock)
    press(qtbot, dock)
    expected = metrics.match(stack["cells [nuclei]"], stack["cells annotation"])
    assert dock.report.chosen == expected
    assert expected.tp + expected.fn == 4
    dock.plane_only.value = True
    press(qtbot, dock)
    assert dock.message.text().startswith("4 of 4 objects found in plane 0, 0 missed")
    layer = viewer.layers[NAME]
    assert layer.data.shape == (1, 60, 80)
    np.testing.assert_array_equal(layer.data[0], truth > 0)


def test_a_plane_lies_where_it_is(open_dock, qtbot, truth, prediction) -> None:
    stack = {"a": np.stack([truth, truth, truth]), "b": np.stack([truth, truth, prediction])}
    turned = np.array([[1, 0, 0, 9], [0, 0.8, 0.6, 0], [0, -0.6, 0.8, 0], [0, 0, 0, 1]])
    viewer, dock = open_dock(stack, scale=(2, 0.5, 0.5), translate=(1, 2, 3), affine=turned)
    dock.plane_only.value = True
    viewer.dims.set_current_step(0, 2)
    press(qtbot, dock)
    assert dock.message.text().startswith("2 of 4 objects found in plane 2, 2 missed")
    layer = viewer.layers["b against a"]
    for point in [(0, 0, 0), (0, 7, 9)]:
        np.testing.assert_allclose(
            layer.data_to_world(point), viewer.layers["a"].data_to_world(np.add(point, (2, 0, 0)))
        )
    viewer.dims.set_current_step(0, 1)
    wait(qtbot, dock)
    assert not is_old(dock)
    dock.results.threshold.value = 0.75  # of the plane that was evaluated
    wait(qtbot, dock)
    assert dock.message.text().startswith("1 of 4 objects found")


def test_it_is_old_as_long_as_the_labels_are_others(open_dock, qtbot, pair, truth) -> None:
    viewer, dock = open_dock(pair)
    press(qtbot, dock)
    layer = viewer.layers["cells annotation"]
    layer.visible = True
    layer.paint((50, 20), 9)
    qtbot.waitUntil(lambda: is_old(dock))
    assert "changed since" in dock.message.text()
    layer.undo()
    qtbot.waitUntil(lambda: not is_old(dock))
    assert dock.message.text().startswith("2 of 4 objects found")
    layer.data = truth[:30]
    qtbot.waitUntil(lambda: is_old(dock))
    layer.data = truth
    qtbot.waitUntil(lambda: not is_old(dock))
    viewer.add_labels(truth, name="other")
    assert not is_old(dock)
    dock.pair.truth.value = viewer.layers["other"]
    assert is_old(dock)
    assert NAME in dock.message.text()
    press(qtbot, dock)
    assert not viewer.layers[NAME].visible
    assert viewer.layers["cells [nuclei] against other"].visible
    dock.pair.truth.value = layer
    press(qtbot, dock)
    assert viewer.layers[NAME].visible
    assert not viewer.layers["cells [nuclei] against other"].visible
    assert [la.metadata.get(MADE_HERE) for la in viewer.layers].count(KIND) == 2


def test_layers_that_go(open_dock, qtbot, pair, truth) -> None:
    viewer, dock = open_dock(pair)
    dock.button.click()
    viewer.layers.remove("cells annotation")
    wait(qtbot, dock)
    assert "removed meanwhile" in dock.message.text()
    assert len(viewer.layers) == 1
    viewer.add_labels(truth, name="cells annotation")
    press(qtbot, dock)
    viewer.layers.remove("cells [nuclei]")
    wait(qtbot, dock)
    assert dock.report is None
    assert not dock.results.isVisibleTo(dock)
    assert dock.message.text() == NO_PAIR
    press(qtbot, dock)
    assert "no predicted labels" in dock.message.text()


@pytest.mark.parametrize(
    ("shape", "told"),
    [((60, 70), "choose labels of one image."), ((3, 60, 80), '"This plane only"')],
)
def test_other_shapes_are_told(open_dock, qtbot, truth, shape, told) -> None:
    viewer, dock = open_dock({"a": truth, "b": np.zeros(shape, np.int32)})
    dock.pair.prediction.value, dock.pair.truth.value = viewer.layers["b"], viewer.layers["a"]
    press(qtbot, dock)
    assert f"b has the shape {shape} and a (60, 80): " in dock.message.text()
    assert told in dock.message.text()
    dock.plane_only.value = not dock.plane_only.value
    assert "shape" not in dock.message.text()


def test_a_dock_that_closes_ends_its_work(open_dock, qtbot, pair, monkeypatch) -> None:
    ended = []

    def steps(request):
        for _ in range(1000):
            time.sleep(0.01)
            yield
        ended.append(request)

    monkeypatch.setattr(module, "evaluate_steps", steps)
    viewer, dock = open_dock(pair, in_window=True)
    dock.button.click()
    qtbot.wait(30)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not dock.is_running, timeout=3000)
    assert not ended
    assert len(viewer.layers) == 2


def test_the_table_is_copied_and_saved(open_dock, qtbot, pair, tmp_path, monkeypatch) -> None:
    viewer, dock = open_dock(pair, in_window=True)
    press(qtbot, dock)
    clipboard = QGuiApplication.clipboard()
    dock.results.copy_button.click()
    lines = clipboard.text().split("\n")
    assert len(lines) == 11
    assert lines[0].split("\t")[:3] == ["IoU", "AP", "Prec."]
    assert lines[1].split("\t")[-3:] == ["2", "2", "2"]
    dock.results.table.selectRow(3)
    QTest.keyClick(dock.results.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert clipboard.text().split("\n") == [lines[0], lines[4]]
    path = tmp_path / "numbers.csv"
    monkeypatch.setattr(module.QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    dock.results.save_button.click()
    qtbot.waitUntil(lambda: dock.message.text() == f"Saved to {path}")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [float(row["iou_threshold"]) for row in rows] == list(metrics.DSB_THRESHOLDS)
    assert rows[0]["truth"] == "cells annotation"
    assert float(rows[0]["ap"]) == 1 / 3
    assert float(rows[9]["dsb_mean"]) == dock.report.dsb_mean
    assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.csv"]
    dock.save(tmp_path / "nowhere" / "numbers.csv")
    qtbot.waitUntil(lambda: "could not be written" in dock.message.text())
    for theme in ("light", "dark"):
        viewer.theme = theme
        colour = dock.results.plot._area.backgroundBrush().color().name()
        assert colour == get_theme(theme).background.as_hex(format="long")
