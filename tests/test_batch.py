"""Where labels go, and what becomes of a batch when one image fails or a stop comes."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch

from napari_unet.batch import (
    Outcome,
    Overview,
    State,
    Tally,
    Wish,
    find_in,
    load_pairs,
    look,
    plan,
    running,
    segment_files,
)
from napari_unet.batch.overview import LARGEST, OUTLINE, outlined
from napari_unet.batch.record import INTERRUPTED, NAME, Record
from napari_unet.config import Preprocessing, SegmentConfig, Target, TrainConfig, UNetConfig
from napari_unet.engines import TorchEngine
from napari_unet.images import (
    Image,
    find_images,
    pair_by_stem,
    pair_labels,
    read_image,
    read_provenance,
    write_labels,
)
from napari_unet.images.rois import read_rois
from napari_unet.library import Card
from napari_unet.prediction import run_to_end
from napari_unet.provenance import Provenance
from napari_unet.segmentation import SegmentProgress
from napari_unet.training import prepare_pairs, untrained

NETWORK = UNetConfig(base_channels=2, depth=1, padding="same")
CARD = Card(NETWORK, Target(), Preprocessing(low=0, high=100, invert_bright=False))
CONFIG = SegmentConfig(device="cpu", min_size=0, tile=16)
WISH = Wish(CONFIG, sha256="0" * 64)


class Bright(torch.nn.Module):
    """Foreground where the image is above a half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = 100 * (x - 0.5)
        return torch.cat((-logit, logit), dim=1)


def steps(jobs, card=CARD, wish=WISH, **options):
    engine = TorchEngine(Bright(), card.network, card.target, "cpu", precision="float32")
    return segment_files(jobs, engine, card, wish, **options)


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    image = np.zeros((40, 40), np.uint8)
    image[4:9, 4:9] = image[20:30, 20:30] = 200
    paths = [tmp_path / f"{name}.tif" for name in "abc"]
    for path in paths:
        tifffile.imwrite(path, image)
    return paths


def test_labels_go_beside_the_images_or_into_a_folder_or_one_to_a_path():
    sources = [Path("x", "a.tif"), Path("y", "b.png")]
    assert [j.labels for j in plan(sources, None)] == [
        Path("x", "a_labels.tif"),
        Path("y", "b_labels.tif"),
    ]
    assert [j.labels for j in plan(sources, Path("out"))] == [
        Path("out", "a_labels.tif"),
        Path("out", "b_labels.tif"),
    ]
    (job,) = plan(sources[:1], Path("mine.tif"))
    assert (job.labels, job.scores) == (Path("mine.tif"), Path("mine_scores.tif"))


@pytest.mark.parametrize(
    ("sources", "output", "words"),
    [
        (["a.tif", "b.tif"], "out.tif", "2 images: name a folder"),
        (["a.tif"], "out.png", "out.png cannot hold labels"),
        (["a.tif", "a.png"], None, "a.tif and a.png would both be written to a_labels.tif"),
    ],
)
def test_impossible_places_are_refused(sources: list[str], output: str | None, words: str):
    with pytest.raises(ValueError, match=words):
        plan([Path(s) for s in sources], output and Path(output))


def test_one_that_fails_does_not_stop_the_others(sources: list[Path]):
    sources[1].write_bytes(b"no image")
    outcomes = [s for s in steps(plan(sources, None)) if isinstance(s, Outcome)]
    assert [bool(o.error) for o in outcomes] == [False, True, False]
    assert [o.objects for o in outcomes] == [2, 0, 2]
    assert outcomes[0].shape == (40, 40)
    assert not outcomes[1].job.labels.exists()
    np.testing.assert_array_equal(*(tifffile.imread(outcomes[i].job.labels) for i in (0, 2)))


def test_labels_that_exist_are_kept_without_force(sources: list[Path]):
    (job,) = plan(sources[:1], None)
    job.labels.write_bytes(b"edited for hours")
    (outcome,) = steps([job])
    assert "--force" in outcome.error
    assert job.labels.read_bytes() == b"edited for hours"
    assert not list(steps([job], force=True))[-1].error
    assert tifffile.imread(job.labels).max() == 2


