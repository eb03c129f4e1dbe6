"""Chunks shared among processes, from the command line and to a cluster."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from _drawn import lively
from napari_unet.checkpoint import Checkpoint
from napari_unet.chunked import (
    Cluster,
    Source,
    beginning,
    connect,
    plan,
    remote,
    segment_chunked,
    workers,
)
from napari_unet.cli import main
from napari_unet.config import Preprocessing, SegmentConfig, Target, UNetConfig
from napari_unet.engines import Engine, OutOfMemory
from napari_unet.images import ngff
from napari_unet.library import Card
from napari_unet.model import build
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import load_engine

NETWORK = UNetConfig(out_channels=3, base_channels=2, depth=1, padding="same")
CARD = Card(NETWORK, Target(extras=("distance",)), Preprocessing(diameter=10.0))


@pytest.fixture
def config(tmp_path: Path) -> SegmentConfig:
    path = Checkpoint.of(lively(build(NETWORK)), CARD).save(tmp_path / "model.safetensors")
    return SegmentConfig(model=str(path), device="cpu", tile=32, min_size=0)


@pytest.fixture
def image(tmp_path: Path, rng: np.random.Generator) -> Path:
    pixels = rng.integers(0, 1000, (130, 150), np.uint16)
    zarr.save_array(tmp_path / "image.zarr", pixels)
    return tmp_path / "image.zarr"


def finished(image: Path, name: str, config: SegmentConfig, **options) -> np.ndarray:
    work = segment_chunked(Source(image), image.with_name(name), config, **options)
    return ngff.open_zarr(run_to_end(work).path).data[:]


class Small:
    """An engine on a GPU that is too small for any tile, and moves to the CPU once."""

    def __init__(self, engine: Engine) -> None:
        self.inner, self.notice, self.inside, self.moved = engine, "", 0, False
        self.config, self.channels, self.choose_tile = (
            engine.config,
            engine.channels,
            engine.choose_tile,
        )

    def __call__(self, batch):
        self.inside += 1
        time.sleep(0.002)
        alone = self.inside == 1
        self.inside -= 1
        assert alone
        if not self.moved:
            raise OutOfMemory
        return self.inner(batch)

    def fall_back(self):
        there, self.moved = self.moved, True
        return not there


def test_threads_of_a_worker_share_one_engine(image: Path, config: SegmentConfig, monkeypatch):
    expected, loaded = finished(image, "expected.zarr", config), []

    def load(config: SegmentConfig, precision: str):
        engine, card = load_engine(config, precision)
        time.sleep(0.1)
        loaded.append(Small(engine))
        return loaded[-1], card

    plan._load.cache_clear()
    monkeypatch.setattr(plan, "load_engine", load)
    labels = finished(image, "shared.zarr", config, run=workers.in_threads(4))
    np.testing.assert_array_equal(labels, expected)
    assert len(loaded) == 1


def test_all_chunks_are_predicted_in_one_precision(image: Path, config: SegmentConfig, monkeypatch):
    """What a process prefers depends on what it measures, and that on what else is running."""
    asked, loaded = [], []

    def prefers(_: object) -> str:
        asked.append(1)
        return "bfloat16" if len(asked) == 1 else "float32"

    def load(config: SegmentConfig, precision: str):
        loaded.append(precision)
        return load_engine(config, precision)

    monkeypatch.setattr(remote, "preferred_precision", prefers)
    monkeypatch.setattr(plan, "load_engine", load)
    plan._load.cache_clear()
    path = image.with_name("labels.zarr")
    begun = segment_chunked(Source(image), path, config)
    while next(begun).step != "predicting":
        pass
    begun.close()
    plan._load.cache_clear()  # as in a process of another day
    run_to_end(segment_chunked(Source(image), path, config))
    assert loaded == ["bfloat16"] * 2
    assert len(asked) == 1


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("distributed")
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with LocalCluster(n_workers=2, silence_logs="CRITICAL", **options) as local:
        yield local


# What distributed says of a machine that is slow, or of a worker that was killed.
@pytest.mark.filterwarnings("ignore::UserWarning:distributed")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("flag", ["--workers", "--scheduler"])
def test_the_command_line_shares_the_work(image: Path, config: SegmentConfig, cluster, flag: str):
    out = image.with_name("out.zarr")
    value = "2" if flag == "--workers" else cluster.scheduler_address
    command = ["segment", str(image), "--model", config.model, "--device", "cpu", "--tile", "32"]
    assert main([*command, "--min-size", "0", flag, value, "-o", str(out)]) == 0
    precision = zarr.open_group(out).attrs["napari_unet"]["precision"]
    engine, card = load_engine(config, precision)
    expected = finished(image, "expected.zarr", config, engine=engine, card=card)
    np.testing.assert_array_equal(ngff.open_zarr(out).data[:], expected)


@pytest.mark.filterwarnings("ignore::UserWarning:distributed")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("seen", [True, False], ids=["shared disk", "pixels travel"])
def test_a_worker_that_is_killed_loses_nothing(
    image: Path, config: SegmentConfig, cluster, monkeypatch, seen: bool
):
    monkeypatch.setattr("napari_unet.chunked.source.LIGHT", 2000)
    # Workers are not sent an image that is in memory; a little of it at a time they are.
    pixels = None if seen else zarr.open_array(image, mode="r")[:]
    path, messages = image.with_name("shared.zarr"), []
    with connect(cluster.scheduler_address) as run:
        assert isinstance(run, Cluster)
        source = Source(image, array=pixels)
        assert source.is_light is seen
        work = segment_chunked(source, path, config, run=run)
        for step in work:
            messages.append(step.message)
            if step.step == "predicting" and step.done == 1:
                break
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        result = run_to_end(work)
    precision = zarr.open_group(path).attrs["napari_unet"]["precision"]  # that workers prefer
    engine, card = load_engine(config, precision)
    expected = finished(image, "expected.zarr", config, engine=engine, card=card)
    assert expected.max() > 1
    np.testing.assert_array_equal(ngff.open_zarr(path).data[:], expected)
    assert result.objects == expected.max()
    assert (beginning.UNSEEN in messages) is not seen


@pytest.mark.filterwarnings("ignore::UserWarning:distributed")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_workers_of_another_version_are_told(image, config, cluster, monkeypatch):
    monkeypatch.setattr(workers, "__version__", "99")
    with connect(cluster.scheduler_address) as run:
        work = segment_chunked(Source(image), image.with_name("out.zarr"), config, run=run)
        with pytest.raises(ImportError, match="this machine 99: install the same version on both"):
            run_to_end(work)


@pytest.mark.filterwarnings("ignore::UserWarning:distributed")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_worker_of_ones_own_computes_on_all_cores() -> None:
    pytest.importorskip("distributed")
    with connect(None, 1) as worker:
        assert worker.ask(torch.get_num_threads) == os.cpu_count()


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "PATIENCE", 0.2)
    with pytest.raises(OSError, match=r"tcp://127\.0\.0\.1:9 does not answer"):
        connect("tcp://127.0.0.1:9").__enter__()


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"napari-unet-segmentation\[cluster\]"):
        connect(workers=2).__enter__()


@pytest.mark.parametrize(("scheduler", "number"), [("tcp://here:1", 2), (None, 0)])
def test_workers_that_cannot_be(scheduler: str | None, number: int):
    with pytest.raises(ValueError, match="workers"):
        connect(scheduler, number).__enter__()


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def test_the_command_line(image: Path, config: SegmentConfig, capsys):
    out = image.with_name("out.zarr")
    command = ["segment", image, "--model", config.model, "--device", "cpu", "--tile", 32]
    assert run(*command, "-o", out) == 0
    assert f"{image} -> {out}: " in capsys.readouterr().out
    labels = ngff.open_zarr(out)
    np.testing.assert_array_equal(
        labels.data[:], finished(image, "again.zarr", replace(config, min_size=None))
    )
    assert zarr.open_group(out).attrs["napari_unet"]["model"] == config.model
    assert run(*command, "-o", out) == 2
    assert "--force" in capsys.readouterr().err
    assert run(*command, "-o", out, "--force") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["image.zarr"], "-o labels.zarr"),
        (["image.zarr", "-o", "folder"], "-o labels.zarr"),
        (["none.zarr", "-o", "out.zarr"], "none.zarr does not exist"),
        (["image.zarr", "image.zarr", "-o", "out.zarr"], "one at a time"),
        (["image.zarr", "-o", "out.zarr", "--rois"], "--rois needs the labels in memory"),
        (["image.zarr", "-o", "image.zarr"], "is the image itself"),
        (["group.zarr", "-o", "out.zarr"], "holds the arrays a, b"),
        (["plate.zarr", "-o", "out.zarr"], "holds several images: name one"),
        (["wells.zarr", "-o", "out.zarr"], "wells.zarr/A/1/0.\n"),
        (["wells.zarr/A/1", "-o", "out.zarr"], "wells.zarr/A/1/f.\n"),
        (["odd.zarr", "-o", "out.zarr"], "are no OME-Zarr 0.4 or 0.5"),
        (["axes.zarr", "-o", "out.zarr"], "do not fit an array of shape"),
        (["notes.zarr", "-o", "out.zarr"], "holds no Zarr array"),
        (["broken.zarr", "-o", "out.zarr"], "cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_one_sentence(image: Path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(image.parent)
    for name in "ab":
        zarr.open_group("group.zarr").create_array(name, shape=(8, 8), dtype="u1")
    zarr.create_group("plate.zarr", attributes={"ome": {"plate": {}}}).create_group("A")
    wells = zarr.create_group("wells.zarr", attributes={"plate": {"wells": [{"path": "A/1"}]}})
    wells.create_group("A/1", attributes={"well": {"images": [{"path": "f"}]}})
    zarr.create_group("odd.zarr", attributes={"multiscales": [{"axes": ["y", "x"]}]})
    level = {
        "path": "0",
        "coordinateTransformations": [{"type": "scale", "scale": [1]}],
    }
    told = {"multiscales": [{"axes": [{"name": "x"}], "datasets": [level]}]}
    zarr.create_group("axes.zarr", attributes=told).create_array("0", shape=(8, 8), dtype="u1")
    Path("notes.zarr").mkdir()
    zarr.save_array("broken.zarr", np.ones((64, 64), np.uint8))
    Path("broken.zarr/c/0/0").write_bytes(b"nothing")
    assert run("segment", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("out.zarr").exists()
