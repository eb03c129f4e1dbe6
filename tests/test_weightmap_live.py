from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.weightmap import live, training_target, weight_map
from napari_unet.weightmap.live import SIGHT, LiveMap
from napari_unet.weightmap.weights import TOLERANCE

CLOSE = {"rtol": 0, "atol": 1.1 * TOLERANCE}


class Shown:
    """What somebody sees who draws the pieces as they come."""

    def __init__(self, shape=(0, 0)) -> None:
        self.map = LiveMap()
        self.weights = np.full(shape, np.nan, np.float32)
        self.share = 0.0

    def renew(self, labels, w0=10.0, sigma=5.0, balance=False, stop_after=None) -> int:
        """Return how many pixels were drawn."""
        if self.weights.shape != labels.shape:
            self.weights = np.full(labels.shape, np.nan, np.float32)
        steps = self.map.renew(labels, w0, sigma, balance)
        drawn, stop, self.share = 0, None, 0.0
        while True:
            try:
                piece = steps.send(stop)
            except StopIteration:
                return drawn
            assert self.share < piece.share <= 1
            self.share = piece.share
            self.weights[piece.where] = piece.weights
            drawn += piece.weights.size
            stop = True if stop_after is not None and drawn >= stop_after else None


def cells(random, shape=(60, 70), count=14):
    """Disks that touch and overlap, holes, ids far apart, and pixels that are not annotated."""
    labels = np.zeros(shape, np.int32)
    grid = np.indices(shape)
    for number in range(1, count + 1):
        centre = random.integers(0, shape)[:, None, None]
        distance = np.hypot(*(grid - centre))
        labels[distance < random.uniform(0.5, 9)] = number if number % 5 else 10**9 + number
    labels[: random.integers(0, 12), : random.integers(0, 40)] = -1
    return labels


def stroke(random, labels) -> None:
    """Paint, erase, mark as not annotated, or exchange a label, as brush and bucket do."""
    height, width = labels.shape
    kind = random.integers(5)
    if kind == 4:
        labels[labels == random.choice(labels.ravel())] = random.integers(0, 20)
        return
    size = random.integers(1, 14)
    y, x = random.integers(0, height), random.integers(0, width)
    number = (0, -1, random.integers(1, 25), random.choice(labels.ravel()))[kind]
    labels[y : y + size, x : x + random.integers(1, 14)] = number


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_after_any_strokes_the_map_is_that_of_the_labels(seed, balance) -> None:
    random = np.random.default_rng(seed)
    labels, shown = cells(random), Shown()
    for _ in range(8):
        shown.renew(labels, balance=balance)
        np.testing.assert_allclose(shown.weights, weight_map(labels, balance=balance), **CLOSE)
        for _ in range(random.integers(1, 3)):
            stroke(random, labels)


def test_it_is_what_training_takes(rng) -> None:
    labels, shown = cells(rng), Shown()
    shown.renew(labels, 5.0, 4.0)
    np.testing.assert_allclose(
        shown.weights, training_target(labels, 5.0, 4.0, balance=False)[1], **CLOSE
    )


def test_strokes_leave_the_very_numbers_of_a_map_made_at_once(rng) -> None:
    labels, shown, other = cells(rng, (150, 150), 40), Shown(), Shown()
    for _ in range(10):
        shown.renew(labels)
        stroke(rng, labels)
    shown.renew(labels)
    other.renew(labels)
    np.testing.assert_allclose(shown.weights, other.weights, rtol=1e-6)


def test_a_stroke_draws_its_surroundings_alone() -> None:
    labels, shown = np.zeros((400, 500), np.int32), Shown()
    labels[190:200, 100:110], labels[190:200, 114:124] = 1, 2
    assert shown.renew(labels) == labels.size
    assert shown.renew(labels) == 0
    labels[195:198, 110:112] = 1
    around = 2 * (SIGHT + 12)
    assert 0 < shown.renew(labels) < around**2
    np.testing.assert_allclose(shown.weights, weight_map(labels, balance=False), **CLOSE)


def test_what_a_stroke_does_to_an_object_far_away() -> None:
    """An object that would vanish is kept whole: its far end changes with its near one."""
    labels, shown = np.zeros((40, 300), np.int32), Shown()
    labels[10:12], labels[12:14], labels[8:10] = 1, 2, 3  # all of 1 is ridge: it is kept whole
    labels[20:25, 250:260] = 4
    shown.renew(labels)
    labels[8:15, :6] = 0
    labels[10:12, :6] = 1  # now some of it is not
    shown.renew(labels)
    expected = weight_map(labels, balance=False)
    np.testing.assert_allclose(shown.weights, expected, **CLOSE)
    labels[10:12, :6] = 0
    shown.renew(labels)
    assert np.abs(weight_map(labels, balance=False) - expected)[:, 200:].max() > 1
    np.testing.assert_allclose(shown.weights, weight_map(labels, balance=False), **CLOSE)


@pytest.mark.parametrize("balance", [False, True])
def test_any_height_and_width(rng, balance, monkeypatch) -> None:
    monkeypatch.setattr(live, "TILE", 32)
    labels, shown = cells(rng), Shown()
    for w0, sigma in [(5, 5), (50, 6), (0, 1), (10, 20), (1e-4, 3), (10, 0.5), (200, 8), (5, 5)]:
        shown.renew(labels, w0, sigma, balance)
        np.testing.assert_allclose(
            shown.weights, weight_map(labels, w0, sigma, balance=balance), **CLOSE
        )


def test_another_height_measures_nothing_anew(rng, monkeypatch) -> None:
    labels, shown = cells(rng), Shown()
    shown.renew(labels, 5, 5)
    monkeypatch.setattr(live, "separation_term", lambda *_: pytest.fail("it measures"))
    assert shown.renew(labels, 6, 4) == labels.size


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_it_goes_on_after_stops(seed) -> None:
    random = np.random.default_rng(seed)
    labels, shown = cells(random), Shown()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "TILE", 32)
        for _ in range(6):
            sigma = random.choice([2.0, 5.0, 8.0])
            shown.renew(labels, 5, sigma, stop_after=random.integers(1, 4000))
            stroke(random, labels)
        shown.renew(labels, 5, sigma)
    np.testing.assert_allclose(shown.weights, weight_map(labels, 5, sigma, balance=False), **CLOSE)


def test_other_planes_and_what_cannot_be(rng) -> None:
    shown = Shown()
    for shape in [(30, 40), (50, 20), (1, 7), (50, 20)]:
        labels = cells(rng, shape).astype(np.int64)
        shown.renew(labels)
        np.testing.assert_allclose(shown.weights, weight_map(labels, balance=False), **CLOSE)
    with pytest.raises(ValueError, match="-4"):
        shown.renew(labels - 3)
    with pytest.raises(ValueError, match="sigma = 0"):
        shown.renew(labels, sigma=0)
    shown.renew(labels)
    np.testing.assert_allclose(shown.weights, weight_map(labels, balance=False), **CLOSE)


def test_a_drag_that_is_taken_back_halfway(rng, monkeypatch) -> None:
    monkeypatch.setattr(live, "TILE", 32)
    labels, shown = cells(rng), Shown()
    shown.renew(labels, 5)
    shown.renew(labels, 9, stop_after=1)
    assert shown.renew(labels, 5) > 0
    np.testing.assert_allclose(shown.weights, weight_map(labels, 5, balance=False), **CLOSE)
