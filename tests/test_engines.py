from __future__ import annotations

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from napari_unet import engines
from napari_unet.config import Target, UNetConfig
from napari_unet.engines import DeviceError, OutOfMemory, TorchEngine, choose_device
from napari_unet.memory import container_memory
from napari_unet.model import UNet

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
CONFIG = UNetConfig(out_channels=3, base_channels=4, depth=2, padding="same")
TARGET = Target(extras=("distance",))


def make_engine(network: nn.Module | None = None, device: str = "cpu") -> TorchEngine:
    torch.manual_seed(0)
    return TorchEngine(network or UNet(CONFIG), CONFIG, TARGET, device, precision="float32")


class Failing(nn.Module):
    """A network whose pass fails as told."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise self.error


def random_batch(size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).random((2, 1, size, size), dtype=np.float32)


def test_scores_are_a_softmax_over_classes_and_a_sigmoid_of_each_extra() -> None:
    engine, batch = make_engine(), random_batch()
    with torch.no_grad():
        logits = engine.network(torch.tensor(batch)).numpy()
    classes = np.exp(logits[:, :2].astype(float))
    expected = np.concatenate(
        [
            classes / classes.sum(axis=1, keepdims=True),
            1 / (1 + np.exp(-logits[:, 2:].astype(float))),
        ],
        axis=1,
    )
    scores = engine(batch)
    assert scores.dtype == np.float32
    assert scores.shape == (2, 3, 32, 32)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_a_read_only_array_is_predicted_without_warning() -> None:
    batch = random_batch()
    batch.flags.writeable = False
    make_engine()(batch)


def test_the_network_is_put_into_evaluation_mode() -> None:
    network = UNet(UNetConfig(out_channels=3, base_channels=4, depth=2, dropout=0.5)).train()
    engine = make_engine(network)
    batch = random_batch(size=CONFIG.alignment * 12 + 4)
    np.testing.assert_array_equal(engine(batch), engine(batch))


def test_the_callers_threads_random_state_and_gradients_are_left_alone() -> None:
    before = torch.get_num_threads(), torch.get_rng_state()
    network = UNet(CONFIG)
    torch.set_rng_state(before[1])
    TorchEngine(network, CONFIG, TARGET, "cpu")(random_batch())
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.is_grad_enabled()


def test_a_target_with_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="names 2 outputs but the network has 3"):
        TorchEngine(UNet(CONFIG), CONFIG, Target())


def test_a_batch_with_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 32, 32\) does not fit.*\(B, 1, H, W\)"):
        make_engine()(np.zeros((1, 3, 32, 32), np.float32))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("Exception from cpu_memory.cpp:257:\nFailed to allocate 9 bytes of memory\n"),
        RuntimeError("Exception from allocator.cpp:79:\nbad allocation"),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
    ],
    ids=["cuda", "posix", "windows", "cudnn", "openvino", "c++ windows", "c++ posix", "numpy"],
)
def test_each_wording_of_a_lack_of_memory_is_understood(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="more memory than the CPU has free") as raised:
        make_engine(Failing(error))(random_batch())
    # No way back to the frames that hold the failed pass's tensors.
    assert raised.value.__context__ is None


def test_torchs_own_allocator_says_so_too() -> None:
    class Greedy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.empty(2**60)

    with pytest.raises(OutOfMemory):
        make_engine(Greedy())(random_batch())


def test_another_error_on_the_cpu_is_the_networks_own() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        make_engine(Failing(RuntimeError("a bug")))(random_batch())


def test_a_gpu_that_vanished_is_no_runtime_error() -> None:
    lost = RuntimeError("CUDA error: device not ready\nCompile with TORCH_USE_CUDA_DSA.")
    problem = engines.explain(lost, torch.device("cuda"))
    assert isinstance(problem, DeviceError)
    assert not isinstance(problem, RuntimeError)
    assert problem.__cause__ is lost
    assert str(problem) == (
        "The CUDA GPU failed (CUDA error: device not ready): use the CPU instead."
    )


def test_the_cpu_is_taken_and_it_is_said_when_a_gpu_has_no_room_for_the_network() -> None:
    class Large(UNet):
        def to(self, *args, **kwargs):
            if args and torch.device(args[0]).type != "cpu":
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 MiB.")
            return super().to(*args, **kwargs)

    engine = make_engine(Large(CONFIG), device="meta")
    assert engine.device.type == "cpu"
    assert "the CPU goes on" in engine.notice
    assert engine(random_batch()).shape[1] == TARGET.channels


def test_falling_back_from_the_cpu_leads_nowhere() -> None:
    assert make_engine().fall_back() is False


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"cuda": False, "mps": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: found["mps"])
    assert choose_device("auto").type == "cpu"
    found["mps"] = True
    assert choose_device("auto").type == "mps"
    found["cuda"] = True
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize(("name", "gpu"), [("cuda", "CUDA GPU"), ("mps", "Apple GPU")])
def test_an_absent_gpu_is_named_with_the_way_out(
    name: str, gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"'{name}' is not available: no {gpu}.*'cpu' or 'auto'"):
        choose_device(name)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="'gpu' is unknown: use one of auto, cuda, mps, cpu"):
        choose_device("gpu")


@pytest.mark.parametrize(
    ("shape", "gigabytes", "tile"),
    [
        ((4000, 3000), 1000, 2048),  # no more than is useful
        ((520, 300), 1000, 528),  # no more than the image, on the grid of 16
        ((4000, 3000), 2, 864),  # half of 2e9 bytes are 1056 ** 2 pixels of 896 bytes, less 192
        ((4000, 3000), 0.001, 16),  # never less than a grid step
    ],
)
def test_the_tile_follows_from_free_memory(
    shape: tuple[int, int], gigabytes: float, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = UNetConfig(out_channels=3, base_channels=32, padding="same")
    engine = TorchEngine(nn.Identity(), config, TARGET, precision="float32")
    monkeypatch.setattr(TorchEngine, "free_memory", lambda self: int(gigabytes * 1e9))
    assert engine.bytes_per_pixel == 896
    assert engine.choose_tile(shape) == tile


def test_it_says_what_it_runs_on() -> None:
    assert make_engine().description == f"torch {torch.__version__} on the CPU, float32"


def test_free_memory_of_the_cpu_is_what_the_system_says() -> None:
    assert 0 < make_engine().free_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("limit", "left"), [("5000", [2000]), ("1000", [0]), ("max", []), (None, [])]
)
def test_the_limit_of_a_container_counts(tmp_path, limit: str | None, left: list[int]) -> None:
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("3000\n")
    assert container_memory(tmp_path) == left


def test_files_that_a_container_has_read_do_not_take_its_memory(tmp_path) -> None:
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4900\n")
    told = "anon 900\ninactive_file 3000\nactive_file 1000\nshmem 5\n"
    (tmp_path / "memory.stat").write_text(told)
    assert container_memory(tmp_path) == [4100]


def test_bfloat16_is_taken_where_it_is_measured_to_be_faster_and_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NAPARI_UNET_BFLOAT16")
    convolved = {False: (torch.tensor([4.0, -2.0]), 1.0), True: (torch.tensor([4.02, -2.0]), 0.9)}
    monkeypatch.setattr(engines.devices, "_convolve", lambda _, bfloat16: convolved[bfloat16])
    measure = engines.prefers_bfloat16.__wrapped__
    assert measure(torch.device("cpu")) is False  # not clearly
    convolved[True] = (convolved[True][0], 0.5)
    assert measure(torch.device("cpu")) is True
    assert measure(torch.device("mps")) is False
    for wrong in ([4.0, -1.8], [4.0, torch.nan]):
        convolved[True] = (torch.tensor(wrong), 0.5)
        assert measure(torch.device("cpu")) is False
    convolved[True] = (torch.tensor([4.02, -2.0]), 0.5)
    assert measure(torch.device("cpu")) is True
    monkeypatch.setenv("NAPARI_UNET_BFLOAT16", "0")
    assert measure(torch.device("cpu")) is False


def test_what_bfloat16_is_judged_by_rounds_as_bfloat16_does() -> None:
    device = torch.device("cpu")
    (exact, _), (rounded, _) = (engines.devices._convolve(device, b) for b in (False, True))
    assert 1e-4 < (rounded - exact).abs().max() / exact.abs().max() < engines.devices.ROUNDING


def test_bfloat16_changes_scores_only_by_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = make_engine()
    monkeypatch.setattr(engines.torch_engine, "preferred_precision", lambda device: "bfloat16")
    rounded = TorchEngine(exact.network, CONFIG, TARGET)
    difference = np.abs(rounded(random_batch()) - exact(random_batch())).max()
    assert exact.bfloat16 is False
    assert rounded(random_batch()).dtype == np.float32
    assert 0 < difference < 0.05


@needs_cuda
def test_gpu_and_cpu_agree_and_memory_is_given_back() -> None:
    batch = random_batch(size=128)
    expected = make_engine()(batch)
    engine = make_engine(device="cuda")
    np.testing.assert_allclose(engine(batch), expected, atol=1e-5)
    with pytest.raises(OutOfMemory, match="CUDA GPU"):
        engine(np.broadcast_to(np.float32(0), (4096, 1, 4096, 4096)))
    assert engine.fall_back() is True
    np.testing.assert_allclose(engine(batch), expected, atol=1e-6)
