"""Tiles put together, against a version that looks at every pixel, and by hand."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_unet.instances import grow_into_ridges, label_scores, relabel
from napari_unet.mosaic import Mosaic
from napari_unet.tiling import Region

SHAPE = (16, 17)


def picture(*rows: str) -> np.ndarray:
    """Return labels drawn with digits, background as dots."""
    return np.array([[int(c) for c in row.replace(".", "0")] for row in rows], np.int32)


def region(y: int, x: int, height: int, width: int) -> Region:
    return slice(y, y + height), slice(x, x + width)


def components(mask: np.ndarray) -> np.ndarray:
    return ndimage.label(mask)[0].astype(np.int32)


def mosaic_of(labels: np.ndarray, *writes: Region) -> Mosaic:
    """Return the mosaic of the parts of `labels` at `writes`, each numbered by itself."""
    mosaic = Mosaic(labels.shape)
    for write in writes:
        mosaic.add(write, relabel(labels[write]))
    return mosaic


@st.composite
def windows(draw: st.DrawFn) -> Region:
    """Draw a part of the plane, of one pixel or more."""
    ends = [sorted(draw(st.tuples(*[st.integers(0, n - 1)] * 2))) for n in SHAPE]
    return tuple(slice(first, last + 1) for first, last in ends)


@st.composite
def tilings(draw: st.DrawFn) -> list[Region]:
    """Draw tiles of many sizes that cover the plane, in any order, over a few others."""

    def spans(size: int) -> list[slice]:
        cuts = draw(st.sets(st.integers(1, size - 1), max_size=4))
        return [slice(*ends) for ends in pairwise([0, *sorted(cuts), size])]

    tiles = [(y, x) for y in spans(SHAPE[0]) for x in spans(SHAPE[1])]
    return draw(st.permutations(tiles + draw(st.lists(windows(), max_size=3))))


@st.composite
def blobs(draw: st.DrawFn) -> np.ndarray:
    """Draw discs and boxes that do not share a face."""
    mask, (y, x) = np.zeros(SHAPE, bool), np.indices(SHAPE)
    for _ in range(draw(st.integers(0, 8))):
        v, u, height, width = (draw(st.integers(0, n)) for n in (15, 16, 6, 6))
        if draw(st.booleans()):
            blob = np.hypot(y - v, x - u) <= height + 0.5
        else:
            blob = (abs(y - v) <= height) & (abs(x - u) <= width)
        if not (ndimage.binary_dilation(blob) & mask).any():
            mask |= blob
    return mask


@settings(max_examples=300, deadline=None)
@given(blobs(), tilings())
def test_a_mosaic_of_any_tiles_has_the_objects_of_the_whole(mask, tiles):
    mosaic = Mosaic(SHAPE)
    for write in tiles:
        mosaic.add(write, components(mask[write]))
    np.testing.assert_array_equal(relabel(mosaic.labels), relabel(components(mask)))


def faces(plane: np.ndarray, write: Region) -> list[list[tuple[int, int]]]:
    """Return for each side of `write` the ids of its pixels within the plane: outside, inside."""
    (top, bottom), (left, right) = ((part.start, part.stop) for part in write)
    sides = [
        [((top - 1, x), (top, x)) for x in range(left, right)],
        [((bottom, x), (bottom - 1, x)) for x in range(left, right)],
        [((y, left - 1), (y, left)) for y in range(top, bottom)],
        [((y, right), (y, right - 1)) for y in range(top, bottom)],
    ]
    height, width = plane.shape
    within = [[p for p in side if 0 <= p[0][0] < height and 0 <= p[0][1] < width] for side in sides]
    return [[(int(plane[a]), int(plane[b])) for a, b in side] for side in within]


def added_by_hand(plane: np.ndarray, last: int, write: Region, tile: np.ndarray) -> np.ndarray:
    """Paint the tile, count who meets whom on each side, and give all who meet the least id."""
    plane = plane.copy()
    plane[write] = np.where(tile > 0, tile + last, 0)
    groups: list[set[int]] = []
    for side in faces(plane, write):
        outer, inner = Counter(a for a, _ in side), Counter(b for _, b in side)
        for (a, b), contact in Counter(side).items():
            if a and b and 2 * contact >= min(outer[a], inner[b]):
                met = [group for group in groups if group & {a, b}]
                groups = [group for group in groups if group not in met] + [{a, b}.union(*met)]
    for group in groups:
        plane[np.isin(plane, list(group))] = min(group)
    return plane


def drawn_tiles() -> st.SearchStrategy[list[tuple[Region, np.ndarray]]]:
    def filled(write: Region) -> st.SearchStrategy[tuple[Region, np.ndarray]]:
        shape = tuple(s.stop - s.start for s in write)
        elements = st.integers(0, 3)
        return st.tuples(st.just(write), arrays(np.int32, shape, elements=elements))

    return st.lists(windows().flatmap(filled), max_size=6)


@settings(max_examples=300, deadline=None)
@given(drawn_tiles())
def test_adding_equals_the_definition(tiles):
    mosaic, last = Mosaic(SHAPE), 0
    for write, tile in tiles:
        before = mosaic.labels.copy()
        parts = mosaic.add(write, tile)
        np.testing.assert_array_equal(mosaic.labels, added_by_hand(before, last, write, tile))
        last += tile.max()
        changed = before != mosaic.labels
        assert parts[0] == write
        assert all(changed[part].any() for part in parts[1:])
        for part in parts:
            changed[part] = False
        assert not changed.any()


def test_a_plane_begins_empty():
    labels = Mosaic((3, 4)).labels
    assert (labels.dtype, labels.shape, labels.any()) == (np.int32, (3, 4), False)


def test_a_plane_of_one_tile_has_its_labels():
    tile, write = picture("11.2", "..32", "4.3."), region(0, 0, 3, 4)
    mosaic = Mosaic(tile.shape)
    assert mosaic.add(write, tile) == [write]
    np.testing.assert_array_equal(mosaic.labels, tile)


def test_an_object_cut_by_a_seam_is_one():
    labels = picture("111..", "11122", "...22")
    mosaic = mosaic_of(labels, region(0, 0, 3, 2), region(0, 2, 3, 3))
    np.testing.assert_array_equal(relabel(mosaic.labels), labels)


def test_arms_are_joined_by_the_last_tile_and_the_oldest_keeps_its_id():
    mosaic = Mosaic((6, 10))
    mosaic.add(region(0, 0, 4, 5), picture("1..2.", "1..2.", "...2.", ".3.2."))
    mosaic.add(region(0, 5, 4, 5), picture("...1.", ".2.1.", "...11", "...1."))
    bottom = region(4, 0, 2, 10)
    parts = mosaic.add(bottom, picture("...111111.", ".........."))
    assert parts == [bottom, region(0, 8, 4, 2)]
    expected = picture(
        "1..2....2.",
        "1..2..5.2.",
        "...2....22",
        ".3.2....2.",
        "...222222.",
        "..........",
    )
    np.testing.assert_array_equal(mosaic.labels, expected)


def test_unions_reach_through_several_objects():
    mosaic = Mosaic((2, 12))
    mosaic.add(region(0, 0, 1, 12), picture(".11..22..33."))
    last = region(1, 0, 1, 12)
    parts = mosaic.add(last, picture("..11112222.."))
    np.testing.assert_array_equal(mosaic.labels, picture(".11..11..11.", "..11111111.."))
    assert parts == [last, region(0, 5, 1, 2), region(0, 9, 1, 2)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("above", "below", "objects"),
    [
        ("1111....", "...1111.", 2),  # 1 of 4
        ("1111....", "..1111..", 1),  # 2 of 4: half
        ("11111...", "...11111", 2),  # 2 of 5
        ("11111111", "......11", 1),  # 2 of 2, the shorter face
        ("11111111", "1111.222", 1),
        ("11.1111.", "1.......", 1),
        ("1111....", "....1111", 2),  # a corner
        ("........", ".1111111", 1),
    ],
)
def test_brushing_objects_stay_apart(above, below, objects, turned):
    labels = picture(above, below)
    mosaic = Mosaic(labels.shape[::-1] if turned else labels.shape)
    for i in (1, 0):
        if turned:
            mosaic.add(region(0, i, 8, 1), labels[i : i + 1].T)
        else:
            mosaic.add(region(i, 0, 1, 8), labels[i : i + 1])
    assert np.unique(mosaic.labels[mosaic.labels > 0]).size == objects


def test_each_side_is_decided_by_itself():
    """In contact along 2 of 2 pixels above and 1 of 5 on the left, 3 of 7 in all."""
    around, tile = np.zeros((10, 7), np.int32), np.zeros((9, 6), np.int32)
    around[0, 4:6] = around[1:6, 0] = 1
    tile[0, 3:5] = tile[4:9, 0] = 1
    mosaic = mosaic_of(around, region(0, 0, 10, 7))
    mosaic.add(region(1, 1, 9, 6), tile)
    assert np.unique(mosaic.labels).tolist() == [0, 1]


def test_a_later_tile_replaces_what_lay_under_it():
    mosaic = Mosaic((5, 8))
    mosaic.add(region(1, 1, 2, 5), picture("1.222", "1.222"))
    over = region(0, 0, 5, 4)
    assert mosaic.add(over, picture("....", "....", "..11", "2...", "....")) == [over]
    expected = picture("........", "....22..", "..2222..", "4.......", "........")
    np.testing.assert_array_equal(mosaic.labels, expected)


def test_ids_are_never_used_again():
    mosaic, write = Mosaic((1, 3)), region(0, 0, 1, 3)
    seen = []
    for tile in ("1.2", "...", "111", "1.2"):
        mosaic.add(write, picture(tile))
        seen.append(mosaic.labels[0].tolist())
    assert seen == [[1, 0, 2], [0, 0, 0], [3, 3, 3], [4, 0, 5]]


def test_only_the_part_of_a_repainted_object_is_returned():
    labels = np.zeros((40, 40), np.int32)
    labels[2:5, 2:30] = labels[30:38, 30:38] = 1
    left, right, rest = region(0, 0, 20, 16), region(0, 20, 20, 20), region(20, 0, 20, 40)
    mosaic = mosaic_of(components(labels > 0), left, right, rest)
    middle = region(0, 16, 20, 4)
    assert mosaic.add(middle, labels[middle]) == [middle, region(2, 20, 3, 10)]
    assert mosaic.add(middle, labels[middle]) == [middle]


def test_the_tile_is_left_as_it_was():
    tile = picture("11.22")
    mosaic = mosaic_of(picture("11111", "11122"), region(0, 0, 1, 5))
    mosaic.add(region(1, 0, 1, 5), tile)
    np.testing.assert_array_equal(tile, picture("11.22"))
    mosaic.labels[:] = 0
    np.testing.assert_array_equal(tile, picture("11.22"))


def scores(high: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, (12, 13), elements=st.integers(0, high).map(lambda i: i / high))


@settings(max_examples=100, deadline=None)
@given(scores(4), st.none() | scores(8), st.integers(0, 9), st.booleans())
def test_a_tile_whose_border_is_background_is_labelled_as_an_image(
    foreground, distance, min_size, fill_holes
):
    foreground[[0, -1]] = foreground[:, [0, -1]] = 0
    options = {"threshold": 0.5, "min_size": min_size, "fill_holes": fill_holes}
    labels = label_scores(foreground, distance, keep_cut=True, **options)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, label_scores(foreground, distance, **options))


@settings(max_examples=100, deadline=None)
@given(scores(4), st.integers(0, 9))
def test_objects_at_the_border_of_a_tile_are_kept_whatever_their_size(foreground, min_size):
    kept = components(foreground >= 0.5)
    for number in range(1, kept.max() + 1):
        member = kept == number
        if member.sum() < min_size and member[1:-1, 1:-1].sum() == member.sum():
            kept[member] = 0
    labels = label_scores(
        foreground, threshold=0.5, min_size=min_size, fill_holes=False, keep_cut=True
    )
    np.testing.assert_array_equal(labels, relabel(grow_into_ridges(kept)))
