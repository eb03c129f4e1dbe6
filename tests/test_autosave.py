"""What is drawn is on disk soon, written as seldom as that allows, and never lost."""

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import tifffile

from napari_unet.annotations import (
    Annotation,
    Autosave,
    Mode,
    Region,
    copies,
    read_annotation,
    storage,
)
from napari_unet.annotations import autosave as module
from napari_unet.annotations.versions import version_of
from napari_unet.images import read_labels, write_labels

INTERVAL = 0.1


def annotation(value: int) -> Annotation:
    labels = np.zeros((20, 30), np.int32)
    labels[5:9, 5:9] = value
    return Annotation(labels)


def wait(condition: object, seconds: float = 10.0) -> bool:
    """Wait until a callable says True."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Names and values, as they are written."""
    written: list[tuple[str, int]] = []
    real = storage.write_annotation

    def write(path: Path, drawn: Annotation) -> Path:
        written.append((path.name, int(drawn.labels.max())))
        return real(path, drawn)

    monkeypatch.setattr(storage, "write_annotation", write)
    return written


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def autosave(reports: list[str]) -> Iterator[Autosave]:
    autosave = Autosave(INTERVAL, reports.append)
    yield autosave
    assert autosave.close(10)


def test_a_burst_is_written_once(tmp_path: Path, autosave: Autosave, writes: list):
    start = time.monotonic()
    for value in range(1, 51):
        autosave.submit(tmp_path / "a.tif", annotation(value))
    assert autosave.pending
    assert not (tmp_path / "a.tif").exists()
    assert wait(lambda: not autosave.pending)
    assert time.monotonic() - start >= INTERVAL
    assert writes == [("a.tif", 50)]
    assert read_annotation(tmp_path / "a.tif").labels.max() == 50


def test_one_who_never_pauses_is_saved_all_the_same(
    tmp_path: Path, autosave: Autosave, writes: list
):
    start = time.monotonic()
    value = 0
    while len(writes) < 2 and time.monotonic() - start < 100 * INTERVAL:
        value += 1
        autosave.submit(tmp_path / "a.tif", annotation(value))
        time.sleep(0.005)
    assert 2 <= len(writes) < value / 2
    assert autosave.flush(10)
    assert writes[-1] == ("a.tif", value)


def test_a_flush_does_not_wait_for_one_who_never_pauses(
    tmp_path: Path, autosave: Autosave, stack: np.ndarray
):
    over = Event()

    def paint() -> None:
        for value in range(1, 100_000):
            stack[1, value % 5] = value
            autosave.submit(tmp_path / "a.tif", Annotation(stack))
            if over.wait(0.001):
                return

    painter = Thread(target=paint)
    painter.start()
    try:
        for _ in range(5):
            assert autosave.flush(5)
    finally:
        over.set()
        painter.join()
    assert autosave.flush(10)
    np.testing.assert_array_equal(read_annotation(tmp_path / "a.tif").labels, stack)


def test_only_what_changed_is_written(tmp_path: Path, autosave: Autosave, writes: list):
    for path, value in (("a.tif", 1), ("b.tif", 2), ("a.tif", 1), ("b.tif", 3)):
        autosave.submit(tmp_path / path, annotation(value))
        assert autosave.flush(10)
    assert writes == [("a.tif", 1), ("b.tif", 2), ("b.tif", 3)]
    (tmp_path / "a.tif").unlink()
    autosave.submit(tmp_path / "a.tif", annotation(1))
    assert autosave.flush(10)
    assert writes[3:] == [("a.tif", 1)]


def test_what_was_read_is_not_written_again(tmp_path: Path, autosave: Autosave, writes: list):
    path = storage.write_annotation(tmp_path / "a.tif", annotation(4))
    autosave.known(path, read_annotation(path))
    autosave.submit(path, annotation(4))
    assert autosave.flush(10)
    assert writes == [("a.tif", 4)]
    region = Region((), slice(0, 3), slice(0, 3))
    autosave.submit(path, Annotation(annotation(4).labels, regions=(region,)))
    assert autosave.flush(10)
    autosave.submit(path, Annotation(annotation(4).labels, Mode.SCRIBBLES, (region,)))
    assert autosave.flush(10)
    assert len(writes) == 3


