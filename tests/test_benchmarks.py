"""The benchmarks count what they say, repeat nothing, and draw: all on tiny data."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from napari_unet.images import write_image, write_labels

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
Run = Callable[..., None]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module as a script there does."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module


@pytest.fixture
def run(load: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a script with options."""

    def start(name: str, *options: object) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
        load(name).main()

    return start


def disks(count: int, side: int = 64, seed: int = 0) -> np.ndarray:
    labels = np.zeros((side, side), np.int32)
    y, x = np.indices(labels.shape)
    centres = np.random.default_rng(seed).integers(6, side - 6, (count, 2))
    for number, (a, b) in enumerate(centres, start=1):
        labels[(y - a) ** 2 + (x - b) ** 2 <= 16] = number
    return labels


def write_pair(folder: Path, stem: str, labels: np.ndarray) -> None:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    write_image(folder / "images" / f"{stem}.tif", (50 + 100 * (labels > 0)).astype(np.uint8))
    write_labels(folder / "labels" / f"{stem}.tif", labels)


def test_missed_objects_are_merged_or_split_or_neither(load):
    truth, found = np.zeros((2, 20, 40), np.int32)
    truth[:4, :4] = found[:4, :4] = 1
    truth[10:14, :4], truth[10:14, 6:10], found[10:14, :10] = 2, 3, 2
    truth[:4, 20:28], found[:4, 20:23], found[:4, 25:28] = 4, 3, 4
    truth[16:, 36:] = 5
    found[16:, 20:24] = 5

    mistakes = load("_mistakes").Mistakes.of(found, truth)

    assert mistakes == load("_mistakes").Mistakes(found=1, missed=4, merged=2, split=1, invented=4)
    assert (mistakes + mistakes).errors == 16
    assert mistakes.ap == 1 / 9


def test_crops_are_the_first_of_more_and_lie_apart(load):
    labels = np.kron(np.arange(64, dtype=np.int32).reshape(8, 8), np.ones((100, 100), np.int32))
    train = [
        (np.arange(labels.size).reshape(labels.shape) + n * labels.size, labels) for n in (0, 1)
    ]
    few, more = (load("few_shot").cut_crops(train, seed=3, count=n) for n in (2, 4))
    np.testing.assert_array_equal([a for a, _ in few], [a for a, _ in more[:2]])
    assert np.unique([a for a, _ in more]).size == 4 * 256**2


def test_of_crops_that_cannot_lie_apart_the_least_overlap_is_taken(load):
    labels = np.kron(np.arange(9, dtype=np.int32).reshape(3, 3), np.ones((100, 100), np.int32))
    pixels = np.arange(labels.size).reshape(labels.shape)
    crops = load("few_shot").cut_crops([(pixels, labels)], seed=0, count=2)
    assert np.intersect1d(crops[0][0], crops[1][0]).size < 0.9 * 256**2


def few_shot_line(**fields: object) -> str:
    line = {"set": "usiigaci", "start": "nuclei", "seed": 0, "stage": "after", "ap50": 0.5}
    line |= {"iou": 0.5, "found": 1, "invented": 1, "missed": 0, "objects": 9}
    return json.dumps(line | fields) + "\n"


def test_few_shot_keeps_budgets_and_models_apart(run, tmp_path, capsys):
    output = tmp_path / "few_shot.jsonl"
    new = {"crops": 2, "budget": "3 minutes"}
    output.write_text(
        few_shot_line(ap50=0.11, stage="before")
        + few_shot_line(ap50=0.22)  # as the oldest lines are
        + few_shot_line(ap50=0.33, model="a", **new)
        + few_shot_line(ap50=0.44, stage="before", crops=0, budget="", model="b")
        + few_shot_line(ap50=0.55, model="b", **new)
        + few_shot_line(ap50=0.65, model="b", seed=1, **new)
    )
    run("few_shot", "--output", output, "--table")
    rows = [line for line in capsys.readouterr().out.splitlines() if "| nuclei |" in line]
    assert rows[0] == "| usiigaci | nuclei | 0.11 | 0.22 | 1 |"
    assert rows[2] == "| usiigaci | nuclei | 0.44 | 0.60 (0.55 to 0.65) | 2 |"


