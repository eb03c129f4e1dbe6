"""What is drawn says the same to a training as to the eye, and comes back from disk as it was."""

import itertools
import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.annotations import (
    BACKGROUND,
    Annotation,
    Counts,
    Mode,
    Region,
    read_annotation,
    region_of,
    storage,
    write_annotation,
)
from napari_unet.annotations.storage import read_counts
from napari_unet.images import pair_by_stem, read_image, read_labels, write_labels

LEFT = Region((), slice(0, 8), slice(0, 4))
RIGHT = Region((), slice(2, 6), slice(5, 10))


def drawn(mode: Mode = Mode.REGIONS, regions: tuple[Region, ...] = ()) -> Annotation:
    labels = np.zeros((8, 10), np.int32)
    labels[1:4, 1:7] = 1
    labels[6, 9] = 70_000
    if mode is Mode.SCRIBBLES:
        labels[0] = BACKGROUND
    return Annotation(labels, mode, regions, pixel_size=(0.5, 0.25))


def stack(regions: tuple[Region, ...] = ()) -> Annotation:
    labels = np.zeros((2, 3, 8, 10), np.int32)
    labels[0, 1, 2:5, 2:5] = 3
    labels[1, 2, 6, 6] = 4
    return Annotation(labels, Mode.REGIONS, regions)


def test_without_regions_the_whole_plane_counts():
    annotation = drawn()
    np.testing.assert_array_equal(annotation.target(), annotation.labels)
    assert annotation.target().dtype == np.int32
    assert annotation.counts() == Counts(2, 80, 1)


def test_of_a_stack_planes_with_objects_count():
    target = stack().target()
    annotated = (target >= 0).any(axis=(-2, -1))
    assert annotated.tolist() == [[False, True, False], [False, False, True]]
    assert stack().counts() == Counts(2, 160, 2)


def test_with_regions_nothing_else_counts():
    target = drawn(regions=(LEFT, RIGHT)).target()
    inside = np.zeros((8, 10), bool)
    inside[:, :4] = inside[2:6, 5:] = True
    np.testing.assert_array_equal(target >= 0, inside)
    np.testing.assert_array_equal(target[inside], drawn().labels[inside])
    there = Region((1, 0), slice(0, 2), slice(0, 2))
    assert stack((there,)).counts() == Counts(0, 4, 1)


def test_scribbles_count_where_they_are():
    target = drawn(Mode.SCRIBBLES).target()
    assert (target[0] == 0).all()
    assert (target[1:4, 1:7] == 1).all()
    assert (target == -1).sum() == 80 - 10 - 18 - 1
    complete = drawn(Mode.SCRIBBLES, (LEFT,)).target()
    assert (complete[:, :4] >= 0).all()
    np.testing.assert_array_equal(complete[:, 4:], target[:, 4:])


def test_labels_that_are_never_counted_stay_so():
    labels = np.array([[-1, 0, 2], [-7, 0, 2]], np.int32)
    assert Annotation(labels).target().tolist() == [[-1, 0, 2], [-1, 0, 2]]
    assert Annotation(labels).counts() == Counts(1, 4, 1)
    huge = Annotation(np.full((2, 2), 2**31 - 1, np.int32))
    assert huge.counts() == Counts(1, 4, 1)


def test_a_region_outside_is_refused():
    with pytest.raises(ValueError, match=r"not inside labels of shape \(8, 10\)"):
        drawn(regions=(Region((), slice(0, 9), slice(0, 4)),))


def test_modes_are_changed_with_the_objects_kept():
    scribbles = drawn(Mode.SCRIBBLES)
    np.testing.assert_array_equal(scribbles.in_mode(Mode.REGIONS).labels, drawn().labels)
    assert scribbles.in_mode(Mode.SCRIBBLES) is scribbles
    assert drawn().in_mode(Mode.SCRIBBLES).counts() == Counts(2, 19, 1)


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ([(0, 0), (0, 3), (2, 3), (2, 0)], Region((), slice(0, 3), slice(0, 4))),
        ([(-9.7, 1.5), (3.2, 99)], Region((), slice(0, 4), slice(2, 10))),
        ([(-3, 0), (-1, 5)], None),
        ([(1.2, 0), (1.8, 5)], None),
        ([(np.nan, 0), (1.8, 5)], None),
    ],
)
def test_regions_of_drawn_shapes(corners: list[tuple[float, float]], expected: Region | None):
    assert region_of(np.array(corners), (8, 10)) == expected


def test_regions_and_their_corners_are_one():
    region = Region((1, 2), slice(3, 5), slice(0, 10))
    assert region.corners().shape == (4, 4)
    assert region_of(region.corners(), (2, 3, 8, 10)) == region
    assert region_of(region.corners(), (1, 3, 8, 10)) is None


@pytest.mark.parametrize(
    "annotation",
    [
        drawn(),
        drawn(regions=(LEFT, RIGHT)),
        drawn(Mode.SCRIBBLES),
        drawn(Mode.SCRIBBLES, (LEFT, RIGHT)),
        stack(),
        stack((Region((1, 0), slice(0, 2), slice(0, 2)),)),
        Annotation(np.array([[-1, 0, 2**31 - 1], [-5, 1, -(2**31)]], np.int32)),
        Annotation(np.array([[-1, 0, 2**31 - 1], [-5, 1, -(2**31)]], np.int32), Mode.SCRIBBLES),
    ],
)
def test_what_was_drawn_comes_back(tmp_path: Path, annotation: Annotation):
    path = tmp_path / "made" / "세포 a.tif"
    assert write_annotation(path, annotation) == path
    again = read_annotation(path)
    np.testing.assert_array_equal(again.labels, annotation.labels)
    assert again.labels.dtype == np.int32
    assert again.labels.flags.writeable
    assert (again.mode, again.regions) == (annotation.mode, annotation.regions)
    assert again.pixel_size == pytest.approx(annotation.pixel_size)
    target = read_labels(path)
    np.testing.assert_array_equal(target, annotation.target())
    assert target.dtype == np.int32
    assert sorted(p.name for p in path.parent.iterdir()) == ["세포 a.json", "세포 a.tif"]
    assert read_counts(path) == annotation.counts()


