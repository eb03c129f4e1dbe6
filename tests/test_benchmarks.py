"""The benchmarks count what they say, repeat nothing, and draw: all on tiny data."""

import importlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.ndimage import label
from tifffile import imwrite

from napari_unet.config import TrainConfig, UNetConfig
from napari_unet.images import write_image, write_labels

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
Run = Callable[..., None]
TINY = UNetConfig(base_channels=2, depth=2, padding="same", batch_norm=True, dropout=0.0)
BRIEF = TrainConfig(iterations=1, batch=1, patch=32, validate_every=10)
"""What stands in for the networks and trainings of the experiments."""


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


def test_images_without_a_crop_worth_annotating_are_passed_over(load):
    labels = np.kron(np.arange(9, dtype=np.int32).reshape(3, 3), np.ones((100, 100), np.int32))
    empty = np.zeros_like(labels)
    train = [(np.full(part.shape, n), part) for n, part in enumerate((empty, labels, empty))]
    cut_crops = load("few_shot").cut_crops
    assert [image.max() for image, _ in cut_crops(train, seed=0, count=3)] == [1, 1, 1]
    with pytest.raises(ValueError, match="None of 2 images"):
        cut_crops([train[0], train[2]], seed=0, count=1)


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


def test_changed_images_have_labels_in_place(load):
    robustness = load("robustness")
    labels = np.zeros((300, 200), np.int32)
    labels[100:200, 60:160] = disks(60, side=100)
    pair = load("_experiment").Pair(np.where(labels > 0, 200, 20).astype(np.uint8), labels)
    for name, change in robustness.CHANGES.items():
        changed = change(pair)
        image, truth = np.asarray(changed.image, float), np.asarray(changed.labels)
        assert image.shape == truth.shape
        inside, outside = image[truth > 0].mean(), image[truth == 0].mean()
        assert (inside < outside) == (name == "inverted"), name
    crowded = np.asarray(robustness.CHANGES["most crowded 128x128"](pair).labels)
    assert crowded.shape == (128, 128)
    assert (crowded > 0).sum() > 0.98 * (labels > 0).sum()


def test_robustness(run, load, tmp_path, capsys):
    write_pair(tmp_path, "image", disks(4))
    run("robustness", tmp_path, "--model", "nuclei", "--model", "cells", "--device", "cpu")
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| image | nuclei | cells |"
    rows = {row[1]: row[2:4] for row in (re.split(r" ?\| ?", line) for line in lines[4:])}
    assert rows.keys() == load("robustness").CHANGES.keys()
    assert all(0 <= float(cell.split(",")[0]) <= 1 for row in rows.values() for cell in row)


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


def test_networks_are_trained_once_and_timed(run, load, tmp_path, monkeypatch, capsys):
    for number in range(2):
        write_pair(tmp_path / "dsb2018_stardist" / "train", f"image{number}", disks(4, seed=number))
    module = load("networks")
    monkeypatch.setattr(module, "VARIANTS", {"tiny": replace(TINY, padding="same")})
    output = tmp_path / "networks.jsonl"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
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
    row = module.table(output)[2].split(" | ")
    assert row[0] == "| tiny"
    assert float(row[4]) > 0


def test_an_ablation_adds_one_thing_after_another(run, load, tmp_path, monkeypatch):
    for number in range(2):
        write_pair(tmp_path / "dsb2018_stardist" / "train", f"image{number}", disks(4, seed=number))
    module = load("ablation")
    ladder = list(module.VARIANTS.values())
    assert [v.training.w0 for v in ladder] == [0, 5, 5, 5, 5, 5, 5, 5, 5, 10, 0]
    assert len(ladder[3].target.outputs) == 1 + len(ladder[2].target.outputs)
    assert not ladder[5].training.elastic
    assert ladder[6].training.elastic
    assert ladder[6].network.batch_norm
    tiny = {name: replace(module.VARIANTS[name], network=TINY) for name in ("bare", "extent")}
    monkeypatch.setattr(module, "VARIANTS", tiny)
    output = tmp_path / "ablation.jsonl"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
    run("ablation", *options, "--iterations", 1)
    assert [row.split(" | ")[0] for row in module.table(output)[2:]] == [
        "| cross-entropy",
        "| + extent output",
    ]


