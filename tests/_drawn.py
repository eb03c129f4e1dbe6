"""Segmenting by chunks on scores that are drawn in the image, for tests."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import zarr
from scipy.ndimage import gaussian_filter

from napari_unet.chunked import Source, segment_chunked
from napari_unet.config import Preprocessing, SegmentConfig, Target, UNetConfig
from napari_unet.library import Card
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import segment_steps

TARGET = Target(extras=("distance",))
RULE = Preprocessing(channels=2, low=0, high=100, invert_bright=False, diameter=10.0)
CONFIG = SegmentConfig(device="cpu", tile=16, min_size=4, threshold=0.5)  # chunks of 32


def card(target: Target = TARGET, rule: Preprocessing = RULE) -> Card:
    network = UNetConfig(
        in_channels=rule.channels, out_channels=target.channels, base_channels=2, depth=1
    )
    return Card(replace(network, padding="same"), target, rule)


CARD = card()


def lively(network: torch.nn.Module, channels: int = 1) -> torch.nn.Module:
    """Return an untrained network that finds objects in noise: its scores are made to vary."""
    with torch.no_grad():
        network.eval().output.weight *= 30
        seen = network(torch.rand(1, channels, 64, 64))
        network.output.bias -= seen.movedim(1, 0).flatten(1).median(dim=1).values
    return network


class Drawn:
    """An engine whose scores are the image: background is what the first channel leaves."""

    notice = ""

    def __init__(self, config=CARD.network, seconds=0.0):
        self.config, self.seconds, self.calls = config, seconds, 0

    def __call__(self, batch):
        time.sleep(self.seconds)
        self.calls += 1
        return np.concatenate([1 - batch[:, :1], batch], axis=1)

    @property
    def channels(self):
        return self.config.out_channels

    def choose_tile(self, shape):
        return 64

    def fall_back(self):
        return False


def drawing(shape=(100, 75), seed=0, smooth=2.0, channels=2) -> np.ndarray:
    """Components, holes and islands of all sizes; min and max are 0 and 1000, so scores are it."""
    random = np.random.default_rng(seed)
    image = np.stack([gaussian_filter(random.normal(size=shape), s) for s in (smooth, 1.0)])
    image -= image.min(axis=(1, 2), keepdims=True)
    image *= 1000 / image.max(axis=(1, 2), keepdims=True)
    return image[:channels].astype(np.uint16)


def in_memory(image, config=CONFIG, card=CARD, axes="CYX"):
    return run_to_end(segment_steps(image, Drawn(card.network), card, config, axes)).labels


def steps(image, folder: Path, config=CONFIG, card=CARD, axes="CYX", engine=None, **options):
    source = Source(folder / "image.zarr", axes, image)
    engine = engine or Drawn(card.network)
    path = folder / "labels.zarr"
    return segment_chunked(source, path, config, engine=engine, card=card, **options)


def chunked(image, folder: Path, *arguments, **options):
    result = run_to_end(steps(image, folder, *arguments, **options))
    return zarr.open_array(result.path / "0", mode="r")[:], result
