"""Chunks of a plane, and labels as runs."""

import numpy as np

from napari_unet.chunked.grid import Grid
from napari_unet.chunked.runs import Runs


def test_every_pixel_is_in_one_chunk():
    grid = Grid(2, (70, 33), 32)
    seen = np.zeros((2, 70, 33), int)
    for index in range(len(grid)):
        plane, row, column = grid.place(index)
        assert grid.at(plane, row, column) == index
        seen[plane][grid.region(index)] += 1
        assert grid.covering(plane, grid.region(index)) == [index]
    assert (seen == 1).all()


def test_runs_are_what_they_were(rng: np.random.Generator):
    labels = (rng.integers(0, 3, (9, 5)) * (rng.random((9, 5)) < 0.5)).astype(np.int32)
    runs = Runs.of(labels)
    for start, stop in [(0, 9), (2, 7), (8, 9), (0, 1)]:
        np.testing.assert_array_equal(runs.rows(start, stop), labels[start:stop])
    assert [runs.before(row, 1) for row in range(10)] == [
        (labels[:row] > 1).sum() for row in range(10)
    ]
    first = [np.flatnonzero(labels == number).tolist()[:1] for number in (1, 2, 3)]
    assert runs.first(3).tolist() == [(found or [-1])[0] for found in first]