def test_what_was_made_of_labels_that_are_replaced_is_told(sources: list[Path]):
    (job,) = plan(sources[:1], None)
    all_of_it = replace(WISH, objects=True, boxes=True, rois=True)
    (*_, first) = steps([job], wish=all_of_it)
    for path in job.boxes.parent.glob(f"{job.boxes.name}?*"):
        path.unlink()  # what says how it was made
    (*_, same) = steps([job], force=True)
    assert not first.remark
    assert not same.remark
    other = Wish(replace(CONFIG, threshold=0.7), sha256=WISH.sha256)
    (*_, outcome) = steps([job], wish=other, force=True)
    assert outcome.outdated == (job.objects, job.rois)
    assert outcome.remark.startswith("Made of the labels that were replaced: ")
    (*_, anew) = steps([job], wish=replace(other, objects=True, rois=True), force=True)
    assert not anew.remark


def test_a_stopped_image_is_not_written(sources: list[Path]):
    jobs = plan(sources[:2], None)
    running = steps(jobs)
    step = next(running)
    while not (isinstance(step, SegmentProgress) and jobs[0].labels.exists()):
        step = next(running)
    with pytest.raises(StopIteration):
        running.send(True)
    assert not jobs[1].labels.exists()


def test_a_files_own_pixel_size_counts(tmp_path: Path):
    image = np.zeros((40, 40), np.uint16)
    image[20:30, 20:30] = 200
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    rule = Preprocessing(low=0, high=100, invert_bright=False, diameter=20.0, pixel_size=0.25)
    card = Card(NETWORK, Target(), rule)  # 0.5 um a pixel: enlarged twice
    list(steps(plan([path], None), card, replace(WISH, scores=True)))
    assert tifffile.imread(tmp_path / "a_scores.tif").shape[-2:] == (80, 80)
    assert tifffile.imread(tmp_path / "a_labels.tif").shape == (40, 40)


def test_a_pair_that_does_not_fit_is_named(sources: list[Path], tmp_path: Path):
    labels = tmp_path / "a_labels.tif"
    tifffile.imwrite(labels, np.zeros((40, 41), np.uint8))
    start = untrained(Card(NETWORK, Target(), Preprocessing()))
    with pytest.raises(ValueError, match=r"a\.tif with .*a_labels\.tif: .*\(40, 41\)"):
        run_to_end(prepare_pairs(list(load_pairs([(sources[0], labels)])), start, TrainConfig()))


def test_tables_and_rois_go_beside_the_labels(tmp_path: Path) -> None:
    image = np.zeros((2, 40, 40), np.uint8)
    image[:, 4:9, 4:9] = image[1, 20:30, 20:30] = 200
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, image, imagej=True, metadata={"axes": "ZYX", "unit": "um"})
    (job,) = plan([source], None)
    (done,) = [
        s
        for s in steps([job], wish=replace(WISH, objects=True, rois=True))
        if isinstance(s, Outcome)
    ]
    assert not done.error
    assert (job.objects.name, job.rois.name) == ("a_objects.csv", "a_rois.zip")
    table = list(csv.DictReader(job.objects.read_text("utf-8").splitlines()))
    assert [(row["label"], row["z"]) for row in table] == [("1", "0"), ("1", "1"), ("2", "1")]
    assert {row["intensity_min"] for row in table} <= {"0", "200"}
    labels = read_image(job.labels).data
    drawn, _ = read_rois(job.rois, Image(image, "ZYX"))
    np.testing.assert_array_equal(drawn, labels)
    (again,) = [s for s in steps([job], wish=replace(WISH, rois=True)) if isinstance(s, Outcome)]
    assert "--force" in again.error
    job.labels.unlink()
    (again,) = [s for s in steps([job], wish=replace(WISH, rois=True)) if isinstance(s, Outcome)]
    assert f"{job.rois} exists already" in again.error


def outcomes(*args, **options) -> list[Outcome]:
    return [step for step in steps(*args, **options) if isinstance(step, Outcome)]


