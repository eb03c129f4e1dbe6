"""Files appear whole or not at all, and what stands in the way is named."""

import errno
import os
import time
from pathlib import Path

import pytest

from napari_unet import files
from napari_unet.files import clean, make_folder, write_whole


def test_the_file_appears_at_once_and_whole(tmp_path: Path):
    path = tmp_path / "한국어 a.txt"

    def write(temporary: Path) -> None:
        assert temporary.suffix == ".txt"
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")

    assert write_whole(path, write) == path
    assert [p.read_text() for p in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "it may not be written to"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, number: int, words: str):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=f"a.txt could not be written: {words}"):
        write_whole(path, fail)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_an_interrupted_write_leaves_no_rest(tmp_path: Path):
    def interrupt(temporary: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a.txt", interrupt)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.tif", "a.json", "model.safetensors", "한국어 b.png", "bare"])
def test_what_a_killed_program_left_is_removed(tmp_path: Path, name: str):
    class KilledError(Exception):
        """Ends the writing with all of it left behind."""

    rest: list[Path] = []

    def half(temporary: Path) -> None:
        rest.append(temporary.rename(tmp_path / f"{temporary.name}~"))
        raise KilledError

    with pytest.raises(KilledError):
        write_whole(tmp_path / name, half)
    left = rest[0].rename(tmp_path / rest[0].name.removesuffix("~"))
    own = (".hidden.tif", ".a-0123abcd.lock", ".bashrc-20240115", ".notes-20240115.txt")
    others = [tmp_path / other for other in (name, *own)]
    for path in others:
        path.touch()
    clean(tmp_path)
    assert left.exists()  # it may be being written
    for path in (left, *others):
        os.utime(path, (time.time() - 90,) * 2)
    clean(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_missing_folder_is_said(tmp_path: Path):
    with pytest.raises(OSError, match="its folder does not exist"):
        write_whole(tmp_path / "none" / "a.txt", Path.touch)


def test_a_very_long_name_is_written(tmp_path: Path):
    path = tmp_path / ("a" * 250 + ".tif")
    assert write_whole(path, Path.touch).exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_the_permissions_are_those_of_any_new_file(tmp_path: Path):
    def write(temporary: Path) -> None:
        temporary.touch()
        temporary.chmod(0o600)  # as safetensors does

    (tmp_path / "plain").touch()
    path = write_whole(tmp_path / "a", write)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_folders_are_made_with_those_above(tmp_path: Path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"Nothing can be written into .*file.*: a file"):
            make_folder(folder)


def test_a_read_only_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Root may write anywhere, so the system's answer is feigned.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match="it may not be written to"):
        make_folder(tmp_path)


def test_a_reader_is_waited_for_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, tries = tmp_path / "a.txt", []
    replace = Path.replace

    def busy(source: Path, target: Path) -> Path:
        tries.append(target)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "in use")
        return replace(source, target)

    monkeypatch.setattr(files, "PATIENCE", (0.0, 0.0, 0.0))
    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(files, "_WINDOWS", True)
    write_whole(path, lambda temporary: temporary.write_text("new") and None)
    assert (path.read_text(), len(tries)) == ("new", 3)
    tries.clear()
    monkeypatch.setattr(files, "_WINDOWS", False)
    with pytest.raises(OSError, match="another program has it open"):
        write_whole(path, lambda temporary: temporary.write_text("newer") and None)
    assert (path.read_text(), len(tries)) == ("new", 1)
