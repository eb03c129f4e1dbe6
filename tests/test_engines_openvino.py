from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import napari_unet
from napari_unet.config import FCNConfig, NetworkConfig, Target, UNetConfig, UNetPlusPlusConfig
from napari_unet.engines import (
    OpenVINOEngine,
    OutOfMemory,
    TorchEngine,
    make_engine,
    openvino_engine,
)
from napari_unet.model import Network, UNet, build
from napari_unet.prediction import predict_scores, run_to_end
from napari_unet.samples import load_sample

CONFIG = UNetConfig(out_channels=3, base_channels=4, depth=2, padding="same", batch_norm=True)
TARGET = Target(extras=("distance",))
GRAPH = "napari_unet.engines.openvino_graph"

# Not importorskip, which would let OpenVINO's telemetry begin.
needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="needs OpenVINO")


def network(config: NetworkConfig = CONFIG) -> Network:
    """Return a network with random statistics, whose logits are of the size of trained ones."""
    torch.manual_seed(0)
    built = build(config).eval()
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    size = config.input_size(config.alignment)
    with torch.no_grad():
        largest = float(built(torch.rand(1, config.in_channels, size, size)).abs().max())
        for layer in built.output_layers:
            for parameter in built.get_submodule(layer).parameters():
                parameter *= 3 / max(largest, 3)
    return built


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def by_torch(images: np.ndarray, config: NetworkConfig = CONFIG) -> np.ndarray:
    return TorchEngine(network(config), config, TARGET, precision="float32")(images)


