"""How results were made: told by each file, read back, and what becomes of damaged records."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import roifile
import tifffile
import zarr

from napari_unet import __version__
from napari_unet.config import SegmentConfig
from napari_unet.images import (
    Image,
    find_provenance,
    read_image,
    read_provenance,
    write_image,
    write_labels,
)
from napari_unet.images.rois import read_rois, write_rois
from napari_unet.measurements import measure, write_table
from napari_unet.provenance import KEY, Provenance, sha256_of

CONFIG = SegmentConfig("세포 model", threshold=0.55, channel=(1, 0), pixel_size=0.25, averaged=True)
MADE = Provenance(CONFIG, "ab" * 32, "이미지 & <1>.tif")


@pytest.fixture
def labels() -> np.ndarray:
    drawn = np.zeros((20, 30), np.int32)
    drawn[3:7, 4:9], drawn[10:19, 20:28] = 2, 7
    return drawn


def write(kind: str, folder: Path, labels: np.ndarray, made: Provenance | None) -> Path:
    """Write a result of each kind, which its own readers read as they do without a record."""
    path = folder / kind
    if kind.startswith("scores"):
        scores = np.random.default_rng(0).random((2, *labels.shape), np.float32)
        write_image(path, scores, made=made, axes="CYX", channels=("background", "object"))
        np.testing.assert_array_equal(tifffile.imread(path), scores)
    elif kind.endswith(".zip"):
        write_rois(path, labels, made=made)
        assert [roi.name for roi in roifile.roiread(path)] == ["2", "7"]
        np.testing.assert_array_equal(read_rois(path, Image(labels, "YX"))[0], labels)
    elif kind.endswith(".csv"):
        write_table(path, {"a": measure(labels)}, {"a": made} if made else {})
        assert path.read_text().startswith("image,label,area_px")
    else:
        shift = {"negative.tif": -9, "many.tif": 70_000}.get(kind, 0)
        labels = np.where(labels == 7, 7 + shift, labels)
        write_labels(path, labels, pixel_size=0.5, made=made)
        np.testing.assert_array_equal(read_image(path).data, labels)
        with tifffile.TiffFile(path) as file:
            assert file.is_imagej == (kind == "labels.tif")
    return path


KINDS = (
    "labels.tif",
    "labels.ome.tif",
    "many.tif",
    "negative.tif",
    "scores.tif",
    "scores.ome.tif",
    "rois.zip",
    "table.csv",
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_tells_how_it_was_made(kind: str, labels: np.ndarray, tmp_path: Path) -> None:
    path = write(kind, tmp_path, labels, MADE)
    assert read_provenance(path) == MADE
    plain = write(kind, tmp_path, labels, None)
    assert find_provenance(plain) is None
    with pytest.raises(ValueError, match="does not say how it was made: name a file") as error:
        read_provenance(plain)
    assert str(plain) in str(error.value)


def test_a_record_has_all_that_counts(tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    model.write_bytes(b"abc")
    assert sha256_of(model).startswith("ba7816bf8f01cfea")
    told = json.loads(MADE.to_json())[KEY]
    assert MADE.to_json().isascii()
    assert told["model"] == "세포 model"
    assert (told["version"], told["channel"]) == (__version__, [1, 0])
    counted = {field.name for field in fields(SegmentConfig)} - {"device"}
    assert set(told) == {"image", "sha256", "version"} | counted
    odd = SegmentConfig(
        "m", tile=64, min_size=3, diameter=9.0, fill_holes=False, remove_border=True
    )
    assert Provenance.from_dict(Provenance(odd, "a" * 64, "i").to_dict()).config == odd
    older = {k: v for k, v in told.items() if k != "averaged"}  # of before there was such a thing
    assert Provenance.from_dict(older).config == replace(CONFIG, averaged=False)
    assert Provenance.from_dict({**told, "approximate": 3}) == MADE


def test_labels_in_a_zarr_tell_it_too(tmp_path: Path) -> None:
    for version in (2, 3):
        path = tmp_path / f"{version}.zarr"
        zarr.create_group(path, zarr_format=version, attributes={KEY: MADE.to_dict()})
        assert read_provenance(path) == MADE
    zarr.create_group(tmp_path / "plain.zarr")
    assert find_provenance(tmp_path / "plain.zarr") is None
    assert find_provenance(tmp_path) is None


def spoil(path: Path, text: str) -> None:
    """Write a file whose record is another text."""
    if path.suffix == ".zip":
        with ZipFile(path, "a") as file:
            file.comment = text.encode()
    elif path.suffix == ".csv":
        path.with_name(f"{path.name}-metadata.json").write_text(text)
    else:
        tifffile.imwrite(path, np.ones((4, 4), np.uint8), description=text, metadata=None)


@pytest.mark.parametrize("kind", ["scores.tif", "rois.zip", "table.csv"])
@pytest.mark.parametrize(
    "text",
    [
        MADE.to_json()[:-40],
        json.dumps({KEY: 3}),
        json.dumps({KEY: {}}),
        json.dumps({KEY: {**MADE.to_dict(), "threshold": 7}}),
        json.dumps({KEY: {**MADE.to_dict(), "channel": "x"}}),
        f'{{"{KEY}":' + "[" * 60_000,
    ],
)
def test_a_damaged_record_is_told_and_nothing_else_is_lost(
    kind: str, text: str, labels: np.ndarray, tmp_path: Path
) -> None:
    path = write(kind, tmp_path, labels, MADE)
    spoil(path, text)
    with pytest.raises(ValueError, match="give the model and the parameters") as error:
        read_provenance(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert find_provenance(path) is None
    if kind == "rois.zip":
        np.testing.assert_array_equal(read_rois(path, Image(labels, "YX"))[0], labels)


@pytest.mark.parametrize("kind", ["labels.tif", "labels.ome.tif", "rois.zip"])
def test_the_beginning_of_a_file_is_told(kind: str, labels: np.ndarray, tmp_path: Path) -> None:
    path = write(kind, tmp_path, labels, MADE)
    path.write_bytes(path.read_bytes()[:200])
    assert find_provenance(path) is None
    with pytest.raises(ValueError, match="cannot be read"):
        read_rois(path, Image(labels, "YX")) if path.suffix == ".zip" else read_image(path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_provenance(tmp_path / "none.tif")


def test_a_table_of_several_ways_repeats_none(tmp_path: Path, labels: np.ndarray) -> None:
    tables = {"a": measure(labels), "b": measure(labels)}
    path = tmp_path / "t.csv"
    write_table(path, tables, {"a": MADE, "b": replace(MADE, image="b.tif")})
    assert read_provenance(path) == MADE
    write_table(path, tables, {"a": MADE, "b": replace(MADE, sha256="")})
    with pytest.raises(ValueError, match="in several ways"):
        read_provenance(path)
    write_table(path, tables)
    assert find_provenance(path) is None
