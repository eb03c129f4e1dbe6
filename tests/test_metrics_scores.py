"""Scores of label images: regions, SEG, partitions, comparison, and all of them by name."""

from collections import Counter
from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import shannon_entropy
from skimage.metrics import adapted_rand_error, variation_of_information

from napari_unet.metrics import (
    METRICS,
    Evaluation,
    average_precision,
    class_ious,
    compare_objects,
    dice,
    info_scores,
    iou,
    match,
    mean_iou,
    mean_values,
    measure,
    pool,
    rand_scores,
    seg,
)

NOTHING = np.zeros((4, 4), np.int32)
LABEL_SCORES = (compare_objects, dice, info_scores, iou, rand_scores, seg)


def small_labels(least: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int32, (4, 5), elements=st.integers(least, 4))


def numbers(labels: np.ndarray) -> list[int]:
    return [int(i) for i in np.unique(labels) if i > 0]


def squares(count: int, side: int) -> np.ndarray:
    """Return `count` x `count` touching squares, numbered 1.. in scan order."""
    each = np.arange(1, count * count + 1, dtype=np.int32).reshape(count, count)
    return np.kron(each, np.ones((side, side), np.int32))


def segments(prediction: np.ndarray, truth: np.ndarray) -> list[tuple[int, int]]:
    """Return for each pixel of true objects its segments; predicted background is one a pixel."""
    pixels = zip(prediction.ravel().tolist(), truth.ravel().tolist(), strict=True)
    return [(p or -i, t) for i, (p, t) in enumerate(pixels, 1) if t > 0]


@settings(max_examples=80, deadline=None)
@given(small_labels(0), small_labels(-1))
def test_regions_are_sets_of_annotated_pixels(prediction, truth):
    found = {tuple(i) for i in np.argwhere(prediction) if truth[tuple(i)] >= 0}
    there = {tuple(i) for i in np.argwhere(truth > 0)}
    either, both = len(found | there), len(found & there)
    assert iou(prediction, truth) == pytest.approx(both / either if either else 1)
    expected = 2 * both / (len(found) + len(there)) if either else 1
    assert dice(prediction, truth) == pytest.approx(expected)


@settings(max_examples=80, deadline=None)
@given(small_labels(0), small_labels(-1))
def test_seg_is_the_mean_iou_with_what_covers_most(prediction, truth):
    found = np.where(truth < 0, 0, prediction)
    ious = []
    for t in numbers(truth):
        there = truth == t
        covers = [p for p in numbers(found) if (there & (found == p)).sum() > there.sum() / 2]
        ious.append(0.0)
        if covers:
            ours = found == covers[0]
            ious[-1] = (ours & there).sum() / (ours | there).sum()
    assert seg(prediction, truth) == pytest.approx(np.mean(ious) if ious else 1)


def test_seg_by_hand():
    truth = np.array([[1] * 4 + [2] * 4 + [3] * 4 + [0] * 4])
    prediction = np.array([[5] * 3 + [0] + [6] * 2 + [7] * 2 + [0] * 3 + [8] * 5])
    # 5 covers three of four pixels of 1: IoU 3/4. 6 covers half of 2, not more. 8 has one of 3.
    assert seg(prediction, truth) == pytest.approx((3 / 4 + 0 + 0) / 3)
    merged = np.array([[1] * 12 + [0] * 4])
    assert seg(merged, truth) == pytest.approx(4 / 12)  # one object may cover several


@settings(max_examples=80, deadline=None)
@given(small_labels(0), small_labels(-1))
def test_rand_scores_count_all_pairs_of_foreground_pixels(prediction, truth):
    pairs = list(product(segments(prediction, truth), repeat=2))
    found = sum(a[0] == b[0] for a, b in pairs)
    there = sum(a[1] == b[1] for a, b in pairs)
    both = sum(a == b for a, b in pairs)
    score = rand_scores(prediction, truth)
    if not pairs:
        assert (score.split, score.merge, score.f) == (1, 1, 1)
        return
    assert score.split == pytest.approx(both / there)
    assert score.merge == pytest.approx(both / found)
    assert score.f == pytest.approx(2 * both / (found + there))


@settings(max_examples=80, deadline=None)
@given(small_labels(0), small_labels(-1))
def test_info_scores_are_shares_of_entropy(prediction, truth):
    pixels = segments(prediction, truth)

    def entropy(parts: list) -> float:
        return -sum(n / len(parts) * log(n / len(parts)) for n in Counter(parts).values())

    score = info_scores(prediction, truth)
    if not pixels:
        assert (score.split, score.merge, score.f) == (1, 1, 1)
        return
    ours, true = entropy([p for p, _ in pixels]), entropy([t for _, t in pixels])
    shared = ours + true - entropy(pixels)
    assert score.split == pytest.approx(shared / ours if ours > 1e-9 else 1, abs=1e-9)
    assert score.merge == pytest.approx(shared / true if true > 1e-9 else 1, abs=1e-9)
    if ours > 1e-9 and true > 1e-9:
        assert score.f == pytest.approx(2 * shared / (ours + true), abs=1e-9)


def test_partitions_by_hand():
    truth = np.array([[1] * 4 + [2] * 4])
    merged, halves = np.ones_like(truth), np.array([[1] * 2 + [2] * 2 + [3] * 4])
    # Pairs: 16 + 16 in true segments, 64 in the merged one; 4 + 4 + 16 in the split ones.
    assert rand_scores(merged, truth).merge == pytest.approx(32 / 64)
    assert rand_scores(merged, truth).split == 1
    assert rand_scores(halves, truth).split == pytest.approx(24 / 32)
    assert rand_scores(halves, truth).merge == 1
    # One bit to tell the true halves apart; 1.5 bits of the split ones; none of the merged one.
    assert info_scores(halves, truth).split == pytest.approx(1 / 1.5)
    assert info_scores(halves, truth).merge == pytest.approx(1)
    assert (info_scores(merged, truth).split, info_scores(merged, truth).merge) == (1, 0)
    assert rand_scores(NOTHING, NOTHING).f == info_scores(NOTHING, NOTHING).f == 1