class Compiled:
    """What stands for a compiled network: torch's, until an error is set."""

    description = "a stand-in"

    def __init__(self, own: Network, bfloat16: bool, threads: int) -> None:
        self.own, self.bfloat16, self.threads = own, bfloat16, threads
        self.error: Exception | None = None
        self.released = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self.error:
            raise self.error
        return self.own(torch.from_numpy(images)).numpy()

    def release_memory(self) -> None:
        self.released += 1


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let OpenVINO seem to be there, whether it is or not."""
    monkeypatch.setattr(openvino_engine, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, GRAPH, SimpleNamespace(CompiledNetwork=Compiled))


def test_torch_runs_the_network_where_openvino_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "find_spec", lambda name: None)
    engine = make_engine(network(), CONFIG, TARGET)
    assert type(engine) is TorchEngine
    assert engine.notice == ""


@pytest.mark.usefixtures("stand_in")
def test_it_is_taken_where_it_is_present_and_not_switched_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = make_engine(network(), CONFIG, TARGET, precision="float32")
    assert engine.description == "a stand-in"
    assert engine.notice == ""
    assert engine._compiled.threads == torch.get_num_threads()
    assert engine._compiled.bfloat16 is False
    np.testing.assert_array_equal(engine(batch(2, 1, 32, 48)), by_torch(batch(2, 1, 32, 48)))
    monkeypatch.setenv("NAPARI_UNET_OPENVINO", "0")
    assert type(make_engine(network(), CONFIG, TARGET)) is TorchEngine


@pytest.mark.usefixtures("stand_in")
def test_other_devices_are_torchs_until_the_cpu_takes_over() -> None:
    engine = make_engine(network(), CONFIG, TARGET, "meta", "float32")
    assert engine._compiled is None
    engine.network = network()  # weights on the meta device are lost
    assert engine.fall_back() is True
    assert engine.description == "a stand-in"


def test_a_broken_installation_is_told_and_torch_runs_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino_engine, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, GRAPH, raising=False)
    engine = make_engine(network(), CONFIG, TARGET, precision="float32")
    assert engine.notice.startswith("OpenVINO failed (import of openvino halted")
    assert engine.notice.endswith(
        "torch runs the network, more slowly; NAPARI_UNET_OPENVINO=0 stops OpenVINO from being"
        " tried."
    )
    assert engine.description.startswith("torch")
    np.testing.assert_array_equal(engine(batch(1, 1, 32, 48)), by_torch(batch(1, 1, 32, 48)))
    assert "openvino_telemetry" not in sys.modules


def test_a_network_that_is_not_compiled_is_run_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Exception from core.cpp:109:\nno such kernel.\n\n")

    monkeypatch.setitem(sys.modules, GRAPH, SimpleNamespace(CompiledNetwork=fail))
    engine = OpenVINOEngine(network(), CONFIG, TARGET, precision="float32")
    assert engine.notice.startswith("OpenVINO failed (no such kernel): torch runs the network")
    np.testing.assert_array_equal(engine(batch(1, 1, 32, 48)), by_torch(batch(1, 1, 32, 48)))


@pytest.mark.usefixtures("stand_in")
def test_a_pass_that_fails_is_done_again_by_torch() -> None:
    engine = make_engine(network(), CONFIG, TARGET, precision="float32")
    engine._compiled.error = RuntimeError("could not create a primitive")
    np.testing.assert_array_equal(engine(batch(1, 1, 32, 48)), by_torch(batch(1, 1, 32, 48)))
    assert "(could not create a primitive)" in engine.notice
    assert engine.description.startswith("torch")


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "error", [RuntimeError("Failed to allocate 9 bytes of memory"), MemoryError()]
)
def test_a_lack_of_memory_calls_for_smaller_tiles_not_for_torch(error: Exception) -> None:
    engine = make_engine(network(), CONFIG, TARGET)
    compiled = engine._compiled
    compiled.error = error
    with pytest.raises(OutOfMemory, match="more memory than the CPU has free"):
        engine(batch(1, 1, 32, 48))
    assert engine._compiled is compiled
    assert engine.notice == ""
    assert compiled.released == 1


@pytest.mark.usefixtures("stand_in")
def test_memory_kept_for_the_next_pass_counts_as_free() -> None:
    engine = make_engine(network(), CONFIG, TARGET)
    assert engine.choose_tile((4000, 4000)) > 0
    assert engine._compiled.released == 1


@pytest.mark.usefixtures("stand_in")
def test_a_size_that_does_not_fit_is_the_callers_mistake() -> None:
    engine = make_engine(network(), CONFIG, TARGET)
    with pytest.raises(ValueError, match="An input of 30 pixels does not fit"):
        engine(batch(1, 1, 32, 30))
    assert engine.notice == ""


shapes = {
    "in_channels": st.integers(1, 2),
    "out_channels": st.just(3),
    "base_channels": st.integers(2, 5),
    "depth": st.integers(1, 4),
    "batch_norm": st.booleans(),
}
paddings = st.sampled_from(["valid", "same"])
configs = st.one_of(
    st.builds(UNetConfig, **shapes, padding=paddings),
    st.builds(UNetPlusPlusConfig, **shapes, deep_supervision=st.booleans()),
    st.builds(FCNConfig, **shapes, padding=paddings),
)


@needs_openvino
@settings(max_examples=30, deadline=None)
@given(config=configs, steps=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_scores_are_torchs(config: NetworkConfig, steps: tuple[int, int]) -> None:
    engine = OpenVINOEngine(network(config), config, TARGET, precision="float32")
    assert engine.notice == ""
    assert engine.description.startswith("OpenVINO")
    for number in (1, 2):  # one compiled network for all sizes
        sizes = (config.input_size(number * n * config.alignment) for n in steps)
        images = batch(number, config.in_channels, *sizes)
        np.testing.assert_allclose(engine(images), by_torch(images, config), rtol=0, atol=1e-5)


@needs_openvino
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_tiles_agree_with_one_pass(padding: str) -> None:
    config = UNetConfig(out_channels=3, base_channels=6, depth=3, padding=padding, batch_norm=True)
    engine = OpenVINOEngine(network(config), config, TARGET, precision="float32")
    image = batch(1, 150, 201)
    whole = run_to_end(predict_scores(engine, image, 256))
    for tile in (8, 40, 64):
        tiled = run_to_end(predict_scores(engine, image, tile))
        np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


@needs_openvino
def test_a_pass_leaves_the_scores_of_the_last_one_alone() -> None:
    engine = OpenVINOEngine(network(), CONFIG, TARGET, precision="float32")
    first = engine(batch(1, 1, 32, 48))
    expected = first.copy()
    engine(np.zeros((1, 1, 32, 48), np.float32))
    np.testing.assert_array_equal(first, expected)


@needs_openvino
def test_labels_of_the_bundled_model_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_unet.engines.devices.prefers_bfloat16", lambda _: False)
    image = load_sample("tissue")[:301, 30:425]
    labels = napari_unet.segment(image, device="cpu")
    tiled = napari_unet.segment(image, device="cpu", tile=128)
    monkeypatch.setenv("NAPARI_UNET_OPENVINO", "0")
    expected = napari_unet.segment(image, device="cpu")
    assert expected.max() > 50
    assert (labels != expected).mean() <= 1e-3
    np.testing.assert_array_equal(tiled, labels)


def pretend(monkeypatch: pytest.MonkeyPatch, capabilities: list[str]) -> None:
    """Let the CPU seem to be able to do that, and bfloat16 to be worth it."""
    OpenVINOEngine(network(), CONFIG, TARGET)  # which imports OpenVINO as it should be
    graph = sys.modules[GRAPH]
    core = graph._core()
    told = SimpleNamespace(get_property=lambda *_: capabilities, compile_model=core.compile_model)
    monkeypatch.setattr(graph, "_core", lambda: told)
    monkeypatch.setattr("napari_unet.engines.devices.prefers_bfloat16", lambda _: True)


@needs_openvino
def test_bfloat16_changes_scores_only_by_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for although the CPU may only imitate it."""
    pretend(monkeypatch, ["FP32", "BF16"])
    rounded = OpenVINOEngine(network(), CONFIG, TARGET)
    assert rounded.description.endswith("bfloat16")
    difference = np.abs(rounded(batch(1, 1, 64, 64)) - by_torch(batch(1, 1, 64, 64)))
    assert difference.max() < 0.05