def test_other_programs_see_the_labels_only(tmp_path: Path):
    path = write_annotation(tmp_path / "a.tif", drawn(regions=(LEFT,)))
    assert tifffile.imread(path).shape == (8, 10)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1
    assert read_image(path).pixel_sides == pytest.approx((0.5, 0.25))
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar["regions"] == [{"plane": [], "rows": [0, 8], "columns": [0, 4]}]
    assert sidecar["mode"] == "regions"


def test_a_folder_of_annotations_pairs_with_its_images(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / "images").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", np.zeros((8, 10), np.uint8))
        write_annotation(tmp_path / "labels" / f"{name}.tif", drawn())
    pairs = pair_by_stem(tmp_path / "images", tmp_path / "labels")
    assert [(i.name, a.name) for i, a in pairs] == [("a.tif", "a.tif"), ("b.tif", "b.tif")]


def test_after_a_crash_between_the_two_files_nothing_drawn_is_lost(tmp_path: Path):
    before, after = drawn(regions=(LEFT,)), drawn(Mode.SCRIBBLES)
    path = write_annotation(tmp_path / "a.tif", before)
    old = path.with_suffix(".json").read_bytes()
    write_annotation(path, after)
    path.with_suffix(".json").write_bytes(old)
    again = read_annotation(path)
    np.testing.assert_array_equal(again.labels, after.labels)
    assert again.mode is Mode.SCRIBBLES
    path.with_suffix(".json").unlink()
    np.testing.assert_array_equal(read_annotation(path).labels, after.labels)


def test_labels_of_others(tmp_path: Path):
    target = drawn(Mode.SCRIBBLES).target()
    path = write_labels(tmp_path / "partly.tif", target)
    assert read_annotation(path).mode is Mode.SCRIBBLES
    np.testing.assert_array_equal(read_annotation(path).target(), target)
    for name, labels in {"plane": drawn().labels, "stack": stack().labels}.items():
        path = write_labels(tmp_path / f"{name}.tif", labels % 65_536, pixel_size=0.5)
        annotation = read_annotation(path)
        np.testing.assert_array_equal(annotation.labels, labels % 65_536)
        np.testing.assert_array_equal(annotation.target(), labels % 65_536)
        assert annotation.pixel_size == pytest.approx((0.5, 0.5))


def test_labels_replaced_by_another_program_keep_their_regions(tmp_path: Path):
    path = write_annotation(tmp_path / "a.tif", drawn(regions=(LEFT, RIGHT)))
    write_labels(path, np.full((8, 7), 5))
    again = read_annotation(path)
    assert again.regions == (LEFT, replace_columns(RIGHT, 7))
    assert (again.labels == 5).all()


def replace_columns(region: Region, stop: int) -> Region:
    return region._replace(columns=slice(region.columns.start, stop))


def test_a_bad_sidecar_is_named(tmp_path: Path):
    path = write_annotation(tmp_path / "a.tif", drawn())
    sidecar = path.with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(ValueError, match=r"a\.json is of format 99.*update"):
        read_annotation(path)
    sidecar.write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is no sidecar.*move it away"):
        read_annotation(path)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_annotation(tmp_path / "a.tif", drawn())

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_annotation(path, replace(drawn(), labels=drawn().labels * 0))
    np.testing.assert_array_equal(read_annotation(path).labels, drawn().labels)


def test_what_is_read_while_it_is_written_is_whole(tmp_path: Path):
    states = [drawn(regions=(LEFT,)), drawn(Mode.SCRIBBLES), drawn(regions=(RIGHT,))]
    path = write_annotation(tmp_path / "a.tif", states[0])
    over = threading.Event()

    def write() -> None:
        try:
            for i in range(60):
                write_annotation(path, states[i % 3])
        finally:
            over.set()

    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not over.is_set():
        read, reads = read_annotation(path), reads + 1
        assert any(
            read.mode is state.mode and np.array_equal(read.labels, state.labels)
            for state in states
        )
    thread.join()
    assert reads


def test_what_is_replaced_while_it_is_read_is_whole(tmp_path: Path, monkeypatch):
    """Written each time after its pixels were read, and so before anything else of it can be."""
    states = itertools.cycle([drawn(Mode.SCRIBBLES), drawn(regions=(LEFT,)), drawn()])
    path = write_annotation(tmp_path / "a.tif", drawn())
    read = storage.read_image

    def read_and_replace(*arguments):
        image = read(*arguments)
        write_annotation(path, next(states))
        return image

    monkeypatch.setattr(storage, "read_image", read_and_replace)
    seen = [read_annotation(path).labels for _ in range(3)]
    one_of = [drawn(Mode.SCRIBBLES).labels, drawn().labels]
    assert all(any(np.array_equal(labels, one) for one in one_of) for labels in seen)


def test_a_name_that_is_no_tiff_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"end in \.tif"):
        write_annotation(tmp_path / "a.png", drawn())
