"""Tables and ROIs from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.cli import main
from napari_unet.images import read_image, write_labels


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


@pytest.fixture
def labels() -> np.ndarray:
    drawn = np.zeros((20, 30), np.int32)
    drawn[2:6, 2:8], drawn[10:15, 20:30], drawn[12, 22] = 4, 9, 0
    return drawn


@pytest.fixture
def folder(labels: np.ndarray, tmp_path: Path) -> Path:
    """Two images, and their labels with a pixel size."""
    for seed, name in enumerate(("a", "b")):
        noise = np.random.default_rng(seed).integers(0, 255, (*labels.shape, 3), np.uint8)
        tifffile.imwrite(tmp_path / f"{name}.tif", noise, photometric="rgb")
        write_labels(tmp_path / f"{name}_labels.tif", labels, pixel_size=0.5)
    return tmp_path


def test_measure_files_and_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = folder / "t.csv"
    assert run("measure", folder / "a_labels.tif", "-o", table) == 0
    assert capsys.readouterr().out == f"{folder / 'a_labels.tif'} -> {table}: 2 objects\n"
    (first, second) = rows(table)
    assert (first["image"], first["label"], second["label"]) == ("a", "4", "9")
    assert (first["area_px"], first["area_um2"], second["area_px"]) == ("24", "6", "49")
    assert run("measure", folder, "-o", table) == 2
    assert "write over it with --force" in capsys.readouterr().err
    command = ["measure", folder, folder, "--pixel-size", "1,2", "-o", table, "--force"]
    assert run(*command) == 0
    assert [row["image"] for row in rows(table)] == ["a", "a", "b", "b"]
    assert rows(table)[0]["area_um2"] == "48"
    image = read_image(folder / "b.tif").data
    assert float(rows(table)[2]["intensity_max_c2"]) == image[2:6, 2:8, 2].max()
    assert run("measure", folder, "-o", folder / "u.csv") == 0
    assert [row["image"] for row in rows(folder / "u.csv")] == ["a", "a", "b", "b"]


def test_a_file_that_cannot_be_measured_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a_labels.tif").write_bytes(b"no image")
    assert run("measure", folder, "-o", folder / "t.csv") == 1
    assert f"{folder / 'a_labels.tif'} cannot be read" in capsys.readouterr().err
    assert {row["image"] for row in rows(folder / "t.csv")} == {"b"}
    assert run("measure", folder / "a_labels.tif", "-o", folder / "u.csv") == 2
    assert run("measure", folder, "-o", folder / "u.txt") == 2
    tifffile.imwrite(folder / "b.tif", np.zeros((9, 9), np.uint8))
    capsys.readouterr()
    assert run("measure", folder / "b_labels.tif", folder / "b.tif", "-o", folder / "u.csv") == 2
    assert "b_labels.tif: The labels have the shape (20, 30)" in capsys.readouterr().err
    assert not (folder / "u.csv").exists()


def test_convert_to_rois_and_back(
    folder: Path, labels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    source, rois, back = (folder / name for name in ("a_labels.tif", "r.zip", "back.tif"))
    assert run("convert", source, "-o", rois) == 0
    assert run("convert", rois, "-o", back) == 2
    assert "--like IMAGE" in capsys.readouterr().err
    assert run("convert", rois, "-o", back, "--like", source) == 0
    again = read_image(back)
    np.testing.assert_array_equal(again.data, labels)
    assert again.pixel_size == 0.5
    assert run("convert", rois, "-o", back, "--like", source) == 2
    assert run("convert", rois, "-o", rois, "--like", source, "--force") == 2
    tifffile.imwrite(folder / "small.tif", np.zeros((9, 9), np.uint8))
    capsys.readouterr()
    assert run("convert", rois, "-o", back, "--like", folder / "small.tif", "--force") == 0
    assert "1 ROIs enclose no pixel of" in capsys.readouterr().err
    np.testing.assert_array_equal(read_image(back).data, labels[:9, :9])


@pytest.mark.parametrize("command", ["measure", "convert"])
def test_the_commands_have_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(command, "--help")
    assert f"usage: napari-unet {command}" in capsys.readouterr().out
