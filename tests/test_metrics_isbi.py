"""Pixel, Rand and warping error: by hand, against brute force, and the topology of warping."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_unet.metrics import (
    MAP_THRESHOLDS,
    Errors,
    pixel_error,
    rand_error,
    rand_scores,
    turn_over,
    warping_error,
)
from napari_unet.metrics.warping import RING, SIMPLE, warp

EIGHT = np.ones((3, 3))
ERRORS = (pixel_error, rand_error, warping_error)


def cells_and_gaps(mask: np.ndarray) -> tuple[int, int]:
    """Count 4-connected cells and what parts them, 8-connected, with what is outside."""
    gaps = np.pad(~mask, 1, constant_values=True)
    return ndimage.label(mask)[1], ndimage.label(gaps, EIGHT)[1]


def is_simple(patch: np.ndarray) -> bool:
    """Say whether the middle of 3x3 pixels touches one piece of cell by a side, and one gap."""
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    cells = ndimage.label(patch & ring)[0][[0, 1, 1, 2], [1, 0, 2, 1]]
    gaps = ndimage.label(~patch & ring, EIGHT)[0]
    return len(set(cells[cells > 0])) == 1 and len(set(gaps[gaps > 0])) == 1


masks = arrays(bool, (6, 7))
maps = arrays(np.float32, (5, 6), elements=st.sampled_from([0, 0.2, 0.45, 0.55, 0.8, 1]))
truths = arrays(np.int32, (5, 6), elements=st.integers(-1, 2))


def test_simple_points_are_those_of_the_definition():
    for code in range(256):
        patch = np.zeros((3, 3), bool)
        for bit, (row, column) in enumerate(RING):
            patch[1 + row, 1 + column] = code >> bit & 1
        assert SIMPLE[code] == is_simple(patch), code


@settings(max_examples=150, deadline=None)
@given(masks, masks, arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32)))
def test_warping_keeps_the_topology_and_goes_as_far_as_it_can(source, target, certainty):
    warped = warp(source, target, certainty)
    assert cells_and_gaps(warped.mask) == cells_and_gaps(source)
    assert (warped.wrong == (warped.mask != target)).all()
    assert not (warped.wrong & (source == target)).any()  # nothing right is made wrong
    around = np.pad(warped.mask, 1)
    for row, column in np.argwhere(warped.wrong):
        assert not is_simple(around[row : row + 3, column : column + 3])


@settings(max_examples=150, deadline=None)
@given(masks, masks)
def test_splits_and_mergers_are_those_found_by_flipping_each_pixel(source, target):
    warped = warp(source, target, np.ones(source.shape))
    before, count = cells_and_gaps(warped.mask)[0], 0
    for pixel in map(tuple, np.argwhere(warped.wrong)):
        flipped = warped.mask.copy()
        flipped[pixel] ^= True
        after = cells_and_gaps(flipped)[0]
        count += after > before if warped.mask[pixel] else after < before
    assert warped.splits_and_mergers() == count


def test_the_surest_pixels_are_flipped_first():
    # The map has no membrane; what must stay of the broad one of the truth is its least sure part.
    truth = np.ones((7, 9), int)
    truth[:, 2:7] = 0
    scores = np.full((7, 9), 0.9, np.float32)
    scores[:, 5] = 0.6
    warped = warp(truth > 0, scores > 0.5, np.abs(scores - 0.5))
    assert warped.wrong[:, 5].all()
    assert warped.wrong.sum() == 7


def cut(height: int = 5, width: int = 7, gap: slice = slice(0, 0)) -> np.ndarray:
    """Return two cells, parted by a membrane that is a pixel wide, with a gap."""
    cells = np.ones((height, width), np.uint16)
    cells[:, width // 2] = 0
    cells[gap, width // 2] = 1
    return cells


@pytest.mark.parametrize(
    ("prediction", "truth", "wrong", "every_kind"),
    [
        (cut(), cut(), 0, 0),
        (np.roll(cut(), 1, axis=1), cut(), 0, 0),  # (a column of cell is lost at the left)
        (cut(gap=slice(2, 4)), cut(), 2, 2),  # the two pixels of the gap merge the cells
        (np.ones((5, 7)), cut(), 5, 5),
        (cut(), np.ones((5, 7)), 1, 1),  # the membrane grows in from both sides up to one pixel
        (np.zeros((5, 7)), cut(), 0, 2),  # each cell shrinks to a pixel, and neither is split
    ],
)
def test_warping_error_by_hand(prediction, truth, wrong, every_kind):
    prediction, truth = prediction.astype(bool), truth.astype(int)
    assert warping_error(prediction, truth).least == wrong / 35
    assert warping_error(prediction, truth, every_kind=True).least == every_kind / 35


def test_holes_and_specks_are_topology_but_no_splits_or_mergers():
    truth = np.zeros((9, 9), int)
    truth[1:8, 1:6] = 1
    prediction = truth > 0
    prediction[4, 3], prediction[4, 7] = False, True  # a hole in the cell, a speck beside it
    assert warping_error(prediction, truth).least == 0
    assert warping_error(prediction, truth, every_kind=True).least == 2 / 81


@settings(max_examples=60, deadline=None)
@given(maps, truths)
def test_pixel_error_is_one_minus_f_of_the_cell_pixels(scores, truth):
    errors = pixel_error(scores, truth)
    for at, error in zip(errors.thresholds, errors.values, strict=True):
        found = {tuple(i) for i in np.argwhere(scores > at) if truth[tuple(i)] >= 0}
        there = {tuple(i) for i in np.argwhere(truth > 0)}
        tp, fp, fn = len(found & there), len(found - there), len(there - found)
        assert error == pytest.approx(1 - 2 * tp / (2 * tp + fp + fn) if found | there else 0)
    assert errors.least == min(errors.values)
    assert errors.at(0.5) == errors.values[5]


@settings(max_examples=60, deadline=None)
@given(maps, truths)
def test_rand_error_is_one_minus_v_rand_of_the_cells(scores, truth):
    errors = rand_error(scores, truth)
    cells = ndimage.label(truth > 0)[0]
    for at, error in zip(MAP_THRESHOLDS, errors.values, strict=True):
        assert error == pytest.approx(1 - rand_scores(ndimage.label(scores > at)[0], cells).f)


def test_errors_by_hand():
    truth = cut(gap=slice(0, 0))  # 30 pixels of cell, 5 of membrane
    scores = np.where(truth > 0, 0.95, 0.05)
    scores[0, 3], scores[4, 3] = 0.25, 0.65
    pixel, rand, warping = (function(scores, truth) for function in ERRORS)
    # Above 0 all is cell; from 0.1 on two membrane pixels are, from 0.3 on one, from 0.7 on none.
    assert pixel.values[0] == pytest.approx(1 - 60 / 65)
    assert pixel.values[1] == pixel.values[2] == pytest.approx(1 - 60 / 62)
    assert pixel.at(0.5) == pytest.approx(1 - 60 / 61)
    assert (pixel.least, pixel.best_threshold, pixel.values[-1]) == (0, 0.7, 1)
    # Merged: of 30 x 30 pairs, 2 x 15 x 15 are in one true cell. Below 0.7 the cells are merged.
    assert rand.values[:7] == pytest.approx([1 - 2 * 450 / (900 + 450)] * 7)
    assert rand.values[7:10] == pytest.approx((0, 0, 0))
    assert rand.values[10] == pytest.approx(1 - 2 * 30 / (30 + 450))  # each pixel by itself
    assert warping.values == pytest.approx([n / 35 for n in (5, 2, 2, 1, 1, 1, 1, 0, 0, 0)])
    assert warping.thresholds == MAP_THRESHOLDS[:-1]


@pytest.mark.parametrize("function", ERRORS)
def test_sections_and_images_are_summed(function):
    rng = np.random.default_rng(0)
    truth = (ndimage.gaussian_filter(rng.random((3, 40, 40)), (0, 3, 3)) > 0.5).astype(int)
    scores = np.clip(truth + rng.normal(0, 0.4, truth.shape), 0, 1)
    whole = function(scores, truth)
    one, two, three = (function(s, t) for s, t in zip(scores, truth, strict=True))
    assert (one + two + three).values == pytest.approx(whole.values)
    with pytest.raises(ValueError, match="cannot be summed"):
        one + function(scores[0], truth[0], (0.5,))


@pytest.mark.parametrize("function", ERRORS)
def test_what_is_not_annotated_never_counts(function):
    truth = np.full((9, 9), -1)
    truth[:, :7] = cut(9, 7)
    scores = np.zeros((9, 9), np.float32)
    scores[:, :7] = cut(9, 7)
    scores[::2, 7:] = 1
    assert function(scores, truth).values[:10] == (0,) * 10
    everywhere = np.where(truth < 0, 0, truth)
    assert function(scores, everywhere, (0.5,)).whole >= function(scores, truth, (0.5,)).whole


@pytest.mark.parametrize("function", ERRORS)
def test_maps_of_bytes_labels_and_membranes(function):
    truth, scores = cut(), np.linspace(0, 1, 35).reshape(5, 7)
    scores = np.round(scores * 255) / 255
    floats = function(scores.astype(np.float32), truth)
    assert function((scores * 255).round().astype(np.uint8), truth) == floats
    labels = (scores > 0.5).astype(np.uint16) * 300
    assert function(labels, truth).values[:10] == (floats.at(0.5),) * 10
    turned = function(*turn_over((1 - scores).astype(np.float64), (truth == 0).astype(np.uint8)))
    assert turned.at(0.5) == floats.at(0.5)


def test_membranes_keep_what_is_not_annotated():
    scores, truth = turn_over(np.array([[0, 255, 51]], np.uint8), np.array([[-1, 0, 3]]))
    assert truth.tolist() == [[-1, 1, 0]]
    assert scores == pytest.approx(np.array([[1, 0, 0.8]]))


def test_warping_a_large_image_takes_no_object_times_pixels():
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((512, 512)), 4)
    truth = (smooth > np.median(smooth)).astype(int)
    noisy = smooth + 0.2 * smooth.std() * ndimage.gaussian_filter(rng.normal(size=smooth.shape), 1)
    scores = (noisy - noisy.min()) / np.ptp(noisy)
    errors = warping_error(scores, truth)
    assert 0 <= errors.least <= errors.at(0.5) < 0.01


@pytest.mark.parametrize("function", ERRORS)
def test_bad_input_is_named(function):
    truth = np.zeros((4, 4), int)
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(2, 3\)"):
        function(np.zeros((4, 4)), np.zeros((2, 3), int))
    for bad in (1.5, -0.5, np.nan):
        with pytest.raises(ValueError, match="no probabilities"):
            function(truth + bad, truth)
    with pytest.raises(ValueError, match="truth holds float64"):
        function(truth, truth * 0.5)
    with pytest.raises(ValueError, match="rows and columns"):
        function(truth[0], truth[0])
    with pytest.raises(ValueError, match=r"0\.3.*choose among 0\.5"):
        function(truth, truth, (0.5,)).at(0.3)


def test_nothing_to_compare_is_no_error():
    for shape in ((3, 3), (0, 5), (0, 3, 3)):
        nothing = np.zeros(shape, int)
        for function, scores in product(ERRORS, (nothing, nothing.astype(float))):
            assert function(scores, nothing).least == 0
    assert Errors((0.5,), (0.0,), (0.0,)).least == 0
