"""Image to labels, on a network that needs no training: its foreground is the bright pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import napari_unet
from napari_unet.config import Preprocessing, SegmentConfig, Target, UNetConfig
from napari_unet.engines import TorchEngine
from napari_unet.library import Card
from napari_unet.prediction import run_to_end
from napari_unet.samples import load_sample
from napari_unet.segmentation import segment_steps
from napari_unet.segmentation import steps as module

NETWORK = UNetConfig(base_channels=2, depth=1, padding="same")
CARD = Card(NETWORK, Target(), Preprocessing(low=0, high=100, invert_bright=False, diameter=10.0))
CONFIG = SegmentConfig(device="cpu", min_size=0)


class Bright(torch.nn.Module):
    """Foreground where the first channel is above a half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = 100 * (x[:, :1] - 0.5)
        return torch.cat((-logit, logit), dim=1)


def segment(image, config=CONFIG, axes=None, card=CARD, **options):
    engine = TorchEngine(Bright(), card.network, card.target, "cpu", precision="float32")
    return run_to_end(segment_steps(image, engine, card, config, axes, **options))


@pytest.mark.parametrize(("axes", "order"), [("XY", (1, 0)), ("YXZ", (1, 2, 0)), ("XZYC", None)])
def test_labels_have_the_order_of_axes_that_the_image_has(monkeypatch, axes, order):
    load = (TorchEngine(Bright(), CARD.network, CARD.target, "cpu", precision="float32"), CARD)
    monkeypatch.setattr(module, "load_engine", lambda _: load)
    stack = np.stack([squares(), np.roll(squares(), 3, 0)])[:, :, :50]
    upright = module.segment(stack, min_size=0)
    options = {"axes": axes, "min_size": 0}
    if order == (1, 0):
        np.testing.assert_array_equal(module.segment(stack[1].T, **options), upright[1].T)
    elif order:
        found = module.segment(stack.transpose(order), **options)
        np.testing.assert_array_equal(found, upright.transpose(order))
    else:
        found = module.segment(stack.transpose(2, 0, 1)[..., None], **options)
        np.testing.assert_array_equal(found, upright.transpose(2, 0, 1))


def squares(size: int = 60) -> np.ndarray:
    image = np.zeros((size, size), np.uint8)
    image[5:15, 5:15] = image[30:40, 20:30] = image[50:60, 50:60] = 200
    return image


def test_bright_squares_are_objects():
    labels = segment(squares()).labels
    assert labels.max() == 3
    np.testing.assert_array_equal(labels > 0, squares() > 0)
    assert labels.dtype == np.int32


@pytest.mark.parametrize("tile", [16, 32, 1000])
def test_labels_do_not_depend_on_the_tile(tile: int):
    whole = segment(squares()).labels
    np.testing.assert_array_equal(segment(squares(), replace(CONFIG, tile=tile)).labels, whole)


def test_stacks_are_walked_and_numbered_plane_by_plane():
    stack = np.stack([squares(), np.zeros_like(squares()), squares().T])
    labels = segment(stack).labels
    assert labels.shape == stack.shape
    assert [plane.max() for plane in labels] == [3, 0, 3]


