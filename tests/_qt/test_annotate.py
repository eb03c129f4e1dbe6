"""The dock Annotate as its users see it: real layers, real clicks, real files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Labels, Shapes
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unet import annotations
from napari_unet._qt.annotate import counting, drawing, joining, keeping, start, tools, widget
from napari_unet._qt.annotate.joining import Answer
from napari_unet._qt.annotate.opening import open_project
from napari_unet._qt.object_classes import kinds_in
from napari_unet.annotations import BACKGROUND, Autosave, Mode, Project, project, read_annotation

PLUGIN = "napari-unet-segmentation"
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
SHAPE = (60, 80)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's own project is."""
    monkeypatch.setattr(project, "user_data_path", lambda *_, **__: tmp_path)
    return tmp_path / "annotations.unet" / "annotations"


@pytest.fixture(autouse=True)
def _time_flies(monkeypatch) -> None:
    """Wait less for what takes seconds, so that nobody is disturbed."""
    for module, name in ((keeping, "PACE"), (drawing, "POLL"), (counting, "PAUSE")):
        monkeypatch.setattr(module, name, 50)
    monkeypatch.setattr(annotations, "Autosave", partial(Autosave, 0.2), raising=False)


@pytest.fixture
def open_dock(make_napari_viewer, qtbot, folder):
    """Returns a viewer with the dock, opened as from the menu."""
    docks = []

    def open_in(*images, show: bool = False, **options):
        viewer = make_napari_viewer(show=show)
        for data in images:
            viewer.add_image(data, name="cells", **options)
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate")
        docks.append(dock)
        return viewer, dock

    yield open_in
    for dock in filter(isalive, docks):
        qtbot.waitUntil(lambda dock=dock: not dock.is_busy)


@pytest.fixture
def annotate(open_dock, qtbot):
    """Returns a viewer, the dock, and the labels layer of a new annotation."""

    def open_in(*images, **options):
        viewer, dock = open_dock(*images or (np.zeros(SHAPE, np.uint8),), **options)
        return viewer, dock, begin(qtbot, dock, viewer)

    return open_in


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, LEFT)


def begin(qtbot, dock, viewer, button=None) -> Labels:
    press(button or dock.chooser.new_button)
    qtbot.waitUntil(lambda: not dock.is_busy)
    assert isinstance(viewer.layers.selection.active, Labels), dock.message.text()
    return viewer.layers.selection.active


def saved(qtbot, dock) -> None:
    """Wait until the window says that all is on disk."""
    qtbot.waitUntil(lambda: dock.state.text().startswith("Saved"), timeout=6000)


def settle() -> None:
    for _ in range(3):
        QApplication.processEvents()


def on_canvas(viewer, layer, point) -> QPoint:
    """Return where a pixel of a layer is on the canvas."""
    camera, native = getattr(viewer, "scene", viewer).camera, canvas(viewer)
    moved = np.array(layer.data_to_world(point))[-2:] - np.array(camera.center)[-2:]
    y, x = moved * camera.zoom + np.array([native.height(), native.width()]) / 2
    return QPoint(round(x), round(y))


def canvas(viewer):
    return viewer.window._qt_viewer.canvas.native


def move(viewer, at: QPoint, button=Qt.MouseButton.NoButton) -> None:
    native = canvas(viewer)
    where = QPointF(at), QPointF(native.mapToGlobal(at))
    event = QMouseEvent(QEvent.Type.MouseMove, *where, Qt.MouseButton.NoButton, button, NONE)
    QApplication.sendEvent(native, event)
    settle()


def drag(viewer, layer, *points) -> None:
    first, *rest = (on_canvas(viewer, layer, point) for point in points)
    move(viewer, first)
    QTest.mousePress(canvas(viewer), LEFT, NONE, first)
    settle()
    for at in rest:
        move(viewer, at, LEFT)
    QTest.mouseRelease(canvas(viewer), LEFT, NONE, rest[-1] if rest else first)
    settle()


def key(viewer, letter: str, layer=None, at=None, modifier=NONE) -> None:
    if at is not None:
        move(viewer, on_canvas(viewer, layer, at))
    QTest.keyClick(canvas(viewer), getattr(Qt.Key, f"Key_{letter}"), modifier)
    settle()


def undo(viewer) -> None:
    key(viewer, "Z", modifier=Qt.KeyboardModifier.ControlModifier)


def tool_button(dock, tool):
    return dock.tools.buttons[tool]


