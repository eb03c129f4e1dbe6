"""What is drawn is what the layer shows, and takes nothing from what its user drew."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet._qt.segment.painter import Painter
from napari_unet.segmentation import Piece

HERE = (slice(4, 12), slice(6, 20))


def piece(number: int = 3, plane: int = 0, objects: int | None = None, dtype=np.uint16) -> Piece:
    labels = np.zeros((8, 14), dtype)
    labels[1:6, 2:9] = number
    return Piece(plane, HERE, labels, objects)


def painted(viewer, shape=(24, 30)) -> Painter:
    return Painter(viewer, viewer.add_labels(np.zeros(shape, np.uint16)))


def shown(viewer) -> np.ndarray:
    return viewer.screenshot(flash=False)


@pytest.mark.parametrize("contour", [0, 1])
@pytest.mark.parametrize("selected", [False, True])
def test_the_canvas_shows_what_a_refresh_would_show(make_napari_viewer, contour, selected):
    viewer = make_napari_viewer(show=True)
    painter = painted(viewer)
    layer = painter.layer
    layer.contour, layer.show_selected_label, layer.selected_label = contour, selected, 3
    before = shown(viewer)
    painter.draw(piece(objects=1))
    drawn = shown(viewer)
    layer.refresh()
    np.testing.assert_array_equal(drawn, shown(viewer))
    assert (drawn != before).any()
    np.testing.assert_array_equal(layer.data[HERE], piece().labels)


def test_a_piece_of_another_slice_is_not_drawn_on_this_one(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    painter = painted(viewer, (2, 3, 24, 30))
    viewer.dims.set_point((0, 1), (0, 1))
    before = shown(viewer)
    painter.draw(piece(plane=5))
    np.testing.assert_array_equal(shown(viewer), before)
    viewer.dims.set_point((0, 1), (1, 2))
    assert (shown(viewer) != before).any()
    np.testing.assert_array_equal(painter.layer.data[(1, 2, *HERE)], piece().labels)
    painter.draw(piece(7, plane=1))
    assert viewer.dims.current_step[:2] == (1, 2)


def test_large_pieces_are_drawn_band_by_band(make_napari_viewer, qtbot, monkeypatch) -> None:
    monkeypatch.setattr("napari_unet._qt.segment.painter.BAND", 3 * 14)  # rows of the piece
    viewer = make_napari_viewer(show=True)
    painter = painted(viewer, (2, 24, 30))
    updates = []
    painter.layer.events.labels_update.connect(lambda event: updates.append(event.offset))
    viewer.dims.set_point(0, 0)
    painter.draw(piece(objects=1))
    assert updates == [[4, 6]]
    np.testing.assert_array_equal(painter.layer.data[(0, *HERE)], piece().labels)
    qtbot.waitUntil(lambda: len(updates) == 3)
    assert updates == [[4, 6], [7, 6], [10, 6]]
    drawn = shown(viewer)
    painter.layer.refresh()
    np.testing.assert_array_equal(drawn, shown(viewer))
    painter.draw(piece(5, objects=1))
    viewer.dims.set_point(0, 1)  # the other bands are not drawn on this slice
    drawn = shown(viewer)
    qtbot.wait(100)
    np.testing.assert_array_equal(drawn, shown(viewer))
    painter.draw(piece(7, plane=1, objects=1))
    viewer.layers.clear()
    qtbot.wait(100)


@pytest.mark.parametrize("view", ["3D", "rolled", "transposed"])
def test_other_views_are_drawn_once_a_plane_is_done(make_napari_viewer, view: str) -> None:
    viewer = make_napari_viewer(show=True)
    painter = painted(viewer, (3, 24, 30))
    if view == "3D":
        viewer.dims.ndisplay = 3
    else:
        viewer.dims.order = {"rolled": (1, 0, 2), "transposed": (0, 2, 1)}[view]
    viewer.dims.set_point(1, 7)
    painter.draw(piece(plane=0))
    painter.draw(piece(plane=0, objects=1))
    drawn = shown(viewer)
    painter.layer.refresh()
    np.testing.assert_array_equal(drawn, shown(viewer))


def test_undo_takes_back_what_the_user_drew_and_no_patch(make_napari_viewer) -> None:
    painter = painted(make_napari_viewer())
    layer = painter.layer
    layer.undo()
    painter.draw(piece())
    layer.undo()
    np.testing.assert_array_equal(layer.data[HERE], piece().labels)
    layer.data_setitem((np.array([20]), np.array([25])), 9)
    assert layer.data[20, 25] == 9
    layer.undo()
    assert layer.data[20, 25] == 0
    np.testing.assert_array_equal(layer.data[HERE], piece().labels)


@pytest.mark.parametrize("edit", ["paint", "fill", "script"])
def test_the_users_own_labels_are_noticed(make_napari_viewer, edit: str) -> None:
    painter = painted(make_napari_viewer(), (2, 24, 30))
    layer = painter.layer
    painter.draw(piece())
    assert not painter.has_edits()
    if edit == "paint":
        layer.paint((1, 20, 25), 5)
    elif edit == "fill":
        layer.fill((0, 6, 9), 5)
    else:
        layer.data[1, 2, 3] = 5
    assert painter.has_edits()
    painter.overwrite_edits()
    assert not painter.has_edits()
    before = layer.data.copy()
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_paint_that_was_taken_back_is_no_edit(make_napari_viewer) -> None:
    painter = painted(make_napari_viewer())
    painter.draw(piece())
    painter.layer.paint((20, 25), 5)
    painter.layer.undo()
    assert not painter.has_edits()


def test_in_large_stacks_the_slice_in_view_is_compared(make_napari_viewer, monkeypatch) -> None:
    monkeypatch.setattr("napari_unet._qt.segment.painter.COMPARED", 0)
    viewer = make_napari_viewer()
    painter = painted(viewer, (2, 24, 30))
    painter.layer.data[1, 2, 3] = 5
    viewer.dims.set_point(0, 0)
    assert not painter.has_edits()
    viewer.dims.set_point(0, 1)
    assert painter.has_edits()
    viewer.dims.set_point(0, 0)
    painter.layer.paint((1, 20, 25), 6)  # a brush is noticed anywhere
    assert painter.has_edits()


def test_more_objects_than_16_bits_can_number_are_drawn(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    painter = painted(viewer, (2, 24, 30))
    painter.draw(piece())
    shown(viewer)
    painter.draw(piece(70_000, objects=70_000, dtype=np.int32))
    drawn = shown(viewer)
    painter.layer.refresh()
    np.testing.assert_array_equal(drawn, shown(viewer))
    assert painter.layer.data.max() == 70_000
    painter.draw(piece(4))  # of the next slices
    painter.draw(piece(5, plane=1, objects=5))
    shown(viewer)
    assert not painter.has_edits()


def test_an_array_of_another_shape_is_not_drawn_into(make_napari_viewer) -> None:
    painter = painted(make_napari_viewer())
    assert painter.fits()
    painter.layer.data = np.zeros((10, 10), np.uint16)
    assert not painter.fits()
    assert painter.has_edits()
