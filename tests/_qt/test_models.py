"""The dock of models: real widgets, files and threads; dialogs are answered as a user would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog, QInputDialog, QMessageBox

from napari_unet._qt.model_box import told_apart
from napari_unet._qt.models import widget as models
from napari_unet._qt.models.widget import ModelsWidget
from napari_unet.annotations import Project
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import Preprocessing, Target, UNetConfig, UNetPlusPlusConfig
from napari_unet.library import Card, Hold, export, folders, rename, user_folder
from napari_unet.model import UNet, UNetPlusPlus

PLUGIN = "napari-unet-segmentation"
CARD = Card(
    UNetConfig(base_channels=2, depth=1, padding="same"),
    Target(),
    Preprocessing(diameter=31.4),
    {"data": "5 <crops>", "licence": "CC0", "date": "2026-01-02", "validation": {"ap50": 0.634}},
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lend an empty home; returns the folder of the user's models, which is not made."""
    monkeypatch.setattr(folders, "user_data_path", lambda name, appauthor: tmp_path / "home" / name)
    return user_folder()


def write(path: Path, card: Card = CARD) -> Path:
    return Checkpoint.of(UNet(card.network), card).save(path)


@pytest.fixture
def open_dock(make_napari_viewer, qtbot):
    docks = []

    def open_in() -> ModelsWidget:
        viewer = make_napari_viewer()
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Models")
        docks.append(dock)
        return dock

    yield open_in
    for dock in docks:
        qtbot.waitUntil(lambda dock=dock: dock._job is None, timeout=10_000)


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def answer(act: Callable[[QDialog], None]) -> None:
    """Answer the dialog that is about to open."""

    def find() -> None:
        dialog = QApplication.activeModalWidget()
        if dialog is None:
            QTimer.singleShot(20, find)
        else:
            act(dialog)

    QTimer.singleShot(0, find)


def typed(text: str) -> Callable[[QDialog], None]:
    def act(dialog: QInputDialog) -> None:
        dialog.setTextValue(text)
        dialog.accept()

    return act


def kept(levels: int, name: str) -> Callable[[QDialog], None]:
    """Answer how many levels are kept, and then how that is called: "" as it is suggested."""

    def act(dialog: QInputDialog) -> None:
        assert dialog.intMaximum() == 2
        dialog.setIntValue(levels)
        answer(typed(name) if name else lambda dialog: dialog.accept())
        dialog.accept()

    return act


def clicked(text: str) -> Callable[[QDialog], None]:
    def act(dialog: QMessageBox) -> None:
        (button,) = (b for b in dialog.buttons() if b.text().replace("&", "") == text)
        button.click()

    return act


def listed(dock) -> list[str]:
    return [dock.table.item(row, 0).text() for row in range(dock.table.rowCount())]


def select(dock, name: str) -> None:
    dock.table.selectRow(listed(dock).index(name))


def test_models_are_listed_with_what_their_files_say(open_dock, home: Path) -> None:
    write(home / "yeast.safetensors")
    (home / "yeast.last.safetensors").touch()
    (home / "broken.safetensors").write_bytes(b"no model")
    dock = open_dock()
    assert listed(dock) == ["nuclei", "cells", "broken", "yeast"]
    assert [dock.table.item(3, column).text() for column in range(4)] == [
        *("yeast", "31 px", "0.63", "2026-01-02"),
    ]
    assert dock.table.selected.name == "nuclei"
    assert dock.table.item(0, 0).font().italic()
    text = dock.card.toPlainText()
    assert "nuclei (comes with the plugin)" in text
    assert "Licence: CC0 (data), BSD-3-Clause (weights)" in text
    assert not dock.rename_button.isEnabled()
    assert not dock.delete_button.isEnabled()
    assert "only your own models can be deleted" in dock.delete_button.toolTip()
    assert dock.export_button.isEnabled()
    select(dock, "yeast")
    assert "yeast (your own)" in dock.card.toPlainText()
    assert "Trained on: 5 <crops>" in dock.card.toPlainText()
    assert dock.delete_button.isEnabled()
    select(dock, "broken")
    assert "is no complete .safetensors file" in dock.card.toPlainText()
    assert dock.delete_button.isEnabled()
    assert not dock.export_button.isEnabled()


def test_rename(open_dock, home: Path) -> None:
    write(home / "yeast.safetensors")
    (home / "yeast.log.csv").touch()
    dock = open_dock()
    select(dock, "yeast")
    answer(lambda dialog: dialog.reject())
    press(dock.rename_button)
    assert listed(dock) == ["nuclei", "cells", "yeast"]
    answer(typed("nuclei"))
    press(dock.rename_button)
    assert "a model that comes with napari-unet has it" in dock.message.text()
    answer(typed(" 내 세포 "))
    press(dock.rename_button)
    assert dock.message.text() == "yeast is now 내 세포."
    assert listed(dock) == ["nuclei", "cells", "내 세포"]
    assert dock.table.selected.name == "내 세포"
    assert sorted(path.name for path in home.iterdir()) == [
        *("내 세포.log.csv", "내 세포.safetensors"),
    ]