def test_new_annotation_paint_and_it_is_on_disk(open_dock, qtbot, folder) -> None:
    options = {"scale": (0.5, 0.5), "translate": (3, 4), "units": ("um", "um")}
    viewer, dock = open_dock(np.zeros(SHAPE, np.uint8), show=True, **options)
    labels = begin(qtbot, dock, viewer)
    assert (labels.name, labels.data.shape, labels.dtype) == ("cells annotation", SHAPE, np.int32)
    assert (labels.mode, labels.selected_label) == ("paint", 1)
    np.testing.assert_allclose(labels.data_to_world((5, 6)), (5.5, 7))
    assert not list(folder.glob("*.tif")), "nothing is drawn yet"
    drag(viewer, labels, (20, 20), (20, 40))
    assert dock.state.text() == "Saving…"
    saved(qtbot, dock)
    np.testing.assert_array_equal(tifffile.imread(folder / "cells.tif"), labels.data)
    qtbot.waitUntil(lambda: dock.counts.text().startswith("1 object, 4,800 pixels"))
    undo(viewer)  # of which napari tells by no event of painting
    assert not labels.data.any()
    saved(qtbot, dock)
    assert not tifffile.imread(folder / "cells.tif").any()
    labels.data[5:9, 5:9] = 7  # as a script does, of which napari tells nothing at all
    qtbot.waitUntil(lambda: tifffile.imread(folder / "cells.tif").any(), timeout=6000)


def test_the_layer_fits_any_image(open_dock, qtbot) -> None:
    viewer, dock = open_dock()
    for shape, options, expected in (
        ((60, 80, 3), {"rgb": True}, (60, 80)),
        ((2, 60, 80), {"axis_labels": ("c", "y", "x")}, (60, 80)),
        ((4, 2, 60, 80), {"axis_labels": ("z", "c", "y", "x")}, (4, 60, 80)),
        ((4, 60, 80), {"scale": (2, 1, 1), "rotate": (0, 0, 30)}, (4, 60, 80)),
    ):
        image = viewer.add_image(np.zeros(shape, np.uint8), **options)
        labels = begin(qtbot, dock, viewer)
        assert labels.data.shape == expected
        last = (1,) * (len(expected) - 2) + (7, 9)
        inside = last if image.ndim == len(expected) else (*last[:-2], 0, *last[-2:])
        kept = [i for i, label in enumerate(image.axis_labels) if label != "c"]
        corner = np.array(image.data_to_world(inside))[kept]
        np.testing.assert_allclose(labels.data_to_world(last), corner)
    pyramid = [np.zeros((64, 64), np.uint8), np.zeros((32, 32), np.uint8)]
    viewer.add_image(pyramid, multiscale=True)
    assert begin(qtbot, dock, viewer).data.shape == (64, 64)


def test_a_result_is_copied_and_corrected(open_dock, qtbot, folder, monkeypatch) -> None:
    viewer, dock = open_dock(np.zeros(SHAPE, np.uint8))
    assert not dock.chooser.correct_button.isEnabled()
    found = np.zeros(SHAPE, np.uint16)
    found[5:10, 5:10], found[30:40, 30:40] = 1, 2
    result = viewer.add_labels(found.copy(), name="cells [nuclei]")
    assert "cells [nuclei]" in dock.chooser.correct_button.toolTip()
    viewer.layers.selection.active = viewer.layers["cells"]
    labels = begin(qtbot, dock, viewer, dock.chooser.correct_button)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels.data, found)
    assert not result.visible
    labels.fill((7, 7), 0)
    np.testing.assert_array_equal(result.data, found)
    saved(qtbot, dock)
    assert set(np.unique(tifffile.imread(folder / "cells.tif"))) == {0, 2}
    answers = iter((Answer.CANCEL, Answer.ADD, Answer.REPLACE))
    monkeypatch.setattr(joining, "ask_about_drawn", lambda *_: next(answers))
    for expected in ({0, 2}, {0, 2, 3}, {0, 1, 2}):
        begin(qtbot, dock, viewer, dock.chooser.correct_button)
        assert set(np.unique(labels.data)) == expected
    labels.undo()
    assert set(np.unique(labels.data)) == {0, 2, 3}


def test_regions(annotate, qtbot, folder) -> None:
    viewer, dock, labels = annotate(show=True)
    press(dock.chooser.region_button)
    drag(viewer, labels, (9.8, 19.7), (30.2, 50.1))
    assert viewer.layers.selection.active == labels
    assert labels.mode == "paint"
    drag(viewer, labels, (20, 30), (20, 40))
    saved(qtbot, dock)
    target = tifffile.imread(folder / "cells.tif")
    counted = np.full(SHAPE, -1)
    counted[10:31, 20:51] = labels.data[10:31, 20:51]
    np.testing.assert_array_equal(target, counted)
    regions = viewer.layers["cells regions"]
    regions.add_ellipses(np.array([[5, 5], [5, 15], [15, 15], [15, 5]]))
    settle()
    assert "the ellipse does not count" in dock.message.text()
    regions.data = regions.data[:1]
    turned = np.array([[30, 40], [40, 50], [50, 40], [40, 30]])
    for corners, text in (
        (turned, "turned"),
        (turned * 0 - [[9, 9], [9, 5], [5, 5], [5, 9]], "out"),
    ):
        regions.add_rectangles(corners)
        settle()
        assert text in dock.message.text()
        regions.selected_data = {1}
        regions.remove_selected()
        settle()
    assert len(dock._current.regions) == 1
    viewer.layers.remove(regions)
    settle()
    assert "still count" in dock.message.text()
    press(dock.chooser.region_button)
    np.testing.assert_allclose(viewer.layers["cells regions"].data[0][0], (9.5, 19.5))


