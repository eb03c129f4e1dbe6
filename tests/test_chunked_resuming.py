"""A run that ends early, for whatever reason, loses nothing and leaves nothing that is wrong."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from _drawn import CARD, CONFIG, Drawn, chunked, drawing, in_memory, steps
from napari_unet.chunked import OtherSettings, Source, segment_chunked
from napari_unet.chunked.work import Work
from napari_unet.prediction import run_to_end


def test_it_goes_on_where_it_was_stopped(tmp_path: Path):
    """Whenever that was: each run does a few tasks more."""
    image, engine = drawing(seed=12), Drawn()
    for done in range(1, 100, 7):
        work = steps(image, tmp_path, engine=engine)
        try:
            for _ in range(done):
                next(work)
            work.send(True)
        except StopIteration as end:
            if end.value is not None:
                break
    labels = zarr.open_array(tmp_path / "labels.zarr" / "0", mode="r")[:]
    np.testing.assert_array_equal(labels, in_memory(image))
    once = Drawn()
    chunked(image, tmp_path, engine=once, force=True)
    assert engine.calls <= once.calls + 8  # a stop loses no chunk that was done


KILLED = """
import sys
from pathlib import Path
import _drawn as t
for step in t.steps(t.drawing(seed=13), Path(sys.argv[1]), engine=t.Drawn(seconds=0.02)):
    print(step.step, step.done, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("when", ["predicting 4", "growing 4"])
def test_it_goes_on_after_it_was_killed(tmp_path: Path, when: str):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=Path(__file__).parent, text=True
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith(when))
        process.kill()
    assert not (tmp_path / "labels.zarr").exists()
    engine = Drawn()
    labels, _ = chunked(drawing(seed=13), tmp_path, engine=engine)
    np.testing.assert_array_equal(labels, in_memory(drawing(seed=13)))
    assert engine.calls <= 12 * 4 - 4 * 4  # the tiles of four chunks at least are not done again


def test_other_settings_do_not_go_on(tmp_path: Path):
    image = drawing(seed=14)
    work = steps(image, tmp_path)
    for _ in range(4):
        next(work)
    work.close()
    other = replace(CONFIG, threshold=0.4)
    with pytest.raises(ValueError, match=r"threshold = 0\.5 and not 0\.4.*--force"):
        chunked(image, tmp_path, other)
    labels, _ = chunked(image, tmp_path, other, force=True)
    np.testing.assert_array_equal(labels, in_memory(image, other))


@pytest.mark.parametrize("name", ["settings.json", "size.json", "parts/1.npz"])
@pytest.mark.parametrize("left", [0, 5])
def test_what_a_power_cut_has_damaged_is_named(tmp_path: Path, name: str, left: int):
    image = drawing(seed=14)
    work = steps(image, tmp_path)
    while next(work).step != "joining":
        pass
    work.close()
    (damaged,) = [p for p in tmp_path.rglob("*") if p.as_posix().endswith(f"/{name}")]
    damaged.write_bytes(damaged.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"is damaged, as after a power cut: delete .* begin anew"):
        chunked(image, tmp_path)
    shutil.rmtree(tmp_path / damaged.relative_to(tmp_path).parts[0])
    labels, _ = chunked(image, tmp_path)
    np.testing.assert_array_equal(labels, in_memory(image))


def test_a_task_that_outlives_a_run_that_was_stopped_changes_nothing(tmp_path: Path):
    first, image = drawing(seed=26), drawing(seed=27)
    begun = steps(first, tmp_path)
    while next(begun).step != "joining":
        pass
    late = Work.at(tmp_path / "labels.zarr.unfinished")  # what a task of this run still holds
    part = dict(late.load("parts/0"))
    begun.close()
    other = replace(CONFIG, threshold=0.4)
    again = steps(image, tmp_path, other, force=True)
    while next(again).step != "joining":
        late.save("parts/0", **part)
        late.mark("predicting", 0)
    again.close()
    labels, _ = chunked(image, tmp_path, other)
    np.testing.assert_array_equal(labels, in_memory(image, other))