def states(jobs, wish=WISH) -> list[str]:
    return [str(at.state) for at in look(jobs, wish)]


def stop_after(jobs, number: int, **options) -> None:
    """Stop while the image after the first `number` is at work."""
    running, done = steps(jobs, **options), 0
    while done < number:
        done += isinstance(next(running), Outcome)
    assert isinstance(next(running), SegmentProgress)
    with pytest.raises(StopIteration):
        running.send(True)


def test_a_batch_goes_on_where_it_stopped(sources: list[Path], tmp_path: Path) -> None:
    jobs = plan(sources, tmp_path / "out")
    assert states(jobs) == ["waiting"] * 3
    stop_after(jobs, 2, resume=True)
    before = [job.labels.stat().st_mtime_ns for job in jobs[:2]]
    assert states(jobs) == ["done", "done", "waiting"]
    found = outcomes(jobs, resume=True)
    assert [o.before for o in found] == [True, True, False]
    assert [o.objects for o in found] == [2, 2, 2]
    assert found[0].seconds > 0
    assert found[0].found == "2 objects"
    assert [job.labels.stat().st_mtime_ns for job in jobs[:2]] == before
    assert Tally.of(found).in_words == "3 of 3 done, 6 objects"


def test_what_was_done_in_another_way_is_done_anew(sources: list[Path]) -> None:
    jobs = plan(sources, None)
    outcomes(jobs, record=True)  # without asking to resume
    same = replace(WISH, config=replace(CONFIG, model="same.safetensors", device="auto", tile=None))
    assert states(jobs, same) == ["done"] * 3
    others = [replace(WISH, sha256="1" * 64), replace(WISH, config=replace(CONFIG, min_size=30))]
    for other in others:
        assert states(jobs, other) == ["waiting"] * 3
    assert [o.objects for o in outcomes(jobs, wish=others[1], resume=True)] == [1, 1, 1]
    assert states(jobs, others[1]) == ["done"] * 3
    image = np.zeros((30, 30), np.uint8)
    tifffile.imwrite(sources[1], image)  # another image of that name
    found = outcomes(jobs, wish=others[1], resume=True)
    assert [(o.before, o.objects) for o in found] == [(True, 1), (False, 0), (True, 1)]


def test_a_bad_file_is_told_again_and_tried_again(sources: list[Path]) -> None:
    whole = sources[1].read_bytes()
    sources[1].write_bytes(b"no image")
    jobs = plan(sources, None)
    found = outcomes(jobs, resume=True)
    assert [str(o.state) for o in found] == ["done", "failed", "done"]
    assert Tally.of(found).in_words == "2 of 3 done, 1 failed, 4 objects"
    at = look(jobs, WISH)[1]
    assert (at.state, at.reason) == (State.FAILED, found[1].error)
    sources[1].write_bytes(whole)
    assert states(jobs) == ["done", "waiting", "done"]
    assert [o.before for o in outcomes(jobs, resume=True)] == [True, False, True]


def test_an_error_of_ours_does_not_end_the_others(sources, monkeypatch, caplog) -> None:
    read = running.read_image

    def fail(path, **options):
        if path == sources[0]:
            raise IndexError("list index out of range")
        return read(path, **options)

    monkeypatch.setattr(running, "read_image", fail)
    found = outcomes(plan(sources, None), resume=True)
    assert [bool(o.error) for o in found] == [True, False, False]
    assert "could not be segmented (IndexError" in found[0].error
    assert "unexpected" in caplog.text


def test_labels_of_others_are_never_written_over(sources: list[Path]) -> None:
    jobs = plan(sources, None)
    jobs[0].labels.write_bytes(b"somebody else's")
    outcomes(jobs, resume=True)
    tifffile.imwrite(jobs[1].labels, np.ones((40, 40), np.uint16))  # corrected by hand
    assert states(jobs) == ["skipped", "done", "done"]
    other = replace(WISH, sha256="1" * 64)
    assert states(jobs, other) == ["skipped", "skipped", "waiting"]
    found = outcomes(jobs, wish=other, resume=True)
    assert f"{jobs[1].labels} was there before, or was changed since" in found[1].error
    assert jobs[0].labels.read_bytes() == b"somebody else's"
    assert tifffile.imread(jobs[1].labels).sum() == 1600
    forced = outcomes(jobs, wish=other, resume=True, force=True)
    assert [(o.error, o.before) for o in forced] == [("", False), ("", False), ("", True)]


