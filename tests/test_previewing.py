from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import Preprocessing, Target, TrainConfig, UNetConfig
from napari_unet.library import Card, NewNetwork
from napari_unet.model import UNet
from napari_unet.previewing import draw_samples
from napari_unet.weightmap import training_target

CONFIG = TrainConfig(patch=64, w0=5.0, sigma=4.0)


@pytest.fixture
def pair(rng) -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros((150, 160), np.int32)
    labels[20:60, 20:70], labels[20:60, 72:120], labels[80:140, 40:100] = 1, 2, 3
    image = (rng.normal(100, 10, labels.shape) + 100 * (labels > 0)).astype(np.float32)
    return image, labels


def test_samples_show_image_target_and_weights_of_one_place(pair) -> None:
    image, labels = pair
    samples = draw_samples(image, labels, CONFIG, count=16)
    assert samples.image.shape == (16, 1, 64, 64)
    assert samples.target.shape == samples.weights.shape == (16, 64, 64)
    assert set(np.unique(samples.target)) == {0, 1}
    inside = samples.weights[samples.target == 1]
    assert np.median(inside) == pytest.approx(1)
    _, weights = training_target(labels, 5.0, 4.0, balance=False)
    assert 3 < samples.weights.max() <= weights.max() * 1.001
    # Objects are brighter, whatever was done to the gray values (unless they were inverted).
    brighter = [
        i[t == 1].mean() > i[t == 0].mean()
        for i, t in zip(samples.image[:, 0], samples.target, strict=True)
        if 0 < t.mean() < 1
    ]
    assert len(brighter) > 10
    assert np.mean(brighter) > 0.7


def test_a_seed_says_which_ones(pair) -> None:
    first, again, other = (draw_samples(*pair, CONFIG, count=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)


def test_zoom_and_what_is_not_annotated(pair) -> None:
    image, labels = pair
    labels[:, 80:] = -1
    samples = draw_samples(image, labels, CONFIG, zoom=0.5, count=8)
    assert samples.image.shape == (8, 1, 64, 64)
    assert (samples.weights == 0).any()
    labels[:] = -1
    with pytest.raises(ValueError, match="Nothing is annotated"):
        draw_samples(image, labels, CONFIG)
    with pytest.raises(ValueError, match="shape"):
        draw_samples(image, labels[1:], CONFIG)


def test_the_start_model_says_what_training_sees(pair, tmp_path) -> None:
    """Its percentiles, whether bright backgrounds are inverted, and the sizes that it takes."""
    image, labels = pair
    network = UNetConfig(base_channels=4, depth=5, padding="same", dropout=0.0)
    bright = Preprocessing(invert_bright=False, low=20.0, high=60.0)
    for name, rule in {"default": Preprocessing(), "other": bright}.items():
        card = Card(network, Target(), rule, {"training": {}})
        Checkpoint.of(UNet(network), card).save(tmp_path / f"{name}.safetensors")
    config = replace(CONFIG, patch=50, invert=0.0)
    default, other = (
        draw_samples(-image, labels, config, start=str(tmp_path / f"{name}.safetensors"))
        for name in ("default", "other")
    )
    assert default.image.shape[-1] == network.nearest_valid_sizes(50)[1]
    inside = default.target == 1
    assert default.image[:, 0][inside].mean() > default.image[:, 0][~inside].mean()
    inside = other.target == 1
    assert other.image[:, 0][inside].mean() < other.image[:, 0][~inside].mean()


def test_a_new_network_says_what_is_shown(pair) -> None:
    image, labels = pair
    kinds = Target(("background", "cell", "nucleus"), ("distance",))
    new = NewNetwork("unet++", kinds)
    classes = {1: 2, 2: 2, 3: 1}
    samples = draw_samples(image, labels, CONFIG, start=new, classes=classes)
    assert set(np.unique(samples.target)) == {0, 1, 2}
    areas = np.array([0, 2, 2, 1])[labels]
    new = NewNetwork("unet", Target(kinds.classes, (), False))
    samples = draw_samples(image, areas, CONFIG, start=new)
    assert set(np.unique(samples.target)) == {0, 1, 2}
    with pytest.raises(ValueError, match="state the class of each object"):
        draw_samples(image, labels, CONFIG, start=NewNetwork("unet", kinds))
