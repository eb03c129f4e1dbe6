"""Corrections change the object that is meant, and no other."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, ellipse

from napari_unet.annotations import (
    Edit,
    delete,
    fill_holes,
    merge,
    next_label,
    remove_specks,
    smooth,
    split,
)


@pytest.fixture
def plane() -> np.ndarray:
    """Two touching discs (1, 2), a ring (3) around a dot (4), and one that leaves the image (5)."""
    plane = np.zeros((60, 80), np.int32)
    plane[disk((20, 20), 10)] = 1
    plane[disk((20, 36), 9)] = 2
    plane[disk((42, 55), 12)] = 3
    plane[disk((42, 55), 8)] = 0
    plane[disk((42, 55), 3)] = 4
    plane[disk((55, 5), 8, shape=plane.shape)] = 5
    return plane


def edited(plane: np.ndarray, edit: Edit) -> np.ndarray:
    after = plane.copy()
    edit.apply(after)
    changed = np.zeros(plane.shape, bool)
    changed[edit.rows, edit.columns] = True
    np.testing.assert_array_equal(changed, after != plane)  # nothing is told that does not change
    assert edit.values.dtype == np.int32
    return after


def others_kept(before: np.ndarray, after: np.ndarray, *labels: int) -> bool:
    others = (before > 0) & ~np.isin(before, labels)
    return bool((before[others] == after[others]).all())


def test_the_next_label_is_free(plane: np.ndarray):
    assert next_label(plane) == 6
    assert next_label(np.zeros((2, 3, 4), np.int32)) == 1
    assert next_label(np.full((3, 4), -1, np.int32)) == 1
    plane[0, 0] = 2**31 - 1
    assert next_label(plane) == 6
    assert next_label(np.array([1, 3, 2**31 - 1])) == 2


def test_delete(plane: np.ndarray):
    after = edited(plane, delete(plane, 2))
    assert not (after == 2).any()
    assert others_kept(plane, after, 2)


def test_merge_near_and_far(plane: np.ndarray):
    for other in (2, 5):
        edit = merge(plane, 1, other)
        after = edited(plane, edit)
        np.testing.assert_array_equal(after == 1, np.isin(plane, (1, other)))
        assert others_kept(plane, after, 1, other)
        assert edit.label == 1


def test_fill_holes_spares_what_is_in_them(plane: np.ndarray):
    after = edited(plane, fill_holes(plane, 3))
    assert (after[disk((42, 55), 12)] >= 3).all()
    assert others_kept(plane, after, 3)
    with pytest.raises(ValueError, match="Object 1 has no holes"):
        fill_holes(plane, 1)


def test_smooth_takes_spikes_and_notches_only(plane: np.ndarray):
    plane[20, 2:10] = 1
    plane[11:16, 20] = 0
    after = edited(plane, smooth(plane, 1))
    assert not (after[20, 2:7] == 1).any()
    assert (after[13:16, 20] == 1).all()
    assert others_kept(plane, after, 1)


def test_smooth_again_and_again_keeps_the_object(plane: np.ndarray):
    before = plane.copy()
    for _ in range(20):
        try:
            smooth(plane, 1).apply(plane)
        except ValueError:
            break
    assert (plane == 1).sum() == pytest.approx((before == 1).sum(), rel=0.05)
    assert ((plane == 1) & (before == 1)).sum() > 0.95 * (before == 1).sum()


def test_smooth_does_not_eat_at_the_edge_of_the_image(plane: np.ndarray):
    square = np.zeros((30, 30), np.int32)
    square[:20, :30] = 1
    with pytest.raises(ValueError, match="as smooth as it can be"):
        smooth(square, 1)
    tiny = np.zeros((30, 30), np.int32)
    tiny[10, 10] = 1
    with pytest.raises(ValueError, match="too small to be smoothed"):
        smooth(tiny, 1)


def test_specks_of_one_object(plane: np.ndarray):
    plane[2:4, 70:73] = 1
    plane[50, 70] = 2
    after = edited(plane, remove_specks(plane, 1))
    assert not (after[2:4, 70:73]).any()
    assert after[50, 70] == 2
    assert (after == 1).sum() == (plane == 1).sum() - 6
    with pytest.raises(ValueError, match="Object 3 has no specks of fewer than 20 pixels"):
        remove_specks(plane, 3)
    small = np.zeros((5, 5), np.int32)
    small[0, 0] = small[2:4, 2:4] = 7
    assert (edited(small, remove_specks(small, 7)) == 7).sum() == 4


def test_specks_of_all_objects(plane: np.ndarray):
    plane[2:4, 70:73] = 1
    plane[50, 70] = 9
    after = edited(plane, remove_specks(plane, smallest=10))
    assert not after[2:4, 70:73].any()
    assert not after[50, 70]
    assert (after == 4).any()
    with pytest.raises(ValueError, match="The plane has no specks"):
        remove_specks(after, smallest=10)


@pytest.mark.parametrize(
    "line",
    [
        [(0, 20), (40, 20)],  # from outside to outside
        [(40, 21), (0, 19)],
        [(18, 20), (22, 20)],  # inside only: it is continued
        [(5, 17), (15, 22), (25, 18), (35, 22)],  # a polyline
        [(20, 5), (20, 35)],
        [(10, 10), (30, 30)],  # diagonal: no corner lets the parts touch
        [(30, 10.5), (10, 30.5)],
        [(12, 20), (16, 20), (16, 24), (20, 24), (20, 16), (28, 16)],
    ],
)
def test_split(plane: np.ndarray, line: list[tuple[float, float]]):
    edit = split(plane, 1, np.array(line))
    after = edited(plane, edit)
    assert edit.label == 6
    np.testing.assert_array_equal(np.isin(after, (1, 6)), plane == 1)
    assert others_kept(plane, after, 1)
    assert 60 < (after == 6).sum() <= (after == 1).sum()
    assert ndimage.label(after == 1, np.ones((3, 3)))[1] == 1
    assert ndimage.label(after == 6, np.ones((3, 3)))[1] == 1


def test_split_takes_the_label_it_is_given(plane: np.ndarray):
    assert set(split(plane, 1, np.array([(0, 20), (40, 20)]), new=77).values) == {77}


def test_split_goes_where_the_line_goes():
    plane = np.zeros((40, 80), np.int32)
    plane[ellipse(20, 40, 15, 30)] = 3
    after = edited(plane, split(plane, 3, np.array([(0, 25), (39, 25)])))
    assert (after[:, :25] != 3).all()
    assert (after[:, 26:] != 4).all()


def test_a_line_across_one_arm_leaves_the_other():
    horseshoe = np.zeros((40, 40), np.int32)
    horseshoe[5:35, 5:35] = 1
    horseshoe[15:25, 15:] = 0
    after = edited(horseshoe, split(horseshoe, 1, np.array([(2, 25), (18, 25)])))
    assert (after[5:15, 26:35] == 2).all()
    assert (after[25:35] != 2).all()
    both = edited(horseshoe, split(horseshoe, 1, np.array([(2, 25), (38, 25)])))
    assert (both[5:15, 26:35] == 2).all()
    assert (both[25:35, 26:35] == 2).all()


def test_a_line_that_winds_about_the_outline_leaves_no_crumbs_apart():
    plane = np.zeros((60, 60), np.int32)
    plane[disk((30, 30), 20)] = 1
    angles = np.linspace(-0.5, 4.0, 40)
    radii = 20 + 1.5 * np.sin(9 * angles)
    along = np.stack([30 + radii * np.sin(angles), 30 + radii * np.cos(angles)], axis=1)
    line = np.concatenate([along, [(30, 30)]])
    after = edited(plane, split(plane, 1, line))
    assert set(np.unique(after)) == {0, 1, 2}


@pytest.mark.parametrize(
    "line",
    [
        [(0, 0), (5, 5)],
        [(0, 70), (59, 70)],
        [(20, 20), (20, 20)],
        [(20, 20)],
        [(np.nan, 3), (2, 3)],
    ],
)
def test_a_line_that_cuts_nothing_is_told(plane: np.ndarray, line: list[tuple[float, float]]):
    with pytest.raises(ValueError, match=r"draw it across the object"):
        split(plane, 1, np.array(line))
    np.testing.assert_array_equal(np.unique(plane), np.arange(6))


def test_one_pixel_is_not_split():
    plane = np.zeros((5, 5), np.int32)
    plane[2, 2] = 1
    with pytest.raises(ValueError, match="does not cut object 1 in two"):
        split(plane, 1, np.array([(0, 2), (4, 2)]))


def test_random_lines_make_two_parts_or_none(rng: np.random.Generator):
    blob = ndimage.gaussian_filter(rng.standard_normal((70, 70)), 4)
    plane = (blob > 0.02).astype(np.int32)
    plane[35, 35] = 2
    made = 0
    for points in rng.integers(2, 7, 60):
        line = rng.uniform(-10, 80, (points, 2))
        try:
            after = edited(plane, split(plane, 1, line))
        except ValueError:
            continue
        made += 1
        assert (after == 1).any()
        assert (after == 3).any()
        np.testing.assert_array_equal(np.isin(after, (1, 3)), plane == 1)
    assert made > 30


@pytest.mark.parametrize(
    "edit",
    [delete, fill_holes, smooth, remove_specks, lambda p, n: split(p, n, np.ones((2, 2))),
     lambda p, n: merge(p, n, 1), lambda p, n: merge(p, 1, n)],
)  # fmt: skip
def test_what_is_no_object_is_told(plane: np.ndarray, edit: Callable[[np.ndarray, int], Edit]):
    plane[59, 79] = -1
    for nothing in (0, -1):
        with pytest.raises(ValueError, match="There is no object: click on one"):
            edit(plane, nothing)
    with pytest.raises(ValueError, match="Object 44 is not in this plane"):
        edit(plane, 44)
    with pytest.raises(ValueError, match="click on two objects"):
        merge(plane, 1, 1)


def test_background_that_was_painted_may_be_taken(plane: np.ndarray):
    plane[plane == 0] = -1
    assert (edited(plane, fill_holes(plane, 3)) == 3).sum() > (plane == 3).sum()
    assert (edited(plane, delete(plane, 1))[20, 20]) == 0


def test_indices_of_a_stack(plane: np.ndarray):
    stack = np.zeros((2, 3, *plane.shape), np.int32)
    stack[1, 2] = plane
    edit = delete(stack[1, 2], 1)
    stack[edit.indices((1, 2))] = edit.values
    assert not (stack == 1).any()
    assert (stack == 2).any()


def test_of_a_large_plane_one_object_alone_is_worked_on(monkeypatch):
    plane = np.zeros((4096, 4096), np.int32)
    plane[disk((3000, 2000), 40)] = 3
    plane[3000, 2000] = 0
    sizes = []
    for name in ("label", "gaussian_filter", "binary_fill_holes"):
        done = getattr(ndimage, name)

        def counted(array, *arguments, done=done, **options):
            sizes.append(np.size(array))
            return done(array, *arguments, **options)

        monkeypatch.setattr(ndimage, name, counted)
    split(plane, 3, np.array([(2900, 2000), (3100, 2010)]))
    smooth(plane, 3)
    fill_holes(plane, 3)
    assert len(sizes) >= 3
    assert max(sizes) < 200**2
