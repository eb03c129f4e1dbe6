"""The window of ``napari-unet open``, and what is told where none can be opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from qtpy.QtCore import QThreadPool

from napari_unet._qt import files, window
from napari_unet.annotations import Project
from napari_unet.cli import display, main, open
from napari_unet.samples import load_sample

TITLES = {"Annotate (napari-unet-segmentation)", "Fine-tune (napari-unet-segmentation)"}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "세포 one.tif"
    tifffile.imwrite(path, load_sample("tissue")[:32, :40].astype(np.float32))
    return path


@pytest.fixture
def project(tmp_path: Path, image: Path) -> Path:
    made = Project.create(tmp_path / "cells.unet")
    made.add(image)
    return made.folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lend an empty home."""
    from napari_unet.annotations import project

    monkeypatch.setattr(project, "user_data_path", lambda name, appauthor: tmp_path / "home")
    return tmp_path / "home"


def run(*arguments: object) -> int:
    return main(["open", *map(str, arguments)])


def let_threads_end(qtbot) -> None:
    """Wait for the docks, which import torch."""
    pool = QThreadPool.globalInstance()
    qtbot.waitUntil(lambda: pool.activeThreadCount() == 0, timeout=60_000)


def test_images_are_opened_with_the_docks(
    make_napari_viewer, qtbot, image: Path, monkeypatch
) -> None:
    viewer = make_napari_viewer()
    told: list[str] = []
    monkeypatch.setattr(files, "show_error", told.append)
    broken = image.with_name("broken.docx")
    broken.write_bytes(b"no image")
    window.furnish(viewer, None, [broken, image])
    assert [layer.name for layer in viewer.layers] == [image.stem]
    assert len(told) == 1
    assert told[0].startswith(f"{broken} could not be opened")
    assert set(viewer.window.dock_widgets) == TITLES
    let_threads_end(qtbot)


def test_project_is_opened_in_its_dock(make_napari_viewer, qtbot, project: Path) -> None:
    viewer = make_napari_viewer()
    window.furnish(viewer, project, [])
    qtbot.waitUntil(lambda: "세포 one" in [layer.name for layer in viewer.layers], timeout=30_000)
    let_threads_end(qtbot)


@pytest.mark.parametrize("what", ["project", "project.json", "image", "zarr", "nothing"])
def test_command_opens_what_it_is_given(
    what: str, image: Path, project: Path, home: Path, tmp_path: Path, monkeypatch
) -> None:
    stored = tmp_path / "slide.zarr"
    zarr.create_array(stored, shape=(8, 8), dtype=np.uint16)
    shown: list[tuple[Path | None, list[Path]]] = []
    monkeypatch.setattr(window, "show", lambda *given: shown.append(given))
    monkeypatch.setattr(open, "has_display", lambda: True)
    monkeypatch.setattr(open, "window_opens", lambda: True)
    given = {
        "project": [project],
        "project.json": [project / "project.json"],
        "image": [image],
        "zarr": [stored, image],
    }
    assert run(*given.get(what, [])) == 0
    expected = {
        "image": (None, [image]),
        "zarr": (None, [stored, image]),
        "nothing": (home / "annotations.unet", []),
    }
    assert shown == [expected.get(what, (project, []))]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("gone.unet",), "gone.unet does not exist"),
        (("",), "is no project"),
        (("cells.unet", "세포 one.tif"), "give one project, or images and labels only"),
    ],
)
def test_what_cannot_be_opened_is_told_before_a_window_is_there(
    tmp_path: Path, project: Path, capsys: pytest.CaptureFixture[str], names, words: str
) -> None:
    assert run(*(tmp_path / name for name in names)) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("there", "words"), [(False, "There is no display"), (True, "Qt opens no window here")]
)
def test_missing_display_is_told(
    image: Path, capsys: pytest.CaptureFixture[str], monkeypatch, there: bool, words: str
) -> None:
    monkeypatch.setattr(open, "has_display", lambda: there)
    monkeypatch.setattr(open, "window_opens", lambda: False)
    assert run(image) == 2
    assert words in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a display")
def test_display_is_found_out(monkeypatch) -> None:
    assert display.has_display()
    assert display.window_opens()
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not display.has_display()
    monkeypatch.setenv("DISPLAY", ":no such display")
    assert not display.window_opens()


def test_help_loads_neither_torch_nor_qt() -> None:
    code = (
        "import sys; from napari_unet.cli import main\n"
        "try: main(['open', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'napari', 'qtpy', 'skimage'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: napari-unet open" in done.stdout
