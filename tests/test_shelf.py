"""The user's models: named, renamed, deleted, exported and imported, whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_unet import files
from napari_unet.config import Preprocessing, Target, UNetConfig
from napari_unet.library import (
    BUNDLED,
    KEY,
    SUFFIX,
    Card,
    Hold,
    check_name,
    delete,
    export,
    free_name,
    import_model,
    is_bundled,
    is_held,
    is_taken,
    list_models,
    read_card,
    rename,
    score_of,
    shelf,
    summary,
)

CARD = Card(
    UNetConfig(),
    Target(),
    Preprocessing(diameter=17.5, pixel_size=0.5),
    {"data": "a dozen images", "licence": "CC0", "training": {"iteration": 200, "seconds": 300}},
)
LEFT = (".safetensors", ".last.safetensors", ".resume.safetensors", ".log.csv")


def write(path: Path, card: Card = CARD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"a": np.zeros((2, 3), np.float32)}, path, {KEY: card.to_json()})
    return path


def trained(folder: Path, name: str) -> list[Path]:
    """Write a model with all that its training leaves."""
    write(folder / f"{name}{SUFFIX}")
    for ending in LEFT[1:]:
        (folder / f"{name}{ending}").write_text(ending)
    return [folder / f"{name}{ending}" for ending in LEFT]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "name",
    ["yeast", "My yeast 2", "a_b-c.d", "세포", "é", "e\u0301t", "x" * 60, "nuclei 2", "v1.5"],
)
def test_names_that_are_possible(name: str) -> None:
    assert check_name(name) == name
    assert free_name(name, Path("nowhere")) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "type at least one letter"),
        ("  ", "type at least one letter"),
        ("a/b", "leave out '/'"),
        ("a\\b", r"leave out '\\\\'"),
        ("a:b", "leave out ':'"),
        ("a\n", r"leave out '\\n'"),
        (".hidden", "begin and end with a letter"),
        (" a", "begin and end with a letter"),
        ("a.", "begin and end with a letter"),
        ("-yes", "begins an option"),
        ("x" * 61, "has 61 letters; shorten it to 60"),
        ("a.last", r"files of a training end in \.last"),
        ("a.Resume", r"files of a training end in \.Resume"),
        ("a.safetensors", r"end in \.safetensors"),
        ("NUL", "Windows keeps it"),
        ("com1.x", "Windows keeps it"),
        ("nuclei", "comes with napari-unet has it"),
        ("Nuclei", "comes with napari-unet has it"),
    ],
)
def test_names_that_are_not_possible_and_what_comes_near(
    tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        check_name(name)
    assert str(caught.value).startswith(f"{name!r} cannot be a model's name: ")
    assert "\n" not in str(caught.value)
    assert check_name(free_name(name, tmp_path))


def test_free_name_counts_up_and_heeds_what_a_training_left(tmp_path: Path) -> None:
    trained(tmp_path, "yeast")
    (tmp_path / "yeast-2.resume.safetensors").touch()
    assert free_name("yeast", tmp_path) == "yeast-3"
    assert free_name("my/yeast:b.last", tmp_path) == "my-yeast-b-last"
    assert is_taken("yeast-2", tmp_path)
    assert not is_taken("../yeast", tmp_path / "x")
    long = "y" * 60
    write(tmp_path / f"{long}.safetensors")
    assert free_name(long, tmp_path) == "y" * 58 + "-2"


def test_rename_takes_along_what_the_training_left(tmp_path: Path) -> None:
    trained(tmp_path, "yeast.v1")
    assert rename("yeast.v1", "세포 2", tmp_path) == tmp_path / "세포 2.safetensors"
    assert names(tmp_path) == sorted(f"세포 2{ending}" for ending in LEFT)
    assert (tmp_path / "세포 2.log.csv").read_text() == ".log.csv"
    assert read_card(tmp_path / "세포 2.safetensors") == CARD


@pytest.mark.parametrize("ending", LEFT)
def test_rename_writes_over_nothing(tmp_path: Path, ending: str) -> None:
    trained(tmp_path, "yeast")
    (tmp_path / f"other{ending}").write_text("mine")
    before = names(tmp_path)
    with pytest.raises(ValueError, match="There is a model named 'other' already: choose"):
        rename("yeast", "other", tmp_path)
    assert names(tmp_path) == before
    assert (tmp_path / f"other{ending}").read_text() == "mine"
    with pytest.raises(ValueError, match="There is a model named 'yeast' already"):
        rename("yeast", "yeast", tmp_path)


def test_rename_that_fails_half_way_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [path.name for path in trained(tmp_path, "yeast")]
    real = Path.rename

    def refuse(path: Path, new: Path) -> Path:
        if path.name.startswith("yeast.resume"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, new)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(
        OSError, match=r"yeast\.resume\.safetensors could not be renamed: it is wri"
    ):
        rename("yeast", "other", tmp_path)
    assert names(tmp_path) == sorted(before)


def test_delete_takes_everything_of_that_name_and_nothing_else(tmp_path: Path) -> None:
    gone = trained(tmp_path, "yeast")
    kept = [*trained(tmp_path, "yeast 2"), *trained(tmp_path, "yeast.b")]
    assert delete("yeast", tmp_path) == gone
    assert names(tmp_path) == sorted(path.name for path in kept)


def test_delete_that_is_refused_is_told_and_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, "yeast")

    def refuse(path: Path, **_: bool) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(OSError, match="could not be deleted: it is write-protected or open in"):
            delete("yeast", tmp_path)
    assert "yeast" in list_models(tmp_path)
    delete("yeast", tmp_path)
    assert names(tmp_path) == []


def test_broken_model_is_listed_renamed_and_deleted(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"no model")
    assert "broken" in list_models(tmp_path)
    rename("broken", "bad", tmp_path)
    with pytest.raises(ValueError, match="is no complete"):
        export("bad", tmp_path / "x.safetensors", tmp_path)
    delete("bad", tmp_path)


@pytest.mark.parametrize("folder", ["none yet", "a file"])
def test_bundled_and_unknown_models_stay(tmp_path: Path, folder: str) -> None:
    place = tmp_path / "models"
    if folder == "a file":
        place.touch()
    assert list(list_models(place)) == ["nuclei", "cells"]
    assert is_bundled("nuclei", place)
    for act in (delete, lambda name, at: rename(name, "mine", at)):
        with pytest.raises(ValueError, match="nuclei comes with napari-unet and stays as it is"):
            act("nuclei", place)
        for name in ("gone", "", "..", "../weights/nuclei", str(tmp_path)):
            with pytest.raises(FileNotFoundError, match=r"You have no model named .*models: none"):
                act(name, place)
    assert (BUNDLED / "nuclei.safetensors").is_file()


def test_a_model_of_ones_own_under_a_bundled_name_can_be_deleted(tmp_path: Path) -> None:
    write(tmp_path / "nuclei.safetensors")
    assert not is_bundled("nuclei", tmp_path)
    delete("nuclei", tmp_path)
    assert list_models(tmp_path)["nuclei"].parent == BUNDLED


def test_exported_model_is_imported_again(tmp_path: Path) -> None:
    own, usb, other = (tmp_path / name for name in ("own", "usb stick", "other"))
    source = trained(own, "yeast")[0]
    usb.mkdir()
    assert export("yeast", usb, own) == usb / "yeast.safetensors"
    assert export("yeast", usb / "b" / "given", own) == usb / "b" / "given.safetensors"
    assert import_model(usb / "yeast.safetensors", folder=other) == "yeast"
    assert import_model(usb / "yeast.safetensors", folder=other) == "yeast-2"
    assert import_model(usb / "yeast.safetensors", "mine", other) == "mine"
    assert names(other) == ["mine.safetensors", "yeast-2.safetensors", "yeast.safetensors"]
    assert (other / "mine.safetensors").read_bytes() == source.read_bytes()
    with pytest.raises(ValueError, match="There is a model named 'mine' already"):
        import_model(usb / "yeast.safetensors", "mine", other)
    assert import_model(export("nuclei", tmp_path / "n", own), folder=own) == "n"


def test_export_writes_over_a_file_only_if_told(tmp_path: Path) -> None:
    own, path = tmp_path / "own", tmp_path / "mine.safetensors"
    source = write(own / "yeast.safetensors")
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"mine\.safetensors exists already\."):
        export("yeast", path, own)
    assert path.read_text() == "mine"
    export("yeast", path, own, overwrite=True)
    assert read_card(path) == CARD
    with pytest.raises(ValueError, match="is the model itself"):
        export("yeast", source, own, overwrite=True)
    with pytest.raises(ValueError, match=r"mine\.pt cannot be a model's name"):
        export("yeast", tmp_path / "mine.pt", own)


def test_import_of_what_is_no_complete_model_leaves_nothing(tmp_path: Path) -> None:
    own, source = tmp_path / "own", write(tmp_path / "a.safetensors")
    foreign, cut = tmp_path / "foreign.safetensors", tmp_path / "cut.safetensors"
    save_file({"a": np.zeros(3)}, foreign)
    cut.write_bytes(source.read_bytes()[:-1])
    for path, words in [(foreign, "holds no napari-unet model"), (cut, "is no complete")]:
        with pytest.raises(ValueError, match=words):
            import_model(path, folder=own)
    (tmp_path / "a.pt").touch()
    with pytest.raises(ValueError, match="pickles"):
        import_model(tmp_path / "a.pt", folder=own)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        import_model(tmp_path / "gone.safetensors", folder=own)
    with pytest.raises(ValueError, match="leave out '/'"):
        import_model(source, "../x", own)
    assert not own.exists()


def test_copy_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, own = write(tmp_path / "a.safetensors"), tmp_path / "own"

    def fill_the_disk(_: Path, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shelf.shutil, "copyfile", fill_the_disk)
    with pytest.raises(OSError, match=r"a\.safetensors could not be written: the disk is full"):
        import_model(source, folder=own)
    assert names(own) == []
    # Nor a copy that was cut short, as by a network drive, without an error.
    monkeypatch.setattr(shelf.shutil, "copyfile", lambda _, path: path.write_bytes(b"half"))
    with pytest.raises(ValueError, match="is no complete"):
        import_model(source, folder=own)
    assert names(own) == []


def test_folder_that_cannot_be_written_to_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "a.safetensors")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Nothing can be written into"):
        import_model(source, folder=tmp_path / "file")
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(OSError, match=r"Nothing can be written into .* may not be written to"):
        import_model(source, folder=tmp_path / "own")


def test_model_that_is_trained_stays_until_the_training_ends(tmp_path: Path) -> None:
    path = trained(tmp_path, "yeast")[0]
    hold = Hold(path)
    assert is_held(path)
    for act in (delete, lambda name, at: rename(name, "other", at), lambda *_: Hold(path)):
        with pytest.raises(OSError, match="yeast is being trained just now: stop that first"):
            act("yeast", tmp_path)
    assert export("yeast", tmp_path / "copy.safetensors", tmp_path).is_file()
    with Hold(tmp_path / "begun.safetensors"):  # which has saved nothing yet
        trained(tmp_path, "mould")
        with pytest.raises(OSError, match="begun is being trained just now"):
            rename("mould", "begun", tmp_path)
        with pytest.raises(ValueError, match="There is a model named 'begun' already"):
            import_model(path, "begun", tmp_path)
        assert free_name("begun", tmp_path) != "begun"
    assert "yeast" in list_models(tmp_path)
    hold.release()
    hold.release()
    assert not is_held(path)
    assert ".yeast.lock" not in names(tmp_path)
    with Hold(tmp_path / "new" / "other.safetensors") as other:
        assert not is_held(path)
    other.release()
    delete("yeast", tmp_path)


def test_model_that_another_program_trains_is_free_once_that_is_killed(tmp_path: Path) -> None:
    path = trained(tmp_path, "yeast")[0]
    code = (
        "import sys, time; from pathlib import Path; from napari_unet.library import Hold;"
        f" hold = Hold(Path({str(path)!r})); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert is_held(path)
        with pytest.raises(OSError, match="is being trained just now"):
            delete("yeast", tmp_path)
    finally:
        process.kill()
        process.communicate()
    assert not is_held(path)
    delete("yeast", tmp_path)
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="flock is not there")
def test_disk_without_locks_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Hold(tmp_path / "yeast.safetensors"):
        assert not is_held(tmp_path / "yeast.safetensors")


def test_summary_of_a_card_in_words() -> None:
    told = {
        **CARD.provenance,
        "validation": {"loss": 0.1234, "iou": 0.5, "ap50": 0.61},
        "started_from": {"name": "nuclei", "data": "DSB 2018"},
    }
    rule = replace(CARD.preprocessing, zoom=0.5)  # so that images have objects twice as large
    rows = dict(summary(replace(CARD, preprocessing=rule, provenance=told)))
    assert rows == {
        "Finds": "objects, about 35 pixels across (8.75 µm)",
        "Trained on": "a dozen images",
        "Started from": "nuclei (DSB 2018)",
        "Validation": "loss 0.123, IoU 0.5, AP@0.5 0.61",
        "Training": "200 steps in 5 minutes",
        "Licence": "CC0",
        "Input": "gray images",
    }
    areas = Card(UNetConfig(in_channels=2), Target(instances=False), Preprocessing(channels=2))
    assert dict(summary(areas)) == {
        "Finds": "areas: object; it has not been taught anything yet",
        "Input": "images of 2 channels",
    }


@pytest.mark.parametrize("odd", [None, 3, "x", [1], {"ap50": "high", "a": None}, {}])
def test_summary_of_an_odd_card_fails_not(odd: object) -> None:
    keys = ("scores", "validation", "training", "started_from", "data", "date", "description")
    card = replace(CARD, provenance=dict.fromkeys(keys, odd))
    assert all(isinstance(text, str) for _, text in summary(card))
    assert score_of(card) is None


def test_score_is_that_of_the_test_or_else_of_the_validation() -> None:
    bundled = read_card(BUNDLED / "nuclei.safetensors")
    assert score_of(bundled) == bundled.provenance["scores"]["0.5"]
    assert score_of(replace(CARD, provenance={"validation": {"ap50": 0.4}})) == 0.4
    assert score_of(CARD) is None