def test_scribbles(annotate, qtbot, folder) -> None:
    viewer, dock, labels = annotate(show=True)
    assert not tool_button(dock, tools.BACKGROUND_BRUSH).isEnabled()
    dock.chooser.mode.value = Mode.SCRIBBLES
    drag(viewer, labels, (20, 20), (20, 40))
    key(viewer, "Q")
    assert labels.selected_label == BACKGROUND
    drag(viewer, labels, (50, 20), (50, 40))
    np.testing.assert_allclose(labels.get_color(BACKGROUND)[:3], 0.5)
    saved(qtbot, dock)
    target = tifffile.imread(folder / "cells.tif")
    assert set(np.unique(target)) == {-1, 0, 1}
    np.testing.assert_array_equal(target == 0, labels.data == BACKGROUND)
    drawn = labels.data.copy()
    dock.chooser.mode.value = Mode.REGIONS
    np.testing.assert_array_equal(labels.data, drawn)
    assert labels.metadata["mode"] == "regions", "by which other docks know"
    assert labels.selected_label == 1
    saved(qtbot, dock)
    target = tifffile.imread(folder / "cells.tif")
    np.testing.assert_array_equal(target, drawn)
    dock.chooser.mode.value = Mode.SCRIBBLES
    saved(qtbot, dock)
    np.testing.assert_array_equal(tifffile.imread(folder / "cells.tif") == 0, drawn == BACKGROUND)


def test_the_wheel_does_not_change_what_unpainted_means(open_dock) -> None:
    _, dock = open_dock(show=True)
    box = dock.chooser.mode.native
    box.setFocus()
    place = QPointF(box.rect().center())
    event = QWheelEvent(
        place,
        QPointF(box.mapToGlobal(box.rect().center())),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        NONE,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, event)
    assert dock.chooser.chosen_mode is Mode.REGIONS


def painted(labels) -> None:
    """Two objects: 1 with a hole, 2 with a speck."""
    labels.data[10:30, 10:30] = 1
    labels.data[18:22, 18:22] = 0
    labels.data[40:55, 10:30] = 2
    labels.data[45:47, 40:42] = 2
    labels.refresh()


CORRECTIONS = [
    (tools.DELETE, [(12, 12)], lambda d: not (d == 1).any()),
    (tools.MERGE, [(12, 12), (50, 20)], lambda d: not (d == 2).any()),
    (tools.HOLES, [(12, 12)], lambda d: d[20, 20] == 1),
    (tools.SMOOTH, [(50, 20)], lambda d: d[40, 10] == 0),
    (tools.SPECKS, [(50, 20)], lambda d: d[45, 40] == 0),
]


def test_a_correction_by_key_or_clicks_is_one_step_of_undo(annotate) -> None:
    viewer, dock, labels = annotate(show=True)
    painted(labels)
    before = labels.data.copy()
    for (tool, points, is_done), how in product(CORRECTIONS, ("key", "button")):
        if how == "button":
            press(tool_button(dock, tool))
            assert labels.mode == "pan_zoom"
        for point in points:
            if how == "key":
                key(viewer, tool.key, labels, point)
            else:
                drag(viewer, labels, point)
        assert is_done(labels.data), dock.message.text()
        assert "Ctrl-Z" in dock.message.text()
        assert labels.mode == "paint"
        undo(viewer)
        np.testing.assert_array_equal(labels.data, before)


def test_a_stack(annotate, qtbot, folder) -> None:
    """A region belongs to its plane, and an object is split along a line in the plane in view."""
    viewer, dock, labels = annotate(np.zeros((3, *SHAPE), np.uint8), show=True)
    viewer.dims.set_point(0, 1)
    settle()
    press(dock.chooser.region_button)
    drag(viewer, labels, (1, 10, 20), (1, 30, 50))
    saved(qtbot, dock)
    target = tifffile.imread(folder / "cells.tif")
    assert [bool((plane >= 0).any()) for plane in target] == [False, True, False]
    labels.data[1, 10:30, 10:30] = 4
    labels.refresh()
    before = labels.data.copy()
    key(viewer, "C")
    drag(viewer, labels, (1, 5, 25), (1, 35, 25))
    assert set(np.unique(labels.data)) == {0, 4, 5}
    assert (labels.data[1, 15, 15], labels.data[1, 15, 28]) == (4, 5)
    assert [layer.name for layer in viewer.layers if isinstance(layer, Shapes)] == ["cells regions"]
    assert viewer.layers.selection.active == labels
    undo(viewer)
    np.testing.assert_array_equal(labels.data, before)
    press(tool_button(dock, tools.SPLIT))
    drag(viewer, labels, (1, 50, 25), (1, 55, 25))
    assert "meets no object" in dock.message.text()
    key(viewer, "C")
    key(viewer, "Escape")
    assert len(viewer.layers) == 3


