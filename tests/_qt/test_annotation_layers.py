"""Which layers belong to an image, and what labels say on a plane."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_unet._qt.annotated_plane import annotated_plane
from napari_unet._qt.annotation_layers import PATH, find_results
from napari_unet._qt.layers import MADE_HERE

SHAPE = (20, 30)


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    for name in ("cells", "cells [1]"):
        viewer.add_image(np.zeros(SHAPE), name=name)
    return viewer


def add(viewer: ViewerModel, name: str, **options):
    return viewer.add_labels(np.zeros(SHAPE, int), name=name, **options)


def test_a_result_is_one_of_this_image(viewer: ViewerModel) -> None:
    first, second = (add(viewer, f"cells [{model}]") for model in ("nuclei", "my-model"))
    again = add(viewer, "cells [nuclei] [1]")
    other = add(viewer, "cells [1] [nuclei]")
    add(viewer, "cells [nuclei] preview", metadata={MADE_HERE: "preview"})
    add(viewer, "cells annotation", metadata={PATH: "cells.tif"})
    mine = add(viewer, "brush")
    image, image_1 = viewer.layers["cells"], viewer.layers["cells [1]"]
    viewer.layers.selection.active = image
    assert find_results(viewer, image) == [again, second, first]
    assert find_results(viewer, image_1) == [other]
    viewer.layers.selection.active = first
    assert find_results(viewer, image) == [first, again, second]
    assert find_results(viewer, image_1) == [other], "the active one is of another image"
    viewer.layers.selection.active = mine
    assert find_results(viewer, image_1) == [mine, other]
    made = add(viewer, "cells [tuned]", metadata={MADE_HERE: "after"})
    viewer.layers.selection.active = made
    assert made not in find_results(viewer, image)


@pytest.mark.parametrize("marks", [False, True])
def test_a_plane_nobody_painted_in_teaches_nothing(marks: bool) -> None:
    viewer = ViewerModel()
    data = np.zeros((3, *SHAPE), np.int32)
    data[1, 2:5, 2:5] = 4
    if marks:
        data[2] = -1  # it says itself what does not count
    labels = viewer.add_labels(data, name="brush")
    counts = []
    for plane in range(3):
        viewer.dims.set_point(0, plane)
        counts.append(bool((annotated_plane(viewer, labels).target() >= 0).any()))
    assert counts == [marks, True, False]
    flat = viewer.add_labels(np.zeros(SHAPE, np.int32))
    assert not annotated_plane(viewer, flat).target().any(), "an image without any object"