def test_a_layer_that_is_painted_meanwhile_ends_on_disk_as_it_is(
    tmp_path: Path, autosave: Autosave
):
    labels = np.zeros((256, 256), np.int32)
    for value in range(1, 200):
        labels[value % 256] = value
        autosave.submit(tmp_path / "a.tif", lambda: Annotation(labels))
        time.sleep(0.002)
    assert autosave.flush(10)
    np.testing.assert_array_equal(read_annotation(tmp_path / "a.tif").labels, labels)


def test_a_change_during_a_write_is_written_after_it(
    tmp_path: Path, autosave: Autosave, monkeypatch: pytest.MonkeyPatch
):
    real = storage.write_annotation
    begun, go_on, written = Event(), Event(), Event()

    def slow(path: Path, drawn: Annotation) -> Path:
        begun.set()
        assert go_on.wait(10)
        written.set()
        return real(path, drawn)

    monkeypatch.setattr(storage, "write_annotation", slow)
    autosave.submit(tmp_path / "a.tif", annotation(1))
    assert begun.wait(10)
    assert not autosave.flush(0.01)
    autosave.submit(tmp_path / "a.tif", annotation(2))
    assert not written.is_set()  # the window waits for no disk
    go_on.set()
    assert autosave.flush(10)
    assert read_annotation(tmp_path / "a.tif").labels.max() == 2


def test_a_full_disk_is_told_and_nothing_lost(
    tmp_path: Path, autosave: Autosave, reports: list[str], monkeypatch: pytest.MonkeyPatch
):
    tries = []

    def full(*_: object, **__: object) -> None:
        tries.append(time.monotonic())
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tifffile, "imwrite", full)
        autosave.submit(tmp_path / "a.tif", annotation(1))
        assert wait(lambda: len(tries) == 2)
        autosave.submit(tmp_path / "a.tif", annotation(2))
        autosave.submit(tmp_path / "a.tif", annotation(3))
        assert wait(lambda: len(tries) == 4)
        assert min(np.diff(tries)) > INTERVAL / 2
        assert not autosave.flush(10)
        assert autosave.pending
        assert "a.tif could not be written: the disk is full; free some space" in autosave.problem
        assert reports == [autosave.problem]  # once, however often it is tried
        assert not list(tmp_path.iterdir())
    assert wait(lambda: reports[-1] == "")
    assert read_annotation(tmp_path / "a.tif").labels.max() == 3
    assert autosave.problem == ""


def test_what_is_not_on_disk_can_be_asked_for(
    tmp_path: Path, autosave: Autosave, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.tif"
    assert autosave.pending_of(path) is None
    begun, go_on = Event(), Event()

    def full(*_: object, **__: object) -> None:
        begun.set()
        assert go_on.wait(10)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tifffile, "imwrite", full)
        autosave.submit(path, lambda: annotation(7))
        assert begun.wait(10)
        at_hand = autosave.pending_of(path)
        assert at_hand is not None
        assert at_hand.labels.max() == 7
        go_on.set()
        assert not autosave.flush(10)
        waiting = autosave.pending_of(path)
        assert waiting is not None
        assert waiting.labels.max() == 7
        assert autosave.pending_of(tmp_path / "b.tif") is None
    assert autosave.flush(10)
    assert autosave.pending_of(path) is None