def test_objects_have_classes_which_corrections_keep(annotate, qtbot, folder) -> None:
    viewer, dock, labels = annotate(show=True)
    painted(labels)
    box, table = dock.tools.class_box, folder / "cells.csv"
    box.setEditText("apple")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert kinds_in(labels) == {1: "apple"}, "the object that the brush is at"
    box.setEditText("pear")
    key(viewer, "A", labels, (50, 20))
    assert dock.message.text() == "Object 2 is of the class pear."
    saved(qtbot, dock)
    assert table.read_text("utf-8").split() == ["label,class", "1,apple", "2,pear"]
    labels.features = {"index": [1, 2], "area": [384.0, 229.0]}  # as Measure does
    assert kinds_in(labels) == {1: "apple", 2: "pear"}
    assert labels.features["area"].tolist() == [384, 229]
    key(viewer, "C")
    drag(viewer, labels, (47, 5), (47, 35))
    assert kinds_in(labels) == {1: "apple", 2: "pear", 3: "pear"}
    for at in ((12, 12), (50, 20)):
        key(viewer, "G", labels, at)
    (left,) = set(np.unique(labels.data)) - {0, 1}
    kept = kinds_in(labels)
    assert kept == {1: "apple", left: "pear"}
    key(viewer, "N")
    assert kinds_in(labels) == {**kept, labels.selected_label: "pear"}
    press(tool_button(dock, tools.SET_CLASS))
    box.setEditText("")
    drag(viewer, labels, (12, 12))
    assert "of no class any more" in dock.message.text()
    drag(viewer, labels, (5, 5))
    assert "no object" in dock.message.text()
    press(tool_button(dock, tools.SET_CLASS))
    last = kinds_in(labels)
    assert 1 not in last
    last.pop(labels.data.max() + 1, None)  # which nobody has painted
    saved(qtbot, dock)
    viewer.layers.remove(labels)
    settle()
    again = begin(qtbot, dock, viewer)
    assert again is not labels
    assert kinds_in(again) == last
    assert {box.itemText(i) for i in range(box.count())} == {"apple", "pear"}


def test_classes_have_colours(annotate) -> None:
    _viewer, dock, labels = annotate(show=True)
    painted(labels)
    labels.data[56:58, 60:62] = BACKGROUND

    def colours(*numbers: int) -> list[list[int]]:
        return [np.round(255 * labels.get_color(n)[:3]).astype(int).tolist() for n in numbers]

    dock.chooser.mode.value = Mode.SCRIBBLES
    usual = colours(1, 2, BACKGROUND)
    dock._current.set_kinds({1: "pear"})
    dock.tools.colour_box.setChecked(True)
    white, gray = [255] * 3, [128] * 3
    pear = colours(1)[0]
    assert colours(2, BACKGROUND) == [white, gray]
    seen = labels.colormap.map(np.array([1, 2, 7, BACKGROUND], np.int32))
    np.testing.assert_array_equal(np.round(255 * seen[:, :3]), [pear, white, white, gray])
    dock._current.set_kinds({2: "apple"})
    first, second = colours(1, 2)
    assert first == pear, "a name that comes before it in the alphabet changes nothing"
    assert second not in (pear, white)
    dock.chooser.mode.value = Mode.REGIONS
    dock.chooser.mode.value = Mode.SCRIBBLES  # which makes -1 gray
    assert colours(1, 2, BACKGROUND) == [pear, second, gray]
    dock.tools.colour_box.setChecked(False)
    assert colours(1, 2, BACKGROUND) == usual


def test_undo_brings_classes_back(annotate) -> None:
    viewer, dock, labels = annotate(show=True)
    painted(labels)
    dock._current.set_kinds({1: "apple", 2: "pear"})
    key(viewer, "D", labels, (50, 20))
    assert kinds_in(labels) == {1: "apple"}
    labels.undo()
    assert kinds_in(labels) == {1: "apple", 2: "pear"}
    key(viewer, "D", labels, (50, 20))
    key(viewer, "N")  # the next object, which has the number of the one that is gone
    dock._current.set_kinds({2: "plum"})
    labels.paint((50, 20), 2)
    assert kinds_in(labels) == {1: "apple", 2: "plum"}


