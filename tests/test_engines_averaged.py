"""Scores averaged over the eight orientations: what they are, and that tiles still agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import SegmentConfig, Target, UNetConfig
from napari_unet.engines import AveragedEngine, TorchEngine
from napari_unet.prediction import predict_scores, run_to_end
from napari_unet.segmentation import load_engine, segment_steps
from test_prediction import random_image, random_network, tame

TARGET = Target(extras=("distance",))


def engine_of(padding: str, seed: int = 0, image: np.ndarray | None = None) -> TorchEngine:
    config = UNetConfig(1, 3, base_channels=2, depth=2, padding=padding, batch_norm=True)
    network = random_network(config, seed)
    if image is not None:
        tame(network, image)
    return TorchEngine(network, config, TARGET, "cpu", precision="float32")


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_it_is_the_mean_of_what_the_network_says_of_each_orientation(padding: str):
    engine = engine_of(padding)
    batch = random_image(2, 1, 60, 76)
    expected = np.zeros_like(engine(batch))
    for transposed in (False, True):
        for up in (1, -1):
            for left in (1, -1):
                seen = batch[:, :, ::up, ::left]
                seen = seen.swapaxes(2, 3) if transposed else seen
                scores = engine(np.ascontiguousarray(seen))
                scores = scores.swapaxes(2, 3) if transposed else scores
                expected += scores[:, :, ::up, ::left] / 8
    np.testing.assert_allclose(AveragedEngine(engine)(batch), expected, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    padding=st.sampled_from(["valid", "same"]),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    tile=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_tiles_agree_with_the_whole(padding: str, shape: tuple[int, int], tile: int, seed: int):
    image = random_image(1, *shape)
    engine = AveragedEngine(engine_of(padding, seed, image))
    whole = run_to_end(predict_scores(engine, image, 64))
    np.testing.assert_allclose(run_to_end(predict_scores(engine, image, tile)), whole, atol=1e-5)


def test_what_the_engine_says_and_does_is_passed_on():
    inner = engine_of("same")
    engine = AveragedEngine(inner)
    inner.notice = "The CPU goes on."
    run_to_end(predict_scores(engine, random_image(1, 20, 20)))
    assert inner.notice == ""  # taken away by the prediction
    assert engine.choose_tile((100, 100)) == inner.choose_tile((100, 100))
    assert not engine.fall_back()


def test_segment_averages_if_asked():
    config = SegmentConfig(device="cpu")
    engine, card = load_engine(config)
    image = random_image(64, 64)
    plain, averaged, turned = (
        run_to_end(segment_steps(one, engine, card, settings, keep_scores=True)).scores[0]
        for one, settings in (
            (image, config),
            (image, SegmentConfig(device="cpu", averaged=True)),
            (image.T, SegmentConfig(device="cpu", averaged=True)),
        )
    )
    assert np.abs(plain - averaged).max() > 1e-3
    np.testing.assert_allclose(turned.swapaxes(1, 2), averaged, atol=1e-5)
