"""Which layers belong together, by ids, names and shapes."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import Qt

from napari_unet._qt.annotation_layers import IMAGE_ID, PATH, PREDICTED, add_labels
from napari_unet._qt.evaluate.pair import guess as guess_pair
from napari_unet._qt.fine_tune.pairs import NO_PAIR, NONE_CHECKED, Pairs, find_pairs
from napari_unet._qt.layers import MADE_HERE

SIZE = (24, 32)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def image(viewer, name, shape=SIZE, **options):
    return viewer.add_image(np.zeros(shape, np.uint8), name=name, **options)


def labels(viewer, name, shape=SIZE, **options):
    return viewer.add_labels(np.zeros(shape, np.int32), name=name, **options)


def annotate(viewer, of, shape=SIZE):
    """Returns labels as the dock Annotate adds them."""
    return add_labels(viewer, of, np.zeros(shape, np.int32), f"{of.name}.tif")


def duplicate(viewer, layer):
    """Adds what napari's Duplicate adds: a layer with the same metadata."""
    data, state, kind = layer.as_layer_data_tuple()
    state["name"] = f"{layer.name} copy"
    return viewer.add_layer(Layer.create(data, state, kind))


def named(viewer) -> list[tuple[str, str, bool]]:
    return [(pair.image.name, pair.labels.name, pair.sure) for pair in find_pairs(viewer)]


def test_one_of_each_is_a_pair_whatever_they_are_called(viewer) -> None:
    image(viewer, "cells")
    labels(viewer, "Labels")
    assert named(viewer) == [("cells", "Labels", True)]


def test_what_was_predicted_teaches_once_it_is_checked(viewer) -> None:
    drawn = annotate(viewer, image(viewer, "cells"))
    drawn.metadata = {**drawn.metadata, PREDICTED: True}
    assert not named(viewer)
    assert guess_pair([drawn, labels(viewer, "mine")])[1].name == "mine"
    drawn.metadata = {key: drawn.metadata[key] for key in (PATH, IMAGE_ID)}
    viewer.layers.remove("mine")
    assert named(viewer) == [("cells", "cells annotation", True)]


def test_names_go_before_order(viewer) -> None:
    for name in ("a", "b", "c"):
        image(viewer, name)
    for name in ("c annotation", "b annotation [1]", "drawn"):
        labels(viewer, name)
    assert named(viewer) == [
        ("b", "b annotation [1]", True),
        ("c", "c annotation", True),
        ("a", "drawn", False),
    ]


def test_ids_go_before_names(viewer) -> None:
    other, annotated = image(viewer, "a"), image(viewer, "b")
    annotate(viewer, annotated)
    annotated.name = "b control"
    assert named(viewer) == [("b control", "b annotation", True)]
    other.name = "b"
    assert named(viewer) == [("b control", "b annotation", True)]
    labels(viewer, "b control annotation")  # as opened from a file
    assert named(viewer) == [("b control", "b annotation", True)]
    viewer.layers.remove(annotated)
    viewer.layers.remove("b control annotation")
    assert named(viewer) == [("b", "b annotation", True)]  # which may be opened again
    annotate(viewer, other).name = "drawn"
    assert named(viewer) == [("b", "drawn", True)]
    viewer.layers.remove("drawn")
    assert named(viewer) == []


def test_labels_from_a_file_are_not_taken_for_those_of_another_image(viewer) -> None:
    for name in ("a", "b control"):
        image(viewer, name)
    labels(viewer, "b annotation")
    unsure = [("a", "b annotation", False), ("b control", "b annotation", False)]
    assert named(viewer) == unsure
    labels(viewer, "a annotation")
    assert named(viewer) == [("a", "a annotation", True), unsure[1]]


def test_duplicates_are_told_apart_by_their_names(viewer) -> None:
    image(viewer, "other")
    original = image(viewer, "a")
    first = annotate(viewer, original)
    copy = duplicate(viewer, original)
    assert copy.metadata == original.metadata != {}
    assert named(viewer) == [("a", "a annotation", True)]
    duplicate(viewer, first)  # may be of either
    assert named(viewer) == [("a", "a annotation", True), ("a copy", "a annotation copy", False)]
    original.name = "renamed"
    assert [(image, sure) for image, _, sure in named(viewer)] == [
        ("renamed", False),
        ("a copy", False),
    ]


