"""Measures of objects against scikit-image, brute force, and shapes drawn by hand."""

from __future__ import annotations

import csv
from math import pi

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.draw import ellipse
from skimage.measure import label as components
from skimage.measure import regionprops_table

from napari_unet.measurements import as_csv, measure, measure_steps, write_table


@pytest.fixture
def blobs(rng) -> np.ndarray:
    """Objects of all shapes, with holes, parts and gaps in their numbers."""
    labels = components(ndimage.gaussian_filter(rng.random((90, 120)), 2) > 0.5).astype(np.int32)
    labels[labels == 5] = 3  # of two parts
    labels[labels == 7] = 70_000
    labels[:4, :5] = -1
    return labels


def hull_area(mask: np.ndarray) -> float:
    y, x = np.nonzero(mask)
    corners = [np.stack((y + down, x + right), axis=1) for down in (0, 1) for right in (0, 1)]
    return ConvexHull(np.concatenate(corners)).volume


def test_shapes_are_those_of_scikit_image(blobs: np.ndarray) -> None:
    table = measure(blobs)
    names = {
        "label": "label",
        "area_px": "area",
        "centroid_y_px": "centroid-0",
        "centroid_x_px": "centroid-1",
        "equivalent_diameter_px": "equivalent_diameter_area",
        "perimeter_px": "perimeter_crofton",
        "top_px": "bbox-0",
        "left_px": "bbox-1",
        "bottom_px": "bbox-2",
        "right_px": "bbox-3",
    }
    expected = regionprops_table(
        np.maximum(blobs, 0),
        properties=(
            "inertia_tensor_eigvals",
            "orientation",
            *{n.split("-")[0] for n in names.values()},
        ),
    )
    for name, theirs in names.items():
        np.testing.assert_allclose(table[name], expected[theirs], err_msg=name)
    # A pixel is a square here, and a point there: its own second moment is 1/12.
    for name, number in (("major_axis_px", 0), ("minor_axis_px", 1)):
        moment = expected[f"inertia_tensor_eigvals-{number}"] + 1 / 12
        np.testing.assert_allclose(table[name], 4 * np.sqrt(moment), err_msg=name)
    ratio = table["minor_axis_px"] / table["major_axis_px"]
    np.testing.assert_allclose(table["eccentricity"], np.sqrt(1 - ratio**2))
    long = table["eccentricity"] > 0.5
    turn = (np.degrees(expected["orientation"]) + 90 - table["orientation_deg"])[long]
    np.testing.assert_allclose((turn + 90) % 180 - 90, 0, atol=1e-6)
    height, width = blobs.shape
    touches = (table["top_px"] == 0) | (table["left_px"] == 0)
    touches |= (table["bottom_px"] == height) | (table["right_px"] == width)
    np.testing.assert_array_equal(table["touches_border"], touches)


def test_hulls_are_those_of_the_pixels_corners(blobs: np.ndarray, rng) -> None:
    dust = np.where(rng.random((60, 60)) < 0.1, rng.integers(1, 4, (60, 60)), 0)
    for labels in (blobs, dust):
        table = measure(labels)
        hulls = [hull_area(labels == number) for number in table["label"]]
        np.testing.assert_allclose(table["solidity"], table["area_px"] / hulls)


def test_intensities_are_those_of_numpy(blobs: np.ndarray, rng) -> None:
    functions = {
        "mean": np.mean,
        "std": np.std,
        "median": np.median,
        "min": np.min,
        "max": np.max,
        "sum": np.sum,
    }
    image = rng.normal(50, 20, (3, *blobs.shape))
    for channel in (image[0], image[1].astype(np.uint16), image[2] > 50):
        table = measure(blobs, channel)
        for name, function in functions.items():
            values = [function(channel[blobs == number]) for number in table["label"]]
            np.testing.assert_allclose(table[f"intensity_{name}"], values, err_msg=name)
    table = measure(blobs, image, axes="CYX")
    np.testing.assert_array_equal(
        table["intensity_median_c1"], measure(blobs, image[1])["intensity_median"]
    )
    image[0][blobs == table["label"][2]] = np.nan
    table = measure(blobs, image[0])
    of_nan = [np.isnan(table[f"intensity_{name}"]) for name in functions]
    assert (np.array(of_nan) == (np.arange(table["label"].size) == 2)).all()


def test_an_image_is_left_as_it_is(blobs: np.ndarray, rng) -> None:
    image = rng.random(blobs.shape)
    before = blobs.copy(), image.copy()
    measure(blobs, image)
    np.testing.assert_array_equal(blobs, before[0])
    np.testing.assert_array_equal(image, before[1])


def test_single_pixels_and_straight_lines() -> None:
    labels = np.zeros((9, 20), np.uint8)
    labels[1, 1], labels[3, 2:12], labels[5:9, 15] = 1, 2, 3
    table = measure(labels)
    np.testing.assert_allclose(table["solidity"], 1)
    np.testing.assert_allclose(table["eccentricity"], [0, np.sqrt(0.99), np.sqrt(15 / 16)])
    np.testing.assert_allclose(table["orientation_deg"], [0, 0, 90])
    np.testing.assert_allclose(table["major_axis_px"], 4 * np.array([1, 10, 4]) / np.sqrt(12))