def write_sections(data: Path) -> None:
    """Write 30 sections, their cells, and what lies between them."""
    folder = data / "isbi2012" / "train"
    (folder / "labels_cells").mkdir(parents=True)
    for number in range(30):
        cells = disks(4, 40, seed=number)
        write_pair(folder, f"{number:02}", cells)
        write_labels(folder / "labels" / f"{number:02}.tif", (cells == 0).astype(np.int32))
        write_labels(folder / "labels_cells" / f"{number:02}.tif", cells)


def test_experiments_are_not_repeated_and_budgets_are_kept_apart(run, load, tmp_path, monkeypatch):
    write_sections(tmp_path)
    em = load("em")
    for name in ("cells", "membranes"):
        tiny = replace(em.VARIANTS[name], network=TINY, training=BRIEF)
        monkeypatch.setitem(em.VARIANTS, name, tiny)
    output = tmp_path / "em.jsonl"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
    run("em", *options, "--only", "cells", "membranes")
    once = output.read_text()
    run("em", *options, "--only", "cells", "membranes")
    assert output.read_text() == once
    run("em", *options, "--only", "cells", "--screen", "--iterations", 2)
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    names = ["cells", "membranes", "cells-screen"]
    assert [line["name"] for line in lines] == [f"{n}{e}" for n in names for e in (" parted", "")]
    assert [line["budget"] for line in lines] == ["1 steps"] * 4 + ["2 steps"] * 2
    text = "\n".join(em.table(output))
    assert "by networks that learnt 0 to 19" in text
    assert "| 0.0611 | 0.0382 | 0.000353 |" in text


def test_cells_are_kept_apart_at_low_thresholds_too(load):
    scores = np.full((1, 20, 41), 0.9, np.float32)
    scores[:, :, 18:23] = 0.4, 0.3, 0.2, 0.3, 0.4  # a membrane,
    scores[:, 10, 18:23] = 0.45  # and where it is faint
    parted = load("em").part(scores)
    for threshold in (0.0, 0.1, 0.3, 0.5):
        assert label(parted[0] > threshold)[1] == 2
    assert label(scores[0] > 0.3)[1] == 1
    assert (parted != scores).sum() == 20
    assert set(np.unique(np.nonzero(parted == 0)[2])) <= {19, 20, 21}


def test_the_sections_that_are_scored_follow_those_that_are_learnt(load, tmp_path):
    write_sections(tmp_path)
    em = load("em")
    for held, kept, scored in ((em.HELD_OUT, 24, 6), (em.SCREENED, 20, 4)):
        training, held_out = em.load(tmp_path, em.MEMBRANES, held)
        assert (len(training), len(held_out)) == (kept, scored)
        np.testing.assert_array_equal(held_out[0].labels, disks(4, 40, seed=kept) == 0)


def test_of_a_fifth_of_the_cells_nothing_else_is_known_but_the_background_near(load):
    labels = np.zeros((300, 300), np.int32)
    for number in range(25):
        y, x = 60 * (number // 5) + 10, 60 * (number % 5) + 10
        labels[y : y + 20, x : x + 20] = number + 1
    module = load("cell_experiments")
    pair = module.Pair(labels, labels)
    thin = module.thin_out(pair, np.random.default_rng(0)).labels
    kept = np.unique(thin[thin > 0])
    assert len(kept) == 5
    assert (labels[thin > 0] == thin[thin > 0]).all()
    assert (labels[thin == 0] == 0).all()
    assert 0 < (thin == 0).sum() < (labels == 0).sum()
    assert (thin[(labels > 0) & ~np.isin(labels, kept)] == -1).all()


def test_cell_experiments(run, load, tmp_path, monkeypatch):
    for part in ("train", "test"):
        for number in range(2):
            write_pair(tmp_path / "usiigaci" / part, f"{number}", disks(6, 96, seed=number))
    module = load("cell_experiments")
    monkeypatch.setattr(module, "RECIPE", replace(module.RECIPE, network=TINY, training=BRIEF))
    output = tmp_path / "cells.jsonl"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
    run("cell_experiments", *options, "--only", "usiigaci", "usiigaci-fifth")
    full, part = (json.loads(line) for line in output.read_text().splitlines())
    assert (part["cells"], full["cells"] > 8) == (2, True)
    assert 0 <= full["seg"] <= 1
    assert "0.9203" in module.table(output)[-2]


def test_fruits_touch_and_have_kinds(load):
    scene = load("_fruit").make_scene(1)
    assert sorted(scene.classes) == list(range(1, scene.labels.max() + 1))
    assert set(scene.classes.values()) <= {1, 2, 3}
    beside = np.minimum(scene.labels[:, 1:], scene.labels[:, :-1]) > 0
    assert (beside & (scene.labels[:, 1:] != scene.labels[:, :-1])).any()
    np.testing.assert_array_equal(load("_fruit").make_scene(1).image, scene.image)


def test_classes_are_right_only_of_found_objects(load):
    truth = np.kron(np.array([[1, 0, 2, 0, 3]]), np.ones((4, 4), int))
    found = np.kron(np.array([[1, 0, 2, 3, 0]]), np.ones((4, 4), int))
    kinds, ours = np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])
    counts = load("classes")._objects(found, truth, ours[found], kinds[truth])
    assert counts.tolist() == [3, 2, 1, 1]


