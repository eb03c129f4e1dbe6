"""Matching and the numbers that follow from it, against dense brute force and by hand."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.metrics import (
    DSB_THRESHOLDS,
    Matching,
    average_precision,
    found,
    iou,
    match,
    number_by_plane,
)

NOTHING = np.zeros((4, 4), np.int32)
UNEVEN = (0.13, 0.29, 0.47, 0.61, 0.77)  # no IoU of small objects equals one of these


def small_labels(least: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int32, (4, 5), elements=st.integers(least, 4))


def squares(count: int, side: int) -> np.ndarray:
    """Return `count` x `count` touching squares, numbered 1.. in scan order."""
    numbers = np.arange(1, count * count + 1, dtype=np.int32).reshape(count, count)
    return np.kron(numbers, np.ones((side, side), np.int32))


def dense_iou(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the IoU of each pair, and which predicted objects lie mostly where truth is -1."""
    counts = truth >= 0
    found = [prediction == i for i in np.unique(prediction) if i > 0]
    there = [truth == i for i in np.unique(truth) if i > 0]
    table = np.array([[(f & t).sum() / ((f & counts) | t).sum() for t in there] for f in found])
    outside = np.array([(f & ~counts).sum() > f.sum() / 2 for f in found], bool)
    return table.reshape(len(found), len(there)), outside


def every_matching(table: np.ndarray, threshold: float) -> tuple[int, float]:
    """Return the most pairs, and the largest IoU sum with so many, over all assignments."""
    if table.shape[0] > table.shape[1]:
        table = table.T
    rows = np.arange(table.shape[0])
    values = [table[rows, list(c)] for c in permutations(range(table.shape[1]), rows.size)]
    return max((int((v > threshold).sum()), round(v[v > threshold].sum(), 9)) for v in values)


@settings(max_examples=60, deadline=None)
@given(small_labels(0), small_labels(0))
@pytest.mark.parametrize("threshold", UNEVEN)
def test_match_equals_the_best_of_all_assignments(threshold, prediction, truth):
    table, _ = dense_iou(prediction, truth)
    found = match(prediction, truth, threshold)
    tp, total = every_matching(table, threshold)
    assert (found.tp, found.fp, found.fn) == (tp, table.shape[0] - tp, table.shape[1] - tp)
    assert found.mean_matched_iou * tp == pytest.approx(total if tp else 0)


@settings(max_examples=60, deadline=None)
@given(small_labels(0), small_labels(-1))
def test_pixels_without_annotation_do_not_count(prediction, truth):
    table, outside = dense_iou(prediction, truth)
    reached = table[~outside] > 0.61
    found = match(
        np.where(np.isin(prediction, _numbers(prediction)[outside]), 0, prediction), truth, 0.61
    )
    assert (found.tp, found.fp) == (reached.sum(), (~reached.any(axis=1)).sum())
    assert found.fn == table.shape[1] - reached.sum()


def _numbers(labels: np.ndarray) -> np.ndarray:
    numbers = np.unique(labels)
    return numbers[numbers > 0]


def test_a_prediction_mostly_outside_the_annotation_is_no_mistake():
    truth = np.zeros((3, 10), np.int32)
    truth[:, 5:] = -1
    truth[0, :3] = 1
    prediction = np.zeros_like(truth)
    prediction[0, :3] = 1
    prediction[1, 3:8] = 2  # two pixels annotated, three not
    prediction[2, 2:7] = 3  # three pixels annotated, two not
    found = match(prediction, truth)
    assert (found.tp, found.fp, found.fn) == (1, 1, 0)


def test_a_match_is_measured_on_annotated_pixels_alone():
    truth = np.array([[1, 1, 1, -1, -1]])
    prediction = np.array([[7, 7, 7, 7, 7]])
    found = match(prediction, truth, 0.9)
    assert (found.tp, found.mean_matched_iou) == (1, 1.0)


def test_most_pairs_come_before_the_largest_iou():
    truth = np.array([[1] * 10 + [2] * 6 + [0] * 4])
    prediction = np.array([[1] * 4 + [2] * 10 + [0] * 6])
    # Object 2 overlaps both: 6/14 with the first, 4/12 with the second; object 1 has 4/10.
    found = match(prediction, truth, 0.3)
    assert found.tp == 2
    assert found.mean_matched_iou == pytest.approx((4 / 10 + 4 / 12) / 2)
    assert match(prediction, truth, 0.41).tp == 1


def test_numbers_of_a_matching():
    found = Matching(0.5, 6, 2, 4, 4.5)
    assert (found.precision, found.recall, found.ap) == (0.75, 0.6, 0.5)
    assert found.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert found.mean_matched_iou == 0.75
    assert found.panoptic_quality == pytest.approx(0.75 * found.f1)


def test_nothing_found_where_nothing_is_is_perfect():
    found = match(NOTHING, NOTHING)
    assert (found.ap, found.f1, found.panoptic_quality, iou(NOTHING, NOTHING)) == (1, 1, 1, 1)