def test_partitions_agree_with_scikit_image():
    truth = squares(4, 20)
    prediction = np.roll(squares(5, 16), 7, axis=1)
    # It leaves out the pairs of a pixel with itself: 6,400 of 1.2 million.
    error = adapted_rand_error(truth, prediction)[0]
    assert 1 - rand_scores(prediction, truth).f == pytest.approx(error, abs=0.003)
    merged, split = variation_of_information(prediction, truth)
    ours, true = shannon_entropy(prediction), shannon_entropy(truth)
    info = info_scores(prediction, truth)
    assert (info.split, info.merge) == pytest.approx((1 - split / ours, 1 - merged / true))


@settings(max_examples=60, deadline=None)
@given(small_labels(0), small_labels(-1))
@pytest.mark.parametrize("threshold", [0.29, 0.61])
def test_a_comparison_shows_what_matching_counts(threshold, prediction, truth):
    shown, counted = (
        compare_objects(prediction, truth, threshold),
        match(prediction, truth, threshold),
    )
    ours = {p: set(shown[prediction == p].tolist()) for p in numbers(prediction)}
    matched = [p for p, values in ours.items() if values == {1}]
    invented = [p for p, values in ours.items() if values <= {3, 4}]
    exempt = [p for p, values in ours.items() if values <= {0, 2}]
    assert (len(matched), len(invented)) == (counted.tp, counted.fp)
    assert sorted([*matched, *invented, *exempt]) == numbers(prediction)
    missed = [t for t in numbers(truth) if set(shown[truth == t].tolist()) <= {1, 2, 4}]
    assert len(missed) >= counted.fn
    assert set(truth[np.isin(shown, (2, 4))].tolist()) <= set(missed)
    assert not shown[(prediction == 0) & (truth <= 0)].any()


def test_a_comparison_by_hand():
    truth = np.array([[1, 1, 1, 0, 2, 2, 2, 0, -1, -1, -1]], np.int16)
    prediction = np.array([[4, 4, 4, 4, 0, 0, 9, 9, 9, 7, 7]], np.uint8)
    # 4 has 1 by 3/4; 9 reaches 2 by 1/4; 7 lies where nothing is annotated.
    shown = compare_objects(prediction, truth)
    assert shown.tolist() == [[1, 1, 1, 1, 2, 2, 4, 3, 3, 0, 0]]
    assert shown.dtype == np.uint8
    assert compare_objects(truth > 0, truth > 0).max() == 1
    foreign = prediction.astype(">u2")  # as tifffile maps files
    foreign.flags.writeable = False
    assert (compare_objects(foreign, truth) == shown).all()


def test_many_objects_need_no_dense_table():
    truth = squares(100, 20)  # 10,000 objects on 2000 x 2000 pixels
    prediction = np.roll(truth, 6, axis=1)
    assert seg(prediction, truth) == pytest.approx(14 / 26)
    assert rand_scores(prediction, truth).f == pytest.approx((14**2 + 6**2) / 20**2)
    assert 0.9 < info_scores(prediction, truth).f < 1
    assert (compare_objects(prediction, truth) == 1).all()
    assert dice(prediction, truth) == 1


@pytest.mark.parametrize("function", LABEL_SCORES)
def test_bad_input_is_named(function):
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(2, 3\)"):
        function(NOTHING, np.zeros((2, 3), np.int32))
    with pytest.raises(ValueError, match="prediction holds float64"):
        function(NOTHING.astype(float), NOTHING)
    with pytest.raises(ValueError, match="label -1"):
        function(NOTHING - 1, NOTHING)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(small_labels(0), small_labels(-1)), min_size=1, max_size=3))
def test_by_name_all_metrics_are_what_their_functions_return(pairs):
    images = [measure(prediction, truth, METRICS) for prediction, truth in pairs]
    for image, (prediction, truth) in zip(images, pairs, strict=True):
        values = image.values()
        assert values["0.7"]["pq"] == match(prediction, truth, 0.7).panoptic_quality
        assert values["seg"] == seg(prediction, truth)
        assert values["dice"] == dice(prediction, truth)
        assert values["rand"] == pytest.approx(rand_scores(prediction, truth).f)
        assert values["info"] == info_scores(prediction, truth).f
        assert values["class-iou"]["mean"] == mean_iou(class_ious(prediction, truth))
    evaluation = average_precision(pairs)
    pooled, mean = pool(images), mean_values(images)
    assert pooled.values()["0.5"]["ap"] == evaluation.pooled[0].ap
    assert mean["0.5"]["ap"] == pytest.approx(evaluation.per_image[0])
    assert pooled.values()["dsb2018"] == pytest.approx(mean["dsb2018"])
    assert pooled.counts()["0.5"]["tp"] == sum(m[0].tp for m in evaluation.images)
    assert isinstance(evaluation, Evaluation)


def test_pooled_scores_are_of_all_pixels_and_objects_together():
    one, four = squares(1, 4), squares(2, 2)
    images = [measure(one, one, ["seg", "iou"]), measure(NOTHING, four, ["seg", "iou"])]
    assert pool(images).values() == {"seg": 1 / 5, "iou": 0.5}
    assert mean_values(images) == {"seg": 0.5, "iou": 0.5}


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'auc': choose ap, .*warping-error"):
        measure(NOTHING, NOTHING, ["dice", "auc"])