@needs_openvino
def test_bfloat16_is_not_imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ["FP32"])
    engine = OpenVINOEngine(network(), CONFIG, TARGET)
    assert engine.description.endswith("float32")
    images = batch(1, 1, 64, 64)
    np.testing.assert_allclose(engine(images), by_torch(images), rtol=0, atol=1e-5)


class Mirrored(UNet):
    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return super().logits(x.flip(-1))


def with_a_foreign_layer() -> Network:
    built = network()
    built.pool = nn.AvgPool2d(2)
    return built


@needs_openvino
@pytest.mark.parametrize(
    ("foreign", "reason"),
    [
        (lambda: Mirrored(CONFIG), "a Mirrored is no network of this package"),
        (with_a_foreign_layer, "the layer AvgPool2d has no translation"),
        (lambda: nn.Conv2d(1, 3, 3, padding="same"), "a Conv2d is no network of this package"),
    ],
)
def test_what_has_no_translation_is_torchs(foreign: Callable[[], nn.Module], reason: str) -> None:
    engine = OpenVINOEngine(foreign(), CONFIG, TARGET, precision="float32")
    assert reason in engine.notice
    assert engine.description.startswith("torch")
    assert engine(batch(1, 1, 32, 48)).shape == (1, 3, 32, 48)


SHORT_OF_MEMORY = """
import resource
import numpy as np, psutil, torch
from napari_unet.config import Target, UNetConfig
from napari_unet.engines import OpenVINOEngine, OutOfMemory
from napari_unet.model import UNet

torch.set_num_threads(1)  # in which OpenVINO's `infer` hides it
config = UNetConfig(base_channels=8, depth=1, padding="same")
engine = OpenVINOEngine(UNet(config), config, Target(), precision="float32")
image, other = np.random.default_rng(0).random((2, 1, 1, 1024, 1024), dtype=np.float32)
engine(image)
engine.free_memory()
used, limits = psutil.Process().memory_info().vms, resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + 2**25, limits[1]))
try:
    engine(other)
except OutOfMemory:
    print("told")
assert engine.description.startswith("OpenVINO"), engine.notice
resource.setrlimit(resource.RLIMIT_AS, limits)
assert engine(other).shape == (1, 2, 1024, 1024)
"""


@needs_openvino
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")
def test_a_pass_without_memory_is_no_repetition_of_the_last_and_home_is_left_alone(
    tmp_path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHORT_OF_MEMORY],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
    # OpenVINO's telemetry, were it loaded, would have made a folder there.
    assert not list(tmp_path.iterdir())
