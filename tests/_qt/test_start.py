"""An annotation begins with what belongs to its image, and with nothing else."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import napari_unet
from napari_unet._qt.annotate.start import Start, Subject, begin, open_entry
from napari_unet.annotations import (
    Annotation,
    Autosave,
    Mode,
    Project,
    read_annotation,
    storage,
    write_annotation,
)
from napari_unet.samples import load_sample

SHAPE = (5, 20, 30)


@pytest.fixture
def autosave() -> Iterator[Autosave]:
    autosave = Autosave(60)
    yield autosave
    assert autosave.close(10)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "mine")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    pixels = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    pixels[0, 0, 0] = np.nan
    tifffile.imwrite(path, pixels)
    return path


def subject(source: Path, pixels: Any) -> Subject:
    return Subject("stack", source, pixels, "QYX", pixels.shape, None)


def begun(steps: Generator[str, None, Start]) -> Start:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("change", ["none", "first", "last", "all"])
def test_a_layer_is_its_file_if_it_has_its_pixels(
    project: Project, source: Path, autosave: Autosave, change: str
) -> None:
    pixels = tifffile.imread(source)
    where = {"none": slice(0), "first": 0, "last": -1, "all": slice(None)}[change]
    pixels[where] *= 2
    start = begun(begin(subject(source, pixels), project, Mode.REGIONS, None, autosave))
    assert (start.entry.image == source) == (change == "none")
    np.testing.assert_array_equal(tifffile.imread(start.entry.image), pixels)


@pytest.mark.parametrize("saved_before", [True, False])
def test_what_could_not_be_saved_is_begun_with(
    project: Project, source: Path, autosave: Autosave, monkeypatch, saved_before: bool
) -> None:
    entry = project.add(source)
    path = project.annotation_path(entry)
    if saved_before:
        write_annotation(path, Annotation(np.zeros(SHAPE, np.int32)))
    drawn = np.ones(SHAPE, np.int32)
    steps = begin(subject(source, tifffile.imread(source)), project, Mode.REGIONS, None, autosave)

    def full(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_annotation", full)
        autosave.submit(path, Annotation(drawn, Mode.SCRIBBLES))
        start = begun(steps)
    assert start.found
    assert start.annotation.mode is Mode.SCRIBBLES
    np.testing.assert_array_equal(start.annotation.labels, drawn)
    start.annotation.labels[0] = 2
    assert drawn.max() == 1
    autosave.submit(path, start.annotation)
    assert autosave.flush(10)
    np.testing.assert_array_equal(read_annotation(path).labels, start.annotation.labels)


def test_an_image_without_an_annotation_is_predicted(project, autosave, tmp_path: Path) -> None:
    image = load_sample("tissue")[:128, :128]
    tifffile.imwrite(tmp_path / "a.tif", image)
    entry = project.add(tmp_path / "a.tif")
    first = begun(open_entry(project, entry, Mode.REGIONS, "nuclei", autosave))
    assert first.result is not None
    np.testing.assert_array_equal(first.result, napari_unet.segment(image, "nuclei"))
    assert first.result.max() > 5
    write_annotation(first.path, Annotation(np.ones(image.shape[:2], np.int32)))
    again = begun(open_entry(project, entry, Mode.REGIONS, "nuclei", autosave))
    assert again.result is None
