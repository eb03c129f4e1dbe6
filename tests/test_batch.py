"""Where labels go, and what becomes of a batch when one image fails or a stop comes."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_unet.batch import Outcome, load_pairs, plan, segment_files
from napari_unet.config import Preprocessing, SegmentConfig, Target, TrainConfig, UNetConfig
from napari_unet.engines import TorchEngine
from napari_unet.images import Image, read_image
from napari_unet.images.rois import read_rois
from napari_unet.library import Card
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import SegmentProgress
from napari_unet.training import prepare_pairs, untrained

NETWORK = UNetConfig(base_channels=2, depth=1, padding="same")
CARD = Card(NETWORK, Target(), Preprocessing(low=0, high=100, invert_bright=False))
CONFIG = SegmentConfig(device="cpu", min_size=0, tile=16)


class Bright(torch.nn.Module):
    """Foreground where the image is above a half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = 100 * (x - 0.5)
        return torch.cat((-logit, logit), dim=1)


def steps(jobs, card=CARD, config=CONFIG, **options):
    engine = TorchEngine(Bright(), card.network, card.target, "cpu", precision="float32")
    return segment_files(jobs, engine, card, config, **options)


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
    list(steps(plan([path], None), card, scores=True))
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
    (done,) = [s for s in steps([job], objects=True, rois=True) if isinstance(s, Outcome)]
    assert not done.error
    assert (job.objects.name, job.rois.name) == ("a_objects.csv", "a_rois.zip")
    table = list(csv.DictReader(job.objects.read_text("utf-8").splitlines()))
    assert [(row["label"], row["z"]) for row in table] == [("1", "0"), ("1", "1"), ("2", "1")]
    assert {row["intensity_min"] for row in table} <= {"0", "200"}
    labels = read_image(job.labels).data
    drawn, _ = read_rois(job.rois, Image(image, "ZYX"))
    np.testing.assert_array_equal(drawn, labels)
    (again,) = [s for s in steps([job], rois=True) if isinstance(s, Outcome)]
    assert "--force" in again.error
    job.labels.unlink()
    (again,) = [s for s in steps([job], rois=True) if isinstance(s, Outcome)]
    assert f"{job.rois} exists already" in again.error
