"""OME-TIFFs: axes, sizes and levels, as tifffile and napari read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.images import Image, pair_by_stem, read_image, stem_of, write_image, write_labels
from napari_unet.images.ome import PYRAMID_FROM
from napari_unet.images.stored import open_tiff


def test_labels_keep_axes_and_sizes(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 300, (2, 3, 20, 30))
    like = Image(np.zeros((2, 3, 4, 20, 30), np.uint8), "TZCYX", (0.5, 0.5), 2.0)
    path = write_labels(tmp_path / "a.OME.tiff", labels, like=like)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, labels)
    assert (image.axes, image.pixel_size, image.spacing) == ("TZYX", 0.5, 2.0)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert not file.is_imagej
        assert file.series[0].dtype == np.uint16
        assert len(file.series[0].levels) == 1
        for size in ('SizeT="2"', 'SizeZ="3"', 'SizeC="1"', 'PhysicalSizeYUnit="µm"'):
            assert size in file.ome_metadata


def test_large_labels_have_coarser_levels(tmp_path: Path) -> None:
    labels = np.zeros((5, PYRAMID_FROM), np.int32)
    labels[1:4, 8:4000] = 70_001
    path = write_labels(tmp_path / "a.ome.tif", labels, pixel_size=0.5)
    with tifffile.TiffFile(path) as file:
        assert len(file.series) == 1
        levels = file.series[0].levels
        assert [level.shape for level in levels] == [(5, 4096), (3, 2048), (2, 1024)]
        for number, level in enumerate(levels):
            assert level.dtype == np.uint32
            np.testing.assert_array_equal(level.asarray(), labels[:: 2**number, :: 2**number])
    np.testing.assert_array_equal(read_image(path).data, labels)


def test_scores_have_channels_with_names(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((4, 2, 20, 30), np.float32)
    names = ("background", "object")
    path = tmp_path / "s.ome.tif"
    write_image(path, scores, axes="ZCYX", pixel_size=0.25, channels=names)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, scores)
    assert (image.axes, image.pixel_size) == ("ZCYX", 0.25)
    with tifffile.TiffFile(path) as file:
        assert 'Name="object"' in file.ome_metadata


def test_names_pair_whatever_their_endings(tmp_path: Path) -> None:
    assert [
        stem_of(Path(name)) for name in ("a.b.tif", "a.ome.tif", "a.OME.TIFF", "a.ome.png")
    ] == [
        "a.b",
        "a",
        "a",
        "a.ome",
    ]
    for name in ("a.ome.tif", "b.tif", "a_labels.tif", "b_labels.ome.tif"):
        (tmp_path / name).write_bytes(b"x")
    pairs = pair_by_stem(tmp_path, tmp_path)
    assert [(image.name, labels.name) for image, labels in pairs] == [
        ("a.ome.tif", "a_labels.tif"),
        ("b.tif", "b_labels.ome.tif"),
    ]


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_what_is_cut_off_is_told(tmp_path: Path, keep: float) -> None:
    labels = np.random.default_rng(0).integers(0, 300, (600, 700))
    path = write_labels(tmp_path / "a.ome.tif", labels)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"a\.ome\.tif cannot be read") as error:
        read_image(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16), "compression": "zlib"}])
def test_height_and_width_of_a_pixel_are_known_of_what_stays_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict
) -> None:
    monkeypatch.setattr("napari_unet.images.reading.MAPPED_BYTES", 1)
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 2.0, "PhysicalSizeZ": 3.0}
    path, stack = tmp_path / "a.ome.tif", np.zeros((2, 20, 30), np.uint8)
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "ZYX", **sizes}, **options)
    image = open_tiff(path)
    assert (image.scale, set(image.units)) == ((3.0, 2.0, 0.5), {"micrometer"})
    assert image.pixel_size == 1.0
