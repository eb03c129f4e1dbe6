"""The samples and the writer, as napari's File menu calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from npe2 import PluginManifest

import napari_unet
from napari_unet._qt import contributions
from napari_unet._qt.contributions import save_labels
from napari_unet._qt.layers import pixel_sides
from napari_unet.config import SegmentConfig
from napari_unet.images import find_provenance, read_image, read_provenance, write_labels
from napari_unet.provenance import KEY, Provenance
from napari_unet.samples import SAMPLES, load_sample

MANIFEST = Path(napari_unet.__file__).with_name("napari.yaml")
NAME = "napari-unet-segmentation"


def labels_layer(viewer, shape, **options):
    labels = np.zeros(shape, np.int32)
    labels[..., 2:5, 3:6] = 7
    return viewer.add_labels(labels, name="found", **options)


def test_each_sample_is_listed_and_opens():
    contributed = PluginManifest.from_file(MANIFEST).contributions
    assert {s.key for s in contributed.sample_data} == set(SAMPLES)
    for command in contributed.commands:
        assert callable(command.python_name and _resolve(command.python_name))


def _resolve(name: str) -> object:
    module, attribute = name.split(":")
    return getattr(__import__(module, fromlist=[attribute]), attribute)


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_opens_with_its_scale(name: str, make_napari_viewer, monkeypatch) -> None:
    """Of pixels that stand for those that would be fetched."""
    order = list(SAMPLES)

    def loaded(asked: str) -> np.ndarray:
        return np.full((8,) * len(SAMPLES[asked].axes), order.index(asked), np.uint8)

    monkeypatch.setattr(contributions, "load_sample", loaded)
    (layer,) = make_napari_viewer().open_sample(NAME, name)
    assert layer.name == name
    assert layer.data.flat[0] == order.index(name)
    size = SAMPLES[name].pixel_size
    assert pixel_sides(layer) == (size and pytest.approx((size, size)))


def test_the_bundled_sample_opens_in_the_viewer(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample(NAME, "tissue")
    np.testing.assert_array_equal(layer.data, load_sample("tissue"))
    assert layer.name == "tissue"


@pytest.mark.parametrize(
    ("shape", "scale", "units", "expected"),
    [
        ((20, 30), (0.5, 0.5), ("um", "um"), (0.5, 0.5, None)),
        ((20, 30), (250, 250), ("nm", "nm"), (0.25, 0.25, None)),
        ((20, 30), (3, 3), None, (None, None, None)),
        ((4, 20, 30), (2, 0.5, 0.5), ("um", "um", "um"), (0.5, 0.5, 2.0)),
        ((20, 30), (2.0, 0.5), ("um", "um"), (2.0, 0.5, None)),
    ],
)
def test_labels_are_saved_with_their_scale(
    make_napari_viewer, tmp_path: Path, shape, scale, units, expected
) -> None:
    viewer = make_napari_viewer()
    options = {} if units is None else {"units": units}
    layer = labels_layer(viewer, shape, scale=scale, **options)
    path = tmp_path / "out.tif"
    assert layer.save(str(path), plugin=NAME) == [str(path)]
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        np.testing.assert_array_equal(file.asarray(), layer.data)
        assert file.asarray().dtype == np.uint16
    image = read_image(path)
    sides = image.pixel_sides or (None, None)
    assert (*sides, image.spacing) == pytest.approx(expected)


def test_of_a_multiscale_layer_the_finest_is_saved(tmp_path: Path) -> None:
    levels = [np.ones((8, 8), np.uint8), np.ones((4, 4), np.uint8)]
    save_labels(str(tmp_path / "out.tif"), levels, {"multiscale": True, "scale": (1, 1)})
    assert tifffile.imread(tmp_path / "out.tif").shape == (8, 8)


@pytest.mark.parametrize(
    ("names", "axes"),
    [("tyx", "TYX"), (("z", "y", "x"), "ZYX"), (("time", "z", "y", "x"), "TZYX"), ((), "ZYX")],
)
def test_axes_are_saved_as_they_are_labelled(make_napari_viewer, tmp_path, names, axes) -> None:
    options = {"axis_labels": tuple(names)} if names else {}
    layer = labels_layer(make_napari_viewer(), (2,) * (len(axes) - 2) + (8, 8), **options)
    path = str(tmp_path / "out.ome.tif")
    assert layer.save(path, plugin=NAME) == [path]
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == axes


def test_labels_are_saved_with_how_they_were_made(make_napari_viewer, tmp_path: Path) -> None:
    made = Provenance(SegmentConfig(threshold=0.6), "ab" * 32, "cells")
    viewer = make_napari_viewer()
    layer = labels_layer(viewer, (4, 20, 30), metadata={KEY: made.to_dict()})
    for name in ("out.tif", "out.ome.tif"):
        path = tmp_path / name
        assert layer.save(str(path), plugin=NAME) == [str(path)]
        assert read_provenance(path) == made
        (opened,) = viewer.open(str(path), plugin="napari", layer_type="labels")
        np.testing.assert_array_equal(opened.data, layer.data)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
    layer.metadata = {KEY: {"damaged": 1}}
    assert layer.save(str(path), plugin=NAME)
    assert find_provenance(path) is None


def test_large_labels_open_in_napari_without_their_coarser_levels(
    make_napari_viewer, tmp_path: Path
) -> None:
    labels = np.zeros((9, 4096), np.uint16)
    labels[2:5, 7:3000] = 300
    path = write_labels(tmp_path / "out.ome.tif", labels)
    viewer = make_napari_viewer()
    (opened,) = viewer.open(str(path), plugin="napari", layer_type="labels")
    np.testing.assert_array_equal(opened.data, labels)