def test_delete_asks_first(open_dock, home: Path) -> None:
    path = write(home / "yeast.safetensors")
    dock = open_dock()
    select(dock, "yeast")
    answer(clicked("Cancel"))
    press(dock.delete_button)
    assert path.is_file()
    answer(lambda dialog: dialog.reject())
    press(dock.delete_button)
    assert path.is_file()
    answer(clicked("Delete"))
    press(dock.delete_button)
    assert not path.exists()
    assert dock.message.text() == "yeast was deleted."
    assert dock.table.selected.name == "cells"


def test_model_that_is_trained_is_not_deleted(open_dock, home: Path) -> None:
    path = write(home / "yeast.safetensors")
    dock = open_dock()
    select(dock, "yeast")
    with Hold(path):
        press(dock.delete_button)  # nothing is asked
        assert "yeast is being trained just now: stop that first" in dock.message.text()
        answer(typed("other"))
        press(dock.rename_button)
        assert "yeast is being trained just now" in dock.message.text()
    assert path.is_file()
    path.unlink()
    press(dock.delete_button)
    assert "You have no model named 'yeast'" in dock.message.text()
    assert listed(dock) == ["nuclei", "cells"]


def test_export_and_import(
    open_dock, qtbot, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = open_dock()
    assert "will be listed here" in dock.message.text()
    path = tmp_path / "usb" / "mine.safetensors"
    files = {"getSaveFileName": str(path.with_suffix("")), "getOpenFileName": str(path)}
    for name in files:
        monkeypatch.setattr(models.QFileDialog, name, lambda *_, name=name: (files[name], ""))
    press(dock.export_button)
    assert not dock.import_button.isEnabled()
    qtbot.waitUntil(lambda: dock.message.text() == f"Exported nuclei to {path}.", timeout=10_000)
    qtbot.waitUntil(dock.import_button.isEnabled)
    answer(lambda dialog: dialog.accept())  # with the name that is suggested
    press(dock.import_button)
    qtbot.waitUntil(lambda: dock.message.text() == "Imported mine.", timeout=10_000)
    qtbot.waitUntil(dock.import_button.isEnabled)
    assert listed(dock) == ["nuclei", "cells", "mine"]
    assert dock.table.selected.name == "mine"
    assert (home / "mine.safetensors").read_bytes() == path.read_bytes()
    path.write_bytes(path.read_bytes()[:1000])
    answer(typed("other"))
    press(dock.import_button)
    qtbot.waitUntil(lambda: "is no complete .safetensors file" in dock.message.text())
    qtbot.waitUntil(dock.import_button.isEnabled)
    assert listed(dock) == ["nuclei", "cells", "mine"]
    for name in files:
        files[name] = ""
    press(dock.import_button)
    press(dock.export_button)
    assert dock.import_button.isEnabled()


def test_models_of_others(
    open_dock, qtbot, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="needs the extra exchange")
    pytest.importorskip("onnxruntime", reason="needs the extra exchange")
    write(home / "yeast.safetensors")
    dock = open_dock()
    select(dock, "yeast")
    path = tmp_path / "shown.onnx"
    kind = next(kind for kind in models.EXPORTED if kind.startswith("ONNX"))
    files = {
        "getSaveFileName": (str(path.with_suffix("")), kind),
        "getOpenFileName": (str(path), ""),
    }
    for name in files:
        monkeypatch.setattr(models.QFileDialog, name, lambda *_, name=name: files[name])
    press(dock.export_button)
    qtbot.waitUntil(lambda: dock.message.text() == f"Exported yeast to {path}.", timeout=30_000)
    qtbot.waitUntil(dock.export_button.isEnabled)
    before = path.read_bytes()
    press(dock.export_button)  # the dialog has asked about "shown", which is not there
    qtbot.waitUntil(lambda: dock.message.text() == f"{path} exists already.", timeout=10_000)
    qtbot.waitUntil(dock.import_button.isEnabled)
    assert path.read_bytes() == before
    answer(lambda dialog: dialog.accept())
    press(dock.import_button)
    qtbot.waitUntil(lambda: dock.message.text() == "Imported shown.", timeout=30_000)
    qtbot.waitUntil(dock.import_button.isEnabled)
    assert dock.table.selected.name == "shown"
    assert "Trained on: 5 <crops>" in dock.card.toPlainText()
    path.write_bytes(before[:-9])
    answer(typed("other"))
    press(dock.import_button)
    qtbot.waitUntil(lambda: "is no complete ONNX file: copy" in dock.message.text())
    qtbot.waitUntil(dock.import_button.isEnabled)
    assert listed(dock) == ["nuclei", "cells", "shown", "yeast"]


def test_prune(open_dock, qtbot, home: Path) -> None:
    write(home / "yeast.safetensors")
    card = replace(CARD, network=UNetPlusPlusConfig(base_channels=2, depth=3))
    whole = Checkpoint.of(UNetPlusPlus(card.network), card).save(home / "nested.safetensors")
    dock = open_dock()
    select(dock, "yeast")
    assert dock.prune_button.isHidden()
    select(dock, "nested")
    assert not dock.prune_button.isHidden()
    answer(lambda dialog: dialog.reject())
    press(dock.prune_button)
    for name, told in (
        ("yeast", "There is a model named 'yeast' already: choose another name."),
        ("", "nested-1 is the part of nested with 1 level."),
    ):
        answer(kept(1, name))
        press(dock.prune_button)
        qtbot.waitUntil(lambda told=told: dock.message.text() == told, timeout=10_000)
        qtbot.waitUntil(dock.import_button.isEnabled)
        assert dock.table.selected.name == ("nested" if name else "nested-1")
    assert dock.prune_button.isHidden()
    part = Checkpoint.load(home / "nested-1.safetensors")
    assert part.card.network == card.network.pruned(1)
    assert part.card.preprocessing == card.preprocessing
    assert Checkpoint.load(whole).card == card
    part.build()


def test_what_others_do_to_the_files_is_shown(open_dock, qtbot, home: Path, tmp_path: Path) -> None:
    assert not home.exists()
    dock = open_dock()
    export("nuclei", home / "yeast.safetensors")  # which makes the folder, too
    qtbot.waitUntil(lambda: listed(dock) == ["nuclei", "cells", "yeast"])
    select(dock, "yeast")
    rename("yeast", "zellen")
    qtbot.waitUntil(lambda: listed(dock) == ["nuclei", "cells", "zellen"])
    assert dock.table.selected.name == "zellen"
    write(home / "zellen.safetensors")  # as a training does again and again
    qtbot.waitUntil(lambda: "5 <crops>" in dock.card.toPlainText())
    (home / "zellen.safetensors").unlink()
    qtbot.waitUntil(lambda: listed(dock) == ["nuclei", "cells"])


def test_segment_dock_follows(make_napari_viewer, qtbot, home: Path) -> None:
    told = replace(CARD, provenance={**CARD.provenance, "training": {}})
    path = write(home / "yeast.safetensors", told)
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    box = dock.inputs.device.native
    qtbot.waitUntil(lambda: box.itemText(0).startswith("Automatic:"), timeout=30_000)
    dock.inputs.choose_model("yeast")
    assert "31 pixels across" in dock.inputs.about.text()
    rename("yeast", "zellen")
    qtbot.waitUntil(lambda: dock.inputs.model.value == "zellen")
    assert "yeast" not in dock.inputs.model.choices
    assert "31 pixels across" in dock.inputs.about.text()
    write(home / "new.safetensors")
    qtbot.waitUntil(lambda: "new" in dock.inputs.model.choices)
    assert dock.inputs.model.value == "zellen"
    path.with_name("zellen.safetensors").unlink()
    qtbot.waitUntil(lambda: dock.inputs.model.value == "nuclei")
    assert dock.message.text() == "The model zellen is gone: nuclei is used instead."


def test_closed_dock_is_done_with(make_napari_viewer, qtbot, home: Path) -> None:
    viewer = make_napari_viewer()
    wrapper, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Models")
    dock._copy(lambda: str(export("nuclei", home / "a.safetensors")), "Exporting…", "Done {}.")
    viewer.window.remove_dock_widget(wrapper)
    qtbot.waitUntil(lambda: dock._job is None, timeout=10_000)
    dock.deleteLater()


def test_models_of_the_open_project(open_dock, home: Path, tmp_path: Path, monkeypatch) -> None:
    project = Project.create(tmp_path / "work")
    write(project.models / "taught.safetensors")
    write(home / "yeast.safetensors")
    monkeypatch.setattr(models, "open_project", lambda _: project)
    dock = open_dock()
    assert listed(dock) == ["nuclei", "cells", "yeast"]
    dock.place.value = project.models
    assert listed(dock) == ["nuclei", "cells", "taught"]
    select(dock, "taught")
    answer(typed("better"))
    press(dock.rename_button)
    assert listed(dock) == ["nuclei", "cells", "better"]
    assert (project.models / "better.safetensors").exists()
    monkeypatch.setattr(models, "open_project", lambda _: None)  # it was closed
    dock.reset_choices()
    assert listed(dock) == ["nuclei", "cells", "yeast"]


def test_a_model_that_is_taught_in_the_project_appears(
    open_dock, qtbot, tmp_path: Path, monkeypatch
) -> None:
    project = Project.create(tmp_path / "work")
    monkeypatch.setattr(models, "open_project", lambda _: project)
    dock = open_dock()
    dock.place.value = project.models
    assert listed(dock) == ["nuclei", "cells"]
    write(project.models / "taught.safetensors")
    qtbot.waitUntil(lambda: listed(dock) == ["nuclei", "cells", "taught"], timeout=5000)


def test_files_of_one_name_are_told_apart() -> None:
    paths = [Path("/a/m.safetensors"), Path("/b/m.safetensors"), Path("/a/nuclei.safetensors")]
    assert told_apart(paths, {"nuclei"}) == [
        ("m", str(paths[0])),
        (f"m ({paths[1].parent})", str(paths[1])),
        (f"nuclei ({paths[2].parent})", str(paths[2])),
    ]
