"""What is drawn while a network runs adds up to what it says in the end."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.config import Preprocessing, SegmentConfig, Target, UNetConfig
from napari_unet.engines import TorchEngine
from napari_unet.library import Card
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import (
    Area,
    Segmentation,
    Shown,
    live,
    relabel_live,
    segment_live,
    segment_steps,
    steps,
)
from napari_unet.segmentation.live import as_drawn

NETWORK = UNetConfig(base_channels=2, depth=1, padding="same")
CARD = Card(NETWORK, Target(), Preprocessing(low=0, high=100, invert_bright=False, diameter=10.0))
CONFIG = SegmentConfig(device="cpu", min_size=4, tile=16)


class Bright(torch.nn.Module):
    """Foreground where the first channel is above a half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = 100 * (x[:, :1] - 0.5)
        return torch.cat((-logit, logit), dim=1)


def engine() -> TorchEngine:
    return TorchEngine(Bright(), NETWORK, Target(), "cpu", precision="float32")


def blobs(*shape: int) -> np.ndarray:
    """Squares of 8 pixels, six apart so that no ridge is seen between them."""
    rows, columns = np.indices(shape[-2:])
    plane = ((rows % 14 < 8) & (columns % 14 < 8)) * np.uint8(200)
    return np.broadcast_to(plane, shape).copy()


def segment(image: np.ndarray, config: SegmentConfig = CONFIG, **options) -> Segmentation:
    return run_to_end(segment_steps(image, engine(), CARD, config, **options))


def watch(
    generator: Generator[Shown, bool | None, Segmentation], stop_after: int | None = None
) -> tuple[list[Shown], Segmentation]:
    seen: list[Shown] = []
    stop: bool | None = None
    while True:
        try:
            seen.append(generator.send(stop))
        except StopIteration as end:
            return seen, end.value
        stop = len(seen) == stop_after or None


def draw(seen: list[Shown], shape: tuple[int, ...]) -> np.ndarray:
    canvas = np.zeros((int(np.prod(shape[:-2])), *shape[-2:]), int)
    for shown in seen:
        for piece in shown.pieces:
            canvas[piece.plane][piece.where] = piece.labels
    return canvas.reshape(shape)