def test_the_classes_of_a_result_come_with_it(open_dock, qtbot, monkeypatch) -> None:
    viewer, dock = open_dock(np.zeros(SHAPE, np.uint8))
    found = np.zeros(SHAPE, np.uint16)
    found[5:10, 5:10], found[30:40, 30:40] = 1, 2
    result = viewer.add_labels(found, name="cells [fruit]")
    result.features = {"index": [1, 2], "class": ["apple", "pear"], "score": [0.9, 0.8]}
    labels = begin(qtbot, dock, viewer, dock.chooser.correct_button)
    assert kinds_in(labels) == {1: "apple", 2: "pear"}
    labels.fill((7, 7), 0)
    dock._current.set_kinds({1: "", 2: "plum"})
    answers = iter((Answer.ADD, Answer.REPLACE))
    monkeypatch.setattr(joining, "ask_about_drawn", lambda *_: next(answers))
    begin(qtbot, dock, viewer, dock.chooser.correct_button)
    assert kinds_in(labels) == {2: "plum", 3: "apple"}
    begin(qtbot, dock, viewer, dock.chooser.correct_button)
    assert kinds_in(labels) == {1: "apple", 2: "pear"}


def test_the_keys_are_free() -> None:
    from napari.components import ViewerModel
    from napari.utils.shortcuts import default_shortcuts

    names = ("labels", "label", "viewer", "polygon", "brush")
    taken = {str(k) for keymap in (Labels.class_keymap, ViewerModel.class_keymap) for k in keymap}
    taken |= {
        str(k) for n, keys in default_shortcuts.items() if any(m in n for m in names) for k in keys
    }
    keys = [tool.key for tool in (*tools.TOOLS, tools.SET_CLASS)]
    assert len(set(keys)) == len(keys)
    assert not taken.intersection(keys)


def test_pointing_at_nothing_and_going_on_to_something_else(annotate) -> None:
    viewer, dock, labels = annotate(show=True)
    key(viewer, "D", labels, (30, 30))
    assert "no object" in dock.message.text()
    button = tool_button(dock, tools.DELETE)
    press(button)
    drag(viewer, labels, (30, 30))
    assert button.isChecked()
    viewer.layers.selection.active = viewer.layers["cells"]
    assert not button.isChecked()
    assert labels.mode == "paint"
    viewer.layers.selection.active = labels
    press(button)
    key(viewer, "Escape")
    assert not button.isChecked()
    key(viewer, "N")
    assert labels.selected_label == 1


def test_what_is_begun_is_found_again(annotate, open_dock, qtbot, folder, rng) -> None:
    image = rng.integers(0, 255, SHAPE).astype(np.uint8)
    viewer, dock, labels = annotate(image)
    labels.paint((20, 20), 1)
    dock._current.show_regions([])
    press(dock.chooser.region_button)
    viewer.layers["cells regions"].add_rectangles([[5, 5], [5, 50], [40, 50], [40, 5]])
    settle()
    viewer.window.remove_dock_widget(dock)  # which writes what is not on disk yet
    viewer, dock = open_dock(image)
    again = begin(qtbot, dock, viewer)
    np.testing.assert_array_equal(again.data, labels.data)
    assert "is here again" in dock.message.text()
    assert len(viewer.layers["cells regions"].data) == 1
    viewer.window.remove_dock_widget(dock)
    again.paint((50, 50), 2)  # while nobody looks
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate")
    assert begin(qtbot, dock, viewer) == again
    saved(qtbot, dock)
    qtbot.waitUntil(lambda: "is kept as" in dock.message.text())
    path, before = sorted(folder.glob("*.tif"), key=lambda path: len(path.stem))
    assert 2 in read_annotation(path).labels
    assert 2 not in read_annotation(before).labels, "what was on disk is kept"
    viewer.layers.remove("cells")
    viewer.add_image(image, name="the same")
    assert begin(qtbot, dock, viewer) == again


def test_an_image_from_a_file_is_known_by_its_path(open_dock, qtbot, tmp_path, folder) -> None:
    path = tmp_path / "field.tif"
    tifffile.imwrite(path, np.zeros(SHAPE, np.uint8))
    viewer, dock = open_dock()
    viewer.open(str(path))
    begin(qtbot, dock, viewer).paint((20, 20), 1)
    saved(qtbot, dock)
    own = Project.open(folder.parent)
    assert [entry.image for entry in own.entries] == [path]
    assert len(own.pairs()) == 1