@pytest.mark.parametrize("swap", [False, True])
def test_one_side_empty(swap):
    some = squares(2, 2)
    prediction, truth = (NOTHING, some) if swap else (some, NOTHING)
    found = match(prediction, truth)
    assert (found.tp, found.fp, found.fn) == ((0, 0, 4) if swap else (0, 4, 0))
    assert (found.ap, found.f1, found.panoptic_quality, iou(prediction, truth)) == (0, 0, 0, 0)


def test_labels_need_not_be_consecutive_nor_of_one_type():
    truth = squares(3, 4)
    prediction = np.where(truth == 5, 0, truth.astype(np.uint32) * 400_000_000)
    found = match(prediction.astype(np.uint32), truth.astype(np.uint8), 0.9)
    assert (found.tp, found.fp, found.fn) == (8, 0, 1)


def test_volumes_and_masks_are_label_images():
    volume = np.zeros((4, 5, 6), np.int16)
    volume[1:3, 1:4, 1:5] = 1
    assert match(volume, volume).ap == 1
    assert match(volume > 0, volume > 0).ap == 1


def test_many_objects_need_no_dense_table():
    truth = squares(100, 20)  # 10,000 objects; a dense table of IoU would be 0.8 GB
    found = match(np.roll(truth, 6, axis=1), truth, 0.5)
    assert (found.tp, found.fp, found.fn) == (10_000, 0, 0)
    assert found.mean_matched_iou == pytest.approx(14 / 26)
    assert match(np.roll(truth, 8, axis=1), truth, 0.3).tp == 10_000


def test_pooled_and_per_image():
    one, four = squares(1, 4), squares(2, 2)
    evaluation = average_precision([(one, one), (NOTHING, four)], (0.5, 0.9))
    assert [(m.threshold, m.tp, m.fp, m.fn) for m in evaluation.pooled] == [
        (0.5, 1, 0, 4),
        (0.9, 1, 0, 4),
    ]
    assert [m.ap for m in evaluation.pooled] == [0.2, 0.2]
    assert evaluation.per_image == (0.5, 0.5)
    assert len(evaluation.images) == 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(small_labels(0), small_labels(-1)), min_size=1, max_size=4))
def test_an_evaluation_is_its_matchings(pairs):
    evaluation = average_precision(iter(pairs), UNEVEN)
    single = [[match(p, t, threshold) for threshold in UNEVEN] for p, t in pairs]
    assert [list(row) for row in evaluation.images] == single
    assert [m.tp for m in evaluation.pooled] == np.sum(
        [[m.tp for m in r] for r in single], 0
    ).tolist()
    assert evaluation.per_image == pytest.approx(np.mean([[m.ap for m in r] for r in single], 0))


def test_the_data_science_bowl_takes_the_mean_over_ten_thresholds_and_then_over_images():
    assert DSB_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    truth, found = np.zeros((2, 1, 40), np.int32)
    truth[0, :20], truth[0, 20:] = 1, 2
    found[0, :20], found[0, 20:34] = 1, 2  # an IoU of 1, and one of 0.7, which 5 thresholds take
    one = squares(1, 4)
    evaluation = average_precision([(found, truth), (one, one)], DSB_THRESHOLDS)
    assert evaluation.images[0][3].tp == 2
    first = (5 * 1 + 5 * 1 / 3) / 10
    assert evaluation.mean_ap_per_image == pytest.approx((first + 1) / 2)
    assert evaluation.mean_ap == pytest.approx((5 * 1 + 5 * 2 / 4) / 10)  # of 3 objects, 2 matched


def test_each_true_object_is_told_whether_it_has_a_partner():
    truth, prediction = np.array([[3, 3, 0, 8, 8]]), np.array([[0, 0, 0, 1, 1]])
    assert found(prediction, truth).tolist() == [False, True]


@pytest.mark.parametrize("function", [match, iou])
def test_bad_input_is_named(function):
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(2, 3\)"):
        function(NOTHING, np.zeros((2, 3), np.int32))
    with pytest.raises(ValueError, match="float64"):
        function(NOTHING, np.zeros((4, 4)))


def test_bad_thresholds_are_named():
    with pytest.raises(ValueError, match=r"1\.5.*\(0, 1\]"):
        match(NOTHING, NOTHING, 1.5)


def test_an_image_without_pixels_has_no_objects():
    empty = np.zeros((0, 4), np.int32)
    assert match(empty, empty).ap == 1


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match="at least one pair"):
        average_precision([])


def test_numbers_of_planes_are_parted(rng):
    labels = np.asfortranarray(rng.integers(-1, 4, (2, 3, 4, 5)).astype(np.int8))
    apart = number_by_plane(labels)
    np.testing.assert_array_equal(apart <= 0, labels <= 0)
    np.testing.assert_array_equal(apart[labels <= 0], labels[labels <= 0])
    planes = apart.reshape(6, -1)
    numbers = [set(plane[plane > 0]) for plane in planes]
    assert len(set.union(*numbers)) == sum(map(len, numbers))