def test_few_shot_draws_and_reads_what_is_kept(run, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "few_shot.png"
    run("few_shot", "--output", BENCHMARKS / "few_shot.jsonl", "--picture", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="no result of 7 steps"):
        run(
            "few_shot",
            "--output",
            picture.with_suffix(".jsonl"),
            "--picture",
            picture,
            "--iterations",
            7,
        )


def test_learning_curves(run, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    log, picture = tmp_path / "a.log.csv", tmp_path / "curves.png"
    log.write_text("iteration,seconds,train_loss,loss,iou,ap50,ap\n")
    with pytest.raises(SystemExit):
        run("learning_curves", log, "-o", picture)
    assert "holds no validation yet" in capsys.readouterr().err
    with log.open("a") as file:
        file.write("100,60.5,1.5,1.2,0.5,0.4,0.3\n200,121,0.9,0.8,0.7,0.6,0.5\n")
    run("learning_curves", log, log, "--names", "one", "two", "-o", picture)
    assert picture.stat().st_size > 10_000


def test_worst_images_come_first(run, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    for number in range(3):
        labels = disks(4, seed=number)
        write_pair(tmp_path, f"image{number}", labels)
        (tmp_path / "found").mkdir(exist_ok=True)
        found = np.where(labels > number, labels, 0)  # as many are missed
        write_labels(tmp_path / "found" / f"image{number}_labels.tif", found)
    folders = [tmp_path / name for name in ("found", "labels", "images")]
    run("worst_images", *folders, "-o", tmp_path / "worst.png", "-n", 2)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[3:]]
    assert [row[0] for row in rows] == ["| image2", "| image1", "| all 3 images"]
    assert [row[3] for row in rows] == ["2", "1", "3"]
    assert (tmp_path / "worst.png").exists()


def test_labels_differ_by_pixels_and_not_by_numbers(load):
    differing = load("engines").differing
    labels = disks(5)
    renumbered = np.where(labels > 0, 6 - labels, 0)
    assert differing(renumbered, labels) == 0
    changed = labels.copy()
    changed[labels == 5] = 0
    assert differing(changed, labels) == (labels == 5).sum()
    merged = np.minimum(labels, 1)
    assert differing(merged, labels) > (labels > 0).sum() / 2


def test_engines(run, tmp_path, capsys):
    write_pair(tmp_path, "image", disks(4))
    options = ("--base", 2, "--size", 20, "--repeat", 1)
    run("engines", *options, "--images", tmp_path / "images" / "image.tif")
    told = capsys.readouterr().out
    assert "| 32 x 32 |" in told
    assert "| torch float32 | 0.0000% | 0.0000% | - | - |" in told


def test_networks_are_trained_once_and_timed(run, tmp_path, capsys):
    for number in range(2):
        write_pair(tmp_path / "dsb2018_stardist" / "train", f"image{number}", disks(4, seed=number))
    output = tmp_path / "networks.jsonl"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
    options += ("--base", 2, "--depth", 2)
    run("networks", *options, "--iterations", 1)
    once = output.read_text()
    assert "step 1," in capsys.readouterr().out
    run("networks", *options, "--iterations", 1)
    assert output.read_text() == once
    output.write_text("")  # what is trained is only scored again
    run("networks", *options, "--iterations", 1)
    assert output.read_text() == once
    assert "step 1," not in capsys.readouterr().out
    run("networks", *options, "--speed", "--repeat", 1)
    row = capsys.readouterr().out.splitlines()[-1].split(" | ")
    assert row[0] == "| base2-depth2"
    assert float(row[-2]) > 0