@pytest.mark.parametrize("read", [True, False])
def test_two_windows_on_one_image_write_over_nothing(
    tmp_path: Path, autosave: Autosave, reports: list[str], read: bool
):
    path, other = tmp_path / "a.tif", Autosave(INTERVAL)
    if read:
        storage.write_annotation(path, annotation(1))
        for window in (autosave, other):
            window.known(path, read_annotation(path))
    region = Region((), slice(0, 3), slice(0, 3))
    other.submit(path, Annotation(annotation(2).labels, regions=(region,)))
    assert other.close(10)
    for value in (3, 4):
        autosave.submit(path, annotation(value))
        assert autosave.flush(10)
    assert read_annotation(path).labels.max() == 4
    kept = read_annotation(tmp_path / "a-other.tif")
    assert (kept.labels.max(), kept.regions) == (2, (region,))
    assert len(list(tmp_path.glob("*.tif"))) == 2
    assert [r for r in reports if "a-other.tif" in r] == [
        "a.tif was changed by another window or program: that version is kept as a-other.tif beside"
        " it; annotate an image in one window only."
    ]


def test_what_somebody_writes_while_it_is_read_is_kept(tmp_path: Path, autosave: Autosave):
    path = storage.write_annotation(tmp_path / "a.tif", annotation(1))
    version, read = version_of(path), read_annotation(path)
    storage.write_annotation(path, annotation(2))
    autosave.known(path, read, version)
    autosave.submit(path, annotation(3))
    assert autosave.flush(10)
    assert read_annotation(tmp_path / "a-other.tif").labels.max() == 2


