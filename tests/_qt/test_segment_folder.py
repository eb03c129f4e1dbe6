"""The dock that segments a folder, as its users see it: real widgets, threads and files."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels
from napari.utils._proxies import PublicOnlyProxy
from qtpy.compat import isalive
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest

from napari_unet._qt.folder import FolderWidget
from napari_unet._qt.folder import widget as module
from napari_unet._qt.folder.settings import HIDDEN
from napari_unet.batch import OVERVIEW
from napari_unet.config import SegmentConfig
from napari_unet.engines import TorchEngine
from napari_unet.images import read_labels
from napari_unet.samples import load_sample

SIDE, TILE = 64, 32
LONG = 60_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, of which the second is none, and one in a folder below."""
    tissue = load_sample("tissue")
    (tmp_path / "day 1" / "more").mkdir(parents=True)
    for number, name in enumerate(("a", "c", "more/d")):
        part = tissue[:SIDE, number * 40 : number * 40 + SIDE]
        path = tmp_path / "day 1" / f"{name}.tif"
        tifffile.imwrite(path, part, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    (tmp_path / "day 1" / "b.tif").write_bytes(b"no image")
    return tmp_path / "day 1"


@pytest.fixture
def open_dock(make_napari_viewer, qtbot):
    """Returns a viewer with the dock."""
    docks = []

    def open_on(folder: Path | None = None):
        viewer = make_napari_viewer()
        # napari hands its plugins a viewer whose private parts they do not see.
        dock = FolderWidget(PublicOnlyProxy(viewer))
        wrapper = viewer.window.add_dock_widget(dock, name="Segment Folder")
        docks.append(dock)
        box = dock.settings.device.native
        qtbot.waitUntil(lambda: box.itemText(0).startswith("Automatic:"), timeout=LONG)
        dock.settings.device.value = "cpu"
        if folder is not None:
            dock.places.choose(folder)
            looked(qtbot, dock)
        return viewer, dock, wrapper

    yield open_on
    for dock in filter(isalive, docks):
        dock.stop_button.click()
        qtbot.waitUntil(lambda dock=dock: not dock.is_busy, timeout=LONG)


@pytest.fixture
def slow(monkeypatch):
    """Let each tile take a while."""
    run = TorchEngine.__call__

    def run_slowly(self, batch):
        time.sleep(0.1)
        return run(self, batch)

    monkeypatch.setattr(TorchEngine, "__call__", run_slowly)


def looked(qtbot, dock) -> None:
    """Wait until what is chosen has been looked at."""
    dock.places._settle.stop()
    dock.look()
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=LONG)


def run(qtbot, dock) -> None:
    dock.segment_button.click()
    assert dock.is_running, dock.message.text()
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=LONG)


def states(dock) -> list[str]:
    return [row.state for row in dock.table.files.rows]


def double_click(qtbot, dock, row: int) -> None:
    index = dock.table.model().index(row, 0)
    where = dock.table.visualRect(index).center()
    QTest.mouseClick(dock.table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    QTest.mouseDClick(dock.table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=LONG)


def test_a_folder_is_segmented_and_looked_at(open_dock, qtbot, folder: Path) -> None:
    viewer, dock, _ = open_dock(folder)
    assert [row.name for row in dock.table.files.rows] == ["a.tif", "b.tif", "c.tif"]
    assert states(dock) == ["waiting"] * 3
    assert dock.message.text() == f"Results go into {Path('day 1', 'segmented')}."
    assert dock.summary.text() == "0 of 3 done"
    assert not dock.overview_button.isEnabled()
    dock.settings.also["objects"].value = True
    run(qtbot, dock)

    output = folder / "segmented"
    assert states(dock) == ["done", "failed", "done"]
    rows = dock.table.files.rows
    assert "cannot be read as a TIFF" in rows[1].told
    found = [read_labels(output / f"{name}_labels.tif") for name in "ac"]
    assert [row.objects for row in rows] == [found[0].max(), None, found[1].max()]
    total = sum(int(labels.max()) for labels in found)
    assert dock.summary.text() == f"2 of 3 done, 1 failed, {total:,} objects"
    done = f"Done. Results are in {Path('day 1', 'segmented')}."
    assert dock.message.text().startswith(done)
    assert {path.name for path in output.iterdir()} >= {"a_objects.csv", OVERVIEW}
    dock.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert dock.table.texts(0)[:2] == ["b.tif", "failed"]

    dock.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    double_click(qtbot, dock, 0)
    image, labels = viewer.layers
    assert (type(image), type(labels)) == (Image, Labels)
    assert (image.name, labels.name) == ("a", "a [nuclei]")
    np.testing.assert_array_equal(labels.data, found[0])
    np.testing.assert_allclose(labels.scale, (0.5, 0.5))
    np.testing.assert_array_equal(labels.scale, image.scale)
    assert labels.units == image.units
    double_click(qtbot, dock, 2)
    assert [layer.visible for layer in viewer.layers] == [False, False, True, True]
    double_click(qtbot, dock, 0)  # it is there already
    assert [layer.visible for layer in viewer.layers] == [True, True, False, False]
    double_click(qtbot, dock, 1)
    assert "cannot be read as a TIFF" in dock.message.text()
    dock.overview_button.click()
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=LONG)
    assert viewer.layers[-1].name == "overview of segmented"
    assert viewer.layers[-1].rgb

    # All of it is there again in another window, until something else is asked for.
    _, again, _ = open_dock()
    again.settings.also["objects"].value = True
    again.places.choose(folder)
    looked(qtbot, again)
    assert [row.cells()[:3] for row in again.table.files.rows] == [row.cells()[:3] for row in rows]
    assert again.table.files.rows[0].seconds == pytest.approx(rows[0].seconds, abs=1e-3)
    again.settings.form["threshold"].value = 0.6
    looked(qtbot, again)
    assert states(again) == ["waiting"] * 3
    assert "with other settings" in again.table.files.rows[0].told


