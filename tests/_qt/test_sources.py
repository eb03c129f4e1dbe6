"""What a training learns from is what is drawn, to the last stroke."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_unet import annotations
from napari_unet._qt.annotate.opening import open_project
from napari_unet._qt.fine_tune.pairs import LayerPair
from napari_unet._qt.fine_tune.sources import from_layers, from_project
from napari_unet.annotations import Autosave, Project, storage
from napari_unet.library import NewNetwork

SHAPE = (40, 50)
CARD = NewNetwork().card(1)


def learn(steps):
    """Return what a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("marks", [False, True])
def test_planes_nobody_painted_in_are_not_learnt_as_empty(marks: bool) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, *SHAPE)), name="cells")
    data = np.zeros((3, *SHAPE), np.int32)
    data[1, 2:5, 2:5] = 4
    if marks:
        data[2] = -1
    labels = viewer.add_labels(data, name="brush")
    ((pair,), _) = learn(from_layers(viewer, [LayerPair(image, labels)], CARD)())
    counted = (np.asarray(pair.labels) >= 0).any(axis=(1, 2))
    assert counted.tolist() == [marks, True, False]


def test_a_project_teaches_what_was_drawn_a_moment_ago(
    make_napari_viewer, qtbot, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(annotations, "Autosave", partial(Autosave, 60), raising=False)
    tifffile.imwrite(tmp_path / "cells.tif", np.zeros(SHAPE, np.uint8))
    project = Project.create(tmp_path / "mine")
    project.add(tmp_path / "cells.tif")
    viewer = make_napari_viewer()
    dock = open_project(viewer, project.folder)
    qtbot.waitUntil(lambda: "cells annotation" in viewer.layers, timeout=20_000)
    labels = viewer.layers["cells annotation"]
    for row in (10, 30):
        labels.paint((row, 20), row)
        ((pair,), _) = learn(from_project(viewer, project, CARD)())
        np.testing.assert_array_equal(pair.labels, labels.data)

    def refuse(*_: object) -> None:
        raise OSError("the disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_annotation", refuse)
        labels.paint((20, 40), 3)
        with pytest.raises(OSError, match="is not saved yet, so it cannot teach: the disk is full"):
            learn(from_project(viewer, project, CARD)())
    assert dock.autosave.flush(10)