def test_a_writing_that_fails_halfway_is_nobody_elses(
    tmp_path: Path, autosave: Autosave, reports: list[str], monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = storage.write_annotation(tmp_path / "a.tif", annotation(1))
    autosave.known(path, read_annotation(path))
    with monkeypatch.context() as patch:
        patch.setattr(storage, "_write_sidecar", full)
        autosave.submit(path, annotation(2))
        assert not autosave.flush(10)
    assert autosave.flush(10)
    assert not list(tmp_path.glob("*other*"))
    assert not any("another window" in report for report in reports)


def test_a_damaged_file_is_kept_as_it_is(tmp_path: Path, autosave: Autosave):
    path = tmp_path / "a.tif"
    path.write_bytes(b"damaged")
    autosave.submit(path, annotation(1))
    assert autosave.flush(10)
    assert (tmp_path / "a-other.tif").read_bytes() == b"damaged"
    assert read_annotation(path).labels.max() == 1


def test_a_file_in_the_way_does_not_hold_up_the_others(
    tmp_path: Path, autosave: Autosave, reports: list[str]
):
    (tmp_path / "file").touch()
    autosave.submit(tmp_path / "file" / "a.tif", annotation(1))
    autosave.submit(tmp_path / "b.tif", annotation(2))
    assert not autosave.flush(10)
    assert read_annotation(tmp_path / "b.tif").labels.max() == 2
    assert wait(lambda: reports)
    assert "a file is where a folder is needed" in reports[0] or "in the way" in reports[0]
    (tmp_path / "file").unlink()
    assert autosave.flush(10)
    assert (tmp_path / "file" / "a.tif").exists()


def test_what_nobody_foresaw_is_told_and_tried_again(
    tmp_path: Path, autosave: Autosave, reports: list[str]
):
    calls = []

    def snapshot() -> Annotation:
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("shape")
        return annotation(1)

    autosave.submit(tmp_path / "a.tif", snapshot)
    assert wait(lambda: reports == [reports[0], ""] if len(reports) > 1 else False)
    assert "KeyError" in reports[0]
    assert (tmp_path / "a.tif").exists()


def test_a_window_that_is_gone_stops_no_writing(tmp_path: Path):
    def gone(sentence: str) -> None:
        raise RuntimeError("wrapped C/C++ object has been deleted")

    (tmp_path / "file").touch()
    autosave = Autosave(INTERVAL, gone)
    autosave.submit(tmp_path / "file" / "a.tif", annotation(1))
    assert not autosave.flush(10)
    (tmp_path / "file").unlink()
    assert autosave.close(10)
    assert (tmp_path / "file" / "a.tif").exists()


def test_closed_and_used_again(tmp_path: Path):
    autosave = Autosave(INTERVAL)
    assert autosave.close()
    for value in (1, 2):
        autosave.submit(tmp_path / "a.tif", annotation(value))
        assert autosave.close(10)
        assert read_annotation(tmp_path / "a.tif").labels.max() == value


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Labels that are written by planes."""
    monkeypatch.setattr(copies, "LARGE", 1000)
    return np.zeros((2, 5, 20, 30), np.int32)


def by_planes(path: Path) -> list[str]:
    """Return the planes that were written after the whole."""
    return sorted(p.stem.split("-", 1)[1] for p in path.with_suffix(".planes").glob("*"))


def save(autosave: Autosave, path: Path, drawn: Annotation) -> None:
    autosave.submit(path, drawn)
    assert wait(lambda: not autosave.pending)


def test_of_a_stack_planes_are_written_and_all_when_nothing_changes(
    tmp_path: Path, autosave: Autosave, writes: list, stack: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    path = tmp_path / "a.tif"
    stack[0, 0, 2:5] = 1
    save(autosave, path, Annotation(stack))
    for z in (2, 4, 2):
        stack[1, z, z, :] += z
        save(autosave, path, Annotation(stack))
        np.testing.assert_array_equal(read_annotation(path).labels, stack)
    region = Region((1, 2), slice(0, 3), slice(0, 3))
    save(autosave, path, Annotation(stack, regions=(region,)))
    assert read_annotation(path).regions == (region,)
    assert by_planes(path) == ["1-2", "1-4"]
    assert len(writes) == 1
    assert not read_labels(path)[1].max() > 0
    monkeypatch.setattr(module, "SETTLING", 0.05)
    stack[1, 3] = 9
    save(autosave, path, Annotation(stack, regions=(region,)))
    assert wait(lambda: len(writes) == 2)
    assert autosave.flush(10)
    assert len(writes) == 2
    assert not by_planes(path)
    assert not path.with_suffix(".planes").exists()
    np.testing.assert_array_equal(read_annotation(path).labels, stack)
    np.testing.assert_array_equal(read_labels(path), Annotation(stack, regions=(region,)).target())


def test_a_stack_is_whole_after_a_flush(
    tmp_path: Path, autosave: Autosave, writes: list, stack: np.ndarray
):
    path = tmp_path / "a.tif"
    save(autosave, path, Annotation(stack))
    stack[1, 2] = 3
    save(autosave, path, Annotation(stack))
    assert by_planes(path) == ["1-2"]
    assert autosave.flush(10)
    assert not by_planes(path)
    stack[1, 4] = 3
    autosave.submit(path, Annotation(stack))
    assert autosave.flush(10)
    assert not by_planes(path)
    assert len(writes) == 3
    np.testing.assert_array_equal(read_labels(path), Annotation(stack).target())
    save(autosave, path, Annotation(stack, Mode.SCRIBBLES))  # all of it means another thing
    assert len(writes) == 4


def test_who_cannot_wait_has_the_planes_at_least(
    tmp_path: Path, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.tif"
    autosave = Autosave(INTERVAL)
    save(autosave, path, Annotation(stack))
    real, go_on = storage.write_annotation, Event()

    def slow(path: Path, drawn: Annotation) -> Path:
        assert go_on.wait(10)
        return real(path, drawn)

    monkeypatch.setattr(storage, "write_annotation", slow)
    stack[1, 2] = 3
    autosave.submit(path, Annotation(stack))
    assert not autosave.close(0.2)
    np.testing.assert_array_equal(read_annotation(path).labels, stack)
    go_on.set()
    assert autosave.close(10)
    np.testing.assert_array_equal(read_labels(path), Annotation(stack).target())


def test_planes_of_a_stack_that_was_written_anew_do_not_count(
    tmp_path: Path, autosave: Autosave, stack: np.ndarray
):
    path = tmp_path / "a.tif"
    save(autosave, path, Annotation(stack))
    stack[1, 2] = 3
    save(autosave, path, Annotation(stack))
    left = {p: p.read_bytes() for p in path.with_suffix(".planes").iterdir()}
    assert len(left) == 1
    storage.write_annotation(path, Annotation(stack * 2))  # another window
    path.with_suffix(".planes").mkdir()
    for plane, content in left.items():  # as after a crash in between
        plane.write_bytes(content)
    np.testing.assert_array_equal(read_annotation(path).labels, stack * 2)
    twice = stack * 2
    stack[0, 0] = 1
    save(autosave, path, Annotation(stack))
    np.testing.assert_array_equal(read_annotation(path).labels[0, 0], stack[0, 0])
    np.testing.assert_array_equal(read_annotation(tmp_path / "a-other.tif").labels, twice)
    write_labels(path, stack)  # another program
    stack[1, 1] = 8
    save(autosave, path, Annotation(stack))
    np.testing.assert_array_equal(read_annotation(path).labels, stack)


def test_planes_that_a_crash_left_are_put_into_the_stack(
    tmp_path: Path, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "SETTLING", 0.05)
    path = storage.write_annotation(tmp_path / "a.tif", Annotation(stack))
    stack[1, 2] = 3
    assert storage.write_planes(path, Annotation(stack), [(1, 2)])
    autosave = Autosave(INTERVAL)
    autosave.known(path, read_annotation(path))
    assert wait(lambda: not path.with_suffix(".planes").exists())
    np.testing.assert_array_equal(read_annotation(path).labels, stack)
    assert autosave.close(10)


def test_a_full_disk_loses_no_plane(
    tmp_path: Path, autosave: Autosave, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.tif"
    save(autosave, path, Annotation(stack))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tifffile, "imwrite", full)
        stack[1, 2] = 3
        autosave.submit(path, Annotation(stack))
        assert wait(lambda: autosave.problem)
        stack[1, 3] = 4
        autosave.submit(path, Annotation(stack))
        assert not autosave.flush(10)
    assert wait(lambda: not autosave.problem)
    np.testing.assert_array_equal(read_annotation(path).labels, stack)


def test_copies_are_few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, autosave: Autosave):
    monkeypatch.setattr(copies, "MEMORY", 5000)
    for name in "abcdef":
        autosave.submit(tmp_path / f"{name}.tif", annotation(1))
        assert autosave.flush(10)
    assert len(autosave._copies._copies) == 3  # 2400 bytes each


PAINT = """
import sys, time
import numpy as np
from napari_unet.annotations import Annotation, Autosave
labels = np.zeros((512, 512), np.int32)
autosave = Autosave(float(sys.argv[2]))
for value in range(1, int(sys.argv[3])):
    labels[value % 512] = value
    autosave.submit(sys.argv[1], Annotation(labels))
    print(value, time.monotonic(), flush=True)
    time.sleep(0.01)
"""


def test_kill_loses_a_moment_at_most(tmp_path: Path):
    path = tmp_path / "a.tif"
    command = [sys.executable, "-c", PAINT, str(path), "0.3", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert wait(path.exists, 30)
        time.sleep(1)
        process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        killed = time.monotonic()
        out, _ = process.communicate()
    painted = [line.split() for line in out.splitlines() if line.count(" ") == 1]
    saved = read_annotation(path).labels.max()  # whole, whenever the kill came
    lost = [float(when) for value, when in painted if int(value) > saved]
    assert killed - min(lost, default=killed) < 2


def test_the_end_of_the_interpreter_waits_for_the_disk(tmp_path: Path):
    # (Also that nothing of what writes is first loaded at that time, which fails.)
    path = tmp_path / "a.tif"
    command = [sys.executable, "-W", "error", "-c", PAINT, str(path), "60", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
    assert read_annotation(path).labels.max() == 4
