"""Tables and ROIs from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.cli import main
from napari_unet.config import SegmentConfig
from napari_unet.images import opening, read_image, read_provenance, write_labels
from napari_unet.images.ngff import create_labels, open_level, open_zarr
from napari_unet.provenance import Provenance


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
    assert "b_labels.tif has the shape (20, 30)" in capsys.readouterr().err
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


@pytest.fixture
def zarrs(folder: Path) -> tuple[Path, Path]:
    """An image of two planes and two channels, and its labels beside it, as this tool has them."""
    scale = {"type": "scale", "scale": [1, 3.0, 2.0, 0.5]}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    levels = [{"path": "0", "coordinateTransformations": [scale]}]
    told = {"axes": [{"name": "c", "type": "channel"}, *axes], "datasets": levels}
    image = zarr.create_group(folder / "n.zarr", attributes={"ome": {"multiscales": [told]}})
    noise = np.random.default_rng(0).integers(0, 255, (2, 2, 20, 30), np.uint8)
    image.create_array("0", data=noise)
    path = folder / "n.zarr" / "labels" / "cells"
    made = Provenance(SegmentConfig("mine"), "0" * 64, "n.zarr")
    stored = open_zarr(folder / "n.zarr")
    create_labels(path, stored, (2, 20, 30), np.uint16, made.to_dict(), "cells", beside=True)
    return folder / "n.zarr", path


def test_labels_in_a_zarr_are_measured(
    zarrs: tuple[Path, Path],
    labels: np.ndarray,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, path = zarrs
    open_level(path, 0)[1] = labels
    monkeypatch.delattr(opening._ZarrArray, "__array__")  # planes are read, never all of it
    table = image.with_name("t.csv")
    assert run("measure", path, "-o", table) == 0
    assert [(row["label"], row["z"], row["area_um2"]) for row in rows(table)] == [
        ("4", "1", "24"),
        ("9", "1", "49"),
    ]
    assert read_provenance(table).config.model == "mine"
    assert run("measure", path, image, "-o", table, "--force") == 0
    gray = open_zarr(image).data[1, 1]
    assert float(rows(table)[0]["intensity_max_c1"]) == gray[2:6, 2:8].max()
    capsys.readouterr()
    assert run("measure", path, image.with_name("none.tif"), "-o", table, "--force") == 2
    assert "none.tif does not exist" in capsys.readouterr().err
    (path / "0" / "c" / "1" / "0" / "0").write_bytes(b"damaged")
    assert run("measure", path, "-o", table, "--force") == 2
    assert f"{path} cannot be read (" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["r.zip", "l.tif", "b.csv"])
def test_labels_in_a_zarr_are_converted(
    zarrs: tuple[Path, Path], labels: np.ndarray, name: str
) -> None:
    _, path = zarrs
    open_level(path, 0)[1] = labels
    output, back = path.parents[2] / name, path.parents[2] / "back.tif"
    assert run("convert", path, "-o", output) == 0
    assert read_provenance(output).config.model == "mine"
    if name == "b.csv":
        assert [(row["label"], row["bottom_um"]) for row in rows(output)] == [
            ("4", "12"),
            ("9", "30"),
        ]
        return
    if name == "r.zip":
        assert run("convert", output, "-o", back, "--like", path) == 0
        output = back
    again = read_image(output)
    np.testing.assert_array_equal(again.data, [np.zeros_like(labels), labels])
    assert (again.pixel_sides, again.spacing) == ((2.0, 0.5), 3.0)


@pytest.mark.parametrize("command", ["measure", "convert"])
def test_the_commands_have_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(command, "--help")
    assert f"usage: napari-unet {command}" in capsys.readouterr().out


def test_pixels_that_are_no_squares_keep_their_size(tmp_path: Path) -> None:
    image, labels, table = (tmp_path / name for name in ("a.ome.tif", "a_labels.tif", "t.csv"))
    square = np.zeros((20, 30), np.uint16)
    square[5:15, 5:15] = 1
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 2.0}
    tifffile.imwrite(image, square, ome=True, metadata=sizes)
    tifffile.imwrite(labels, square)
    assert run("measure", labels, image, "-o", table) == 0
    (row,) = rows(table)
    assert (row["area_px"], row["area_um2"]) == ("100", "100")
    assert (row["centroid_y_um"], row["centroid_x_um"]) == ("19", "4.75")
    boxes, ome = tmp_path / "b.csv", tmp_path / "b.ome.tif"
    for output in (boxes, ome):
        assert run("convert", labels, "--like", image, "-o", output) == 0
    (row,) = rows(boxes)
    assert (row["top_um"], row["left_um"]) == ("10", "2.5")
    assert read_image(ome).pixel_sides == (2.0, 0.5)


def test_labels_in_a_zarr_with_an_axis_for_one_channel(tmp_path: Path) -> None:
    axes = [
        {"name": n, "type": k}
        for n, k in zip("tczyx", ("time", "channel", *["space"] * 3), strict=True)
    ]
    scale = {"type": "scale", "scale": [1.0] * 5}
    levels = [{"path": "0", "coordinateTransformations": [scale]}]
    told = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels}]}
    group = zarr.create_group(tmp_path / "l.zarr", zarr_format=2, attributes=told)
    pixels = np.zeros((2, 1, 3, 8, 9), np.uint16)
    pixels[1, 0, 2, 2:5, 3:6] = 7
    array = group.create_array("0", shape=pixels.shape, chunks=(1, 1, 1, 8, 9), dtype="u2")
    array[:] = pixels
    assert run("measure", tmp_path / "l.zarr", "-o", tmp_path / "l.csv") == 0
    (row,) = rows(tmp_path / "l.csv")
    assert (row["label"], row["t"], row["z"], row["area_px"]) == ("7", "1", "2", "9")
    assert run("convert", tmp_path / "l.zarr", "-o", tmp_path / "l.tif") == 0
    np.testing.assert_array_equal(read_image(tmp_path / "l.tif").data, pixels[:, 0])


def test_labels_of_another_image_are_told(folder: Path, tmp_path: Path, capsys) -> None:
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((3, 5), np.uint8))
    command = (
        "convert",
        folder / "a_labels.tif",
        "-o",
        tmp_path / "x.tif",
        "--like",
        tmp_path / "other.tif",
    )
    assert run(*command) == 2
    assert "name the image that the labels are of" in capsys.readouterr().err
