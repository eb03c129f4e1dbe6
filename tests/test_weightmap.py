from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.weightmap import (
    distance_target,
    reach,
    separate,
    separation_term,
    training_target,
    weight_map,
)
from napari_unet.weightmap.colouring import LARGE, paint
from napari_unet.weightmap.weights import TOLERANCE

ROUNDING = 1e-5  # of float32, at weights of about 10


def brute_separate(labels):
    """Look at each pixel's neighbours, one by one."""
    parted = labels.astype(np.int32)
    for index in np.argwhere(labels > 0):
        own = labels[tuple(index)]
        near = labels[tuple(slice(max(i - 1, 0), i + 2) for i in index)]
        if ((near > 0) & (near != own)).any():
            parted[tuple(index)] = 0
    for number in np.unique(labels[labels > 0]):
        if not (parted == number).any():
            parted[labels == number] = number
    return parted


def brute_term(parted, w0, sigma, spacing=None):
    """One distance transform for each object."""
    numbers = [n for n in np.unique(parted) if n > 0]
    if len(numbers) < 2:
        return np.zeros(parted.shape)
    distances = [ndimage.distance_transform_edt(parted != n, sampling=spacing) for n in numbers]
    first, second = np.sort(distances, axis=0)[:2]
    return np.where(parted == 0, w0 * np.exp(-((first + second) ** 2) / (2 * sigma**2)), 0)


def brute_distance_target(labels):
    target = np.zeros(labels.shape)
    for number in np.unique(labels[labels > 0]):
        member = labels == number
        inside = member | (labels < 0)
        depth = np.ones(labels.shape) if inside.all() else ndimage.distance_transform_edt(inside)
        target[member] = depth[member] / depth[member].max()
    return target


def disks(shape, count, radius, seed=0):
    rng = np.random.default_rng(seed)
    grid = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number in range(1, count + 1):
        centre = rng.uniform(0, shape).reshape(-1, *[1] * len(shape))
        labels[((grid - centre) ** 2).sum(axis=0) <= (radius * rng.uniform(0.5, 1.5)) ** 2] = number
    return labels


