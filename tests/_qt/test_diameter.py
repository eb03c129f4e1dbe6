"""The tool by which a user shows how large an object is."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unet._qt.segment.diameter import EXPECTED, MEASURED, DiameterTool

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def started(viewer, image=None, expected=20.0):
    """A tool at work, and all it emits."""
    if image is None:
        image = viewer.add_image(np.zeros((100, 120), np.uint8), name="image")
    tool, emitted = DiameterTool(viewer), []
    tool.measured.connect(emitted.append)
    tool.ended.connect(lambda: emitted.append("ended"))
    tool.start(image, expected)
    return tool, emitted


def settle():
    for _ in range(3):
        QApplication.processEvents()


def camera(viewer):
    return getattr(viewer, "scene", viewer).camera


def view(viewer):
    dims, seen = viewer.dims, camera(viewer)
    return (seen.center, seen.zoom, dims.ndim, dims.point, dims.current_step, dims.range)


def drag(viewer, *points):
    """Drag the mouse over points (x, y) of the canvas."""
    native = viewer.window._qt_viewer.canvas.native
    first, *rest = (QPoint(*point) for point in points)
    QTest.mousePress(native, LEFT, NONE, first)
    settle()
    for point in rest:
        at = QPointF(point), QPointF(native.mapToGlobal(point))
        move = QMouseEvent(QEvent.Type.MouseMove, *at, Qt.MouseButton.NoButton, LEFT, NONE)
        QApplication.sendEvent(native, move)
        settle()
    QTest.mouseRelease(native, LEFT, NONE, QPoint(*points[-1]))
    settle()


@pytest.mark.parametrize("kind", ["image", "stack", "units differ"])
def test_a_line_drawn_with_the_mouse(make_napari_viewer, kind: str) -> None:
    viewer = make_napari_viewer(show=True)
    pixel, shape = 0.25, (3, 100, 120) if kind == "stack" else (100, 120)
    options = {"scale": (pixel,) * len(shape), "units": ("um",) * len(shape)}
    if kind == "units differ":
        viewer.add_image(np.zeros((100, 120)), scale=(250, 250), units=("nm", "nm"))
        pixel = 250  # the mouse moves in the smaller unit
    _, emitted = started(viewer, viewer.add_image(np.zeros(shape), **options))
    settle()
    lines = viewer.layers[MEASURED]
    canvas_pixel = 1 / camera(viewer).zoom / pixel
    drag(viewer, (60, 50), (80, 60), (90, 90))
    assert emitted == [pytest.approx(50 * canvas_pixel, rel=1e-3)]
    assert np.ptp(lines.data[0], axis=0) == pytest.approx([40 * canvas_pixel, 30 * canvas_pixel])
    drag(viewer, (150, 60))
    assert len(emitted) == len(lines.data) == 1, "a click is no measurement"
    lines.mode = "add_ellipse"
    drag(viewer, (60, 50), (90, 60), (120, 100))
    assert emitted[1] == pytest.approx(np.median([50, 55]) * canvas_pixel, rel=1e-3)
    lines.mode = "select"
    lines.selected_data = {0}
    lines.remove_selected()
    settle()
    assert emitted[2:] == [pytest.approx(55 * canvas_pixel, rel=1e-3)]


def test_zooming_while_drawing(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    _, emitted = started(viewer)
    native = viewer.window._qt_viewer.canvas.native
    QTest.mousePress(native, LEFT, NONE, QPoint(60, 50))
    camera(viewer).zoom *= 2
    drag(viewer, (60, 50), (90, 90))
    assert len(emitted) == 1


def data(*shape):
    return np.zeros(shape, np.uint8)


UM = ("um", "um")


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (data(60, 80), {}),
        (data(60, 80), {"scale": (0.5, 0.25), "translate": (3, 4), "units": UM}),
        (data(60, 80), {"scale": (0.5, 0.5), "rotate": 30, "shear": [0.2]}),
        (data(60, 80), {"scale": (2, 2), "affine": [[0, 3, 1], [-2, 0, 5], [0, 0, 1]]}),
        (data(60, 80, 3), {"scale": (0.5, 0.5), "rgb": True}),
        (data(5, 60, 80), {"scale": (2, 0.5, 0.25), "translate": (9, 3, 4)}),
        (data(2, 5, 60, 80), {"scale": (1, 2, 0.5, 0.5), "units": ("s", "um", *UM)}),
        ([data(60, 80), data(30, 40)], {"scale": (0.5, 0.5), "multiscale": True}),
    ],
    ids=["plain", "scale", "rotated", "affine", "rgb", "stack", "time", "multiscale"],
)
def test_diameters_are_in_pixels_of_the_image(make_napari_viewer, image, options) -> None:
    viewer = make_napari_viewer()
    layer = viewer.add_image(image, **options)
    before = view(viewer)
    tool, emitted = started(viewer, layer)
    for name in (MEASURED, EXPECTED):
        for point in ((0, 0), (59, 0), (7, 50)):
            there = layer.data_to_world((0,) * (layer.ndim - 2) + point)[-2:]
            assert viewer.layers[name].data_to_world(point) == pytest.approx(there)
    circle = np.concatenate(viewer.layers[EXPECTED].data)
    middle = viewer.layers[EXPECTED].data_to_world((circle.min(0) + circle.max(0)) / 2)
    assert middle == pytest.approx(camera(viewer).center[-2:], abs=0.1)
    viewer.layers[MEASURED].add_lines([[10, 10], [40, 50]])
    settle()
    assert emitted == [pytest.approx(50)]
    viewer.layers[MEASURED].add_lines([[-100, 10], [100, 200]])
    assert viewer.dims.ndim == layer.ndim
    tool.stop()
    assert view(viewer) == before


@pytest.mark.parametrize(
    ("kind", "vertices", "size"),
    [
        ("line", [[0, 0], [3, 4]], 5),
        ("rectangle", [[0, 0], [0, 10], [20, 10], [20, 0]], 15),
        ("ellipse", [[0, 10], [10, 20], [20, 10], [10, 0]], 200**0.5),
        ("polygon", [[0, 0], [10, 4], [8, 12]], 11),
        ("path", [[0, 0], [10, 4], [8, 12]], 11),
    ],
)
def test_every_shape_counts(make_napari_viewer, kind: str, vertices, size: float) -> None:
    viewer = make_napari_viewer()
    _, emitted = started(viewer)
    viewer.layers[MEASURED].add(vertices, shape_type=kind)
    settle()
    assert emitted == [pytest.approx(size)]


def test_several_shapes_give_the_median_without_specks(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    _, emitted = started(viewer)
    lines = viewer.layers[MEASURED]
    lines.add_lines([[[0, 0], [0, size]] for size in (0, 0.5, 10, 30, 12)])
    settle()
    assert emitted == [12]
    lines.data = [np.array([[0, 0], [0, 17]])]
    settle()
    assert emitted == [12, 17]
    lines.selected_data = {0}
    lines.remove_selected()
    settle()
    assert emitted == [12, 17], "nothing is measured where nothing is drawn"


def test_the_circle_has_the_size_expected_and_stays_where_it_is(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    tool, emitted = started(viewer, expected=None)
    circle = viewer.layers[EXPECTED]
    assert len(circle.data) == 0
    for size in (30, 12.5):
        tool.expect(size)
        points = np.concatenate(circle.data)
        assert np.ptp(points, axis=0) == pytest.approx([size, size], rel=0.01)
        assert (points.min(0) + points.max(0)) / 2 == pytest.approx([49.5, 59.5], abs=0.1)
        assert not circle.editable
        camera(viewer).center = (20, 20)
    tool.expect(None)
    assert len(circle.data) == 0
    settle()
    assert emitted == [], "the circle is no measurement"


def test_the_lines_are_as_thick_on_the_canvas_at_any_zoom(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    _tool, _ = started(viewer, viewer.add_image(data(60, 80), scale=(0.1, 0.1)))
    lines, circle = viewer.layers[MEASURED], viewer.layers[EXPECTED]
    lines.add_lines([[0, 0], [0, 20]])
    for zoom in (5, 40):
        camera(viewer).zoom = zoom
        assert lines.edge_width == [pytest.approx(3 / (zoom * 0.1))]
        assert lines.current_edge_width == pytest.approx(3 / (zoom * 0.1))
        assert circle.edge_width == pytest.approx([2 / (zoom * 0.1)] * len(circle.data))


def test_it_starts_ready_to_draw_and_leaves_the_viewer_as_it_was(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    for name in "abc":
        viewer.add_image(data(4, 60, 80), name=name)
    viewer.dims.set_current_step(0, 1)
    camera(viewer).zoom = 3.7
    viewer.layers.selection = {viewer.layers["a"], viewer.layers["b"]}
    before = view(viewer), list(viewer.layers), set(viewer.layers.selection)
    tool, emitted = started(viewer, viewer.layers["a"])
    lines = viewer.layers[MEASURED]
    assert tool.is_active
    assert (viewer.layers.selection.active, lines.mode) == (lines, "add_line")
    assert view(viewer) == before[0]
    tool.stop()
    assert (view(viewer), list(viewer.layers), set(viewer.layers.selection)) == before
    assert not tool.is_active
    tool.stop()
    tool.expect(3)
    assert emitted == ["ended"]


def test_the_active_layer_comes_back_unless_the_user_chose_another(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    other, image = (viewer.add_image(data(60, 80)) for _ in range(2))
    tool, _ = started(viewer, image)
    tool.stop()
    assert viewer.layers.selection.active is image
    tool.start(image, None)
    viewer.layers.selection.active = other
    tool.stop()
    assert viewer.layers.selection.active is other
    viewer.layers.selection.active = image
    tool.start(other, None)
    viewer.layers.remove(image)
    tool.stop()
    assert list(viewer.layers) == [other]


def test_another_image_is_measured_without_an_end(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    first, second = (viewer.add_image(data(60, 80), scale=(s, s)) for s in (1, 2))
    viewer.layers.selection.active = first
    tool, emitted = started(viewer, first)
    tool.start(second, 8)
    assert emitted == []
    assert len(viewer.layers) == 4
    np.testing.assert_array_equal(viewer.layers[MEASURED].scale, [2, 2])
    tool.stop()
    assert viewer.layers.selection.active is first


@pytest.mark.parametrize("removed", [[MEASURED], [EXPECTED], [MEASURED, EXPECTED], ["image"], None])
def test_it_ends_when_a_layer_is_removed(make_napari_viewer, removed) -> None:
    viewer = make_napari_viewer()
    other = viewer.add_image(data(60, 80), name="other")
    tool, emitted = started(viewer)
    if removed is None:
        viewer.layers.select_all()
    else:
        viewer.layers.selection = {viewer.layers[name] for name in removed}
    viewer.layers.remove_selected()
    settle()
    assert emitted == ["ended"]
    assert not tool.is_active
    gone = {"other", "image"} if removed is None else set(removed)
    assert {layer.name for layer in viewer.layers} == {"other", "image"} - gone
    if "other" not in gone:
        tool.start(other, 10)
        assert tool.is_active


def test_the_slot_may_end_it(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    tool, emitted = started(viewer)
    tool.measured.connect(lambda _: tool.stop())
    drag(viewer, (60, 50), (90, 90))
    assert emitted[1:] == ["ended"]
    assert [layer.name for layer in viewer.layers] == ["image"]


def test_the_viewer_may_be_closed(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    tool, _ = started(viewer)
    viewer.layers[MEASURED].add_lines([[0, 0], [0, 20]])
    viewer.close()
    settle()
    assert not tool.is_active


@pytest.mark.parametrize(("field", "value"), [("ndisplay", 3), ("order", (1, 0, 2))])
def test_it_ends_where_planes_are_not_shown(make_napari_viewer, field, value) -> None:
    viewer = make_napari_viewer()
    tool, emitted = started(viewer, viewer.add_image(data(4, 60, 80)))
    viewer.layers[MEASURED].add_lines([[0, 0], [0, 20]])
    settle()
    setattr(viewer.dims, field, value)
    settle()
    assert emitted == [20, "ended"]
    tool.start(viewer.layers[0], 10)
    assert emitted == [20, "ended", "ended"]
    assert len(viewer.layers) == 1
    assert not tool.is_active


def test_a_stack_may_be_opened_meanwhile(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    tool, emitted = started(viewer)
    viewer.add_image(data(4, 60, 80))
    settle()
    assert tool.is_active
    tool.stop()
    assert emitted == ["ended"]
    assert len(viewer.layers) == 2