class Killed(BaseException):
    """What no handler sees, as a kill -9."""


def fails_once(monkeypatch, name: str, error: BaseException, *, after: bool = False) -> None:
    """Let a function of the batch raise the first time, before or after it has done its work."""
    work = getattr(running, name)

    def fail(*args, **options):
        monkeypatch.setattr(running, name, work)
        if after:
            work(*args, **options)
        raise error

    monkeypatch.setattr(running, name, fail)


@pytest.mark.parametrize("name", ["write_labels", "write_table", "write_rois"])
def test_an_image_whose_files_were_being_written_at_a_kill_is_done_anew(
    sources: list[Path], monkeypatch, name: str
) -> None:
    jobs, wish = plan(sources[:2], None), replace(WISH, objects=True, rois=True)
    fails_once(monkeypatch, name, Killed(), after=True)
    with pytest.raises(Killed):
        outcomes(jobs, wish=wish, record=True)
    assert jobs[0].labels.exists()
    (at, _) = look(jobs, wish)
    assert (at.state, at.reason) == (State.FAILED, INTERRUPTED)
    assert states(jobs, replace(wish, sha256="1" * 64)) == ["waiting", "waiting"]
    found = outcomes(jobs, wish=wish, resume=True)
    assert [(o.error, o.before, o.objects) for o in found] == [("", False, 2)] * 2
    assert states(jobs, wish) == ["done", "done"]


def test_labels_put_in_place_of_those_of_a_killed_batch_are_kept(
    sources: list[Path], monkeypatch
) -> None:
    jobs = plan(sources[:1], None)
    fails_once(monkeypatch, "write_labels", Killed())
    with pytest.raises(Killed):
        outcomes(jobs, record=True)
    assert states(jobs) == ["failed"]
    other = replace(WISH, sha256="1" * 64)
    for made in (None, other.made(jobs[0]), replace(WISH.made(jobs[0]), image="b.tif")):
        write_labels(jobs[0].labels, np.ones((40, 40), np.uint16), made=made)
        assert states(jobs) == ["skipped"]


def test_tables_of_other_labels_are_made_anew(sources: list[Path]) -> None:
    jobs, wish = plan(sources[:1], None), replace(WISH, objects=True)
    outcomes(jobs, wish=wish, record=True)
    other = replace(CONFIG, threshold=0.9)
    outcomes(jobs, wish=replace(WISH, config=other), resume=True)  # labels alone
    asked = replace(wish, config=other)
    assert states(jobs, asked) == ["waiting"]
    (done,) = outcomes(jobs, wish=asked, resume=True)
    assert not done.error
    assert read_provenance(jobs[0].objects).config.threshold == 0.9
    assert states(jobs, asked) == ["done"]


def test_a_table_of_the_users_own_is_not_written_over(sources: list[Path]) -> None:
    jobs, wish = plan(sources[:1], None), replace(WISH, objects=True)
    outcomes(jobs, record=True)
    jobs[0].objects.write_text("mine")
    for asked in (wish, replace(wish, config=replace(CONFIG, threshold=0.9))):
        assert states(jobs, asked) == ["skipped"]
        outcomes(jobs, wish=asked, resume=True)
        assert jobs[0].objects.read_text() == "mine"
    outcomes(jobs, wish=wish, resume=True, force=True)
    assert jobs[0].objects.read_text() != "mine"


