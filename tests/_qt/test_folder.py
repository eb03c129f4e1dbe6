"""The images of a project as their user goes through them: real clicks, real threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_unet._qt.annotate.entry_list import COLOURS, mark
from napari_unet._qt.annotate.folder import Folder
from napari_unet.annotations import Annotation, Project, State, write_annotation
from napari_unet.library import SUFFIX, list_models


class Window(QWidget):
    """What embeds the list, and writes down what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Folder(self)
        self.events: list[tuple[str, str]] = []
        self.messages: list[str] = []
        for name in ("opened", "closed", "marked", "project_changed"):
            signal = getattr(self.folder, name)
            signal.connect(lambda what, name=name: self.events.append((name, what.name)))
        self.folder.told.connect(self.messages.append)
        self.folder.problem.connect(self.messages.append)

    def taken(self) -> list[tuple[str, str]]:
        """Return what was asked for since the last call."""
        events, self.events = self.events, []
        return events


@pytest.fixture
def window(qtbot) -> Window:
    window = Window()
    qtbot.addWidget(window)
    window.resize(330, 400)
    window.folder.resize(330, 400)
    window.show()
    return window


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"{name}.tif" for name in "abc"]
    for path in paths:
        tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    return [str(path) for path in paths]


@pytest.fixture
def project(tmp_path: Path, images: list[str]) -> Project:
    project = Project.create(tmp_path / "cells.unet")
    for path in images:
        project.add(path)
    return project


def click(widget: QWidget) -> None:
    assert widget.isEnabled()
    assert widget.isVisible()
    spot = widget.rect().center()
    spot.setX(12)  # a check box takes clicks where it is drawn
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, pos=spot)


