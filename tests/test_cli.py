"""Commands as people type them: files, flags, messages and exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr
from safetensors.numpy import load_file

from napari_unet.annotations import Annotation, Mode, Project, Region, write_annotation
from napari_unet.batch import Job, Overview
from napari_unet.cli import _parser, main, segment, train
from napari_unet.cli.flags import given
from napari_unet.cli.segment import FLAGS as SEGMENT_FLAGS
from napari_unet.cli.train import FLAGS as TRAIN_FLAGS
from napari_unet.config import (
    ARCHITECTURES,
    Preprocessing,
    SegmentConfig,
    Target,
    TrainConfig,
    UNetPlusPlusConfig,
)
from napari_unet.images import write_labels
from napari_unet.library import can_go_on, read_card
from napari_unet.metrics import METRICS
from napari_unet.provenance import Provenance
from napari_unet.training import Files
from napari_unet.weightmap import weight_map

FAST = ("--device", "cpu")


def picture(seed: int = 0, size: int = 64) -> np.ndarray:
    random = np.random.default_rng(seed)
    image = random.normal(100, 5, (size, size))
    image[10:25, 10:25] += 500
    image[35:50, 30:45] += 500
    return image.astype(np.uint16)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "이미지 folder"  # spaces and Korean letters
    folder.mkdir()
    for seed in range(2):
        tifffile.imwrite(folder / f"cells {seed}.tif", picture(seed))
    return folder


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


# What a recipe or a model decides, and a person at the terminal does not.
SHAPE = {"in_channels", "out_channels", "base_channels", "depth", "batch_norm", "dropout"}
HIDDEN = {
    **{kind: SHAPE | {"padding"} for kind in ARCHITECTURES.values()},
    UNetPlusPlusConfig: SHAPE | {"deep_supervision"},
    Target: {"classes", "extras", "instances", "activation"},
    Preprocessing: {
        "channels",
        "low",
        "high",
        "statistic",
        "gain",
        "offset",
        "clip",
        "invert_bright",
        "bright_field",
        "diameter",
        "pixel_size",
        "zoom",
        "auto_size",
    },
}


@pytest.mark.parametrize(
    ("config", "flags"),
    [
        (SegmentConfig, SEGMENT_FLAGS),
        (TrainConfig, TRAIN_FLAGS),
        *((kind, {}) for kind in ARCHITECTURES.values()),
        (Target, {}),
        (Preprocessing, {}),
    ],
)
def test_each_config_field_is_a_flag_or_hidden(config: type, flags: dict[str, tuple[str, str]]):
    assert {f.name for f in fields(config)} == set(flags) | HIDDEN.get(config, set())


@pytest.mark.parametrize(
    "line",
    [
        "segment a.tif b/ c*.png -o out --model nuclei --device auto --pixel-size 0.5 --channel 1"
        " --tile 256 --threshold 0.4 --min-size 20 --scores --force",
        "segment a.tif --diameter 30 --channel 0,1 --device mps",
        "train images labels -o m.safetensors --from nuclei --recipe paper --iterations 5"
        " --architecture unet++"
        " --minutes 2 --optimizer sgd --val-fraction 0.2 --w0 8 --sigma 4 --patch 128 --batch 2"
        " --seed 3 --device cuda --resume",
        "weightmap labels.tif -o w.tif",
        "evaluate p t --json --metrics ap pq dice warping-error --membranes",
        "models nuclei --layers",
        "demo --headless",
    ],
)
def test_the_flags_people_know_are_read(line: str):
    _parser().parse_args(line.split())


def test_flags_become_the_config():
    line = "segment a.tif --channel 0,1 --threshold 0.3 --tile 64 --no-fill-holes --diameter 12"
    expected = {"channel": (0, 1), "threshold": 0.3, "tile": 64, "fill_holes": False}
    assert given(_parser().parse_args(line.split()), SegmentConfig) == expected | {"diameter": 12}
    line = "train i l -o m.safetensors --minutes 2 --optimizer sgd --w0 8 --sigma 4 --seed 3"
    expected = {"minutes": 2, "optimizer": "sgd", "w0": 8, "sigma": 4, "seed": 3}
    assert given(_parser().parse_args(line.split()), TrainConfig) == expected


@pytest.mark.parametrize(
    ("flag", "made"),
    [
        ("--measure", "_objects.csv"),
        ("--boxes", "_boxes.csv"),
        ("--rois", "_rois.zip"),
        ("--scores", "_scores.tif"),
    ],
)
def test_each_flag_writes_its_file(images: Path, tmp_path: Path, flag: str, made: str):
    out = tmp_path / "out"
    assert run("segment", images / "cells 0.tif", "-o", out, flag, *FAST) == 0
    written = {path.name for path in out.iterdir() if path.suffix != ".json"}
    assert written == {"cells 0_labels.tif", f"cells 0{made}"}


def test_labels_as_ome_tiff(images: Path, tmp_path: Path):
    assert run("segment", images / "cells 0.tif", "-o", tmp_path / "out", "--ome", *FAST) == 0
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == "cells 0_labels.ome.tif"
    with tifffile.TiffFile(path) as file:
        assert file.is_ome


@pytest.mark.parametrize(
    "command", ["", "segment", "train", "weightmap", "evaluate", "models", "demo"]
)
def test_help_is_there_and_loads_neither_torch_nor_qt(command: str):
    code = (
        "import sys; from napari_unet.cli import main\n"
        f"try: main({[command, '--help'] if command else ['--help']!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "loaded = {'torch', 'napari', 'qtpy', 'skimage'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: napari-unet" in done.stdout


def test_segment_a_folder(images: Path, capsys: pytest.CaptureFixture[str]):
    assert run("segment", images, "--device", "cpu") == 0
    for seed in range(2):
        labels = tifffile.imread(images / f"cells {seed}_labels.tif")
        assert labels.shape == (64, 64)
        assert labels.dtype == np.uint16
    out = capsys.readouterr().out
    assert out.count(" objects in 64x64 pixels") == 2
    # A second run takes no labels for images, and does not write over them.
    assert run("segment", images, "--device", "cpu") == 1
    assert capsys.readouterr().err.count("--force") == 2
    assert run("segment", images, "--device", "cpu", "--force") == 0


def test_segment_into_a_folder_that_is_made(images: Path, tmp_path: Path):
    out = tmp_path / "a" / "b"
    assert run("segment", images, "-o", out, "--device", "cpu", "--scores") == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "cells 0_labels.tif",
        "cells 0_scores.tif",
        "cells 1_labels.tif",
        "cells 1_scores.tif",
        "napari-unet.jsonl",
    ]
    scores = tifffile.imread(out / "cells 0_scores.tif")
    assert scores.dtype == np.float32
    assert scores.shape[-2:] == (64, 64)


def test_segment_into_a_folder_that_is_called_labels(images: Path):
    labels = images / "labels" / "x.tif"
    assert run("segment", images / "cells 0.tif", "-o", labels, "--device", "cpu") == 0
    assert tifffile.imread(labels).shape == (64, 64)


def test_segment_goes_on_where_it_stopped(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    (images / "broken.tif").write_bytes(b"this is text")
    assert run("segment", images, "-o", out, "--device", "cpu") == 1
    (out / "cells 1_labels.tif").unlink()
    before = (out / "cells 0_labels.tif").stat().st_mtime_ns
    capsys.readouterr()
    again = ("segment", images, "-o", out, "--device", "cpu", "--resume", "--overview")
    assert run(*again) == 1
    told = capsys.readouterr()
    first, last = told.out.splitlines()
    assert first.startswith(f"{images / 'cells 1.tif'} -> {out / 'cells 1_labels.tif'}: ")
    assert last.startswith("2 of 3 done, 1 failed, ")
    assert "broken.tif" in told.err
    assert (out / "cells 0_labels.tif").stat().st_mtime_ns == before
    assert (out / "overview.png").is_file()
    (images / "broken.tif").unlink()
    assert run(*again) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_segment_one_image_to_a_path(images: Path, tmp_path: Path):
    out = tmp_path / "mine.tif"
    assert run("segment", images / "cells 0.tif", "-o", out, "--device", "cpu") == 0
    assert tifffile.imread(out).shape == (64, 64)
    assert run("segment", images, "-o", tmp_path / "other.tif") == 2


def test_labels_keep_the_pixel_size_of_the_image(tmp_path: Path):
    path = tmp_path / "a.tif"
    stack = np.stack([picture(s) for s in range(3)])
    tifffile.imwrite(
        path, stack, imagej=True, resolution=(4, 4), metadata={"axes": "TYX", "unit": "um"}
    )
    assert run("segment", path, "--device", "cpu") == 0
    with tifffile.TiffFile(tmp_path / "a_labels.tif") as file:
        assert file.series[0].axes == "TYX"
        assert file.imagej_metadata["unit"] in ("um", "micron", "\\u00B5m")
        assert (
            file.pages[0].tags["XResolution"].value[0] / file.pages[0].tags["XResolution"].value[1]
            == 4
        )


def test_the_others_are_finished_when_one_fails(images: Path, capsys: pytest.CaptureFixture[str]):
    (images / "broken.tif").write_bytes(b"this is text")
    assert run("segment", images, "--device", "cpu") == 1
    assert "broken.tif" in capsys.readouterr().err
    assert len(list(images.glob("*_labels.tif"))) == 2


def _bad(folder: Path, name: str) -> Path:
    path = folder / name
    whole = folder / "whole.tif"
    tifffile.imwrite(whole, picture())
    match name:
        case "truncated.tif":
            path.write_bytes(whole.read_bytes()[:4000])
        case "empty.tif":
            path.write_bytes(b"")
        case "text.tif" | "text.png":
            path.write_text("no image")
        case "complex.tif":
            tifffile.imwrite(path, picture().astype(np.complex64))
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.tif", "cannot be read"),
        ("text.png", "cannot be read"),
        ("truncated.tif", "cannot be read"),
        ("empty.tif", "0 bytes"),
        ("complex.tif", "complex"),
        ("notes.docx", "use TIFF, PNG, JPEG or"),
    ],
)
def test_bad_inputs_get_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
):
    path = _bad(tmp_path, name)
    if name == "notes.docx":
        path.write_text("no image")
    assert run("segment", path, "-o", tmp_path / "out", "--device", "cpu") == 1
    err = capsys.readouterr().err
    assert words in err
    assert name in err
    assert "Traceback" not in err
    assert err.count(name) == 1
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("out/*"))


def test_missing_files_are_named_and_the_others_done(
    images: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("segment", images / "missing.tif") == 2
    assert "missing.tif does not exist" in capsys.readouterr().err
    assert run("segment", images / "missing.tif", images / "cells 0.tif", "--device", "cpu") == 1
    assert (images / "cells 0_labels.tif").exists()


def test_an_overview_takes_the_place_of_no_image(images: Path, capsys):
    PIL.Image.fromarray(picture()).save(images / "overview.png")
    before = (images / "overview.png").read_bytes()
    assert run("segment", images, "--overview", *FAST) == 2
    assert "overview.png exists already" in capsys.readouterr().err
    assert (images / "overview.png").read_bytes() == before
    (images / "overview.png").unlink()
    assert run("segment", images, "--overview", *FAST) == 0
    assert run("segment", images, "--overview", "--resume", *FAST) == 0
    assert not (images / "overview_labels.tif").exists()  # it is no image


def test_an_overview_of_folders_that_have_none_in_common(images: Path, tmp_path: Path, capsys):
    root = Path(tmp_path.anchor)
    jobs = [Job(Path("a.tif"), root / folder / "a_labels.tif") for folder in ("one", "two")]
    with pytest.raises(ValueError, match="name one for all by -o"):
        segment._overview(jobs, SegmentConfig(), force=False)


def test_what_is_done_counts_where_the_overview_is_not_written(images: Path, monkeypatch, capsys):
    def full(self):
        raise OSError("The disk is full.")

    monkeypatch.setattr(Overview, "write", full)
    assert run("segment", images, "--overview", "--resume", *FAST) == 1
    told = capsys.readouterr()
    assert "The disk is full." in told.err
    assert "done" in told.out


def test_images_and_annotations_are_never_written_over(
    images: Path, capsys: pytest.CaptureFixture[str]
):
    path = images / "cells 0.tif"
    before = path.read_bytes()
    assert run("segment", path, "-o", path, "--force") == 1
    assert "is the image itself" in capsys.readouterr().err
    assert run("weightmap", path, "-o", path, "--force") == 2
    assert "is the labels themselves" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1), np.uint8),
        np.full((40, 40), 9, np.uint16),
        np.full((40, 40), np.nan, np.float32),
        np.zeros((2, 1, 2, 33, 34), np.uint8),
    ],
)
def test_odd_images_have_no_objects(tmp_path: Path, image: np.ndarray):
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, image, photometric="minisblack")
    assert run("segment", path, "--device", "cpu") == 0
    assert tifffile.imread(tmp_path / "odd_labels.tif").max() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "net.pt"], "pickles"),
        (["--model", "cytoplasm"], "Known models: "),
        (["--model", "none.safetensors"], "does not exist"),
        (["--threshold", "2"], "threshold = 2.0"),
        (["--tile", "0"], "tile = 0"),
        (["--diameter", "5", "--pixel-size", "1"], "diameter"),
    ],
)
def test_bad_options_start_nothing(
    images: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
):
    assert run("segment", images, *arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not list(images.glob("*_labels.tif"))


def test_missing_gpu_is_said(images: Path, capsys: pytest.CaptureFixture[str]):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert run("segment", images, "--device", "cuda") == 2
    assert "'cuda' is not available" in capsys.readouterr().err


def test_weightmap(tmp_path: Path):
    labels = np.zeros((30, 30), np.uint16)
    labels[5:15, 5:14], labels[5:15, 15:25] = 1, 2
    tifffile.imwrite(tmp_path / "l.tif", labels)
    out = tmp_path / "w.tif"
    assert run("weightmap", tmp_path / "l.tif", "-o", out, "--w0", 5) == 0
    weights = tifffile.imread(out)
    assert weights.dtype == np.float32
    assert weights[10, 14] > weights[25, 14] + 3
    assert run("weightmap", tmp_path / "l.tif", "-o", out) == 2
    for recipe, options in (("paper", (10, 5)), ("few-shot", (5, 5))):
        command = ("weightmap", tmp_path / "l.tif", "-o", out, "--recipe", recipe, "--force")
        assert run(*command) == 0
        expected = weight_map(labels, *options, balance=recipe == "paper")
        np.testing.assert_allclose(tifffile.imread(out), expected, rtol=1e-6)


@pytest.fixture
def compared(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of predicted and true labels of two images, the second without mistakes."""
    truth, found = np.zeros((2, 20, 40), np.uint16)
    truth[2:10, 2:10], truth[2:10, 20:30] = 1, 2
    found[2:10, 2:10] = 5
    for name, images in {"truth": (truth, found), "pred": (found, found)}.items():
        (tmp_path / name).mkdir()
        for stem, labels in zip("ab", images, strict=True):
            tifffile.imwrite(tmp_path / name / f"{stem}.tif", labels)
    return tmp_path / "pred", tmp_path / "truth"