def rings(size, pitch):
    radius = np.hypot(*(np.indices((size, size)) - size / 2))
    return np.where(radius % pitch < pitch - 2, radius // pitch + 1, 0).astype(np.int32)


@st.composite
def label_images(draw, dimensions=(1, 2, 3)):
    """Draw boxes over boxes, and noise, so that objects touch, hide, split and vanish."""
    ndim = draw(st.sampled_from(dimensions))
    shape = [draw(st.integers(1, {1: 60, 2: 28, 3: 10}[ndim])) for _ in range(ndim)]
    labels = np.zeros(shape, np.int32)
    for _ in range(draw(st.integers(0, 7))):
        start = [draw(st.integers(0, n - 1)) for n in shape]
        side = [draw(st.integers(1, 8)) for _ in shape]
        box = tuple(slice(a, a + s) for a, s in zip(start, side, strict=True))
        labels[box] = draw(st.integers(-1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    noise = rng.random(shape) < draw(st.sampled_from([0, 0, 0.02, 0.3]))
    labels[noise] = rng.integers(-1, 9, shape)[noise]
    return labels


spacings = st.sampled_from([0.3, 0.5, 1.0, 1.0, 2.0, 3.7])


# separate


@settings(max_examples=60, deadline=None)
@given(label_images())
def test_separate_is_what_looking_at_each_neighbour_gives(labels):
    parted = separate(labels)
    assert parted.dtype == np.int32
    np.testing.assert_array_equal(parted, brute_separate(labels))


def test_separate_parts_two_squares_by_a_ridge_of_two_pixels():
    labels = np.zeros((6, 10), np.uint8)
    labels[1:5, 1:5], labels[1:5, 5:9] = 7, 3
    np.testing.assert_array_equal(separate(labels)[2], [0, 7, 7, 7, 0, 0, 3, 3, 3, 0])
    assert labels[2, 4] == 7  # a copy


def test_separate_sees_corners():
    labels = np.kron([[1, 0], [0, 2]], np.ones((3, 3), int))
    assert separate(labels)[2, 2] == 0
    assert np.count_nonzero(separate(labels)) == 16


def test_separate_keeps_objects_that_would_vanish_whole():
    labels = np.zeros((7, 9), int)
    labels[1:6, 1:5], labels[3, 5] = 1, 2
    parted = separate(labels)
    assert (parted == 2).sum() == 1
    np.testing.assert_array_equal(parted[2:5, 4], 0)


def test_separate_takes_what_is_not_annotated_for_no_object():
    labels = np.array([[1, 1, -1, -1, 2, 2]])
    np.testing.assert_array_equal(separate(labels), labels)


def test_separate_keeps_numbers_that_are_far_apart():
    labels = np.array([[5, 5, 5, 2**31 - 1, 2**31 - 1, 2**31 - 1]])
    np.testing.assert_array_equal(separate(labels), [[5, 5, 0, 0, 2**31 - 1, 2**31 - 1]])


# weight_map


@settings(max_examples=120, deadline=None)
@given(label_images(), st.data(), st.sampled_from([0.7, 2.0, 5.0, 40.0]))
def test_weights_are_the_formula_with_one_transform_an_object(labels, data, sigma):
    spacing = data.draw(st.none() | st.tuples(*[spacings] * labels.ndim))
    weights = weight_map(labels, 10, sigma, spacing=spacing, balance=False)
    expected = 1 + brute_term(brute_separate(labels), 10, sigma, spacing)
    expected[labels < 0] = 0
    np.testing.assert_allclose(weights, expected, atol=TOLERANCE + ROUNDING, rtol=0)


@pytest.mark.parametrize("w0", [0.0, 5e-4, 1.0, 50.0, 1000.0])
def test_the_bound_holds_for_every_height(w0):
    parted = separate(disks((70, 90), 25, 7))
    term = separation_term(parted, w0, 4)
    np.testing.assert_allclose(term, brute_term(parted, w0, 4), atol=TOLERANCE, rtol=1e-5)


@pytest.mark.parametrize(
    "labels",
    [
        disks((300, 420), 60, 9),  # over several blocks
        disks((300, 90), 400, 1),
        disks((40, 50, 60), 40, 5),
        rings(160, 6),
        np.kron(np.arange(1, 101).reshape(10, 10), np.ones((7, 7), int)),  # a mosaic
    ],
    ids=["cells", "specks", "3D", "rings", "mosaic"],
)
def test_weights_of_larger_images(labels):
    parted = separate(labels)
    np.testing.assert_allclose(
        separation_term(parted, 10, 5), brute_term(parted, 10, 5), atol=TOLERANCE, rtol=0
    )


def test_weights_between_giant_objects_that_wind_round_each_other():
    labels = np.zeros((LARGE + 60, LARGE + 80), np.int32)
    labels[10:-10, 10:-10] = 1
    labels[16:-16, 16:-16] = 0
    labels[22:-22, 22:-22] = 2
    labels[29:-29, 29:-29] = 0
    labels[150:153, 40:44] = 3
    labels[::40, 0] = np.arange(4, 12)[: len(labels[::40, 0])]
    np.testing.assert_allclose(
        separation_term(labels, 10, 5), brute_term(labels, 10, 5), atol=TOLERANCE, rtol=0
    )


def test_weights_with_more_objects_in_reach_than_there_arepaint():
    labels = np.zeros((31, 31), np.int32)
    labels[::3, ::3] = np.arange(1, 122).reshape(11, 11)
    assert paint(labels, [21, 21]).max() > 64
    np.testing.assert_allclose(
        separation_term(labels, 10, 5), brute_term(labels, 10, 5), atol=TOLERANCE, rtol=0
    )


def test_the_gap_between_two_squares_has_the_weight_of_the_paper():
    labels = np.zeros((9, 20), np.uint8)
    labels[2:7, 2:8], labels[2:7, 11:17] = 1, 2  # three pixels of background between
    weights = weight_map(labels, balance=False)
    expected = 1 + 10 * np.exp(-((2 + 2) ** 2) / 50)
    np.testing.assert_allclose(weights[4, 8:11], [expected] * 3, rtol=1e-6)
    np.testing.assert_array_equal(weights[labels > 0], 1)


def test_a_spacing_measures_in_its_unit():
    labels = disks((40, 50), 12, 5)
    fine = weight_map(labels, sigma=2.5, spacing=(0.5, 0.5))
    np.testing.assert_allclose(fine, weight_map(labels, sigma=5), atol=TOLERANCE)


def test_parts_of_one_object_are_one_object():
    labels = np.array([[1, 1, 0, 0, 1, 1]])
    np.testing.assert_array_equal(weight_map(labels, balance=False), 1)


@pytest.mark.parametrize("value", [0, 1, -1])
def test_constant_labels(value):
    weights = weight_map(np.full((5, 6), value, np.int8))
    np.testing.assert_array_equal(weights, 0 if value < 0 else 1)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (1, 1), (1, 1, 1)])
def test_tiny_and_empty_labels(shape):
    labels = np.ones(shape, int)
    for array in (separate(labels), weight_map(labels), distance_target(labels)):
        np.testing.assert_array_equal(array, np.ones(shape))


@settings(max_examples=40, deadline=None)
@given(label_images())
def test_classes_weigh_the_same_in_sum(labels):
    parted, weights = separate(labels), weight_map(labels, w0=0)
    objects, background = weights[parted > 0], weights[parted == 0]
    assert (weights >= 0).all()
    np.testing.assert_array_equal(weights[labels < 0], 0)
    if objects.size and background.size and weights.max() < 5:
        np.testing.assert_allclose(objects.sum(), background.sum(), rtol=1e-4)
        np.testing.assert_allclose(weights[labels >= 0].mean(), 1, rtol=1e-4)


def test_a_rare_class_weighs_no_more_than_five():
    labels = np.zeros((50, 50), int)
    labels[20:22, 20:22] = 1
    weights = weight_map(labels)
    np.testing.assert_allclose(weights[labels > 0], 5)
    np.testing.assert_allclose(weights[labels == 0], 2500 / (2 * 2496), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i1", ">i4", "i8", "u8", "f4", ">f8"])
def test_the_type_of_labels_does_not_matter(dtype):
    labels = disks((30, 40), 9, 4)
    given_labels = labels.astype(dtype)
    np.testing.assert_array_equal(separate(given_labels), separate(labels))
    np.testing.assert_array_equal(weight_map(given_labels), weight_map(labels))
    np.testing.assert_array_equal(distance_target(given_labels), distance_target(labels))


def test_a_mask_is_one_object():
    mask = disks((30, 40), 9, 4) > 0
    np.testing.assert_array_equal(weight_map(mask), weight_map(mask.astype(np.uint8)))


def test_the_numbers_of_objects_do_not_matter():
    labels = disks((30, 40), 9, 4)
    numbers = np.array([0, *np.random.default_rng(0).permutation(2**31 - 1 - np.arange(9))])
    renumbered = numbers[labels]
    renumbered[0], labels[0] = -1, -1
    np.testing.assert_array_equal(weight_map(renumbered), weight_map(labels))
    np.testing.assert_array_equal(distance_target(renumbered), distance_target(labels))


def test_strided_and_read_only_labels():
    labels = disks((60, 80), 9, 8)
    labels.flags.writeable = False
    np.testing.assert_array_equal(
        weight_map(labels[::2, ::-2]), weight_map(labels[::2, ::-2].copy())
    )


def test_a_region_needs_the_labels_in_reach_alone():
    parted = separate(disks((150, 160), 40, 8))
    whole = separation_term(parted, 10, 5)
    margin = int(np.ceil(reach(10, 5)))
    region, grown = np.s_[60:90, 50:80], np.s_[60 - margin : 90 + margin, 50 - margin : 80 + margin]
    part = separation_term(parted[grown], 10, 5)[margin:-margin, margin:-margin]
    np.testing.assert_allclose(part, whole[region], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.array([[0.5, 1]]), {}, "float64 are not whole numbers"),
        (np.array([[np.nan, 1]]), {}, "are not whole numbers"),
        (np.array([[np.inf, 1]]), {}, "Labels reach from 1.0 to inf"),
        (np.array([[1j]]), {}, "complex128 are not whole numbers"),
        (np.array([[-2, 1]]), {}, "Labels reach from -2 to 1"),
        (np.array([[2**31]]), {}, "2147483648"),
        (np.ones((2, 2), int), {"sigma": 0}, "sigma = 0"),
        (np.ones((2, 2), int), {"sigma": -1}, "sigma = -1"),
        (np.ones((2, 2), int), {"sigma": np.nan}, "sigma = nan"),
        (np.ones((2, 2), int), {"w0": -1}, "w0 = -1"),
        (np.ones((2, 2), int), {"w0": np.inf}, "w0 = inf"),
        (np.ones((2, 2), int), {"spacing": (1,)}, "spacing = .* 2 dimensions"),
        (np.ones((2, 2), int), {"spacing": (1, 0)}, "spacing = "),
    ],
)
def test_impossible_input_is_refused_with_its_name(labels, options, message):
    with pytest.raises(ValueError, match=message):
        weight_map(labels, **options)