@pytest.mark.parametrize("end", ["removed", "reshaped", "image removed", "renamed", "replaced"])
def test_a_layer_that_changes_loses_nothing(annotate, qtbot, folder, end) -> None:
    viewer, dock, labels = annotate()
    labels.paint((20, 20), 1)
    drawn = labels.data.copy()
    if end == "removed":
        viewer.layers.remove(labels)
    elif end == "reshaped":
        labels.data = np.zeros((10, 10), np.int32)
    elif end == "image removed":
        viewer.layers.remove("cells")
    elif end == "renamed":
        labels.name = "mine"
    else:
        labels.data = drawn = drawn * 3
    settle()
    if end != "replaced":
        assert labels.name in dock.message.text()
    qtbot.waitUntil((folder / "cells.tif").exists, timeout=6000)
    np.testing.assert_array_equal(read_annotation(folder / "cells.tif").labels, drawn)
    if end in ("removed", "reshaped"):
        assert "press New annotation" in dock.message.text()
        np.testing.assert_array_equal(begin(qtbot, dock, viewer).data, drawn)


def test_two_images_are_annotated_side_by_side(annotate, qtbot, folder) -> None:
    viewer, dock, labels = annotate()
    other = viewer.add_image(np.ones(SHAPE, np.uint8), name="others")
    assert dock.chooser.image.value == other
    assert not dock.chooser.region_button.isEnabled()
    second = begin(qtbot, dock, viewer)
    second.paint((30, 30), 1)
    viewer.layers.selection.active = labels
    assert dock.chooser.image.value.name == "cells"
    labels.paint((10, 10), 1)
    saved(qtbot, dock)
    assert {path.stem for path in folder.glob("*.tif")} == {"cells", "others"}


def test_a_disk_that_cannot_be_written_is_told(annotate, qtbot, folder, monkeypatch) -> None:
    from napari_unet.annotations import storage

    def refuse(*_: object) -> None:
        raise OSError("cells.tif could not be written: the disk is full; free some space.")

    _, dock, labels = annotate()
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_annotation", refuse)
        labels.paint((20, 20), 1)
        qtbot.waitUntil(lambda: "disk is full" in dock.message.text(), timeout=6000)
        qtbot.waitUntil(lambda: "disk is full" in dock.state.text())
    saved(qtbot, dock)
    np.testing.assert_array_equal(read_annotation(folder / "cells.tif").labels, labels.data)