def click_on_row(folder: Folder, row: int) -> None:
    place = folder.list.visualItemRect(folder.list.item(row)).center()
    QTest.mouseClick(folder.list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def opened(qtbot, window: Window, project: Project) -> list[tuple[str, str]]:
    with qtbot.waitSignal(window.folder.opened):
        window.folder.open_project(project.folder)
    qtbot.waitUntil(window.folder.open_button.isEnabled)
    return window.taken()


def test_from_a_new_project_to_its_images(
    qtbot, window: Window, tmp_path: Path, images: list[str], monkeypatch: pytest.MonkeyPatch
):
    folder = window.folder
    assert not folder.add_button.isVisible()
    new = str(tmp_path / "my cells")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (new, ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (images[:2], ""))
    with qtbot.waitSignal(folder.project_changed):
        click(folder.new_button)
    assert "my cells" in folder.title.text()
    assert window.messages[-1] == "Add images to the project my cells."
    qtbot.waitUntil(folder.add_button.isEnabled)
    click(folder.copy)
    with qtbot.waitSignal(folder.opened):
        click(folder.add_button)
    assert window.messages[-1] == "2 images added."
    assert window.taken() == [("project_changed", "my cells"), ("opened", "a")]
    assert folder.entry.image.parent.parent == tmp_path / "my cells.unet"
    assert folder.summary.text() == "2 images"
    qtbot.waitUntil(folder.new_button.isEnabled)
    with qtbot.waitSignal(folder.problem):
        click(folder.new_button)
    assert "exists already" in window.messages[-1]
    assert folder.project.name == "my cells"
    qtbot.waitUntil(folder.new_button.isEnabled)


def test_from_one_image_to_the_next(qtbot, window: Window, project: Project):
    folder = window.folder
    assert opened(qtbot, window, project) == [("project_changed", "cells"), ("opened", "a")]
    assert not folder.previous_button.isEnabled()
    click(folder.next_button)
    assert window.taken() == [("closed", "a"), ("opened", "b")]
    click_on_row(folder, 2)
    assert window.taken() == [("closed", "b"), ("opened", "c")]
    assert not folder.next_button.isEnabled()
    click_on_row(folder, 2)  # which is not shown yet, or could not be
    assert window.taken() == [("closed", "c"), ("opened", "c")]
    folder.follow(folder.entry)
    click_on_row(folder, 2)
    assert window.taken() == []
    click(folder.previous_button)
    assert folder.list.currentRow() == 1
    window.taken()
    assert opened(qtbot, window, project) == [
        ("closed", "b"),
        ("project_changed", "cells"),
        ("opened", "b"),  # where it was left
    ]
    folder.follow(None)
    assert window.taken() == []
    assert not folder.done.isEnabled()
    click_on_row(folder, 0)
    assert window.taken() == [("opened", "a")]


def test_how_far_each_image_is(qtbot, window: Window, project: Project):
    folder = window.folder
    opened(qtbot, window, project)
    a, b, c = project.entries
    write_annotation(project.annotation_path(a), Annotation(np.ones((8, 8), np.int32)))
    folder.refresh()
    assert folder.list.item(0).toolTip().startswith("Begun: ")
    assert folder.summary.text() == "3 images: 1 begun"
    assert not folder.done.isEnabled(), "it is not shown yet"
    folder.follow(a)
    click(folder.done)
    assert window.taken() == [("marked", "a")]
    assert Project.open(project.folder).state(a) is State.DONE
    click(folder.next_button)
    assert not folder.done.isChecked()
    assert folder.summary.text() == "3 images: 1 done"
    click(folder.previous_button)
    assert folder.done.isChecked()
    folder.follow(a)
    click(folder.done)
    assert project.state(a) is State.BEGUN
    assert not folder.done.isChecked()
    c.image.unlink()
    window.taken()
    opened(qtbot, window, project)
    assert folder.list.item(2).text() == "c (missing)"
    assert folder.list.item(1).text() == b.name


def test_the_model_that_predicts_is_kept(qtbot, window: Window, project: Project):
    folder = window.folder
    own = project.models / f"my{SUFFIX}"
    own.write_bytes(next(iter(list_models().values())).read_bytes())
    opened(qtbot, window, project)
    assert folder.model is None
    click(folder.predict.box)
    assert folder.model == "nuclei"
    folder.predict.models.setCurrentIndex(folder.predict.models.findText("my"))
    folder.predict.models.activated.emit(folder.predict.models.currentIndex())
    assert folder.model == str(own)
    other = Window()
    qtbot.addWidget(other)
    opened(qtbot, other, project)
    assert other.folder.model == str(own)
    own.unlink()
    other.folder.predict.models.showPopup()
    other.folder.predict.models.hidePopup()
    assert other.folder.model == str(own), "no other one in its place, without a word"
    assert other.folder.predict.models.currentText() == "my (gone)"
    other.folder.predict.reset(None)  # of another project
    assert other.folder.model == "nuclei"


def test_what_is_wrong_is_told(qtbot, window: Window, project: Project, tmp_path: Path):
    folder = window.folder
    with qtbot.waitSignal(folder.problem):
        folder.open_project(tmp_path)
    assert "is no project" in window.messages[-1]
    qtbot.waitUntil(folder.open_button.isEnabled)
    assert folder.project is None
    opened(qtbot, window, project)
    with qtbot.waitSignal(folder.problem):
        folder.add([tmp_path / "none.tif"])
    assert "none.tif does not exist" in window.messages[-1]
    qtbot.waitUntil(folder.open_button.isEnabled)
    folder.open_project(project.folder)
    folder.open_project(project.folder)
    assert "still busy" in window.messages[-1]
    qtbot.waitUntil(folder.open_button.isEnabled)


def test_marks_differ_in_shape(qapp: QApplication):
    pictures = [mark(state).pixmap(16, 16).toImage() for state in COLOURS]
    filled = [
        sum(p.pixelColor(x, y).alpha() > 128 for x in range(p.width()) for y in range(p.height()))
        for p in pictures
    ]
    assert filled[0] < filled[1] < filled[2]