def same_objects(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(pairs.T) == len(np.unique(one)) == len(np.unique(other))


@pytest.mark.parametrize("diameter", [10.0, 7.0, 14.0])
def test_in_the_end_the_labels_drawn_are_those_of_the_whole_image(diameter: float) -> None:
    image, config = blobs(2, 50, 60), replace(CONFIG, diameter=diameter)
    seen, result = watch(segment_live(image, engine(), CARD, config))
    expected = segment(image, config).labels
    np.testing.assert_array_equal(draw(seen, image.shape), expected)
    np.testing.assert_array_equal(result.labels, expected)
    assert [p.final for p in seen[-1].pieces] == [True]
    shares = [s.progress.share for s in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("diameter", [10.0, 7.0, 14.0])
def test_before_the_last_tile_each_object_is_one_across_the_seams(diameter: float) -> None:
    image, config = blobs(64, 80), replace(CONFIG, diameter=diameter)
    seen, _ = watch(segment_live(image, engine(), CARD, config))
    provisional = draw(seen[:-1], image.shape)
    assert not any(p.final for s in seen[:-1] for p in s.pieces)
    expected = segment(image, config).labels
    last = np.zeros(image.shape, bool)
    last[seen[-1].progress.frame.image_part(seen[-1].progress.write)] = True
    assert (provisional[last] == 0).all()
    assert (provisional > 0)[~last].sum() == (expected > 0)[~last].sum()
    whole = ~np.isin(expected, expected[last]) & ~last  # objects without a part in the last tile
    assert same_objects(provisional[whole], expected[whole])


def test_pieces_stay_as_they_were_drawn() -> None:
    """They go to another thread, while the next tile is put in place."""
    generator = segment_live(blobs(64, 64), engine(), CARD, CONFIG)
    first = next(generator).pieces[0]
    before = first.labels.copy()
    watch(generator)
    np.testing.assert_array_equal(first.labels, before)
    assert first.labels.dtype == np.uint16


@pytest.mark.parametrize("stop_after", [1, 5, 16, 20])
def test_a_stop_draws_what_is_kept(stop_after: int) -> None:
    image = blobs(3, 64, 64)  # of 16 tiles each
    generator = segment_live(image, engine(), CARD, CONFIG)
    seen, result = watch(generator, stop_after)
    np.testing.assert_array_equal(draw(seen, image.shape), result.labels)
    assert result.labels[0].any()
    assert not result.labels[2].any()
    assert len(seen) == stop_after + (stop_after % 16 > 0)


def test_planes_and_region_are_those_of_the_whole() -> None:
    image = blobs(2, 3, 50, 60)
    area = Area(planes=(4, 1), region=(slice(11, 40), slice(22, 300)))
    seen, result = watch(segment_live(image, engine(), CARD, CONFIG, "TZYX", area))
    labels = result.labels
    np.testing.assert_array_equal(draw(seen, image.shape), labels)
    expected = np.zeros(image.shape, bool)
    for plane in ((1, 1), (0, 1)):
        expected[plane][11:40, 22:60] = image[plane][11:40, 22:60] > 0
    np.testing.assert_array_equal(labels > 0, expected)
    assert [s.progress.plane for s in seen if s.pieces[-1].final] == [4, 1]
    assert result.scores[0].shape == (2, 29, 38)
    np.testing.assert_array_equal(result.relabel(CONFIG), labels)
    assert labels.max() == 6  # numbered from 1 in the region


def test_a_part_is_normalised_by_the_whole() -> None:
    """A dark corner of a bright image stays dark."""
    image = blobs(66, 66)
    image[:33] //= 4
    labels = segment(image, area=Area(region=(slice(0, 33), slice(0, 66)))).labels
    assert labels.max() == 0


@pytest.mark.parametrize(
    ("area", "message"),
    [
        (Area(planes=(2,)), r"planes = \(2,\) do not fit an image of 2"),
        (Area(planes=()), "planes = "),
        (Area(region=(slice(60, 70), slice(0, 9))), "has no pixel of an image of shape"),
    ],
)
def test_an_area_beside_the_image_is_refused(area: Area, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segment(blobs(2, 40, 40), area=area)


def test_scores_are_kept_while_memory_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    image = blobs(3, 40, 40)
    needed = 3 * 2 * 40 * 40 * 4
    for free, kept in ((2 * needed, 3), (2 * needed - 1, 0)):
        monkeypatch.setattr(steps, "free_memory", lambda free=free: free)
        result = run_to_end(segment_live(image, engine(), CARD, CONFIG))
        assert len(result.scores) == kept
        assert result.labels.any()


def test_new_decisions_begin_with_the_plane_in_view() -> None:
    image = blobs(3, 50, 60)
    result = segment(image, keep_scores=True)
    config = replace(CONFIG, remove_border=True)
    pieces = list(relabel_live(result, config, first=2))
    assert [p.plane for p in pieces] == [2, 0, 1]
    expected = segment(image, config).labels
    for piece in pieces:
        np.testing.assert_array_equal(piece.labels, expected[piece.plane])


def test_areas_are_drawn_as_classes() -> None:
    target = Target(classes=("background", "tissue"), instances=False)
    card = replace(CARD, target=target)
    image = blobs(40, 50)
    seen, result = watch(segment_live(image, engine(), card, CONFIG))
    np.testing.assert_array_equal(draw(seen, image.shape), result.labels)
    np.testing.assert_array_equal(result.labels, image > 0)
    assert (draw(seen[:-1], image.shape) <= 1).all()


def test_many_objects_are_drawn_in_more_bits_only_where_they_must_be() -> None:
    labels = np.array([[0, 1, 70_000, 65_535]], np.int32)
    assert as_drawn(labels).dtype == np.int32
    np.testing.assert_array_equal(as_drawn(labels), labels)
    wrapped = as_drawn(live._wrapped(labels))
    assert wrapped.dtype == np.uint16
    np.testing.assert_array_equal(wrapped, [[0, 1, 70_000 - 65_535, 65_535]])