def test_closing_the_dock_says_that_no_more_is_saved(annotate, folder, qtbot, monkeypatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(widget, "show_warning", told.append)
    viewer, dock, labels = annotate()
    labels.mode = "paint"
    labels.paint((20, 20), 1)
    viewer.window.remove_dock_widget(dock)
    assert labels.mode == "pan_zoom"
    assert len(told) == 1
    assert f"painted in {labels.name} from now on is not saved" in told[0]
    np.testing.assert_array_equal(read_annotation(folder / "cells.tif").labels, labels.data)


def test_closing_the_window_writes_all(annotate, folder, monkeypatch) -> None:
    monkeypatch.setattr(annotations, "Autosave", partial(Autosave, 60))
    viewer, _, labels = annotate(show=True)
    labels.paint((20, 20), 1)
    drawn = labels.data.copy()
    viewer.close()
    end = time.monotonic() + 3
    while time.monotonic() < end and not (folder / "cells.json").exists():
        time.sleep(0.02)
    np.testing.assert_array_equal(read_annotation(folder / "cells.tif").labels, drawn)


@pytest.fixture
def images(tmp_path) -> list[Path]:
    paths = [tmp_path / f"field {number}.tif" for number in (1, 2)]
    for number, path in enumerate(paths):
        tifffile.imwrite(path, np.full(SHAPE, number, np.uint8))
    return paths


def shown(qtbot, dock, viewer, name: str) -> Labels:
    qtbot.waitUntil(lambda: f"{name} annotation" in viewer.layers and not dock.is_busy)
    return viewer.layers[f"{name} annotation"]


def test_the_images_of_a_project(open_dock, qtbot, tmp_path, images, monkeypatch) -> None:
    made = Project.create(tmp_path / "mine")
    for path in images:
        made.add(path)
    found = np.zeros(SHAPE, np.int32)
    found[5:9, 5:9] = 1
    monkeypatch.setattr(start, "_predict", lambda *_: (yield "") or (found, {}))
    viewer, dock = open_dock()
    dock = open_project(viewer, made.folder)
    labels = shown(qtbot, dock, viewer, "field 1")
    assert "is new" in dock.message.text()
    labels.paint((20, 20), 1)
    drawn = labels.data.copy()
    dock.folder.predict.box.click()
    press(dock.folder.next_button)
    labels = shown(qtbot, dock, viewer, "field 2")
    assert {layer.name for layer in viewer.layers} == {"field 2", "field 2 annotation"}
    np.testing.assert_array_equal(labels.data, found)
    assert "was predicted" in dock.message.text()
    assert dock.state.text().endswith("once it is corrected, or Done.")
    press(dock.folder.previous_button)
    labels = shown(qtbot, dock, viewer, "field 1")
    np.testing.assert_array_equal(labels.data, drawn)
    saved(qtbot, dock)
    assert [path for path, _ in made.pairs()] == images[:1], "the other was only looked at"
    press(dock.folder.next_button)
    labels = shown(qtbot, dock, viewer, "field 2")
    labels.paint((40, 40), 2)
    press(dock.folder.previous_button)
    shown(qtbot, dock, viewer, "field 1")
    saved(qtbot, dock)
    assert {path for path, _ in made.pairs()} == set(images)
    qtbot.waitUntil(lambda: "3 objects in 2 images" in dock.counts.text())
    viewer.window.remove_dock_widget(dock)
    assert viewer.open(str(made.folder), plugin=PLUGIN) == []  # as a folder that is dropped
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate")
    assert again is not dock
    qtbot.waitUntil(lambda: again.folder.entry is not None and not again.is_busy)
    assert again.folder.entry.name == "field 1"


def test_a_disk_that_is_full_for_a_while_loses_nothing(
    open_dock, qtbot, tmp_path, images, monkeypatch
) -> None:
    from napari_unet.annotations import storage

    def refuse(*_: object) -> None:
        raise OSError("field 1.tif could not be written: the disk is full; free some space.")

    made = Project.create(tmp_path / "mine")
    for path in images:
        made.add(path)
    viewer, _ = open_dock()
    dock = open_project(viewer, made.folder)
    labels = shown(qtbot, dock, viewer, "field 1")
    labels.paint((10, 10), 1)
    saved(qtbot, dock)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_annotation", refuse)
        labels.paint((30, 30), 2)
        drawn = labels.data.copy()
        qtbot.waitUntil(lambda: "disk is full" in dock.message.text(), timeout=6000)
        press(dock.folder.next_button)
        shown(qtbot, dock, viewer, "field 2")
        press(dock.folder.previous_button)
        labels = shown(qtbot, dock, viewer, "field 1")
        np.testing.assert_array_equal(labels.data, drawn)
        viewer.layers.remove(labels)
        settle()
        assert "is kept" in dock.message.text()
        assert "disk is full" in dock.message.text()
        labels = begin(qtbot, dock, viewer)
        np.testing.assert_array_equal(labels.data, drawn)
    labels.paint((50, 50), 3)
    saved(qtbot, dock)
    (path,) = (made.folder / "annotations").glob("*.tif")
    assert set(np.unique(read_annotation(path).labels)) == {0, 1, 2, 3}


def test_a_count_that_fails_is_told(annotate, qtbot, monkeypatch) -> None:
    def fail(_: object) -> None:
        raise OSError("project.json cannot be read: the drive is gone.")

    _, dock, labels = annotate()
    monkeypatch.setattr(Project, "counts", fail)
    labels.paint((20, 20), 1)
    qtbot.waitUntil(lambda: "the drive is gone" in dock.message.text(), timeout=6000)


def test_an_empty_image_is_saved_when_it_is_done(open_dock, qtbot, tmp_path, images) -> None:
    made = Project.create(tmp_path / "mine")
    entry = made.add(images[0])
    viewer, _ = open_dock()
    dock = open_project(viewer, made.folder)
    shown(qtbot, dock, viewer, "field 1")
    assert not made.annotation_path(entry).exists()
    dock.folder.done.click()
    qtbot.waitUntil(made.annotation_path(entry).exists)
    assert len(made.pairs()) == 1


def test_without_an_image_the_dock_says_how_to_get_one(open_dock) -> None:
    _, dock = open_dock()
    press(dock.chooser.new_button)
    assert "File > Open Sample" in dock.message.text()


KILLED = """
import os, pathlib, sys, time, napari, numpy as np
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros((60, 80), np.uint8), name="cells")
_, dock = viewer.window.add_plugin_dock_widget("napari-unet-segmentation", "Annotate")
dock.chooser.new_button.click()
while len(viewer.layers) < 2:
    QApplication.processEvents()
viewer.layers[1].paint((20, 20), 1)
end = time.monotonic() + 5
while time.monotonic() < end and not list(pathlib.Path(sys.argv[1]).rglob("annotations/*.json")):
    QApplication.processEvents()
os.kill(os.getpid(), 9)
"""


def test_kill_9_loses_at_most_five_seconds(tmp_path) -> None:
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=environment, timeout=120
    )
    assert run.returncode == -9
    (path,) = tmp_path.rglob("annotations/*.tif")
    assert read_annotation(path).labels[20, 20] == 1


def test_a_project_that_is_opened_twice_is_at_its_image(open_dock, qtbot, tmp_path, images) -> None:
    made = Project.create(tmp_path / "mine")
    for path in images:
        made.add(path)
    viewer, _ = open_dock()
    dock = open_project(viewer, made.folder)
    shown(qtbot, dock, viewer, "field 1")
    dock.folder.open_project(made.folder)
    qtbot.waitUntil(lambda: dock.folder.project is not made and dock.folder._job is None)
    qtbot.waitUntil(lambda: dock.folder.done.isEnabled())
    assert dock.folder.list.currentRow() == 0
    press(dock.folder.next_button)
    shown(qtbot, dock, viewer, "field 2")


