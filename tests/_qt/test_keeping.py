"""What is drawn is written on, whatever becomes of the window, and over nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unet._qt.annotate import joining
from napari_unet._qt.annotate.drawing import Drawing
from napari_unet._qt.annotate.folder import Folder
from napari_unet._qt.annotate.joining import Answer
from napari_unet._qt.annotate.keeping import Keeper
from napari_unet._qt.annotate.start import Start
from napari_unet._qt.annotate.tools import Tools
from napari_unet._qt.annotated_plane import annotated_plane
from napari_unet._qt.annotation_layers import PATH, PREDICTED
from napari_unet._qt.object_classes import kinds_in
from napari_unet.annotations import Annotation, Project, read_annotation

SHAPE = (40, 50)


@pytest.fixture
def viewer(qapp: QApplication) -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="cells", scale=(0.1075, 0.1075), units="um")
    return viewer


@pytest.fixture
def keeper(viewer: ViewerModel) -> Iterator[Keeper]:
    parent = QObject()
    keeper = Keeper(viewer, parent)
    yield keeper
    keeper.end()


@pytest.fixture
def start(tmp_path: Path) -> Start:
    project = Project.create(tmp_path / "mine")
    entry = project.add_array("cells", np.zeros(SHAPE, np.uint8))
    empty = Annotation(np.zeros(SHAPE, np.int32))
    return Start(project, entry, project.annotation_path(entry), empty, False)


def show(keeper: Keeper, start: Start) -> Drawing:
    """Show an annotation as it is on disk."""
    found = start.project.read_annotation(start.entry)
    if found is not None:
        keeper.autosave.known(start.path, found)
        begun = Start(start.project, start.entry, start.path, found, True, start.result)
        start = begun
    return keeper.show(keeper._viewer.layers["cells"], start)


def settle() -> None:
    for _ in range(3):
        QApplication.processEvents()


def duplicated(viewer: ViewerModel, layer: Layer) -> Layer:
    data, state, kind = layer.as_layer_data_tuple()
    copy = Layer.create(data.copy(), {**state, "name": f"{layer.name} copy"}, kind)
    viewer.layers.append(copy)
    return copy


def asides(start: Start) -> list[Path]:
    return list(start.path.parent.glob("*-other.tif"))


def test_a_copy_is_saved_in_no_file(keeper: Keeper, start: Start) -> None:
    viewer, drawing = keeper._viewer, show(keeper, start)
    drawing.labels.paint((10, 10), 1)
    copy = duplicated(viewer, drawing.labels)
    assert copy.metadata[PATH] == ""
    assert annotated_plane(viewer, copy).is_annotation, "as it was painted for one"
    drawing.labels.paint((30, 30), 2)
    viewer.layers.remove(drawing.labels)
    settle()
    assert keeper.autosave.flush(10)
    again = show(keeper, start)
    assert again.labels != copy
    assert set(np.unique(again.labels.data)) == {0, 1, 2}
    assert not asides(start)


def test_what_a_layer_does_not_hold_is_kept_beside_its_file(
    viewer: ViewerModel, start: Start
) -> None:
    parent = QObject()
    first = Keeper(viewer, parent)
    drawing = show(first, start)
    drawing.labels.paint((10, 10), 1)
    first.end()
    drawn = drawing.labels.data.copy()
    copy = duplicated(viewer, drawing.labels)  # with no dock to see it
    assert copy.metadata[PATH]
    other = Keeper(viewer, parent)
    assert copy.metadata[PATH] == "", "the lower one is what it is a copy of"
    assert show(other, start).labels == drawing.labels
    assert other.autosave.flush(10)
    assert not asides(start), "nothing differs"
    other.end()
    viewer.layers.remove(drawing.labels)
    copy.metadata = {**copy.metadata, PATH: str(start.path)}
    copy.data = drawn * 3
    last = Keeper(viewer, parent)
    assert show(last, start).labels == copy
    assert last.autosave.flush(10)
    (aside,) = asides(start)
    np.testing.assert_array_equal(read_annotation(aside).labels, drawn)
    np.testing.assert_array_equal(read_annotation(start.path).labels, drawn * 3)
    last.end()


def test_regions_of_a_removed_layer_still_count(keeper: Keeper, start: Start) -> None:
    viewer, drawing = keeper._viewer, show(keeper, start)
    drawing.labels.paint((10, 10), 1)
    drawing.add_region()
    assert drawing.shapes is not None
    drawing.shapes.add_rectangles([[5, 5], [5, 30], [20, 30], [20, 5]])
    settle()
    before = annotated_plane(viewer, drawing.labels).target()
    assert (before == -1).any()
    viewer.layers.remove(drawing.shapes)
    settle()
    np.testing.assert_array_equal(annotated_plane(viewer, drawing.labels).target(), before)


def test_a_prediction_is_no_annotation_until_it_is_changed(keeper: Keeper, start: Start) -> None:
    drawing = show(keeper, start)
    found = np.zeros(SHAPE, np.int32)
    found[5:9, 5:9] = 1
    drawing._look()
    drawing.show_prediction(found, {1: "apple"})
    drawing.name_next(2, "pear")
    settle()
    drawing._look()
    drawing._look()
    assert kinds_in(drawing.labels) == {1: "apple", 2: "pear"}
    assert not drawing.is_touched
    assert PREDICTED in drawing.labels.metadata
    assert keeper.autosave.flush(10)
    assert not start.path.exists()
    drawing.labels.paint((30, 30), 2)
    assert keeper.autosave.flush(10)
    assert set(np.unique(read_annotation(start.path).labels)) == {0, 1, 2}
    assert PREDICTED not in drawing.labels.metadata


@pytest.mark.parametrize("answer", [Answer.ADD, Answer.REPLACE])
def test_what_undo_cannot_take_back_is_kept_in_a_file(
    keeper: Keeper, start: Start, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = show(keeper, start)
    drawing.labels.paint((10, 10), 1)
    drawn = drawing.labels.data.copy()
    result = np.zeros(SHAPE, np.int32)
    result[20:30, 20:30] = 1
    monkeypatch.setattr(joining, "UNDOABLE", 50)
    steps = joining.join(drawing.snapshot(), result, answer, start.path)
    assert "…" in next(steps)
    with pytest.raises(StopIteration) as end:
        next(steps)
    joined = end.value.value
    joining.put_in(drawing, joined, {1: "apple"})
    np.testing.assert_array_equal(read_annotation(joined.aside).labels, drawn)
    added = answer is Answer.ADD
    np.testing.assert_array_equal(drawing.labels.data, drawn + 2 * result if added else result)
    assert kinds_in(drawing.labels) == {2 if added else 1: "apple"}
    after = drawing.labels.data.copy()
    drawing.labels.undo()  # nothing of what was painted in other labels
    np.testing.assert_array_equal(drawing.labels.data, after)
    assert keeper.autosave.flush(10)
    np.testing.assert_array_equal(read_annotation(start.path).labels, after)


def test_the_class_in_the_box_is_that_of_the_first_object(keeper: Keeper, start: Start) -> None:
    drawing, tools = show(keeper, start), Tools(keeper._viewer)
    tools.follow(drawing)
    box = tools.class_box
    box.setEditText("apple")
    tools.take_next()
    assert kinds_in(drawing.labels) == {1: "apple"}
    assert not drawing.is_touched
    box.setEditText("")
    QTest.keyClicks(box.lineEdit(), "pear")
    box.lineEdit().editingFinished.emit()  # as where it is left
    assert kinds_in(drawing.labels) == {1: "pear"}
    drawing.labels.paint((10, 10), 1)
    box.setEditText("plum")
    box.lineEdit().editingFinished.emit()
    assert kinds_in(drawing.labels) == {1: "pear"}, "what is painted is not meant"
    tools.follow(None)


def test_only_what_is_shown_can_be_done(qapp: QApplication, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "mine")
    first, missing = (
        project.add_array(name, np.full(SHAPE, number, np.uint8))
        for number, name in enumerate(("a", "b"))
    )
    missing.image.unlink()
    folder = Folder()
    folder._on_project((project, [first, missing], {}))
    assert not folder.done.isEnabled(), "it is not read yet"
    folder.follow(first)
    assert folder.done.isEnabled()
    folder.next_button.click()
    assert folder.entry == missing
    assert not folder.done.isEnabled()
    folder.previous_button.click()
    folder.follow(first)
    assert folder.done.isEnabled()


def test_a_disk_that_recovers_when_the_window_is_gone(qapp: QApplication, tmp_path: Path) -> None:
    window = QObject()
    keeper = Keeper(ViewerModel(), window)
    autosave = keeper.autosave
    in_the_way = tmp_path / "annotations"
    in_the_way.touch()
    autosave.submit(in_the_way / "a.tif", Annotation(np.ones((20, 30), np.int32)))
    window.deleteLater()
    QApplication.sendPostedEvents(window, QEvent.Type.DeferredDelete)
    assert not isalive(keeper)
    assert not autosave.flush(10)
    in_the_way.unlink()
    assert autosave.close(10)
    assert read_annotation(in_the_way / "a.tif").labels.all()