# distance_target, training_target


@settings(max_examples=60, deadline=None)
@given(label_images())
def test_distance_target_is_one_transform_an_object(labels):
    target = distance_target(labels)
    assert target.dtype == np.float32
    np.testing.assert_allclose(target, brute_distance_target(labels), atol=1e-6)


def test_distance_target_of_rings_in_rings():
    labels = rings(200, 6)  # in windows: many times the image
    np.testing.assert_allclose(distance_target(labels), brute_distance_target(labels), atol=1e-6)


def test_distance_target_of_touching_squares_has_two_bumps():
    labels = np.kron([[0, 1, 2, 0]], np.ones((5, 5), int))
    labels = np.pad(labels, 2)
    expected = np.array([1, 2, 3, 2, 1]) / 3
    np.testing.assert_allclose(distance_target(labels)[4, 7:17], np.tile(expected, 2), rtol=1e-6)


def test_distance_target_goes_on_beyond_the_image():
    np.testing.assert_allclose(distance_target(np.array([[0, 1, 1, 1]])), [[0, 1 / 3, 2 / 3, 1]])


def test_distance_target_goes_on_where_nothing_is_annotated():
    labels = np.full((9, 41), -1)
    labels[:, :21] = 0
    labels[2:7, 11:21] = 1  # an object that a region cuts off
    row = distance_target(labels)[4, 11:21]
    assert (np.diff(row) >= 0).all()
    assert row[-1] == 1
    stroke = np.full((30, 60), -1)
    stroke[10:13, 10:50] = 1  # of a scribble, with the background far off
    stroke[28, 10:50] = 0
    assert distance_target(stroke)[stroke > 0].min() > 0.8
    np.testing.assert_allclose(distance_target(stroke), brute_distance_target(stroke), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(label_images())
def test_training_target_is_the_parted_classes_and_their_weights(labels):
    classes, weights = training_target(labels, 7, 3)
    assert classes.dtype == np.uint8
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(classes, brute_separate(labels) > 0)
    np.testing.assert_array_equal(weights, weight_map(labels, 7, 3))
    np.testing.assert_array_equal(weights[labels < 0], 0)
