"""Objects much smaller or larger than a network knows are resized, where nothing is typed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage.draw import disk

from _drawn import RULE, Drawn, card, chunked, in_memory
from napari_unet.config import SegmentConfig, Target
from napari_unet.engines import OutOfMemory
from napari_unet.prediction import run_to_end
from napari_unet.preprocessing import as_planes, measure
from napari_unet.segmentation import segment_steps
from napari_unet.segmentation.sizing import SIDE, _noise, choose_size

KNOWN = 20.0
CARD = card(Target(), replace(RULE, channels=1, diameter=KNOWN, auto_size=True))
CONFIG = SegmentConfig(device="cpu", tile=64, min_size=4, threshold=0.5)


def discs(diameter: float, shape=(200, 200), step: int = 24) -> np.ndarray:
    """Discs in rows, from 12 pixels off the border on."""
    image = np.zeros(shape, np.uint8)
    for y in range(12, shape[0] - 11, step):
        for x in range(12, shape[1] - 11, step):
            image[disk((y, x), diameter / 2, shape=shape)] = 200
    return image


def zoom_of(image: np.ndarray, config=CONFIG, model=CARD, engine=None) -> float:
    planes = as_planes(image, model.preprocessing)
    normalise = measure(planes, model.preprocessing)
    return choose_size(planes, normalise, engine or Drawn(model.network), model, config).zoom


@pytest.mark.parametrize(
    ("diameter", "zoom"), [(6, 2), (12, 2), (15, 2), (18, 1), (20, 1)], ids=lambda v: f"{v}"
)
def test_only_objects_that_are_much_smaller_are_enlarged(diameter: float, zoom: float):
    assert zoom_of(discs(diameter)) == zoom


@pytest.mark.parametrize(
    ("diameter", "zoom"), [(44, 1), (60, 0.5), (90, 0.5), (110, 0.25)], ids=lambda v: f"{v}"
)
def test_objects_that_are_much_larger_are_shrunk(diameter: float, zoom: float):
    image = np.kron(discs(diameter / 4, (120, 120), 30), np.ones((4, 4), np.uint8))
    assert zoom_of(image) == zoom
    assert zoom_of(image + np.random.default_rng(0).normal(0, 30, image.shape)) == zoom


def test_a_model_that_sees_images_at_another_size():
    rule = replace(CARD.preprocessing, zoom=0.5, diameter=KNOWN / 2)
    half = replace(CARD, preprocessing=rule)
    assert zoom_of(discs(12), model=half) == 1.0
    assert zoom_of(discs(20), model=half) == 0.5


def test_specks_beside_large_objects_are_dropped_as_if_all_were_usual():
    image = np.kron(discs(15, (120, 120), 30), np.ones((4, 4), np.uint8))
    image[:6, :6] = 200
    assert zoom_of(image) == 0.5
    found = in_memory(image[None], replace(CONFIG, min_size=None), CARD)
    assert found.max() == 16
    usual = in_memory(image[None], replace(CONFIG, min_size=None, diameter=KNOWN), CARD)
    assert usual.max() > 16


def test_what_is_typed_holds():
    small = discs(6)
    assert zoom_of(small, replace(CONFIG, diameter=KNOWN)) == 1
    sized = replace(CARD, preprocessing=replace(CARD.preprocessing, pixel_size=0.5))
    assert zoom_of(small, replace(CONFIG, pixel_size=0.5), sized) == 1


def test_too_few_objects_tell_nothing():
    image = np.zeros((200, 200), np.uint8)
    for y, x in ((50, 50), (50, 80), (80, 50)):
        image[disk((y, x), 3)] = 200
    assert zoom_of(image) == 1


@pytest.mark.parametrize("change", [{"auto_size": False}, {"diameter": None}], ids=str)
def test_models_that_know_one_size_or_none_see_images_as_they_are(change):
    model = replace(CARD, preprocessing=replace(CARD.preprocessing, **change))
    assert zoom_of(discs(6), model=model) == 1


def test_where_noise_is_loud_nothing_is_enlarged():
    image = 20 + discs(10)
    random = np.random.default_rng(0)
    for sigma, zoom in ((1, 2), (60, 1)):  # of some 200 gray values
        assert zoom_of(image + random.normal(0, sigma, image.shape)) == zoom


def test_the_noise_is_that_which_was_added():
    image = np.zeros((1, 200, 200), np.float32)
    image[0, ::20] = image[0, 50:90, 60:110] = 1  # objects do not count
    random = np.random.default_rng(0)
    for sigma in (0.01, 0.05, 0.2):
        noisy = image + random.normal(0, sigma, image.shape)
        assert _noise(noisy) == pytest.approx(sigma, rel=0.25)


def test_specks_do_not_make_an_image_one_of_small_objects():
    image = discs(20, step=50)
    image[::25, ::25] = 200
    assert zoom_of(image) == 1


def test_what_happens_on_the_way_is_told():
    class Small(Drawn):
        def __call__(self, batch):
            self.calls += 1
            if self.calls == 1:
                raise OutOfMemory
            return super().__call__(batch)

    planes = as_planes(discs(20), CARD.preprocessing)
    normalise = measure(planes, CARD.preprocessing)
    size = choose_size(planes, normalise, Small(CARD.network), CARD, CONFIG)
    assert size.zoom == 1
    assert size.message.startswith("Memory ran out")


def test_few_parts_of_a_large_image_are_looked_at():
    """Those with contrast: most of this image is empty."""
    image = np.zeros((1000, 1200), np.uint8)
    image[:300, :300] = discs(6, (300, 300))
    engine = Drawn(CARD.network)
    seen: list[int] = []

    class Counting(Drawn):
        def __call__(self, batch):
            seen.append(batch[:, 0].size)
            return engine(batch)

    assert zoom_of(image, engine=Counting(CARD.network)) == 2
    assert sum(seen) < image.size / 2  # of a quarter, with the margins of its tiles
    assert max(seen) < SIDE**2


def test_labels_are_as_large_as_the_image_and_the_user_is_told():
    image = discs(6)
    told = []
    steps = segment_steps(image, Drawn(CARD.network), CARD, CONFIG, keep_scores=True)
    result = run_to_end(_noting(steps, told))
    assert result.labels.shape == image.shape
    assert result.labels.max() == 64
    assert result.scores[0].shape[1:] == (400, 400)
    assert sum("enlarged 2 times" in message for message in told) == 1
    assert "20 pixels" in told[0]


def _noting(steps, told: list[str]):
    result = None
    while True:
        try:
            progress = steps.send(result)
        except StopIteration as end:
            return end.value
        told.append(progress.message)
        result = yield progress.share


def test_chunks_see_what_the_whole_image_would(tmp_path: Path):
    image = discs(6)[None]
    config = replace(CONFIG, tile=32)
    model = replace(CARD, preprocessing=replace(CARD.preprocessing, channels=1))
    labels, result = chunked(image, tmp_path, config, model)
    np.testing.assert_array_equal(labels, in_memory(image, config, model))
    assert result.objects == 64
