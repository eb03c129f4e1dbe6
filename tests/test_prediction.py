from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_unet import prediction
from napari_unet.config import FCNConfig, NetworkConfig, Target, UNetConfig, UNetPlusPlusConfig
from napari_unet.engines import OutOfMemory, TorchEngine
from napari_unet.model import Network, UNet, build
from napari_unet.prediction import TileScores, predict_scores
from napari_unet.tiling import round_up

SAME = UNetConfig(out_channels=1, depth=2, padding="same")


class FakeEngine:
    """The identity, cropped as the network would, on a device that holds `limit` pixels a side."""

    def __init__(self, config: UNetConfig = SAME, limit: int = 10**6, gpu: bool = False) -> None:
        self.config, self.limit, self.gpu = config, limit, gpu
        self.notice, self.channels = "", config.out_channels
        self.sizes: list[tuple[int, ...]] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(batch.shape[-2:])
        if max(batch.shape[-2:]) > self.limit:
            raise OutOfMemory
        for size in batch.shape[-2:]:
            self.config.output_size(size)
        edge = self.config.halo if self.config.padding == "valid" else 0
        return batch[..., edge : batch.shape[-2] - edge, edge : batch.shape[-1] - edge]

    def choose_tile(self, shape: tuple[int, ...]) -> int:
        return 64

    def fall_back(self) -> bool:
        if not self.gpu:
            return False
        self.gpu, self.limit = False, 10**6
        return True


def run(
    generator: Generator[TileScores, bool | None, np.ndarray],
) -> tuple[list[TileScores], np.ndarray]:
    """Return what a generator yields and what it returns."""
    steps = []
    while True:
        try:
            steps.append(next(generator))
        except StopIteration as end:
            return steps, end.value


def random_image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def random_network(config: NetworkConfig, seed: int) -> Network:
    """Return a network in evaluation mode, its running statistics random too."""
    torch.manual_seed(seed)
    network = build(config).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network


def tame(network: Network, image: np.ndarray) -> None:
    """Scale the last layers so that logits are of the size of trained ones.

    Those of random weights can be so large that float32's rounding, which depends on the size of a
    pass, is seen in the scores.
    """
    with torch.no_grad():
        size = network.config.input_size(round_up(max(image.shape[1:]), network.config.alignment))
        tiled = np.resize(image, (image.shape[0], size, size))
        largest = float(network(torch.tensor(tiled)[None]).abs().max())
        for layer in network.output_layers:
            for parameter in network.get_submodule(layer).parameters():
                parameter *= 3 / max(largest, 3)


def predict_whole(network: Network, image: np.ndarray) -> np.ndarray:
    """Mirror the image by the halo, up to a size that fits, pass it once, and crop."""
    config, (_, height, width) = network.config, image.shape
    pads = [(0, 0)]
    for size in (height, width):
        length = config.input_size(round_up(size, config.alignment))
        pads.append((config.halo, length - config.halo - size))
    padded = np.pad(image, pads, mode="reflect")
    with torch.no_grad():
        logits = network(torch.tensor(padded)[None])[0]
    scores = torch.cat([logits[:2].softmax(0), logits[2:].sigmoid()]).numpy()
    first = config.halo if config.padding == "same" else 0
    return scores[:, first : first + height, first : first + width]


shapes = {
    "in_channels": st.integers(1, 2),
    "out_channels": st.just(3),
    "base_channels": st.integers(2, 4),
    "depth": st.integers(1, 4),
    "batch_norm": st.booleans(),
}
paddings = st.sampled_from(["valid", "same"])
configs = st.one_of(
    st.builds(UNetConfig, **shapes, padding=paddings),
    st.builds(UNetPlusPlusConfig, **shapes, deep_supervision=st.booleans()),
    st.builds(FCNConfig, **shapes, padding=paddings),
)


