"""Scores to objects, each step against a brute-force version or by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_unet.config import Target
from napari_unet.instances import (
    class_map,
    classify,
    fill_object_holes,
    grow_into_ridges,
    label_scores,
    object_evidence,
    object_scores,
    relabel,
    remove_border_objects,
    remove_small_objects,
    split_touching,
)


def picture(*rows: str) -> np.ndarray:
    """Return labels drawn with digits, background as dots."""
    return np.array([[int(c) for c in row.replace(".", "0")] for row in rows], np.int32)


def grid(count: int, side: int) -> np.ndarray:
    """Return `count` x `count` touching squares within a margin of 4."""
    numbers = np.arange(1, count * count + 1, dtype=np.int32).reshape(count, count)
    return np.pad(np.kron(numbers, np.ones((side, side), np.int32)), 4)


def parted(labels: np.ndarray) -> np.ndarray:
    """Return the labels without the pixels that touch another object, by face, edge or corner."""
    out = labels.copy()
    for i in np.argwhere(labels):
        window = labels[tuple(slice(max(k - 1, 0), k + 2) for k in i)]
        if np.any((window != labels[tuple(i)]) & (window > 0)):
            out[tuple(i)] = 0
    return out


def drawn(least: int = 0, most: int = 3, side: int = 9) -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(1, side), st.integers(1, side))
    return shape.flatmap(lambda s: arrays(np.int32, s, elements=st.integers(least, most)))


def blocks() -> st.SearchStrategy[np.ndarray]:
    """Draw a few boxes of different labels, later ones on top, as objects and gaps arise."""
    corner = st.integers(0, 11)
    box = st.tuples(corner, corner, st.integers(1, 6), st.integers(1, 6), st.integers(0, 4))

    def paint(boxes: list[tuple[int, int, int, int, int]]) -> np.ndarray:
        labels = np.zeros((12, 13), np.int32)
        for y, x, height, width, number in boxes:
            labels[y : y + height, x : x + width] = number
        return labels

    return st.lists(box, max_size=6).map(paint)


def test_objects_are_what_reaches_the_threshold():
    scores = np.array([[0.4, 0.39, 0.2], [0.1, 0.1, 0.9]])
    np.testing.assert_array_equal(label_scores(scores, min_size=0), [[1, 0, 0], [0, 0, 2]])
    np.testing.assert_array_equal(
        label_scores(scores, min_size=0, threshold=0.2), [[1, 1, 1], [0, 0, 1]]
    )


def test_a_corner_does_not_connect():
    labels = label_scores(np.kron(np.eye(2), np.ones((6, 6))).astype(np.float32))
    assert labels.max() == 2


@pytest.mark.parametrize("value", [0.0, 0.3999, np.nan, -np.inf])
@pytest.mark.parametrize("shape", [(1, 1), (20, 30), (4, 20, 30)])
def test_no_objects_in_background(value, shape):
    empty = np.full(shape, value, np.float32)
    labels = label_scores(empty, empty)
    assert (labels.dtype, labels.shape, labels.any()) == (np.int32, shape, False)


def test_nan_is_background():
    scores = np.ones((6, 12), np.float32)
    scores[:, 5:8] = np.nan
    labels = label_scores(scores, scores)
    np.testing.assert_array_equal(labels[2], [1] * 5 + [0] * 3 + [2] * 4)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (12, 13), elements=st.floats(0, 1, width=16)), st.integers(0, 6))
def test_numbers_are_consecutive_in_scan_order_and_sizes_kept(scores, min_size):
    labels = label_scores(scores, scores[::-1], min_size=min_size)
    met = list(dict.fromkeys(labels[labels > 0].tolist()))
    assert met == list(range(1, len(met) + 1))
    assert all(np.bincount(labels.ravel())[1:] >= max(min_size, 1))


def test_another_shape_of_distance_is_named():
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(4, 3\)"):
        label_scores(np.zeros((3, 4), np.float32), np.zeros((4, 3), np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_touching_squares_come_back_exactly(dtype):
    truth = grid(4, 7)
    scores = (parted(truth) > 0).astype(dtype)
    np.testing.assert_array_equal(label_scores(scores), truth)


def test_touching_cubes_come_back_exactly():
    truth = np.pad(np.kron(np.arange(1, 9).reshape(2, 2, 2), np.ones((5, 5, 5))), 4)
    scores = (parted(truth) > 0).astype(np.float32)
    np.testing.assert_array_equal(label_scores(scores), truth)


def test_only_the_gap_is_grown_into():
    ridge = picture(
        "...........",
        ".111..222..",
        ".111..222..",
        ".111..222..",
        "...........",
    )
    expected = ridge.copy()
    expected[1:4, 4], expected[1:4, 5] = 1, 2
    np.testing.assert_array_equal(grow_into_ridges(ridge), expected)
    wide = np.insert(ridge, 4, 0, axis=1)  # three pixels are background
    np.testing.assert_array_equal(grow_into_ridges(wide), wide)
    notch = np.minimum(ridge, 1)  # within one object there is no ridge
    np.testing.assert_array_equal(grow_into_ridges(notch), notch)


def grown_by_hand(labels: np.ndarray) -> np.ndarray:
    """Visit each background pixel: closing by its definition, nearest object by distance."""
    objects = {tuple(i): labels[tuple(i)] for i in np.argwhere(labels)}
    cube = list(product((-1, 0, 1), repeat=2))
    ball = [(i * i + j * j, i, j) for i, j in product(range(-3, 4), repeat=2)]
    grown = labels.copy()
    for y, x in np.argwhere(labels == 0):
        around = [(y + i, x + j) for i, j in cube]
        closed = all(any((v + i, u + j) in objects for i, j in cube) for v, u in around)
        near = [objects.get((y + i, x + j), 0) for d, i, j in sorted(ball) if d <= 9]
        near = [number for number in near if number]
        if closed and len(set(near)) > 1:
            grown[y, x] = near[0]
    return grown


@settings(max_examples=100, deadline=None)
@given(st.one_of(blocks(), drawn()))
def test_growing_equals_the_definition(labels):
    np.testing.assert_array_equal(grow_into_ridges(labels), grown_by_hand(labels))


def two_discs() -> tuple[np.ndarray, np.ndarray]:
    """Return the union of two overlapping discs, and a distance that is 1 in the middle of each."""
    y, x = np.mgrid[:24, :40]
    radii = np.stack([np.hypot(y - 12, x - centre) for centre in (12, 27)])
    distance = np.clip(1 - radii.min(axis=0) / 9, 0, 1).astype(np.float32)
    return (distance > 0).astype(np.float32), distance


def test_touching_discs_are_split_between_their_middles():
    foreground, distance = two_discs()
    assert label_scores(foreground).max() == 1
    left = np.arange(40) < 19.5
    expected = np.where(foreground > 0, np.where(left, 1, 2), 0)
    pieces = split_touching(foreground.astype(np.int32), distance)
    np.testing.assert_array_equal(relabel(pieces), expected)
    expected[[6, 18], 19:21] = 1, 2  # the gap, two pixels wide, where their outlines meet
    np.testing.assert_array_equal(label_scores(foreground, distance), expected)


def test_a_peak_counts_if_it_rises_by_the_prominence():
    foreground, distance = two_discs()
    saddle = distance[12, 19]
    distance[12, 17:22] = saddle, saddle, saddle + 0.1875, saddle, saddle
    low, high = (
        label_scores(foreground, distance, prominence=p, min_size=0) for p in (0.125, 0.25)
    )
    assert (low.max(), high.max()) == (3, 2)
    assert label_scores(foreground, distance * 0.3).max() == 1
    distance[:, 20:] = np.nan
    assert label_scores(foreground, distance).max() == 1


def peaks_by_hand(distance: np.ndarray, mask: np.ndarray, prominence: float) -> int:
    """Count by flooding, level by level: a lake ends where it meets a higher one."""
    kept = 0
    for number in range(1, ndimage.label(mask)[1] + 1):
        inside = ndimage.label(mask)[0] == number
        kept += 1  # the highest
        for level in np.unique(distance[inside])[::-1]:
            above = ndimage.label(inside & (distance >= level))[0]
            for lake in range(1, above.max() + 1):
                before = ndimage.label((above == lake) & (distance > level))
                heights = sorted(distance[before[0] == k].max() for k in range(1, before[1] + 1))
                # Of those that meet here, all but the highest end.
                kept += sum(height - level > prominence for height in heights[:-1])
    return kept


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.bool_, (7, 8), elements=st.integers(0, 5).map(bool)),
    arrays(np.float32, (7, 8), elements=st.integers(0, 8).map(lambda n: n / 8)),
    st.sampled_from([0.125, 0.25, 0.5]),
)
def test_peaks_are_the_h_maxima(mask, distance, prominence):
    pieces = split_touching(ndimage.label(mask)[0].astype(np.int32), distance, prominence)
    found = np.unique(pieces[mask]).size
    assert found == peaks_by_hand(distance, mask, prominence)


def test_peaks_outside_the_foreground_do_not_count():
    foreground, distance = two_discs()
    expected = label_scores(foreground, distance)
    distance[2, 19] = 1
    np.testing.assert_array_equal(label_scores(foreground, distance), expected)


@settings(max_examples=80, deadline=None)
@given(
    arrays(np.bool_, (14, 15), elements=st.integers(0, 4).map(bool)),
    arrays(np.float32, (14, 15), elements=st.sampled_from([0, 0.2, 0.45, 0.5, 0.7, 1, np.nan])),
)
def test_a_component_is_split_the_same_when_alone(mask, distance):
    labels = ndimage.label(mask)[0].astype(np.int32)
    whole = split_touching(labels, distance)
    np.testing.assert_array_equal(whole > 0, mask)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        alone = labels[box] == number
        pieces = split_touching(alone.astype(np.int32), distance[box])
        np.testing.assert_array_equal(relabel(pieces), relabel(np.where(alone, whole[box], 0)))


def test_a_piece_is_one_per_peak():
    foreground, distance = two_discs()
    stack = np.concatenate([foreground, foreground]), np.concatenate([distance, distance[:, ::-1]])
    pieces = split_touching(ndimage.label(stack[0])[0].astype(np.int32), stack[1])
    assert np.unique(pieces).size == 5


def holes_filled_by_hand(labels: np.ndarray) -> np.ndarray:
    """Flood each background region; fill it if it meets one object and no border."""
    filled, seen = labels.copy(), labels > 0
    for start in map(tuple, np.argwhere(labels == 0)):
        region, met, todo = [], set(), [start]
        while todo:
            y, x = todo.pop()
            if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]):
                met.add(-1)
            elif labels[y, x]:
                met.add(labels[y, x])
            elif not seen[y, x]:
                seen[y, x] = True
                region.append((y, x))
                todo += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        if len(met) == 1 and -1 not in met:
            filled[tuple(np.transpose(region))] = met.pop()
    return filled


@settings(max_examples=100, deadline=None)
@given(st.one_of(blocks(), drawn(most=2)))
def test_holes_equal_the_definition(labels):
    np.testing.assert_array_equal(fill_object_holes(labels), holes_filled_by_hand(labels))


def test_holes_do_not_leak_into_neighbours():
    rings = picture(
        "1111122222.",
        "1...12...2.",
        "1.1.12.3.2.",
        "1...12...2.",
        "1111122222.",
    )
    filled = fill_object_holes(rings)
    assert (filled[:, :5] == 1).all()
    np.testing.assert_array_equal(filled[:, 5:], rings[:, 5:])


def test_holes_of_volumes():
    shell = np.ones((5, 6, 7), np.int32)
    shell[2, 2:4, 2:5] = 0
    assert fill_object_holes(shell).all()
    shell[0, 2, 2] = shell[1, 2, 2] = 0  # now open
    np.testing.assert_array_equal(fill_object_holes(shell), shell)


def test_holes_stay_when_asked():
    scores = np.ones((7, 7), np.float32)
    scores[3, 3] = 0
    assert label_scores(scores)[3, 3] == 1
    assert label_scores(scores, fill_holes=False)[3, 3] == 0


@settings(max_examples=50, deadline=None)
@given(drawn(), st.integers(0, 9))
def test_cleaning_equals_the_definition(labels, min_size):
    small, border, numbered = (np.zeros_like(labels) for _ in range(3))
    for rank, number in enumerate(dict.fromkeys(labels[labels > 0].tolist()), 1):
        member = labels == number
        numbered[member] = rank
        if member.sum() >= min_size:
            small[member] = number
        if member[1:-1, 1:-1].sum() == member.sum():
            border[member] = number
    np.testing.assert_array_equal(remove_small_objects(labels, min_size), small)
    np.testing.assert_array_equal(remove_border_objects(labels), border)
    np.testing.assert_array_equal(relabel(labels), numbered)


def test_small_and_border_objects_are_dropped_when_asked():
    scores = np.zeros((20, 30), np.float32)
    scores[5:9, 5:9] = scores[0:5, 15:19] = scores[12:15, 12:17] = scores[15:17, 22:29] = 1
    assert label_scores(scores, min_size=16).max() == 2
    assert label_scores(scores).max() == 3
    assert label_scores(scores, remove_border=True).max() == 2


def test_arguments_are_left_as_they_were():
    foreground, distance = two_discs()
    copies = foreground.copy(), distance.copy()
    label_scores(foreground, distance)
    np.testing.assert_array_equal((foreground, distance), copies)


def test_class_and_score_of_objects():
    labels = picture("1122", "1.22", "...3")
    scores = np.zeros((3, 3, 4), np.float32)
    scores[1] = [[0.9, 0.6, 0.2, 0.3], [0.3, 1, 0.1, 0.2], [1, 1, 1, 0.5]]
    scores[2] = [[0.1, 0.4, 0.8, 0.6], [0.7, 1, 0.9, 0.7], [1, 1, 1, np.nan]]
    classes, means = classify(labels, scores)
    assert classes.tolist() == [1, 2, 1]
    assert means == pytest.approx([0.6, 0.75, 0.5])
    assert object_scores(labels, scores[1]) == pytest.approx([0.6, 0.2, 0.5])
    assert [x.size for x in classify(np.zeros((3, 4), np.int32), scores)] == [0, 0]


def test_class_map_takes_the_best_class():
    scores = np.array([[[0.6, 0.1, 0.2]], [[0.3, 0.8, np.nan]], [[0.1, 0.1, 0.9]]], np.float32)
    labels = class_map(scores)
    assert (labels.dtype, labels.tolist()) == (np.int32, [[0, 1, 0]])


def test_what_a_ring_of_touching_objects_surrounds_is_no_hole():
    grid = np.stack(np.indices((70, 70)))
    centres = [(35 + 20 * np.sin(a), 35 + 20 * np.cos(a)) for a in np.arange(6) * np.pi / 3]
    depth = np.stack(
        [1 - np.hypot(*(grid - np.reshape(c, (2, 1, 1)))) / 10.6 for c in centres]
    ).max(axis=0)
    labels = label_scores((depth > 0).astype(float), np.clip(depth, 0, 1))
    assert labels.max() == 6
    assert labels[35, 35] == 0


def test_extent_says_where_objects_end_and_the_classes_where_they_are_parted():
    labels = np.zeros((20, 30), np.int32)
    labels[4:16, 3:14], labels[4:16, 14:26] = 1, 2
    inside = ndimage.binary_erosion(labels > 0, iterations=2).astype(float)
    inside[:, 12:16] = 0.1  # between neighbours the weight map lowers the score by far
    extent = np.where(labels > 0, 0.8, 0.2)
    flat = np.where(labels > 0, 0.9, 0.0)  # a distance that parts nothing
    scores = np.stack([1 - inside, inside, flat, extent])
    whole = label_scores(*object_evidence(scores, Target(extras=("distance", "extent"))))
    assert whole.max() == 2
    assert (whole > 0).sum() == (labels > 0).sum()
    assert ((whole == labels) | (np.abs(np.arange(30) - 13.5) < 3)).all()
    less = label_scores(*object_evidence(scores[:3], Target(extras=("distance",))))
    assert (less > 0).sum() < 0.7 * (labels > 0).sum()
    alone = object_evidence(scores[[0, 1, 3]], Target(extras=("extent",)))
    np.testing.assert_array_equal(alone[:2], (extent, inside))


def test_a_gap_between_extents_is_background():
    labels = np.zeros((20, 30), np.int32)
    labels[4:16, 3:14], labels[4:16, 15:26] = 1, 2
    inside = (labels > 0).astype(float)
    scores = np.stack([1 - inside, inside, inside])
    apart = label_scores(*object_evidence(scores, Target(extras=("extent",))))
    np.testing.assert_array_equal(apart, labels)
    grown = label_scores(*object_evidence(scores[:2], Target()))
    assert (grown[6:14, 14] > 0).all(), "of classes it is the ridge that training made"