def test_classes(run, load, tmp_path, monkeypatch):
    module = load("classes")
    monkeypatch.setattr(module, "SCENES", 1)
    monkeypatch.setattr(module, "JUDGED", 1)
    for number in range(3):
        folder = tmp_path / "wbc" / "dataset2"
        write_pair(folder, f"{number}", disks(2, seed=number))
        image = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        imwrite(folder / "images" / f"{number}.tif", image, photometric="rgb")
    for name in module.VARIANTS:
        recipe = module.VARIANTS[name]
        monkeypatch.setitem(module.VARIANTS, name, replace(recipe, network=TINY, training=BRIEF))
    output, picture = tmp_path / "classes.jsonl", tmp_path / "classes.png"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
    run("classes", *options)
    areas, sigmoid, fruit = (json.loads(line) for line in output.read_text().splitlines())
    assert areas["classes"] == ["background", "cytoplasm", "nucleus"]
    assert sigmoid["parameters"] < areas["parameters"]
    assert fruit["objects"] == 12
    pytest.importorskip("matplotlib")
    run("classes", *options, "--picture", picture)
    assert picture.stat().st_size > 10_000


def test_nested_networks_have_as_many_parameters_and_lines_for_their_levels(
    run, load, tmp_path, monkeypatch
):
    for number in range(2):
        write_pair(tmp_path / "dsb2018_stardist" / "train", f"image{number}", disks(4, seed=number))
    module = load("unet_plus_plus")
    wide = module.parameters(module.PLAIN)
    assert module.parameters(module.nested_like(module.PLAIN)) == pytest.approx(wide, rel=0.05)
    monkeypatch.setattr(module, "PLAIN", replace(TINY, base_channels=4))
    monkeypatch.setattr(module, "TRAINING", BRIEF)
    output = tmp_path / "nested.jsonl"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
    options += ("--only", "dsb2018-unet", "dsb2018-unet++")
    run("unet_plus_plus", *options)
    names = [json.loads(line)["name"] for line in output.read_text().splitlines()]
    nested = "dsb2018-unet++"
    assert names == ["dsb2018-unet", f"{nested} level 1", f"{nested} level 2", nested]
    run("unet_plus_plus", *options, "--speed", "--repeat", 1)
    rows = [line.split(" | ") for line in module.table(output)[2:6]]
    assert all(float(row[4]) > 0 for row in rows)
    pytest.importorskip("matplotlib")
    run("unet_plus_plus", "--output", output, "--picture", tmp_path / "nested.png")
    assert (tmp_path / "nested.png").stat().st_size > 10_000


