"""A project finds its images and annotations again: moved, missing, shared, after a crash."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.annotations import (
    Annotation,
    Counts,
    Entry,
    Mode,
    Project,
    Region,
    State,
    default_project,
    write_annotation,
)
from napari_unet.annotations.records import digest
from napari_unet.images import pair_by_stem, read_image, write_labels


def image(path: Path, value: int = 0, side: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.full((side, 30), value, np.uint8))
    return path


def annotation(objects: int = 1, side: int = 20) -> Annotation:
    labels = np.zeros((side, 30), np.int32)
    for i in range(objects):
        labels[2:5, 4 * i : 4 * i + 3] = i + 1
    return Annotation(labels)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "work" / "세포")


def draw(project: Project, entry: Entry, drawn: Annotation) -> None:
    write_annotation(project.annotation_path(entry), drawn)


def test_a_project_is_a_folder(project: Project, tmp_path: Path):
    assert project.folder == tmp_path / "work" / "세포.unet"
    assert project.name == "세포"
    assert project.models.is_dir()
    assert sorted(p.name for p in project.folder.iterdir()) == [
        "annotations",
        "images",
        "models",
        "project.json",
    ]
    for place in (project.folder, project.folder / "project.json", str(project.folder)):
        assert Project.open(place).folder == project.folder


def test_nothing_is_overwritten(project: Project):
    with pytest.raises(FileExistsError, match="open it as a project"):
        Project.create(project.folder)
    with pytest.raises(FileExistsError, match="exists already"):
        Project.create(project.folder.with_suffix(""))


def test_what_is_no_project_is_told(tmp_path: Path, project: Project):
    with pytest.raises(FileNotFoundError, match="does not exist: check its path"):
        Project.open(tmp_path / "none.unet")
    with pytest.raises(FileNotFoundError, match=r"is no project, as it holds no project\.json"):
        Project.open(tmp_path)
    file = project.folder / "project.json"
    good = file.read_text("utf-8")
    file.write_text(good.replace('"format": 1', '"format": 2'), "utf-8")
    with pytest.raises(ValueError, match="of format 2, which is not known here: update"):
        Project.open(project.folder)
    elsewhere = '{"format": 1, "images": [{"name": "../b", "image": "b.tif"}], "settings": {}}'
    for damage in (
        elsewhere,
        good[:-5],
        "[]",
        '{"format": 1, "images": [{}], "settings": {}}',
        "\x00",
    ):
        file.write_text(damage, "utf-8")
        with pytest.raises(ValueError, match=r"is damaged .* the annotations beside it are whole"):
            Project.open(project.folder)


def test_images_and_states(project: Project, tmp_path: Path):
    a = project.add(image(tmp_path / "data" / "a.tif"))
    assert a == Entry("a", tmp_path / "data" / "a.tif")
    assert project.add(tmp_path / "data" / "a.tif") == a
    assert (project.find(a.image), project.find(tmp_path / "b.tif")) == (a, None)
    assert project.state(a) is State.UNTOUCHED
    assert project.read_annotation(a) is None
    draw(project, a, annotation(2))
    assert project.state(a) is State.BEGUN
    project.mark(a, State.DONE)
    again = Project.open(project.folder)
    assert again.entries == [a]
    assert again.state(a) is State.DONE
    found = again.read_annotation(a)
    assert found is not None
    np.testing.assert_array_equal(found.labels, annotation(2).labels)


def test_images_of_one_name_are_told_apart(project: Project, tmp_path: Path):
    paths = [tmp_path / name for name in ("1/a.tif", "2/A.png", "3/a_labels.tif", "4/b.tif")]
    names = [project.add(image(p.with_suffix(".tif"))).name for p in paths]
    assert names == ["a", "A-2", "a-3", "b"]
    assert project.add_array("a/b: c?", np.zeros((4, 5))).name == "a_b_ c_"
    assert project.add_array("..", np.zeros((4, 6))).name == "image"


def test_copies_pair_by_name_with_their_annotations(project: Project, tmp_path: Path):
    for folder in ("1", "2"):
        entry = project.add(image(tmp_path / folder / "a.tif", int(folder)), copy=True)
        assert entry.image.parent == project.folder / "images"
        draw(project, entry, annotation())
        assert project.add(tmp_path / folder / "a.tif", copy=True) == entry
        assert project.find(tmp_path / folder / "a.tif") == entry
    shutil.rmtree(tmp_path / "1")
    pairs = pair_by_stem(project.folder / "images", project.folder / "annotations")
    assert sorted(pairs) == sorted(project.pairs())
    assert sorted(read_image(i).data[0, 0] for i, _ in pairs) == [1, 2]


def test_settings_are_kept(project: Project):
    project.save_settings({"model": "nuclei", "predict": True})
    project.save_settings({"predict": False})
    project.settings["model"] = "changed in a copy"
    assert Project.open(project.folder).settings == {"model": "nuclei", "predict": False}


@pytest.mark.parametrize(
    ("shape", "axes", "dtype"),
    [
        ((20, 30), None, "u1"),
        ((3, 20, 30), None, "i4"),
        ((20, 30, 3), "YXS", "u1"),
        ((2, 3, 20, 30), "TZYX", "f4"),
        ((3, 20, 4), "ZYX", "u2"),
        ((2, 20, 30), "CYX", "f8"),
        ((20, 30), None, "?"),
        ((20, 30), None, ">u2"),
    ],
)
def test_pixels_without_a_file_get_one(
    project: Project, shape: tuple[int, ...], axes: str | None, dtype: str
):
    pixels = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    entry = project.add_array("sample", pixels, axes, pixel_size=(2.0, 0.5))
    written = read_image(project.image(entry))
    np.testing.assert_array_equal(written.data, pixels)
    assert written.axes == (axes or "Q" * (pixels.ndim - 2) + "YX")
    assert written.pixel_sides == pytest.approx((2.0, 0.5))
    assert project.add_array("other", pixels.copy()) == entry
    assert project.find(digest(pixels)) == entry
    project.mark(entry, State.DONE)
    entry.image.unlink()
    assert project.add_array("other", pixels) == entry
    assert entry.image.exists()
    assert project.state(entry) is State.DONE


def test_a_project_is_moved_with_what_is_beside_it(project: Project, tmp_path: Path):
    inside = project.add(image(tmp_path / "elsewhere" / "c.tif"), copy=True)
    beside = project.add(image(project.folder.parent / "images" / "a.tif"))
    far = project.add(image(tmp_path / "far" / "b.tif"))
    draw(project, beside, annotation())
    moved = project.folder.parent.rename(tmp_path / "moved")
    again = Project.open(moved / project.folder.name)
    assert [e.image for e in again.entries] == [
        moved / project.folder.name / "images" / "c.tif",
        moved / "images" / "a.tif",
        far.image,
    ]
    assert not again.missing()
    assert again.state(again.entries[1]) is State.BEGUN
    assert [e.name for e in again.entries] == [inside.name, beside.name, far.name]


def test_a_project_is_moved_alone(project: Project, tmp_path: Path):
    beside = project.add(image(project.folder.parent / "a.tif"))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    moved = project.folder.rename(tmp_path / "deep" / "er" / "p.unet")
    assert Project.open(moved).entries == [beside]


def test_a_missing_image_is_told_and_found_again(project: Project, tmp_path: Path):
    entry = project.add(image(tmp_path / "old" / "a.tif"))
    draw(project, entry, annotation())
    (tmp_path / "old").rename(tmp_path / "new")
    assert project.missing() == [entry]
    assert project.pairs() == []
    with pytest.raises(FileNotFoundError, match=r"a\.tif, an image of the project 세포, is not"):
        project.image(entry)
    other = project.add(image(tmp_path / "other" / "a.tif", side=25))  # not of the same size
    assert other.name == "a-2"
    found = project.add(tmp_path / "new" / "a.tif")
    assert (found.name, found.image) == ("a", tmp_path / "new" / "a.tif")
    assert project.state(found) is State.BEGUN
    assert not project.missing()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        project.add(tmp_path / "old" / "a.tif")


def test_another_image_of_the_same_name_and_size_is_another_one(project: Project, tmp_path: Path):
    entry = project.add(image(tmp_path / "mouse 1" / "field.tif", 1))
    draw(project, entry, annotation())
    shutil.rmtree(tmp_path / "mouse 1")
    other = project.add(image(tmp_path / "mouse 2" / "field.tif", 2))
    assert other.name == "field-2"
    assert project.read_annotation(other) is None
    again = project.add(image(tmp_path / "moved" / "field.tif", 1))
    assert (again.name, again.image) == ("field", tmp_path / "moved" / "field.tif")


def test_an_image_of_which_the_content_is_not_known_is_not_guessed(
    project: Project, tmp_path: Path
):
    project.add(image(tmp_path / "old" / "a.tif"))
    file = project.folder / "project.json"
    values = json.loads(file.read_text("utf-8"))
    del values["images"][0]["content"]  # as an older version has written it
    file.write_text(json.dumps(values), "utf-8")
    (tmp_path / "old").rename(tmp_path / "new")
    again = Project.open(project.folder)
    assert again.add(tmp_path / "new" / "a.tif").name == "a-2"


def test_what_was_removed_comes_back_with_its_annotation(project: Project, tmp_path: Path):
    a, b = (project.add(image(tmp_path / f"{name}.tif")) for name in "ab")
    draw(project, a, annotation())
    project.mark(a, State.DONE)
    project.remove(a)
    assert project.entries == [b]
    assert project.find(a.image) is None
    assert project.pairs() == []
    assert project.add(a.image) == a
    assert project.state(a) is State.DONE
    with pytest.raises(ValueError, match="has no image c"):
        project.state(Entry("c", Path("c.tif")))


def test_what_a_training_can_learn_from(project: Project, tmp_path: Path):
    entries = {n: project.add(image(tmp_path / f"{n}.tif")) for n in "abcdef"}
    draw(project, entries["a"], annotation(3))
    draw(project, entries["b"], annotation(0))  # begun, and nothing drawn yet
    draw(project, entries["c"], annotation(0))  # looked through: there is nothing
    project.mark(entries["c"], State.DONE)
    draw(project, entries["d"], Annotation(annotation(0).labels, Mode.SCRIBBLES))
    project.mark(entries["d"], State.DONE)
    write_labels(project.annotation_path(entries["e"]), annotation(2).labels)
    assert [i.stem for i, _ in project.pairs()] == ["a", "c", "e"]
    region = Region((), slice(0, 10), slice(0, 10))
    draw(project, entries["d"], Annotation(annotation(1).labels, regions=(region,)))
    assert project.counts() == Counts(4, 3 * 600 + 100, 4)


def test_two_windows_on_one_project(project: Project, tmp_path: Path):
    other = Project.open(project.folder)
    a = project.add(image(tmp_path / "a.tif"))
    b = other.add(image(tmp_path / "b.tif"))
    project.mark(a, State.DONE)
    other.save_settings({"model": "x"})
    for window in (project, other, Project.open(project.folder)):
        assert window.entries == [a, b]
        assert window.state(a) is State.DONE
        assert window.settings == {"model": "x"}


def test_images_added_in_threads_have_names_of_their_own(project: Project, tmp_path: Path):
    def add(i: int) -> None:
        project.add(image(tmp_path / str(i) / "a.tif"), copy=i % 2 == 0)
        project.add_array("a", np.full((5, 6), i))

    threads = [threading.Thread(target=add, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({e.name for e in project.entries}) == 12
    assert not Project.open(project.folder).missing()


def test_a_crash_leaves_a_project_that_opens(project: Project, tmp_path: Path):
    a = project.add(image(tmp_path / "a.tif"))
    draw(project, a, annotation())  # project.json still says untouched
    names = (
        "annotations/.a.part-0123abcd.tif",
        "models/.m.part-0123abcd.safetensors",
        "images/.a.part-ab012cde.png",
    )
    rests = [project.folder / name for name in names]
    fresh = project.folder / "annotations" / ".b.part-0123abcd.tif"
    for path in (*rests, fresh):
        path.write_bytes(b"half")
    for path in rests:
        os.utime(path, (time.time() - 7200,) * 2)
    again = Project.open(project.folder)
    assert again.state(a) is State.BEGUN
    assert [i for i, _ in again.pairs()] == [a.image]
    assert not any(path.exists() for path in rests)
    assert fresh.exists()  # another window may be writing it
    project.annotation_path(a).with_suffix(".json").unlink()
    assert project.read_annotation(a) is not None


def test_a_failed_write_changes_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match=r"project\.json could not be written: the disk is full"):
            project.add(image(tmp_path / "a.tif"))
        assert project.entries == []
    assert project.add(tmp_path / "a.tif").name == "a"
    assert [e.name for e in Project.open(project.folder).entries] == ["a"]


def test_labels_put_into_the_folder_are_those_of_the_image(project: Project, tmp_path: Path):
    write_labels(project.folder / "annotations" / "a.tif", annotation(2).labels)
    entry = project.add(image(tmp_path / "a.tif"))
    assert project.state(entry) is State.BEGUN
    assert len(project.pairs()) == 1


def test_the_users_own_project_is_always_there():
    project = default_project()
    assert default_project().folder == project.folder
    assert project.folder.parent == Path(os.environ["XDG_DATA_HOME"]) / "napari-unet"
    project.save_settings({"a": 1})
    assert default_project().settings == {"a": 1}


def test_project_json_is_for_people_too(project: Project, tmp_path: Path):
    project.add(image(tmp_path / "work" / "한국어.tif"))
    values = json.loads((project.folder / "project.json").read_text("utf-8"))
    assert values["images"][0]["image"] == "../한국어.tif"
    assert "한국어" in (project.folder / "project.json").read_text("utf-8")