def test_what_was_left_by_a_run_that_was_killed_at_its_end(tmp_path: Path, monkeypatch):
    image, engine = drawing(seed=21), Drawn()
    for _ in range(2):  # the second one puts the labels of the first aside
        with monkeypatch.context() as patch:
            patch.setattr(Work, "drop", lambda self: None)
            chunked(image, tmp_path, engine=engine, force=True)
    labels, _ = chunked(image, tmp_path, engine=engine, force=True)
    np.testing.assert_array_equal(labels, in_memory(image))
    assert [path.name for path in tmp_path.iterdir()] == ["labels.zarr"]


def begun_and_killed_in_drop(image, folder: Path, monkeypatch, removed) -> None:
    """Begin a run, and remove a part of what is done before the program ends."""

    def interrupted(path: Path, **_: object) -> None:
        for name in removed:
            found = next(path.glob(f"*/{name}"))
            found.rename(found.with_name(f"removed {name}"))
        raise KeyboardInterrupt

    work = steps(image, folder)
    while next(work).step != "joining":
        pass
    work.close()
    left = Work.at(folder / "labels.zarr.unfinished")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            left.drop()


@pytest.mark.parametrize("removed", [["parts"], ["parts", "settings.json"]], ids=str)
def test_what_was_left_by_a_run_that_was_killed_while_its_work_was_removed(
    tmp_path: Path, monkeypatch, removed
):
    image = drawing(seed=23)
    begun_and_killed_in_drop(image, tmp_path, monkeypatch, removed)
    labels, _ = chunked(image, tmp_path)
    np.testing.assert_array_equal(labels, in_memory(image))
    assert [path.name for path in tmp_path.iterdir()] == ["labels.zarr"]


def test_work_of_which_nothing_is_known_does_not_count(tmp_path: Path):
    other, image = drawing(seed=24), drawing(seed=25)
    work = steps(other, tmp_path)
    while next(work).step != "joining":
        pass
    work.close()
    next((tmp_path / "labels.zarr.unfinished").glob("*/settings.json")).unlink()
    labels, _ = chunked(image, tmp_path)
    np.testing.assert_array_equal(labels, in_memory(image))


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    image, engine = drawing(seed=17), Drawn()
    work = steps(image, tmp_path, engine=engine)
    for _ in range(4):
        next(work)
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="the disk is full"):
        run_to_end(work)
    monkeypatch.undo()
    before = engine.calls
    labels, _ = chunked(image, tmp_path, engine=engine)
    np.testing.assert_array_equal(labels, in_memory(image))
    assert engine.calls < before + 12 * 4


def test_an_image_that_has_been_copied_further_is_another_one(tmp_path: Path):
    """What was read as empty while it was copied is not kept for what it holds by now."""
    pixels = drawing((400, 300), seed=14)
    array = zarr.create_array(
        tmp_path / "image.zarr", shape=pixels.shape, chunks=(2, 50, 50), dtype=pixels.dtype
    )
    part = np.s_[:, 50:100, 50:100]  # in none of the patches by which an image is known again
    pixels[part] += 1
    array[:] = pixels
    (tmp_path / "image.zarr" / "c" / "0" / "1" / "1").unlink()
    source = Source(tmp_path / "image.zarr", "CYX")
    path = tmp_path / "labels.zarr"
    work = segment_chunked(source, path, CONFIG, engine=Drawn(), card=CARD)
    assert any(step.message for step in islice(work, 3))
    work.close()
    array[part] = pixels[part]
    again = segment_chunked(source, path, CONFIG, engine=Drawn(), card=CARD)
    with pytest.raises(OtherSettings, match="missing"):
        run_to_end(again)


def test_an_image_that_was_written_anew_is_read_anew(tmp_path: Path):
    path = tmp_path / "a.tif"
    for value, kind in ((1, np.uint8), (700, np.uint16)):
        tifffile.imwrite(path, np.full((20, 30), value, kind))
        data = Source(path).open().data
        assert (data.dtype, int(data[0, 0])) == (kind, value)