def test_windows_lie_around_their_pixels(run, load, tmp_path, monkeypatch):
    write_sections(tmp_path)
    module = load("sliding_window")
    sections = module.Sections.of(module.load(tmp_path, module.OURS.target, slice(24, 26))[1])
    where = sections.draw_evenly(6, np.random.default_rng(0))
    assert sections.cells[tuple(where)].sum() == 3
    windows = sections.windows(where)[:, 0]
    margin = module.WINDOW // 2
    inner = sections.images[:, margin:-margin, margin:-margin]
    assert (windows[:, margin, margin] == inner[tuple(where)]).all()
    monkeypatch.setattr(module, "OURS", replace(module.OURS, network=TINY))
    output = tmp_path / "window.jsonl"
    run(
        "sliding_window",
        *("--data", tmp_path, "--output", output, "--iterations", 1, "--pixels", 40),
    )
    assert json.loads(output.read_text())["window_cost"] > 0
    assert len(module.table(output)) == 4


def test_paper_ideas(run, load, tmp_path, monkeypatch):
    for number in range(11):
        write_pair(
            tmp_path / "dsb2018_stardist" / "train", f"image{number:02}", disks(4, seed=number)
        )
    module = load("paper_ideas")
    few = replace(module.VARIANTS["5-images"], network=TINY, training=BRIEF)
    monkeypatch.setitem(module.VARIANTS, "5-images", few)
    output = tmp_path / "ideas.jsonl"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
    run("paper_ideas", *options, "--only", "5-images")
    assert module.table(output)[2].startswith("| 5 images |")
    pytest.importorskip("matplotlib")
    run("paper_ideas", "--output", output, "--picture", tmp_path / "ideas.png")
    assert (tmp_path / "ideas.png").stat().st_size > 5000


def test_the_page_has_a_section_for_each_experiment_with_results(run, tmp_path):
    line = {"name": "paper", "seed": 0, "budget": "1 steps", "parameters": 5, "iterations": 1}
    line |= {"seconds": 60, "machine": "a desk", "pixel": [0.1, 0.2], "rand": [0.3, 0.4]}
    line |= {"warping": [0.5, 0.6], "thresholds": [0.5, 0.5, 0.5]}
    (tmp_path / "em.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "em.jpg").touch()
    page = tmp_path / "experiments.md"
    run("experiments_page", "--results", tmp_path, "-o", page)
    text = page.read_text()
    assert [row for row in text.splitlines() if row.startswith("## ")] == [
        "## Membranes in electron microscopy"
    ]
    assert "| recipe `paper` | 0.1000 | 0.3000 | 0.500000 |" in text
    assert "results/em.jsonl --iterations 1 \\\n    --only paper\n" in text
    assert "Machine: a desk." in text
    assert "](em.jpg)" in text
    assert "em_curves.png" not in text
    assert "benchmarks/paper_ideas.py" in text


def test_stardist_stands_beside_a_unet_on_the_test_part(run, load, tmp_path, monkeypatch):
    for part, number in (("train", 0), ("train", 1), ("test", 2)):
        folder = tmp_path / "dsb2018_stardist" / part
        write_pair(folder, f"image{number}", disks(4, seed=number))
    module, theirs, networks = (load(n) for n in ("beside_stardist", "_stardist", "networks"))
    monkeypatch.setattr(networks, "VARIANTS", {module.NETWORK: TINY})

    def train(name, config, training, held_out, folder):
        assert (len(training), len(held_out)) == (1, 1)
        told = {"name": name, "seed": config.seed, "budget": "1 steps", "parameters": 7}
        return told | {"iterations": 1, "seconds": 60, "machine": "none"}

    monkeypatch.setattr(theirs, "train", train)
    monkeypatch.setattr(theirs, "load", lambda name, folder: None)
    monkeypatch.setattr(theirs, "segment", lambda model, image: label(image > 100)[0])
    output = tmp_path / "beside_stardist.jsonl"
    options = ("--data", tmp_path, "--models", tmp_path / "runs", "--output", output)
    run("beside_stardist", *options, "--iterations", 1)
    once = output.read_text()
    run("beside_stardist", *options, "--iterations", 1)
    assert output.read_text() == once
    run("beside_stardist", *options, "--speed", "--repeat", 1)
    ours, stardist = (row.split(" | ") for row in module.table(output)[2:4])
    assert ours[0] == "| U-Net (base16-depth3, standard recipe)"
    assert stardist[:3] == ["| StarDist", "7", "1.000"]  # the stand-in finds all disks
    assert min(float(row[7]) for row in (ours, stardist)) > 0
