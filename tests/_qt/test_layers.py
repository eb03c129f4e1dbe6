"""Where an image's pixels, slices and view are, whatever its layer does to them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet._qt.annotation_layers import add_image
from napari_unet._qt.layers import (
    axes_of,
    geometry,
    images_of,
    pixel_sides,
    pixel_size,
    pixels,
    position,
    shows_planes,
    visible_region,
)
from napari_unet.images import Image as FileImage

ROTATED = {
    "scale": (0.5, 2.0),
    "translate": (3.0, 4.0),
    "rotate": 30.0,
    "shear": [0.3],
    "units": ("um", "um"),
    "axis_labels": ("y", "x"),
}


def camera(viewer):
    return getattr(viewer, "scene", viewer).camera


@pytest.mark.parametrize(
    ("shape", "labels", "rgb", "axes"),
    [
        ((8, 9), None, False, "YX"),
        ((8, 9, 3), None, True, "YXS"),
        ((5, 8, 9), None, False, "QYX"),
        ((2, 5, 8, 9), ("t", "z", "y", "x"), False, "TZYX"),
        ((2, 8, 9), ("c", "y", "x"), False, "CYX"),
        ((2, 3, 8, 9), ("Channel", "c", "y", "x"), False, "QQYX"),
        ((4, 8, 9, 3), ("time", "y", "x"), True, "TYXS"),
    ],
)
def test_axes_are_named_as_the_core_names_them(make_napari_viewer, shape, labels, rgb, axes):
    options = {"axis_labels": labels} if labels else {}
    layer = make_napari_viewer().add_image(np.zeros(shape, np.uint8), rgb=rgb, **options)
    assert axes_of(layer) == axes


@pytest.mark.parametrize(
    ("scale", "units", "size"),
    [
        ((0.5, 0.5), ("um", "um"), 0.5),
        ((250, 250), ("nm", "nm"), 0.25),
        ((0.4, 0.9), ("um", "um"), 0.6),
        ((2, 2), ("pixel", "pixel"), None),
    ],
)
def test_the_pixel_size_is_that_of_layers_with_a_length(make_napari_viewer, scale, units, size):
    layer = make_napari_viewer().add_image(np.zeros((8, 9)), scale=scale, units=units)
    assert pixel_size(layer) == (size and pytest.approx(size))


def test_the_sides_of_a_pixel_are_those_of_layers_with_a_length(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    options = {"scale": (-2000, 500), "units": ("nm", "nm")}  # mirrored
    layer = viewer.add_image(np.zeros((8, 9)), **options)
    assert pixel_sides(layer) == pytest.approx((2.0, 0.5))
    assert pixel_sides(viewer.add_image(np.zeros((8, 9)))) is None


def test_what_a_file_holds_is_shown_with_the_sides_of_its_pixels(make_napari_viewer) -> None:
    image = FileImage(np.zeros((2, 8, 9), np.uint8), "ZYX", (2.0, 0.5), 3.0)
    layer = add_image(make_napari_viewer(), image, "a")
    np.testing.assert_array_equal(layer.scale, (3.0, 2.0, 0.5))
    assert pixel_sides(layer) == pytest.approx((2.0, 0.5))


def test_the_topmost_image_is_offered_first(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    first = viewer.add_image(np.zeros((8, 9)), name="first")
    viewer.add_labels(np.zeros((8, 9), int))
    second = viewer.add_image(np.zeros((8, 9)), name="second")
    assert images_of(viewer) == [second, first]


def test_of_a_multiscale_image_the_finest_level_is_used(make_napari_viewer) -> None:
    levels = [np.zeros((64, 64)), np.zeros((32, 32))]
    layer = make_napari_viewer().add_image(levels, multiscale=True)
    assert pixels(layer) is layer.data[0]
    assert pixels(layer).shape == (64, 64)


def test_sliders_are_read_in_the_layers_own_pixels(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((3, 4, 6, 8, 9)))
    layer = viewer.add_image(np.zeros((4, 6, 8, 9)), scale=(1, 0.5, 1, 1), translate=(0, 1, 0, 0))
    viewer.dims.set_point((1, 2), (3.0, 2.5))
    assert position(viewer, layer) == (3, 3)
    viewer.dims.set_point(2, 0.0)  # before the layer's first slice
    assert position(viewer, layer) == (3, 0)


def test_the_view_is_found_on_a_scaled_layer(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_image(np.zeros((3, 1000, 2000), np.uint8), scale=(1, 0.5, 0.5))
    camera(viewer).zoom = 8  # canvas pixels a unit: 4 a pixel of the image
    camera(viewer).center = (0, 100, 300)
    viewer.screenshot(flash=False)
    rows, columns = visible_region(viewer, layer)
    assert (rows.start + rows.stop) / 2 == pytest.approx(200, abs=1.5)
    assert (columns.start + columns.stop) / 2 == pytest.approx(600, abs=1.5)
    height, width = viewer.screenshot(flash=False).shape[:2]
    ratio = viewer.window._qt_window.devicePixelRatioF()
    assert rows.stop - rows.start == pytest.approx(height / ratio / 4, abs=2.5)
    assert columns.stop - columns.start == pytest.approx(width / ratio / 4, abs=2.5)


def test_the_view_ends_where_the_image_ends(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_image(np.zeros((100, 120), np.uint8))
    viewer.screenshot(flash=False)
    assert visible_region(viewer, layer) == (slice(0, 100), slice(0, 120))


def test_of_a_multiscale_image_the_view_counts_pixels_of_the_finest(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    levels = [np.zeros((4096 // n, 4096 // n), np.uint8) for n in (1, 2, 4)]
    layer = viewer.add_image(levels, multiscale=True)
    camera(viewer).zoom = 1
    camera(viewer).center = (0, 1000, 2000)
    viewer.screenshot(flash=False)
    rows, columns = visible_region(viewer, layer)
    for part, centre in ((rows, 1000), (columns, 2000)):
        assert part.start < centre < part.stop
        assert 200 < part.stop - part.start < 2500


@pytest.mark.parametrize("change", ["3D", "rolled"])
def test_a_view_that_is_no_plane_is_refused(make_napari_viewer, change: str) -> None:
    viewer = make_napari_viewer()
    layer = viewer.add_image(np.zeros((3, 20, 30), np.uint8))
    assert shows_planes(viewer)
    if change == "3D":
        viewer.dims.ndisplay = 3
    else:
        viewer.dims.order = (1, 0, 2)
    assert not shows_planes(viewer)
    with pytest.raises(ValueError, match="not a plane of Y and X: show it in 2D"):
        visible_region(viewer, layer)


def test_a_transposed_view_is_still_one_of_a_plane(make_napari_viewer) -> None:
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_image(np.zeros((3, 100, 120), np.uint8))
    viewer.dims.order = (0, 2, 1)
    viewer.screenshot(flash=False)
    assert not shows_planes(viewer)
    assert shows_planes(viewer, transposed=True)
    assert visible_region(viewer, layer) == (slice(0, 100), slice(0, 120))


def test_labels_lie_where_the_image_lies(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    affine = np.array([[1.1, 0.2, 7], [-0.1, 0.9, -3], [0, 0, 1]])
    image = viewer.add_image(np.zeros((8, 9)), affine=affine, **ROTATED)
    labels = viewer.add_labels(np.zeros((8, 9), np.uint16), **geometry(image))
    assert labels.units == image.units
    assert labels.axis_labels == image.axis_labels
    np.testing.assert_allclose(labels.scale, image.scale)
    for point in ((0, 0), (3, 5), (7, 8)):
        np.testing.assert_allclose(labels.data_to_world(point), image.data_to_world(point))


def test_without_the_channels_labels_still_lie_on_the_image(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    image = viewer.add_image(
        np.zeros((5, 2, 8, 9)),
        scale=(3, 1, 0.5, 0.25),
        translate=(1, 9, 2, 3),
        axis_labels=("z", "c", "y", "x"),
        units=("um", "pixel", "um", "um"),
    )
    labels = viewer.add_labels(np.zeros((5, 8, 9), np.uint16), **geometry(image, channel_axis=1))
    assert labels.axis_labels == ("z", "y", "x")
    assert labels.units == (image.units[0], *image.units[2:])
    for z, y, x in ((0, 0, 0), (4, 3, 5)):
        expected = np.delete(image.data_to_world((z, 0, y, x)), 1)
        np.testing.assert_allclose(labels.data_to_world((z, y, x)), expected)