def test_all_that_can_be_written_beside_labels(open_dock, qtbot, folder: Path) -> None:
    for name in "bc":
        (folder / f"{name}.tif").unlink()
    _, dock, _ = open_dock(folder)
    for box in dock.settings.also.values():
        box.value = True
    looked(qtbot, dock)
    run(qtbot, dock)
    written = {path.name for path in (folder / "segmented").iterdir()}
    assert written >= {f"a_{x}" for x in ("labels.ome.tif", "objects.csv", "boxes.csv", "rois.zip")}
    assert OVERVIEW in written
    assert "a_labels.tif" not in written


def test_stop_and_go_on(open_dock, qtbot, folder: Path, slow) -> None:
    (folder / "b.tif").unlink()
    _, dock, _ = open_dock()
    dock.settings.form["tile"].value = TILE
    dock.places.subfolders.setChecked(True)
    dock.places.choose(folder)
    looked(qtbot, dock)
    names = [row.name for row in dock.table.files.rows]
    assert names == ["a.tif", "c.tif", str(Path("more", "d.tif"))]
    dock.segment_button.click()
    assert not dock.places.isEnabled()
    qtbot.waitUntil(lambda: states(dock)[0] == "done", timeout=LONG)
    qtbot.waitUntil(lambda: states(dock)[1].startswith("tile "), timeout=LONG)
    assert dock.summary.text().startswith("1 of 3 done")
    dock.stop_button.click()
    assert dock.message.text() == module.STOPPING
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=LONG)
    assert states(dock) == ["done", "waiting", "waiting"]
    assert dock.message.text().startswith("Stopped; press Segment Folder to go on")
    before = (folder / "segmented" / "a_labels.tif").stat().st_mtime_ns
    run(qtbot, dock)
    assert states(dock) == ["done"] * 3
    assert (folder / "segmented" / "a_labels.tif").stat().st_mtime_ns == before
    assert (folder / "segmented" / "more" / "d_labels.tif").is_file()


def test_closing_the_dock_stops_and_loses_nothing(open_dock, qtbot, folder, slow) -> None:
    viewer, dock, wrapper = open_dock(folder)
    dock.settings.form["tile"].value = TILE
    dock.segment_button.click()
    qtbot.waitUntil(lambda: states(dock)[0] == "done", timeout=LONG)
    viewer.window.remove_dock_widget(wrapper)
    qtbot.waitUntil(lambda: not dock.is_busy, timeout=LONG)
    dock.deleteLater()
    assert (folder / "segmented" / OVERVIEW).is_file()  # it was stopped rather than dropped
    assert not (folder / "segmented" / "c_labels.tif").exists()
    _, again, _ = open_dock(folder)
    assert states(again)[::2] == ["done", "waiting"]


def test_what_is_wrong_is_told_and_starts_nothing(open_dock, qtbot, folder: Path) -> None:
    _, dock, _ = open_dock()
    assert dock.message.text() == module.AT_FIRST
    dock.segment_button.click()
    assert not dock.is_running
    dock.places.choose(folder / "gone")
    looked(qtbot, dock)
    assert "gone is no folder" in dock.message.text()
    assert dock.table.files.rows == []
    dock.places.choose(folder)
    dock.places.pattern.setCurrentText("*.png")
    looked(qtbot, dock)
    assert "holds no image like *.png" in dock.message.text()
    dock.places.pattern.setCurrentText("[ab].tif")
    looked(qtbot, dock)
    assert states(dock) == ["waiting"] * 2
    dock.settings.channel.value = "red"
    dock.segment_button.click()
    assert "Channel 'red' is no number" in dock.message.text()
    assert not dock.is_running
    assert not (folder / "segmented").exists()
    dock.settings.channel.value = "0,1"
    assert dock.settings.config().channel == (0, 1)


def test_a_folder_is_dropped_and_results_may_go_elsewhere(
    open_dock, qtbot, folder: Path, tmp_path: Path
) -> None:
    _, dock, _ = open_dock()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder / "a.tif"))])
    dock.dropEvent(
        QDropEvent(
            QPointF(5, 5),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )
    dock.places.output.setText(str(tmp_path / "elsewhere"))
    qtbot.waitUntil(lambda: states(dock) == ["waiting"] * 3, timeout=LONG)  # after a moment
    assert dock.places.place.folder == folder
    assert dock.places.place.output == tmp_path / "elsewhere"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a_labels.tif").write_bytes(b"mine")
    looked(qtbot, dock)
    assert states(dock) == ["skipped", "waiting", "waiting"]
    assert "was there before" in dock.table.files.rows[0].told


def test_each_setting_is_in_the_form_or_hidden(open_dock) -> None:
    _, dock, _ = open_dock()
    fields = set(SegmentConfig.__dataclass_fields__)
    assert fields == set(dock.settings.form) | set(HIDDEN)
