"""Labels in the colours of their classes."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet._qt import class_colours
from napari_unet._qt.class_colours import colours_by_class

CLASSES = ("apple", "pear")


@pytest.mark.parametrize("has_background", [False, True])
def test_each_object_has_the_colour_of_its_class(has_background: bool) -> None:
    labels = Labels(np.array([[-1, 0, 1, 2, 3, 9]], np.int32))
    labels.colormap = colours_by_class({1: "pear", 3: "apple", 2: "pear"}, CLASSES, has_background)
    colours = labels.colormap.map(labels.data)[0]
    np.testing.assert_array_equal(colours[2], colours[3])
    assert not np.array_equal(colours[2], colours[4])
    np.testing.assert_array_equal(colours[5], 1)  # of no class
    assert np.allclose(colours[0][:3], 0.5) == has_background
    assert colours[1][3] == 0


@pytest.mark.parametrize(
    ("last", "has_background", "shown"),
    [(40_000, False, True), (40_000, True, False), (70_000, False, False)],
)
def test_without_numba_large_labels_keep_their_own_colours(
    monkeypatch: pytest.MonkeyPatch, last: int, has_background: bool, shown: bool
) -> None:
    monkeypatch.setattr(class_colours, "find_spec", lambda _: None)
    colours = colours_by_class({last: "pear"}, CLASSES, has_background)
    assert (colours is not None) == shown
    if colours is not None:
        labels = Labels(np.array([[0, last]], np.int32), colormap=colours)
        assert labels.colormap.map(labels.data)[0, 1, 3] == 1