def test_an_image_that_was_missing_or_removed_is_opened_by_another_click(
    open_dock, qtbot, tmp_path, images
) -> None:
    made = Project.create(tmp_path / "mine")
    made.add(images[0])
    aside = images[0].rename(tmp_path / "aside.tif")
    viewer, _ = open_dock()
    dock = open_project(viewer, made.folder)
    qtbot.waitUntil(lambda: dock.folder.entry is not None and not dock.is_busy)
    assert len(viewer.layers) == 0
    assert not dock.folder.done.isEnabled()
    aside.rename(images[0])
    dock.folder.list.itemClicked.emit(dock.folder.list.item(0))
    shown(qtbot, dock, viewer, "field 1")
    assert dock.folder.done.isEnabled()
    viewer.layers.clear()
    settle()
    qtbot.waitUntil(lambda: not dock.folder.done.isEnabled())
    dock.folder.list.itemClicked.emit(dock.folder.list.item(0))
    shown(qtbot, dock, viewer, "field 1")


def test_objects_are_corrected_where_their_plane_is_seen(annotate) -> None:
    viewer, dock, labels = annotate(np.zeros((4, *SHAPE), np.uint8), show=True)
    labels.data[:, 10:30, 10:30] = 4
    labels.refresh()
    before = labels.data.copy()
    viewer.dims.order = (1, 0, 2)  # from the side
    settle()
    dock.tools.stop()
    dock.tools._key(tools.DELETE)(None)
    assert "in 2D, plane by plane" in dock.message.text()
    np.testing.assert_array_equal(labels.data, before)


def test_leaving_an_annotation_as_it_is_goes_on_with_it(
    open_dock, qtbot, folder, monkeypatch
) -> None:
    viewer, dock = open_dock(np.zeros(SHAPE, np.uint8))
    labels = begin(qtbot, dock, viewer)
    labels.paint((20, 20), 1)
    saved(qtbot, dock)
    viewer.layers.remove(labels)
    settle()
    viewer.add_labels(np.ones(SHAPE, np.uint16), name="cells [nuclei]")
    monkeypatch.setattr(joining, "ask_about_drawn", lambda *_: Answer.CANCEL)
    viewer.layers.selection.active = viewer.layers["cells"]
    press(dock.chooser.correct_button)
    qtbot.waitUntil(lambda: not dock.is_busy)
    assert dock.message.text() == "cells annotation stays as it was."
    assert dock.chooser.region_button.isEnabled()
    assert dock.state.text()


def test_an_image_that_does_not_fit_into_memory_is_not_annotated(
    open_dock, qtbot, monkeypatch
) -> None:
    monkeypatch.setattr(start, "free_memory", lambda: 10_000)
    viewer, dock = open_dock(np.zeros(SHAPE, np.uint8))
    press(dock.chooser.new_button)
    qtbot.waitUntil(lambda: not dock.is_busy)
    assert "cut a part of it out" in dock.message.text()
    assert len(viewer.layers) == 1


def test_a_table_leaves_the_class_of_an_object_that_is_not_drawn_yet(annotate, qtbot) -> None:
    viewer, dock, labels = annotate(show=True)
    painted(labels)
    box = dock.tools.class_box
    box.setEditText("apple")
    QTest.keyClick(box, Qt.Key.Key_Return)
    key(viewer, "N")
    new = labels.selected_label
    assert kinds_in(labels)[new] == "apple"
    labels.features = {"index": [1, 2], "class": ["apple", ""], "area": [1.0, 2.0]}  # of Measure
    assert dock._current.kinds == {1: "apple", new: "apple"}


def test_a_model_that_is_gone_is_not_replaced_without_a_word(qtbot, tmp_path, monkeypatch) -> None:
    from napari_unet._qt.annotate import predict_first

    project = Project.create(tmp_path / "mine")
    own = {"nuclei": project.models / "nuclei.safetensors"}
    monkeypatch.setattr(predict_first, "own_models", lambda _: own)
    box = predict_first.PredictFirst()
    qtbot.addWidget(box)
    box.reset(project)
    box.show_settings({"predict": True, "model": str(tmp_path / "old.safetensors")})
    assert box.models.currentText() == "old (gone)"
    assert box.model == str(tmp_path / "old.safetensors")
    texts = [box.models.itemText(i) for i in range(box.models.count())]
    assert f"nuclei ({project.models})" in texts, "beside the bundled one"
    own["taught"] = project.models / "taught.safetensors"
    box.models.showPopup()
    box.models.hidePopup()
    assert box.models.findText("taught") >= 0
    assert box.model == str(tmp_path / "old.safetensors")