def test_without_names_in_the_order_of_the_layers_but_unsure(viewer) -> None:
    for number in range(5):
        image(viewer, f"crop {number}")
    for number in range(5):
        labels(viewer, f"drawn {number}")
    assert named(viewer) == [(f"crop {n}", f"drawn {n}", False) for n in range(5)]


def test_images_of_another_shape_are_left_out(viewer) -> None:
    image(viewer, "large", (64, 64))
    image(viewer, "cells")
    labels(viewer, "large annotation")  # of which the image was reshaped
    assert named(viewer) == [("cells", "large annotation", True)]
    labels(viewer, "other", (7, 7))
    assert len(named(viewer)) == 1


def test_results_count_where_nothing_else_is_drawn(viewer) -> None:
    image(viewer, "tissue")
    image(viewer, "tissue [colour]", (*SIZE, 3), rgb=True)
    labels(viewer, "tissue [nuclei]")
    assert named(viewer) == [
        ("tissue", "tissue [nuclei]", True),
    ]
    labels(viewer, "tissue annotation")
    assert named(viewer) == [("tissue", "tissue annotation", True)]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((*SIZE, 3), {"rgb": True}),
        ((2, *SIZE), {"axis_labels": ("c", "y", "x")}),
    ],
)
def test_channels_have_no_labels_of_their_own(viewer, shape, options) -> None:
    image(viewer, "cells", shape, **options)
    labels(viewer, "Labels")
    assert named(viewer) == [("cells", "Labels", True)]


def test_stacks_and_pyramids(viewer) -> None:
    image(viewer, "stack", (3, *SIZE))
    labels(viewer, "planes", (3, *SIZE))
    levels = [np.zeros((64, 64), np.uint8), np.zeros((32, 32), np.uint8)]
    viewer.add_image(levels, name="slide", multiscale=True)
    labels(viewer, "on slide", (64, 64))
    assert named(viewer) == [("stack", "planes", True), ("slide", "on slide", True)]


def test_what_the_plugin_shows_is_nobodys_annotation(viewer) -> None:
    image(viewer, "cells")
    labels(viewer, "cells preview", metadata={MADE_HERE: "preview"})
    image(viewer, "cells weight map", metadata={MADE_HERE: "weight map"})
    assert named(viewer) == []
    labels(viewer, "Labels")
    assert named(viewer) == [("cells", "Labels", True)]


def test_labels_that_may_be_of_two_images_come_with_both(viewer, qtbot) -> None:
    image(viewer, "nuclei")
    image(viewer, "membranes")
    labels(viewer, "Labels")
    assert named(viewer) == [("nuclei", "Labels", False), ("membranes", "Labels", False)]
    pairs = Pairs(viewer)
    qtbot.addWidget(pairs)
    assert pairs.chosen() == []
    assert pairs.text.text() == NONE_CHECKED
    assert not pairs.text.isHidden()
    with qtbot.waitSignal(pairs.changed):
        pairs.table.topLevelItem(1).setCheckState(0, Qt.CheckState.Checked)
    assert pairs.text.isHidden()
    assert [pair.image.name for pair in pairs.chosen()] == ["membranes"]
    viewer.layers["nuclei"].name = "DNA"
    pairs.reset_choices()
    assert [pair.image.name for pair in pairs.chosen()] == ["membranes"]
    viewer.layers.remove("DNA")
    pairs.reset_choices()
    assert [pair.image.name for pair in pairs.chosen()] == ["membranes"]


def test_one_pair_is_told_in_a_line(viewer, qtbot) -> None:
    pairs = Pairs(viewer)
    qtbot.addWidget(pairs)
    pairs.show()
    assert pairs.text.text() == NO_PAIR
    image(viewer, "cells")
    labels(viewer, "cells annotation")
    pairs.reset_choices()
    assert pairs.text.text() == "Learns from cells with cells annotation."
    assert pairs.table.isHidden()
    image(viewer, "more")
    labels(viewer, "more annotation")
    pairs.reset_choices()
    assert pairs.text.isHidden()
    assert pairs.table.topLevelItemCount() == 2