@settings(max_examples=60, deadline=None)
@given(
    config=configs,
    shape=st.tuples(st.integers(1, 75), st.integers(1, 75)),
    tile=st.integers(1, 80),
    seed=st.integers(0, 99),
)
def test_stitched_scores_equal_those_of_one_pass(
    config: NetworkConfig, shape: tuple[int, int], tile: int, seed: int
) -> None:
    network = random_network(config, seed)
    image = np.random.default_rng(seed).normal(size=(config.in_channels, *shape))
    image = image.astype(np.float32)
    tame(network, image)
    whole = predict_whole(network, image)
    engine = TorchEngine(network, config, Target(extras=("distance",)), precision="float32")
    # Not a thousand tiles of two pixels.
    _, scores = run(predict_scores(engine, image, max(tile, min(shape) // 4)))
    np.testing.assert_allclose(scores, whole, rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    tile=st.integers(1, 100),
    padding=st.sampled_from(["valid", "same"]),
)
def test_stitching_the_identity_gives_the_image(
    shape: tuple[int, int], tile: int, padding: str
) -> None:
    config = UNetConfig(out_channels=1, depth=2, padding=padding)
    image = random_image(1, *shape)
    steps, scores = run(predict_scores(FakeEngine(config), image, tile))
    np.testing.assert_array_equal(scores, image)
    assert scores.dtype == np.float32
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert {step.total for step in steps} == {len(steps)}


def test_each_tile_shows_its_part_of_the_result() -> None:
    image = random_image(1, 100, 70)
    steps, scores = run(predict_scores(FakeEngine(), image))
    assert [step.write[0].start for step in steps] == [0, 0, 64, 64]
    for step in steps:
        np.testing.assert_array_equal(step.scores, image[(slice(None), *step.write)])
        assert np.shares_memory(step.scores, scores)
        assert step.message == ""


def test_out_of_memory_halves_the_tile_and_predicts_nothing_twice() -> None:
    engine = FakeEngine(limit=32 + 48)
    image = random_image(1, 130, 100)
    steps, scores = run(predict_scores(engine, image, tile=128))
    np.testing.assert_array_equal(scores, image)
    # The image is smaller than the tile: 104 wide on the grid of 4, its half 64, then 32.
    assert engine.sizes[:3] == [(176, 148), (112, 112), (80, 80)]
    assert max(max(size) for size in engine.sizes[2:]) <= 80
    assert steps[0].message == "Memory ran out: going on with tiles of 32 pixels."
    assert all(step.message == "" for step in steps[1:])
    written = np.zeros(image.shape[1:], int)
    for step in steps:
        written[step.write] += 1
    assert (written == 1).all()
    assert len(engine.sizes) == len(steps) + 2
    assert steps[-1].index == steps[-1].total == len(steps)


def test_tiles_written_before_memory_ran_out_are_kept() -> None:
    engine = FakeEngine()
    image = random_image(1, 128, 128)
    generator = predict_scores(engine, image, tile=64)
    first = next(generator)
    engine.limit = 16 + 48
    rest, scores = run(generator)
    np.testing.assert_array_equal(scores, image)
    assert (first.index, first.total) == (1, 4)
    assert rest[0].message == "Memory ran out: going on with tiles of 16 pixels."
    assert {step.total for step in rest} == {1 + 3 * 16}
    assert all(b.index == a.index + 1 for a, b in pairwise([first, *rest]))


def test_at_the_smallest_tile_the_cpu_takes_over_with_large_ones() -> None:
    engine = FakeEngine(limit=1, gpu=True)
    image = random_image(1, 128, 128)
    steps, scores = run(predict_scores(engine, image))
    np.testing.assert_array_equal(scores, image)
    assert steps[0].message == "GPU memory ran out: the CPU goes on."
    assert [size[0] for size in engine.sizes[:5]] == [112, 80, 64, 56, 52]
    # Only the tile that failed was cut to pieces: each halving left the rest of its rows, and the
    # rows below.
    assert engine.sizes[-3:] == [(112, 112)] * 3
    assert len(steps) == 4 * 2 + 1 + 3
    assert steps[-1].index == steps[-1].total == len(steps)


@settings(max_examples=40, deadline=None)
@given(
    corner=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    tile=st.integers(1, 50),
)
def test_a_region_has_the_scores_that_it_has_in_the_whole(corner, size, tile) -> None:
    config = UNetConfig(base_channels=2, depth=2, out_channels=3)
    engine = TorchEngine(
        random_network(config, 0), config, Target(extras=("distance",)), precision="float32"
    )
    image = random_image(1, 100, 100)
    region = tuple(slice(a, a + n) for a, n in zip(corner, size, strict=True))
    _, whole = run(predict_scores(engine, image, 64))
    steps, scores = run(predict_scores(engine, image, max(tile, 16), region=region))
    np.testing.assert_allclose(scores, whole[(slice(None), *region)], rtol=0, atol=1e-5)
    written = np.zeros(image.shape[1:], int)
    for step in steps:
        written[step.write] += 1
    assert written[region].min() == written.max() == 1
    assert written.sum() == size[0] * size[1]
    assert steps[-1].share == 1


class Clock:
    """Time that passes by the pixels that a fake engine reads."""

    def __init__(self, engine: FakeEngine, pixels_a_second: float, warm_up: float = 0) -> None:
        self.engine, self.rate, self.warm_up = engine, pixels_a_second, warm_up

    def perf_counter(self) -> float:
        read = sum(height * width for height, width in self.engine.sizes)
        return read / self.rate + self.warm_up * bool(self.engine.sizes)


@pytest.mark.parametrize("warm_up", [0, 60])
def test_watched_tiles_grow_to_what_the_pace_allows(monkeypatch, warm_up: float) -> None:
    engine = FakeEngine()
    monkeypatch.setattr(prediction, "time", Clock(engine, 400_000, warm_up))
    image = random_image(1, 3000, 2000)
    steps, scores = run(predict_scores(engine, image, 2048, pace=2.0))
    np.testing.assert_array_equal(scores, image)
    sizes = [tuple(w.stop - w.start for w in step.write) for step in steps]
    assert sizes[0] == (256, 256)
    side = max(max(size) for size in sizes)
    assert (side + 48) ** 2 <= 2 * 400_000 < (side + 4 + 48) ** 2
    assert sum(size == (side, side) for size in sizes) > len(sizes) / 4
    assert [s.share for s in steps] == sorted(s.share for s in steps)
    assert steps[-1].share == 1
    assert steps[-1].index == steps[-1].total == len(steps)


def test_nobody_waits_for_a_small_first_tile_where_no_pace_is_asked() -> None:
    steps, _ = run(predict_scores(FakeEngine(), random_image(1, 600, 600), 2048))
    assert [step.write for step in steps] == [(slice(0, 600), slice(0, 600))]


def test_a_pace_keeps_to_what_memory_allows() -> None:
    engine = FakeEngine(limit=64 + 48)
    steps, scores = run(predict_scores(engine, random_image(1, 300, 300), 2048, pace=60.0))
    np.testing.assert_array_equal(scores, random_image(1, 300, 300))
    assert max(max(size) for size in engine.sizes[2:]) <= 64 + 48
    assert len(engine.sizes) == len(steps) + 2  # 256, then 128 failed


def test_on_another_device_the_pace_is_found_anew(monkeypatch) -> None:
    """What a GPU does in a second would keep a CPU busy for minutes."""
    engine = FakeEngine(gpu=True)
    monkeypatch.setattr(prediction, "time", Clock(engine, 400_000))
    generator = predict_scores(engine, random_image(1, 2000, 2000), 2048, pace=2.0)
    while next(generator).index < 12:
        pass
    monkeypatch.setattr(engine, "limit", 1)
    monkeypatch.setattr(engine, "choose_tile", lambda _: 2048)
    step = next(generator)
    assert step.message == "GPU memory ran out: the CPU goes on."
    assert max(size for size in engine.sizes[-1]) <= 256 + 48


def test_a_notice_is_told_once() -> None:
    engine = FakeEngine()
    engine.notice = "The fan is loud."
    steps, _ = run(predict_scores(engine, random_image(1, 50, 50), 16))
    assert [s.message for s in steps[:2]] == ["The fan is loud.", ""]
    assert engine.notice == ""


def test_a_notice_that_comes_up_meanwhile_is_told_with_its_tile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine()
    identity = FakeEngine.__call__

    def worn_out(self: FakeEngine, batch: np.ndarray) -> np.ndarray:
        self.notice = "The fan is broken." * (len(self.sizes) == 2)
        return identity(self, batch)

    monkeypatch.setattr(FakeEngine, "__call__", worn_out)
    steps, _ = run(predict_scores(engine, random_image(1, 50, 50), 16))
    assert [s.message for s in steps[:4]] == ["", "", "The fan is broken.", ""]


def test_without_a_way_out_one_sentence_says_so() -> None:
    with pytest.raises(OutOfMemory, match="even for a tile of 4 pixels: close other programs"):
        run(predict_scores(FakeEngine(limit=1), random_image(1, 50, 50)))


def test_a_stop_returns_what_is_done() -> None:
    image = 1 + random_image(1, 128, 128)
    generator = predict_scores(FakeEngine(), image)
    next(generator)
    next(generator)
    with pytest.raises(StopIteration) as end:
        generator.send(True)
    np.testing.assert_array_equal(end.value.value[:, :64], image[:, :64])
    assert not end.value.value[:, 64:].any()


def test_scores_are_written_to_a_given_array(tmp_path) -> None:
    image = random_image(1, 100, 70)
    out = np.lib.format.open_memmap(tmp_path / "scores.npy", "w+", np.float32, image.shape)
    _, scores = run(predict_scores(FakeEngine(), image, out=out))
    assert scores is out
    out.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), image)


def test_memory_mapped_dask_and_big_endian_images_are_predicted_alike(tmp_path) -> None:
    da = pytest.importorskip("dask.array")
    config = UNetConfig(base_channels=2, depth=1)
    engine = TorchEngine(UNet(config), config, Target(), precision="float32")
    image = random_image(1, 40, 50)
    np.save(tmp_path / "image.npy", image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    _, expected = run(predict_scores(engine, image, 16))
    for other in (mapped, da.from_array(image, chunks=(1, 16, 16)), image.astype(">f4")):
        _, scores = run(predict_scores(engine, other, 16))
        np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("shape", [(2, 50, 50), (50, 50), (1, 1, 50, 50)])
def test_an_image_that_does_not_fit_the_network_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"does not fit the network: it takes \(1, Y, X\)"):
        next(predict_scores(FakeEngine(), np.zeros(shape, np.float32)))


@pytest.mark.parametrize("tile", [0, -64])
def test_an_impossible_tile_is_refused(tile: int) -> None:
    with pytest.raises(ValueError, match=f"tile = {tile} is not possible"):
        next(predict_scores(FakeEngine(), random_image(1, 50, 50), tile))


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="has no pixels"):
        next(predict_scores(FakeEngine(), np.zeros((1, 0, 50), np.float32)))


def test_an_output_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"out has shape \(1, 9, 9\): give .* shape \(1, 5, 5\)"):
        next(predict_scores(FakeEngine(), random_image(1, 5, 5), out=random_image(1, 9, 9)))