def test_pixels_that_are_no_squares_are_measured_in_their_true_shape() -> None:
    """A disc that a microscope saw with pixels twice as high as wide."""
    labels = np.zeros((120, 220), np.uint8)
    labels[ellipse(60, 110, 40.2, 80.4)] = 1
    table = measure(labels, pixel_size=(0.5, 0.25))
    radius = 20.1
    assert table["area_px"] == pytest.approx(pi * 40.2 * 80.4, rel=0.01)
    assert table["area_um2"] == pytest.approx(pi * radius**2, rel=0.01)
    assert table["perimeter_um"] == pytest.approx(2 * pi * radius, rel=0.02)
    assert table["equivalent_diameter_um"] == pytest.approx(2 * radius, rel=0.01)
    assert table["major_axis_um"] == pytest.approx(2 * radius, rel=0.01)
    assert table["circularity"] == pytest.approx(1, abs=0.04)
    assert table["eccentricity"] < 0.1
    assert table["major_axis_px"] == pytest.approx(160.8, rel=0.01)
    assert (table["centroid_y_um"], table["centroid_x_um"]) == (30, 27.5)
    line = np.eye(30, dtype=np.uint8)  # at 45 degrees, were its pixels squares
    (slope,) = measure(line, pixel_size=(0.5, 0.25))["orientation_deg"]
    assert slope == pytest.approx(180 - np.degrees(np.arctan2(0.5, 0.25)), abs=0.1)


def test_each_plane_of_a_stack_is_measured_by_itself(blobs: np.ndarray, rng) -> None:
    empty = np.zeros_like(blobs)
    labels = np.stack([blobs, empty, blobs[::-1]])[None]
    image = rng.random((1, 2, 3, *blobs.shape))  # of which the channels stand between
    table = measure(labels, image, axes="TCZYX", pixel_size=0.5)
    single = measure(blobs, image[0, :, 0], axes="CYX", pixel_size=0.5)
    assert list(table)[:4] == ["label", "t", "z", "area_px"]
    np.testing.assert_array_equal(np.unique(table["z"]), [0, 2])
    for name, column in single.items():
        np.testing.assert_array_equal(table[name][table["z"] == 0], column, err_msg=name)
    assert list(measure(labels))[1:3] == ["plane_1", "plane_2"]
    assert list(measure(labels[0]))[1] == "plane"
    assert list(measure_steps(labels[0])) == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("shape", [(5, 6), (2, 5, 6)])
def test_labels_without_objects_have_a_table_without_rows(shape: tuple[int, ...]) -> None:
    table = measure(np.zeros(shape, np.uint16), np.zeros(shape), pixel_size=1.0)
    full = measure(np.ones(shape, np.uint16), np.zeros(shape), pixel_size=1.0)
    assert {name: column.dtype for name, column in table.items()} == {
        name: column.dtype for name, column in full.items()
    }
    assert {column.size for column in table.values()} == {0}


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        (np.zeros((4, 5)), {}, "hold float64"),
        (np.zeros((4, 5), int), {"image": np.zeros((4, 6))}, r"\(4, 5\) and the image \(4, 6\)"),
        (np.zeros((4, 5), int), {"image": np.zeros((4, 5), complex)}, "take the magnitude"),
        (np.zeros((4, 5), int), {"axes": "ZYX"}, "axes = 'ZYX' do not fit"),
        (np.zeros((3, 4, 5), int), {"axes": "CYX"}, "without channels"),
        (np.zeros((4, 5), int), {"pixel_size": 0.0}, "pixel_size = 0.0 is no size"),
        (np.zeros((4, 5), int), {"pixel_size": (1, 2, 3)}, "is no size"),
    ],
)
def test_what_does_not_fit_is_told(labels: np.ndarray, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measure(labels, **options)


def test_tables_are_joined_in_a_file(tmp_path) -> None:
    labels = np.zeros((6, 6), bool)
    labels[:2, :3] = True
    tables = {
        "a, b": measure(labels, pixel_size=0.1),
        "c": measure(labels, np.full((6, 6), np.nan)),
    }
    path = write_table(tmp_path / "t.csv", tables)
    assert path.read_text("utf-8") == as_csv(tables)
    first, second = csv.DictReader(path.read_text("utf-8").splitlines())
    assert (first["image"], first["label"], first["area_px"]) == ("a, b", "1", "6")
    assert (first["area_um2"], first["touches_border"]) == ("0.06", "True")
    assert first["intensity_mean"] == second["area_um2"] == second["intensity_mean"] == ""
    with pytest.raises(ValueError, match="its name end in"):
        write_table(tmp_path / "t.txt", tables)