@pytest.mark.parametrize("name", ["labels.csv", "labels.zip", "labels.PNG"])
def test_a_file_that_holds_no_labels_does_not_become_a_folder(sources, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot hold labels: name a folder"):
        plan(sources[:1], Path(name))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folders_that_link_to_themselves_are_looked_through_once(sources, tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert find_in(tmp_path, "*.tif", subfolders=True) == sources


def test_an_overview_is_no_image(sources: list[Path], tmp_path: Path) -> None:
    jobs = plan(sources, None)
    outcomes(jobs, overview=Overview(tmp_path / "overview.png", jobs))
    assert (tmp_path / "overview.png").exists()
    assert find_images([tmp_path]) == sources
    assert [path for path, _ in pair_by_stem(tmp_path, tmp_path)] == sources
    assert len(pair_labels(tmp_path, tmp_path)) == 3


def test_stacks_are_learnt_from_plane_by_plane_in_the_order_of_the_image(tmp_path: Path) -> None:
    """ImageJ's files have time before depth."""
    image = np.arange(4, dtype=np.uint8).reshape(2, 2, 1, 1) * np.ones((1, 1, 8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", image, metadata={"axes": "ZTYX"})
    like = read_image(tmp_path / "a.ome.tif")
    write_labels(tmp_path / "a_labels.tif", image.astype(np.int32), like=like)
    (pair,) = load_pairs([(tmp_path / "a.ome.tif", tmp_path / "a_labels.tif")])
    assert read_image(tmp_path / "a_labels.tif").axes == "TZYX"
    np.testing.assert_array_equal(pair.labels, np.asarray(pair.image))


def test_a_full_disk_does_not_make_our_labels_somebody_elses(
    sources: list[Path], monkeypatch
) -> None:
    jobs, wish = plan(sources[:1], None), replace(WISH, objects=True)
    fails_once(monkeypatch, "write_table", OSError("the disk is full"))
    (failed,) = outcomes(jobs, wish=wish, record=True)
    assert (failed.state, failed.error, failed.written) == (State.FAILED, "the disk is full", True)
    assert states(jobs, wish) == ["failed"]
    (done,) = outcomes(jobs, wish=wish, resume=True)
    assert (done.error, done.objects) == ("", 2)


def test_a_name_that_is_no_text_stops_nothing(sources: list[Path], tmp_path: Path) -> None:
    odd = tmp_path / "a\udcff\u2028.tif"
    try:
        sources[0].rename(odd)
    except OSError:
        pytest.skip("no such names here")
    out = tmp_path / "out"
    jobs = plan([odd, sources[1]], out)
    wish = replace(WISH, objects=True, boxes=True, rois=True, scores=True)
    path = out / "overview.png"
    found = outcomes(jobs, wish=wish, resume=True, overview=Overview(path, jobs))
    assert [(o.error, o.objects) for o in found] == [("", 2)] * 2
    assert is_outlined(cell(path, 0))
    assert states(jobs, wish) == ["done"] * 2
    found = outcomes(jobs, wish=wish, resume=True, overview=Overview(path, jobs))
    assert [o.before for o in found] == [True, True]
    (row, _) = csv.DictReader(jobs[0].objects.read_text("utf-8").split("\n"))
    assert row["image"].startswith("a\\udcff")


def test_rois_that_are_missing_are_made_of_the_labels(sources: list[Path], monkeypatch) -> None:
    jobs = plan(sources[:1], None)
    outcomes(jobs, resume=True)
    # Tables and scores are not to be had of labels: they hold what the network said.
    for also in ({"scores": True}, {"objects": True}, {"rois": True, "boxes": True}):
        (at,) = look(jobs, replace(WISH, **also))
        assert (at.state, at.missing) == (State.WAITING, ())
    wish = replace(WISH, rois=True)
    monkeypatch.delattr(running, "segment_steps")
    (done,) = outcomes(jobs, wish=wish, resume=True)
    assert (done.error, done.objects, done.before) == ("", 2, False)
    assert jobs[0].rois.exists()
    assert states(jobs, wish) == ["done"]


def test_a_record_that_a_crash_has_cut_off_loses_its_last_line_only(sources: list[Path]) -> None:
    jobs = plan(sources, None)
    outcomes(jobs[:2], resume=True)
    path = sources[0].with_name(NAME)
    text = path.read_text("utf-8")
    path.write_text(text[:-40], "utf-8")
    entry = Record(path.parent).entry(jobs[1])
    assert entry.outcome.error == INTERRUPTED
    outcomes(jobs, resume=True)
    assert states(jobs) == ["done"] * 3
    path.write_text('[]\n{"labels": "a_labels.tif"}\n{"labels": 3}\n\x00', "utf-8")
    assert states(jobs) == ["skipped"] * 3


def test_a_folder_is_searched(sources: list[Path], tmp_path: Path) -> None:
    deeper = tmp_path / "day [1]" / "x"
    deeper.mkdir(parents=True)
    (tmp_path / "overview.png").touch()
    for path in (deeper / "a.tif", deeper / "b.PNG", tmp_path / "out" / "a_labels.tif"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "out" / "odd.tif").touch()
    output = tmp_path / "out"
    assert find_in(tmp_path, output=output) == sources
    found = find_in(tmp_path, subfolders=True, output=output)
    assert found == sorted([*sources, deeper / "a.tif", deeper / "b.PNG"])
    assert find_in(deeper, "*.tif", output=tmp_path) == [deeper / "a.tif"]
    assert find_in(deeper, output=deeper) == [deeper / "a.tif", deeper / "b.PNG"]
    jobs = plan(found, output, tmp_path)
    assert [job.labels.relative_to(output).as_posix() for job in jobs] == [
        "a_labels.tif",
        "b_labels.tif",
        "c_labels.tif",
        "day [1]/x/a_labels.tif",
        "day [1]/x/b_labels.tif",
    ]
    with pytest.raises(FileNotFoundError, match="holds no image like z"):
        find_in(tmp_path, "z*")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        find_in(tmp_path / "gone")


def sheet(path: Path) -> np.ndarray:
    with PIL.Image.open(path) as file:
        return np.asarray(file)


def cell(path: Path, number: int) -> np.ndarray:
    """A cell of an overview of two columns."""
    top, left = (LARGEST * part for part in divmod(number, 2))
    return sheet(path)[top : top + LARGEST, left : left + LARGEST]


def is_outlined(picture: np.ndarray) -> bool:
    return bool((picture == OUTLINE).all(axis=-1).any())


def test_an_overview_shows_all_images(sources: list[Path], tmp_path: Path, monkeypatch) -> None:
    from napari_unet.batch import overview

    path = tmp_path / "out" / "overview.png"
    jobs = plan(sources, path.parent)
    stop_after(jobs, 1, resume=True, overview=Overview(path, jobs))
    assert sheet(path).shape == (2 * LARGEST, 2 * LARGEST, 3)
    assert [is_outlined(cell(path, n)) for n in range(4)] == [True, False, False, False]
    first = cell(path, 0)
    sources[1].write_bytes(b"no image")
    monkeypatch.setattr(overview, "read_image", None)  # what was drawn is taken over
    list(steps(jobs, resume=True, overview=Overview(path, jobs)))
    np.testing.assert_array_equal(cell(path, 0), first)
    assert [is_outlined(cell(path, n)) for n in range(4)] == [True, False, True, False]
    monkeypatch.undo()
    path.write_bytes(b"no picture")  # a damaged one is drawn anew, from the files
    list(steps(jobs, resume=True, overview=Overview(path, jobs)))
    np.testing.assert_array_equal(cell(path, 0), first)
    made = Provenance(CONFIG, WISH.sha256)
    assert read_provenance(path).to_dict() == made.to_dict()


def test_an_overview_of_many_images_stays_small(tmp_path: Path, monkeypatch) -> None:
    from napari_unet.batch import overview

    monkeypatch.setattr(overview, "SIDE", 1000)
    jobs = plan([tmp_path / f"a name that is too long {n}.tif" for n in range(3000)], tmp_path)
    drawn = Overview(tmp_path / "overview.png", jobs)
    for job in jobs:  # most of which are not on it
        drawn.settle(Outcome(job, error="broken", state=State.FAILED))
    drawn.write()
    picture = sheet(tmp_path / "overview.png")
    assert picture.shape == (994, 994, 3)
    cells = picture.reshape(7, 142, 7, 142, 3)
    assert (cells != overview.BACKGROUND).any(axis=(1, 3, 4)).all()


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 60), "YX"),
        ((40, 60, 3), "YXS"),
        ((3, 40, 60), "SYX"),
        ((5, 40, 60), "ZYX"),
        ((2, 5, 40, 60), "CZYX"),
        ((5, 2, 40, 60, 4), "ZCYXS"),
    ],
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, bool])
def test_pictures_of_any_image_have_exact_outlines(shape, axes, kind, rng) -> None:
    image = Image((200 * rng.random(shape)).astype(kind), axes)
    labels = np.zeros([n for n, a in zip(shape, axes, strict=True) if a not in "CS"], np.int32)
    labels[..., 10:20, 10:30] = 1
    labels[..., 10:20, 30:40] = 2
    picture = np.asarray(outlined(image, labels, (60, 50)))
    assert picture.shape == (40, 60, 3)
    expected = np.zeros((40, 60), bool)
    expected[10:20, 10:40] = True
    expected[11:19, 11:29] = expected[11:19, 31:39] = False
    np.testing.assert_array_equal((picture == OUTLINE).all(axis=-1), expected)
    assert np.asarray(outlined(image, labels, (30, 50))).shape == (20, 30, 3)
    assert np.asarray(outlined(image, labels, (300, 500))).shape == (200, 300, 3)


