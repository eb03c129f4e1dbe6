"""Classes of annotated objects on disk: a table beside each annotation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.annotations import Annotation, Autosave, read_annotation, write_annotation
from napari_unet.annotations.kinds import known_kinds, read_kinds, write_kinds
from napari_unet.annotations.records import free_name
from napari_unet.annotations.versions import version_of
from napari_unet.batch import load_pairs
from napari_unet.config import Preprocessing, Target
from napari_unet.images import read_classes, table_of
from napari_unet.patches import annotated_planes, teach

FRUIT = {1: "apple", 3: "pear"}


@pytest.fixture
def drawn() -> Annotation:
    labels = np.zeros((20, 30), np.int32)
    labels[2:8, 2:8], labels[10:15, 10:15], labels[16:, 20:] = 1, 2, 3
    return Annotation(labels, classes=FRUIT)


def test_classes_come_back_with_an_annotation_and_train_reads_them(drawn, tmp_path: Path) -> None:
    path = write_annotation(tmp_path / "a.tif", drawn)
    assert read_annotation(path).classes == FRUIT
    assert read_classes(table_of(path), ("background", "pear", "apple")) == {1: 2, 3: 1}
    write_annotation(tmp_path / "b.tif", replace(drawn, classes={2: "plum, ripe"}))
    assert known_kinds(tmp_path / name for name in ("a.tif", "b.tif", "c.tif")) == [
        "apple",
        "pear",
        "plum, ripe",
    ]
    write_annotation(path, replace(drawn, classes={}))
    assert read_annotation(path).classes == {}
    assert not table_of(path).exists()


def test_labels_of_others_have_classes_too(tmp_path: Path) -> None:
    path = write_annotation(tmp_path / "a.tif", Annotation(np.ones((9, 9), np.int32)))
    path.with_suffix(".json").unlink()
    text = "\ufeffarea,label,class\n9,1, apple \n9,,pear\n9,2,\n9,all,pear\n"
    table_of(path).write_text(text, "utf-8")
    assert read_annotation(path).classes == {1: "apple"}


def test_a_table_of_something_else_stays(drawn, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    table_of(path).write_text("label,area\n1,36\n", "utf-8")
    assert read_kinds(path) == {}
    write_kinds(path, {})
    with pytest.raises(ValueError, match=r"a\.csv is no table of classes"):
        write_kinds(path, FRUIT)
    assert table_of(path).read_text("utf-8") == "label,area\n1,36\n"


def test_a_class_that_changed_is_saved_by_itself(drawn, tmp_path: Path) -> None:
    saver, path = Autosave(0.0), tmp_path / "a.tif"
    saver.submit(path, drawn)
    assert saver.flush()
    before = version_of(path)
    for kinds in ({**FRUIT, 2: "pear"}, {}):
        saver.submit(path, replace(drawn, classes=kinds))
        assert saver.flush()
        assert read_annotation(path).classes == kinds
    table_of(path).write_text("label,class\n1,plum\n", "utf-8")  # somebody else
    assert version_of(path) != before
    saver.submit(path, drawn)
    assert saver.close()
    assert read_annotation(tmp_path / "a-other.tif").classes == {1: "plum"}
    assert read_annotation(path).classes == FRUIT


@pytest.mark.parametrize("content", ["größe;µm\n1;2\n".encode("cp1252"), "a,b".encode("utf-16")])
def test_a_table_of_another_program_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert read_kinds(tmp_path / "a.tif") == {}
    with pytest.raises(ValueError, match=r"a\.csv is no table of classes"):
        write_kinds(tmp_path / "a.tif", {1: "apple"})
    assert (tmp_path / "a.csv").read_bytes() == content


def test_images_whose_names_differ_by_ome_alone_have_tables_of_their_own() -> None:
    first, second = "x", free_name("x.ome", ["x"])
    tables = {table_of(Path(f"{name}.tif")) for name in (first, second)}
    assert len(tables) == 2


def test_an_image_without_objects_needs_no_classes(tmp_path: Path) -> None:
    for number, name in enumerate(("full", "empty")):
        labels = np.zeros((20, 20), np.int32)
        labels[5:9, 5:9] = 1 - number
        tifffile.imwrite(tmp_path / f"{name}_image.tif", labels.astype(np.uint8))
        tifffile.imwrite(tmp_path / f"{name}.tif", labels)
    (tmp_path / "full.csv").write_text("label,class\n1,apple\n")
    paths = [(tmp_path / f"{n}_image.tif", tmp_path / f"{n}.tif") for n in ("full", "empty")]
    pairs = list(load_pairs(paths, classes=("background", "apple", "pear")))
    assert [pair.classes for pair in pairs] == [{1: 1}, {}]
    target = Target(classes=("background", "apple", "pear"))
    examples = [
        example
        for pair in pairs
        for example in teach_all(pair.image, pair.labels, target, pair.classes)
    ]
    assert [int(example.target[0].max()) for example in examples] == [1, 0]


def teach_all(image, labels, target, classes):
    planes = annotated_planes(image, labels, Preprocessing(), classes=classes)
    return [teach(plane, target) for plane in planes]