def test_whole_stack_is_normalised_alike():
    """A dim plane stays dim: statistics are of the stack, not of the plane."""
    stack = np.stack([squares(), squares() // 5])
    assert [plane.max() for plane in segment(stack).labels] == [3, 0]


@pytest.mark.parametrize(("axes", "channel"), [("CYX", (1,)), ("YXC", (1,)), ("YXS", (1,))])
def test_a_channel_is_chosen(axes: str, channel: tuple[int, ...]):
    planes = [np.zeros_like(squares()), squares(), np.full_like(squares(), 7)]
    image = np.stack(planes, axis=axes.index("C") if "C" in axes else -1)
    labels = segment(image, replace(CONFIG, channel=channel), axes).labels
    np.testing.assert_array_equal(labels > 0, squares() > 0)


def test_too_many_channels_say_how_to_choose():
    with pytest.raises(ValueError, match="--channel"):
        segment(np.stack([squares()] * 2), axes="CYX")


@pytest.mark.parametrize("diameter", [5.0, 20.0])
def test_images_are_rescaled_in_and_labels_back(diameter: float):
    image = np.repeat(np.repeat(squares(), 2, 0), 2, 1)
    result = segment(image, replace(CONFIG, diameter=diameter), keep_scores=True)
    assert result.scores[0].shape[1:] == (120 * 10 / diameter,) * 2
    assert result.labels.shape == (120, 120)
    assert result.labels.max() == 3
    assert napari_unet_iou(result.labels, image) > 0.9


def napari_unet_iou(labels: np.ndarray, image: np.ndarray) -> float:
    from napari_unet.metrics import iou

    return iou(labels, (image > 0).astype(int))


def test_smallest_object_counts_image_pixels():
    config = replace(CONFIG, diameter=5.0)  # network pixels are a quarter as large
    assert segment(squares(), replace(config, min_size=90)).labels.max() == 3
    assert segment(squares(), replace(config, min_size=150)).labels.max() == 0


def test_relabelling_needs_no_network():
    result = segment(squares(), keep_scores=True)
    np.testing.assert_array_equal(result.relabel(CONFIG), result.labels)
    assert result.relabel(replace(CONFIG, remove_border=True)).max() == 2
    assert result.relabel(replace(CONFIG, min_size=101)).max() == 0
    with pytest.raises(ValueError, match="keep_scores"):
        segment(squares()).relabel(CONFIG)


def test_stop_keeps_what_is_done():
    stack = np.stack([squares()] * 3)
    engine = TorchEngine(Bright(), NETWORK, Target(), "cpu", precision="float32")
    config = replace(CONFIG, tile=32)
    steps = segment_steps(stack, engine, CARD, config, keep_scores=True)
    progress = [next(steps) for _ in range(5)]
    assert [(p.number, p.tile, p.tiles) for p in progress[-2:]] == [(0, 4, 4), (1, 1, 4)]
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    result = end.value.value
    assert result.labels[0].max() == 3
    assert 0 < result.labels[1].max() < 3
    assert result.labels[2].max() == 0
    assert len(result.scores) == len(result.objects) == 3
    np.testing.assert_array_equal(result.relabel(CONFIG), result.labels)
    assert [len(o.scores) for o in result.objects] == [3, result.labels[1].max(), 0]


def test_a_stop_leaves_background_where_nothing_was_predicted():
    stack = np.zeros((2, 64, 64), np.uint8)
    stack[:, 40:50, 40:50] = 200  # in the last of four tiles
    engine = TorchEngine(Bright(), NETWORK, Target(), "cpu", precision="float32")
    steps = segment_steps(stack, engine, CARD, replace(CONFIG, tile=32), keep_scores=True)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    assert end.value.value.labels.max() == 0
    assert end.value.value.relabel(CONFIG).max() == 0


class Coloured(torch.nn.Module):
    """Background below 0.3, one class from there and another one from 0.7."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((100 * (0.3 - x), 0 * x, 100 * (x - 0.7)), dim=1)


def test_objects_carry_their_class_and_a_score():
    target = Target(classes=("background", "dim", "bright"))
    card = Card(replace(NETWORK, out_channels=3), target, CARD.preprocessing)
    engine = TorchEngine(Coloured(), card.network, target, "cpu", precision="float32")
    image = np.zeros((60, 60), np.uint8)
    image[5:15, 5:15], image[30:40, 20:30], image[50:55, 50:55] = 200, 100, 200
    result = run_to_end(segment_steps(image, engine, card, CONFIG))
    (objects,) = result.objects
    assert [target.classes[c] for c in objects.classes] == ["bright", "dim", "bright"]
    assert (objects.scores > 0.9).all()


def test_the_smallest_object_follows_from_the_models_size():
    config = replace(CONFIG, min_size=None)
    image = np.zeros((60, 60), np.uint8)
    image[10:12, 10:12] = image[30:50, 30:50] = 200
    for diameter, expected in ((5.0, 2), (40.0, 1)):
        card = replace(CARD, preprocessing=replace(CARD.preprocessing, diameter=diameter))
        assert segment(image, config, card=card).labels.max() == expected


def test_lists_and_tensors_are_images_too():
    expected = segment(squares()).labels
    for image in (squares().tolist(), torch.from_numpy(squares())):
        np.testing.assert_array_equal(segment(image).labels, expected)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1), np.uint8),
        np.full((30, 40), 7, np.uint16),
        np.full((30, 40), np.nan),
        np.full((30, 40), -np.inf, np.float32),
    ],
)
def test_images_without_contrast_have_no_objects(image: np.ndarray):
    labels = segment(image).labels
    assert labels.shape == image.shape
    assert labels.max() == 0


def test_bundled_model_labels_in_two_lines():
    from skimage.data import cell

    labels = napari_unet.segment(cell()[:200, :200], model="nuclei", device="cpu")
    assert labels.shape == (200, 200)
    assert labels.dtype == np.int32
    nuclei = napari_unet.segment(load_sample("tissue")[:200, :200], device="cpu")
    assert nuclei.max() > 20


def test_labels_of_the_bundled_model_do_not_depend_on_the_tile(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("napari_unet.engines.devices.prefers_bfloat16", lambda _: False)
    image = load_sample("tissue")[:301, 30:425]
    expected = napari_unet.segment(image, device="cpu", tile=512)  # all of it
    assert expected.max() > 50
    for tile in (128, 256):
        labels = napari_unet.segment(image, device="cpu", tile=tile)
        np.testing.assert_array_equal(labels, expected)


def test_labels_of_the_bundled_model_hardly_depend_on_the_precision(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
):
    monkeypatch.setenv("NAPARI_UNET_OPENVINO", "0")  # rounds where the CPU is made for it
    image = np.zeros((200, 200))
    image[tuple(rng.integers(0, 200, (2, 40)))] = 1
    image = gaussian_filter(image, 5) + rng.normal(0, 1e-4, image.shape)
    masks = []
    for rounded in (False, True):
        monkeypatch.setattr(
            "napari_unet.engines.devices.prefers_bfloat16", lambda _, on=rounded: on
        )
        masks.append(napari_unet.segment(image, device="cpu") > 0)
    assert masks[0].mean() > 0.1
    assert 0 < (masks[0] != masks[1]).mean() <= 1e-3


def test_unknown_model_lists_those_known():
    with pytest.raises(FileNotFoundError, match="nuclei"):
        napari_unet.segment(squares(), model="cytoplasm")