def test_pixels_that_are_no_squares_keep_their_size(tmp_path: Path) -> None:
    image = np.zeros((40, 40), np.uint16)
    image[20:30, 20:30] = 200
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 2.0}
    tifffile.imwrite(path, image, ome=True, metadata=sizes)
    rule = replace(CARD.preprocessing, diameter=20.0, pixel_size=0.5)
    (job,) = plan([path], None, ome=True)
    wish = replace(WISH, scores=True, objects=True, boxes=True)
    (done,) = outcomes([job], card=replace(CARD, preprocessing=rule), wish=wish)
    assert not done.error
    scores = read_image(job.scores)  # enlarged twice, both ways: a pixel is as large as 1 x 1 um
    assert (scores.data.shape[-2:], scores.pixel_sides) == ((80, 80), (1.0, 0.25))
    assert read_image(job.labels).pixel_sides == (2.0, 0.5)
    objects, boxes = (
        next(csv.DictReader(table.read_text("utf-8").splitlines()))
        for table in (job.objects, job.boxes)
    )
    assert float(objects["area_um2"]) == float(objects["area_px"])
    top, left, bottom, right = (float(boxes[f"{n}_um"]) for n in ("top", "left", "bottom", "right"))
    assert bottom - top == 4 * (right - left)


def test_a_pixel_size_that_is_typed_goes_into_all_that_is_written(sources, tmp_path: Path) -> None:
    wish = replace(WISH, config=replace(CONFIG, pixel_size=0.5), objects=True)
    card = replace(CARD, preprocessing=replace(CARD.preprocessing, pixel_size=0.5, diameter=10.0))
    (job,) = plan(sources[:1], tmp_path / "out")
    list(steps([job], card=card, wish=wish))
    assert read_image(job.labels).pixel_size == pytest.approx(0.5)
    with job.objects.open(newline="") as file:
        first = next(csv.DictReader(file))
    assert float(first["area_um2"]) == float(first["area_px"]) / 4


def test_labels_that_are_there_are_read_in_the_order_of_their_image(tmp_path: Path) -> None:
    """A TIFF of labels has time before depth; this image has depth before time."""
    image = np.zeros((3, 2, 20, 20), np.uint8)
    image[2, 0, 4:9, 4:9] = 200
    tifffile.imwrite(tmp_path / "a.ome.tif", image, metadata={"axes": "ZTYX"})
    assert read_image(tmp_path / "a.ome.tif").axes == "ZTYX"
    jobs = plan([tmp_path / "a.ome.tif"], tmp_path / "out")
    list(steps(jobs, resume=True))
    wish = replace(WISH, objects=True)
    (outcome,) = [o for o in steps(jobs, wish=wish, resume=True) if isinstance(o, Outcome)]
    assert not outcome.error
    with jobs[0].objects.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["z"], row["t"]) == ("2", "0")