def test_evaluate(compared: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    assert run("evaluate", *compared) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["IoU", "AP", "pooled", "AP", "per", "image", "TP", "FP", "FN"]
    assert lines[1].split() == ["0.50", "0.6667", "0.7500", "2", "0", "1"]
    assert lines[7].split() == ["dsb2018", "0.7500", "0.7500"]
    assert lines[-1] == "2 images"
    prediction, truth = compared
    assert run("evaluate", prediction / "a.tif", truth / "a.tif", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["pooled"]["0.5"] == {"ap": 0.5, "tp": 1, "fp": 0, "fn": 1}
    assert result["pooled"]["dsb2018"] == 0.5
    assert result["images"] == {"a": result["pooled"]}


def test_evaluate_labels_beside_their_images(compared, tmp_path: Path, capsys):
    """As segment writes them, and beside them what macOS hides on foreign disks."""
    prediction, truth = compared
    for stem in "ab":
        (prediction / f"{stem}.tif").rename(prediction / f"{stem}_labels.tif")
        tifffile.imwrite(prediction / f"{stem}.tif", picture())
    for folder in compared:
        (folder / "._a.tif").write_bytes(b"resource fork")
    assert run("evaluate", prediction, truth) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 images"
    output = tmp_path / "all.csv"
    assert run("measure", truth, "-o", output) == 0


def test_evaluate_a_zarr(compared: tuple[Path, Path], tmp_path: Path, capsys):
    prediction, truth = (folder / "a.tif" for folder in compared)
    stored, labels = tmp_path / "a.zarr", tifffile.imread(prediction)
    zarr.save_array(str(stored), labels)
    assert run("evaluate", prediction, truth) == 0
    expected = capsys.readouterr().out
    assert run("evaluate", stored, truth) == 0
    assert capsys.readouterr().out == expected
    assert run("evaluate", prediction, stored, "--metrics", "seg", "--json") == 0
    assert json.loads(capsys.readouterr().out)["pooled"]["seg"] == 1


def test_evaluate_what_is_asked(compared: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    asked = ("--metrics", "f1", "matched-iou", "dice", "seg", "dice")
    assert run("evaluate", *compared, *asked, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    at_half = {"f1": 0.8, "matched-iou": 1, "tp": 2, "fp": 0, "fn": 1}
    assert result["pooled"]["0.5"] == at_half
    assert result["per_image"]["0.5"] == pytest.approx({"f1": (2 / 3 + 1) / 2, "matched-iou": 1})
    assert result["pooled"]["dice"] == pytest.approx(2 * 128 / (128 + 208))
    assert (result["images"]["a"]["seg"], result["images"]["b"]["seg"]) == (0.5, 1)
    assert run("evaluate", *compared, *asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["IoU", "f1", "matched-iou", "TP", "FP", "FN"]
    assert [line.split()[0] for line in lines[7:9]] == ["dice", "seg"]


@pytest.mark.parametrize("membranes", [False, True])
def test_evaluate_a_probability_map(
    membranes: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cells = np.ones((10, 20), np.uint8)
    cells[:, 10] = 0
    scores = np.where(cells > 0, 0.9, 0.1).astype(np.float32)
    scores[4:6, 10] = 0.65  # a gap of two pixels, up to the threshold 0.6
    marked = (1 - scores, 1 - cells) if membranes else (scores, cells)
    for name, image in zip(("p", "t"), marked, strict=True):
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    errors = ["pixel-error", "rand-error", "warping-error", "warping-error-all"]
    command = ["evaluate", tmp_path / "p.tif", tmp_path / "t.tif", "--metrics", *errors]
    command += ["--membranes"] * membranes
    assert run(*command, "--json") == 0
    result = json.loads(capsys.readouterr().out)["pooled"]
    assert result["warping-error"] == {"least": 0, "at 0.5": 2 / 200, "threshold": 0.7}
    assert result["rand-error"]["at 0.5"] == pytest.approx(
        1 - 2 * (100**2 + 90**2) / (190**2 + 18_100)
    )
    assert result["pixel-error"]["at 0.5"] == pytest.approx(2 / (190 + 192))
    assert run(*command) == 0
    out = capsys.readouterr().out
    assert "warping-error       0.000000        0.7  0.010000         0.000000" in out


def test_evaluate_stacks_in_the_order_of_their_axes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    truth = np.zeros((2, 2, 20, 20), np.uint16)
    truth[0, 1, 2:8, 2:8] = 1
    tifffile.imwrite(tmp_path / "truth.ome.tif", truth, metadata={"axes": "ZTYX"})
    found = truth.swapaxes(0, 1)
    tifffile.imwrite(tmp_path / "found.ome.tif", found, metadata={"axes": "TZYX"})
    paths = [str(tmp_path / f"{name}.ome.tif") for name in ("found", "truth")]
    assert main(["evaluate", *paths, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pooled"]["0.5"]["tp"] == 1


def test_evaluate_stacks_whose_objects_are_numbered_by_plane(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    truth = np.zeros((2, 20, 20), np.uint8)
    truth[0, 2:8, 2:8] = truth[1, 10:18, 10:18] = 1
    for name in ("found.tif", "truth.tif"):
        write_labels(tmp_path / name, truth)
    command = ["evaluate", str(tmp_path / "found.tif"), str(tmp_path / "truth.tif"), "--json"]
    counts = []
    for options in ([], ["--by-plane"]):
        assert main([*command, *options]) == 0
        counts.append(json.loads(capsys.readouterr().out)["pooled"]["0.5"]["tp"])
    assert counts == [1, 2]
    write_labels(tmp_path / "found.tif", truth, made=Provenance(SegmentConfig(), "0" * 64))
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pooled"]["0.5"]["tp"] == 2, "what segment has written is known by its record"
    assert main([*command, "--by-plane", "--metrics", "pixel-error"]) == 2
    assert "--by-plane numbers objects" in capsys.readouterr().err


def test_evaluate_names_what_it_cannot_do(
    compared: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
):
    prediction = compared[0]
    assert run("evaluate", *compared, "--metrics", "auc") == 2
    assert "'auc': choose ap, precision," in capsys.readouterr().err
    assert run("evaluate", *compared, "--membranes", "--metrics", "dice", "rand-error") == 2
    assert "not with dice" in capsys.readouterr().err
    tifffile.imwrite(prediction / "a.tif", np.full((20, 40), 0.3, np.float32))
    assert run("evaluate", *compared) == 2
    assert f"{prediction / 'a.tif'} holds fractions" in capsys.readouterr().err
    tifffile.imwrite(prediction / "a.tif", np.full((20, 40), 3, np.float32))
    assert run("evaluate", *compared, "--metrics", "pixel-error") == 2
    error = capsys.readouterr().err
    assert f"{prediction / 'a.tif'}: " in error
    assert "no probabilities" in error


def test_help_names_every_metric(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run("evaluate", "--help")
    listed = capsys.readouterr().out.replace(",", " ").split()
    assert set(METRICS) <= set(listed)


def test_labels_of_other_shapes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, width in {"p": 5, "t": 6}.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((6, width), np.uint8))
    assert run("evaluate", tmp_path / "p.tif", tmp_path / "t.tif") == 2
    err = capsys.readouterr().err
    assert f"{tmp_path / 'p.tif'} has shape (6, 5)" in err
    assert f"{tmp_path / 't.tif'} (6, 6)" in err


def test_models_lists_and_describes(capsys: pytest.CaptureFixture[str]):
    assert run("models") == 0
    assert capsys.readouterr().out.startswith("nuclei ")
    assert run("models", "nuclei") == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["licence"].startswith("CC0")
    assert run("models", "paper", "--layers") == 0
    out = capsys.readouterr().out
    assert "23 convolutional layers, 31,030,658 parameters" in out
    assert "2 x 388 x 388" in out


@pytest.fixture
def annotated(tmp_path: Path) -> tuple[Path, Path]:
    for seed in range(3):
        for name in ("images", "labels"):
            (tmp_path / name).mkdir(exist_ok=True)
        image = picture(seed)
        tifffile.imwrite(tmp_path / "images" / f"{seed}.tif", image)
        labels = np.zeros(image.shape, np.int32)
        labels[10:25, 10:25], labels[35:50, 30:45], labels[:, :4] = 1, 2, -1
        tifffile.imwrite(tmp_path / "labels" / f"{seed}.tif", labels)
    return tmp_path / "images", tmp_path / "labels"


SHORT = ("--iterations", 4, "--batch", 1, "--patch", 32, "--validate-every", 2, "--device", "cpu")


def test_train_then_segment_with_it(annotated: tuple[Path, Path], tmp_path: Path):
    model = tmp_path / "mine.safetensors"
    assert run("train", *annotated, "-o", model, "--from", "nuclei", *SHORT) == 0
    assert (tmp_path / "mine.log.csv").read_text().count("\n") == 4  # header, the start, and two
    provenance = read_card(model).provenance
    assert provenance["command"].startswith("napari-unet ")
    assert "train" in provenance["command"]
    assert "--from nuclei" in provenance["command"]
    assert provenance["started_from"]["name"] == "nuclei"
    assert "scores" not in provenance  # those of another network
    assert run("segment", annotated[0], "--model", model, "-o", tmp_path / "out") == 0
    assert run("train", *annotated, "-o", model, *SHORT) == 2  # it exists


@pytest.mark.parametrize("name", ["unet++", "fcn"])
def test_architectures_from_end_to_end(
    name: str, annotated: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model = tmp_path / "mine.safetensors"
    new = ("--recipe", "few-shot", "--architecture", name, "--no-resize")
    assert run("train", *annotated, "-o", model, *new, *SHORT, "--iterations", 2) == 0
    assert read_card(model).architecture == name
    assert run("segment", annotated[0], "--model", model, "-o", tmp_path / "out") == 0
    capsys.readouterr()
    assert run("models", model, "--layers") == 0
    out = capsys.readouterr().out
    assert f'"architecture": "{name}"' in out
    assert "convolutional layers" in out
    again = ("--from", model, "--architecture", "unet")
    assert run("train", *annotated, "-o", tmp_path / "n.safetensors", *again, *SHORT) == 2
    assert f"which is '{name}': leave it out" in capsys.readouterr().err


def test_train_on_a_project(annotated: tuple[Path, Path], tmp_path: Path, capsys):
    project = Project.create(tmp_path / "mine")
    assert run("train", project.folder, "-o", tmp_path / "m.safetensors") == 2
    assert "is annotated yet" in capsys.readouterr().err
    images, labels = annotated
    for image in sorted(images.iterdir()):
        entry = project.add(image)
        drawn = np.maximum(tifffile.imread(labels / image.name), 0)
        whole = tuple(slice(0, n) for n in drawn.shape)
        half = Region((), slice(0, whole[0].stop // 2), whole[1])
        write_annotation(project.annotation_path(entry), Annotation(drawn, Mode.REGIONS, (half,)))
    model = tmp_path / "m.safetensors"
    assert run("train", project.folder, "-o", model, "--from", "nuclei", *SHORT) == 0
    assert "annotated images" in read_card(model).provenance["data"]
    assert run("train", images, "-o", tmp_path / "n.safetensors") == 2
    assert "is no project" in capsys.readouterr().err


def test_train_resumes_after_kill_9(annotated: tuple[Path, Path], tmp_path: Path):
    killed, straight = tmp_path / "killed.safetensors", tmp_path / "straight.safetensors"
    options = ("--batch", 1, "--patch", 32, "--validate-every", 4, "--device", "cpu")
    shared = ("train", *annotated, *options, "--iterations", 16)
    command = [sys.executable, "-m", "napari_unet", *map(str, shared), "-o", str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not killed.with_suffix(".resume.safetensors").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    # What was reached is a whole model, and what is missing can be made up for.
    assert run("segment", annotated[0] / "0.tif", "--model", killed, "-o", tmp_path / "out") == 0
    assert run(*shared, "-o", killed, "--resume") == 0
    assert run(*shared, "-o", straight) == 0
    resumed, whole = (
        load_file(path.with_suffix(".last.safetensors")) for path in (killed, straight)
    )
    for name, tensor in whole.items():
        np.testing.assert_array_equal(resumed[name], tensor, err_msg=name)


def test_resume_without_a_beginning_is_said(
    annotated: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("train", *annotated, "-o", tmp_path / "a.safetensors", "--resume") == 2
    assert "nothing to resume" in capsys.readouterr().err


def test_a_training_that_is_stopped_before_it_has_learnt_says_so(
    annotated: tuple[Path, Path], tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(train, "stoppable", lambda steps: iter(()))
    model = tmp_path / "a.safetensors"
    assert run("train", *annotated, *SHORT[2:], "-o", model) == 1
    told = capsys.readouterr()
    assert "no model is written" in told.err
    assert "done" not in told.out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to a child")
def test_ctrl_c_keeps_the_best(annotated: tuple[Path, Path], tmp_path: Path):
    model = tmp_path / "a.safetensors"
    arguments = [str(a) for a in (*annotated, *SHORT[2:], "--iterations", 100000, "-o", model)]
    command = [sys.executable, "-m", "napari_unet", "train", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    deadline = time.monotonic() + 120
    while not model.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert "done" in out
    files = Files(model)
    assert read_card(model).provenance["training"]["iteration"] >= 0
    assert read_card(files.last).provenance["training"]["iteration"] > 0
    assert can_go_on(files.state)
    assert len(files.log.read_text("utf-8").splitlines()) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is a display")
@pytest.mark.parametrize(
    ("options", "display"), [(("--headless",), ":0"), ((), ""), ((), ":no such display")]
)
def test_demo_writes_where_there_is_no_display(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    display: str,
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert run("demo", *options, "--device", "cpu") == 0
    out = capsys.readouterr().out
    labels = tifffile.imread(tmp_path / "demo_labels.tif")
    assert f"{labels.max()} objects" in out
    assert labels.max() > 50
    assert str(tmp_path / "demo_overlay.png") in out
