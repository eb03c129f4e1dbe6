"""Segmenting as a file was segmented: the same model and parameters, or a sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.cli import main
from napari_unet.config import Preprocessing, Target, UNetConfig
from napari_unet.images import read_image, read_provenance, write_labels
from napari_unet.library import Card, user_folder
from napari_unet.provenance import Provenance
from napari_unet.training import untrained


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def card(depth: int) -> Card:
    rule = Preprocessing(low=0, high=100, invert_bright=False, diameter=10.0, pixel_size=0.5)
    return Card(UNetConfig(base_channels=2, depth=depth, padding="same"), Target(), rule)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return untrained(card(depth=1), seed=1).save(tmp_path / "mine.safetensors")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 255, (40, 48), np.uint8))
    return path


@pytest.fixture
def first(image: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Labels that were made with settings of their own."""
    settings = ("--threshold", 0.5, "--min-size", 3, "--diameter", 12, "--device", "cpu")
    assert run("segment", image, "--model", model, *settings) == 0
    capsys.readouterr()
    return image.with_name("a_labels.tif")


def test_the_same_again(first: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = image.with_name("again.ome.tif")
    assert run("segment", "--like", first, image, "-o", again, "--rois", "--device", "cpu") == 0
    np.testing.assert_array_equal(read_image(again).data, read_image(first).data)
    assert read_provenance(again) == read_provenance(first)
    err = capsys.readouterr().err
    assert err.startswith(f"napari-unet: as {first}: model ")
    assert "diameter = 12.0, threshold = 0.5, min_size = 3.\n" in err
    assert "not as" not in err
    rois, third = image.with_name("again_rois.zip"), image.with_name("third.tif")
    assert run("segment", "--like", rois, image, "-o", third, "--device", "cpu") == 0
    np.testing.assert_array_equal(read_image(third).data, read_image(first).data)


def test_what_is_typed_beside_counts_and_is_told(
    first: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("segment", "--like", first, image, "--force", "--device", "cpu")
    assert run(*command, "--threshold", 0.6, "--pixel-size", 0.5) == 0
    err = capsys.readouterr().err
    assert f"napari-unet: not as {first}: diameter = None instead of 12.0, " in err
    assert "pixel_size = 0.5 instead of None, threshold = 0.6 instead of 0.5.\n" in err
    config = read_provenance(first).config
    assert (config.threshold, config.min_size, config.diameter) == (0.6, 3, None)


def test_another_model_of_that_name_is_refused_and_one_renamed_is_found(
    first: Path, image: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = user_folder()
    own.mkdir(parents=True, exist_ok=True)
    renamed = own / "renamed-for-like.safetensors"
    shutil.copy(model, renamed)
    command = ("segment", "--like", first, image, "--force", "--device", "cpu")
    try:
        untrained(card(depth=1)).save(model)
        assert run(*command) == 0
        assert read_provenance(first).config.model == renamed.stem
    finally:
        renamed.unlink()
    assert run(*command) == 2
    assert "was made by renamed-for-like (SHA-256 " in (err := capsys.readouterr().err)
    assert "which is not here: give its file by --model" in err
    assert run(*command, "--model", model) == 0
    assert f"model {model} instead of renamed-for-like (SHA-256" in capsys.readouterr().err
    untrained(card(depth=2)).save(model)
    before = first.read_bytes()
    assert run(*command) == 2
    assert "the model of that name is another one now" in capsys.readouterr().err
    assert first.read_bytes() == before


def test_files_that_do_not_say_so(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in ((image, "does not say how it was made"), ("no.tif", "does not exist")):
        assert run("segment", "--like", tmp_path / name, image) == 2
        assert words in (err := capsys.readouterr().err)
        assert len(err.splitlines()) == 1
    old = Provenance.from_dict({"model": "nuclei", "sha256": "", "image": "", "version": "0.0.1"})
    labels = write_labels(tmp_path / "l.tif", np.ones((3, 3), np.uint8), made=old)
    assert run("segment", "--like", labels, "none.tif", "--model", "nuclei") == 2
    err = capsys.readouterr().err
    assert "l.tif was made by napari-unet 0.0.1, and this is" in err
    assert "model nuclei instead of nuclei (SHA-256 unknown)" in err
