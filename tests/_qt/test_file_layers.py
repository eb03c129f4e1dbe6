"""Files as layers: where labels lie, what they look like, and what is told where one is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import zarr
from napari._app_model import get_app_model
from qtpy.QtWidgets import QWidget

from napari_unet._qt import files
from napari_unet._qt.annotation_layers import find_results
from napari_unet._qt.class_colours import PALETTE
from napari_unet._qt.files import add_image, add_labels, open_files
from napari_unet._qt.layers import pixel_size
from napari_unet._qt.object_classes import kinds_in
from napari_unet._qt.pairing import image_of
from napari_unet._qt.segment.chunks import STORED
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import Preprocessing, SegmentConfig, Target, UNetConfig
from napari_unet.images import Image, read_provenance, write_labels
from napari_unet.images.ngff import create_labels
from napari_unet.images.stored import StoredImage
from napari_unet.library import Card, model_hash, user_folder
from napari_unet.model import UNet
from napari_unet.provenance import KEY, Provenance

MADE = Provenance(SegmentConfig(), "0" * 64, "a.tif")


def disc(shape: tuple[int, ...] = (40, 60)) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    labels[..., 5:15, 8:20] = 7
    return labels


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    told = {"unit": "um", "axes": "YX"}
    resolution = (4.0, 2.0)  # of X and Y
    tifffile.imwrite(
        path, np.ones((40, 60), np.uint8), imagej=True, metadata=told, resolution=resolution
    )
    return path


def like(image: Path, labels: np.ndarray) -> Image:
    return Image(labels, "YX", (0.5, 0.25), source=image)


def test_labels_lie_on_their_image_in_whatever_order_they_are_named(
    make_napari_viewer, tmp_path: Path, image: Path
) -> None:
    path = write_labels(tmp_path / "any.tif", disc(), like=like(image, disc()), made=MADE)
    viewer = make_napari_viewer()
    open_files(viewer, [path, image])
    below, labels = viewer.layers
    assert labels.name == "a [nuclei]"
    np.testing.assert_array_equal(labels.data, disc())
    assert labels.data.dtype == np.int32  # so that more than 65,535 objects can be painted
    for layer in (below, labels):
        np.testing.assert_allclose(layer.scale, (0.5, 0.25))
        assert pixel_size(layer) == pytest.approx(np.sqrt(0.125))
    assert Provenance.from_dict(labels.metadata[KEY]) == read_provenance(path)
    assert labels.editable


@pytest.mark.parametrize("ending", [".tif", ".ome.tif", ".png"])
def test_labels_alone_have_the_place_that_their_file_states(
    make_napari_viewer, tmp_path: Path, image: Path, ending: str
) -> None:
    path = tmp_path / f"a_labels{ending}"
    if ending == ".png":
        from skimage.io import imsave

        imsave(path, disc().astype(np.uint16), check_contrast=False)
    else:
        write_labels(path, disc(), like=like(image, disc()))
    layer = add_labels(make_napari_viewer(), path)
    assert layer.name == "a_labels"
    np.testing.assert_array_equal(layer.data, disc())
    assert pixel_size(layer) == (None if ending == ".png" else pytest.approx(np.sqrt(0.125)))


def test_labels_lie_on_an_image_as_napari_shows_it(make_napari_viewer, tmp_path: Path) -> None:
    """In pixels, where the file of labels states micrometres; and named before one on top."""
    made = Provenance(SegmentConfig(), "", "one.tif")
    path = write_labels(
        tmp_path / "x_labels.tif", disc(), like=like(tmp_path / "one.tif", disc()), made=made
    )
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((40, 60)), name="one", translate=(3, 4))
    viewer.add_image(np.zeros((40, 60)), name="another", scale=(9, 9))
    viewer.add_image(np.zeros((40, 50)), name="a smaller one")
    layer = add_labels(viewer, path)
    assert layer.name == "one [nuclei]"
    np.testing.assert_array_equal(layer.scale, (1, 1))
    np.testing.assert_array_equal(layer.translate, (3, 4))


def test_labels_of_a_stack_have_the_order_of_its_axes(make_napari_viewer, tmp_path: Path) -> None:
    stack = disc((3, 2, 40, 60))
    stack[1, 0, 20, 20] = 9
    path = write_labels(tmp_path / "s_labels.tif", stack, like=Image(stack, "ZTYX"))
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros(stack.shape), axis_labels=("z", "t", "y", "x"))
    np.testing.assert_array_equal(add_labels(viewer, path).data, stack)


def test_unannotated_pixels_are_gray(make_napari_viewer, tmp_path: Path) -> None:
    labels = disc()
    labels[0] = -1
    tifffile.imwrite(path := tmp_path / "a_labels.tif", labels.astype(np.int16))
    layer = add_labels(make_napari_viewer(), path)
    np.testing.assert_allclose(layer.get_color(-1)[:3], 0.5, atol=0.01)
    assert not np.allclose(layer.get_color(7)[:3], 0.5, atol=0.01)


@pytest.mark.parametrize(("side", "levels"), [(60, 1), (1500, 2)])
def test_stored_labels_stay_where_they_are(
    make_napari_viewer, tmp_path: Path, side: int, levels: int
) -> None:
    stored = StoredImage(np.zeros((40, side)), "YX", (0.5, 0.5), (), ("micrometer",) * 2)
    path = tmp_path / "a_labels.zarr"
    create_labels(path, stored, (40, side), np.uint32, MADE.to_dict(), "a")
    for level in range(levels):
        zarr.open_array(path / str(level), mode="r+")[2:4, 3:6] = 7
    viewer = make_napari_viewer()
    open_files(viewer, [path])
    (layer,) = viewer.layers
    assert layer.name == "a_labels"
    assert layer.multiscale == (levels > 1)
    assert not layer.editable
    assert layer.metadata[STORED] == str(path)
    finest = layer.data[0] if layer.multiscale else layer.data
    assert isinstance(finest, zarr.Array)
    assert np.asarray(finest[...]).sum() == 7 * 6
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))


@pytest.mark.parametrize("is_label", [False, True])
def test_all_levels_of_a_zarr_are_shown(make_napari_viewer, tmp_path: Path, is_label: bool) -> None:
    """As others write them: named otherwise, the finest first in the metadata, with a channel."""
    group = zarr.create_group(path := tmp_path / "theirs.zarr", zarr_format=2)
    axes = [{"name": n, "type": t} for n, t in (("c", "channel"), ("y", "space"), ("x", "space"))]
    datasets = []
    for level, name in enumerate(("s10", "s2")):
        side = 64 >> level
        group.create_array(name, data=np.full((1, side, side), level + 1, np.uint16))
        steps = [{"type": "scale", "scale": [1, 2.0**level, 2.0**level]}]
        datasets.append({"path": name, "coordinateTransformations": steps})
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    if is_label:
        group.attrs["image-label"] = {"version": "0.4"}
    viewer = make_napari_viewer()
    open_files(viewer, [path])
    (layer,) = viewer.layers
    leading = () if is_label else (1,)
    assert [level.shape for level in layer.data] == [(*leading, 64, 64), (*leading, 32, 32)]
    assert np.all(np.asarray(layer.data[1][...]) == 2)
    assert type(layer).__name__ == ("Labels" if is_label else "Image")


def test_measurements_beside_labels_are_their_table(make_napari_viewer, tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a_labels.ome.tif", disc())
    table = tmp_path / "a_objects.csv"
    table.write_text("image,label,area_px,class,touches_border\na,7,120,pear,False\n")
    viewer = make_napari_viewer()
    layer = add_labels(viewer, path)
    assert layer.features["index"].tolist() == [7]
    assert layer.features["area_px"].tolist() == [120]
    assert kinds_in(layer) == {7: "pear"}
    np.testing.assert_allclose(layer.get_color(7), _rgba(PALETTE[0]), atol=0.01)
    for damaged in ("", "label\n1\n1\n", "label,class\n1\n", "area_px\n3\n", "\0"):
        table.write_text(damaged)
        assert "index" not in add_labels(viewer, path).features


@pytest.mark.parametrize("changed", [False, True])
def test_areas_have_the_colours_of_their_model(
    make_napari_viewer, tmp_path: Path, monkeypatch, changed: bool
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    user_folder().mkdir(parents=True)
    target = Target(("background", "soil", "root"), instances=False)
    network = UNetConfig(out_channels=3, base_channels=2, depth=1)
    torch.manual_seed(0)
    Checkpoint.of(UNet(network), Card(network, target, Preprocessing())).save(
        user_folder() / "areas.safetensors"
    )
    digest = "1" * 64 if changed else model_hash("areas")
    made = Provenance(SegmentConfig(model="areas"), digest, "a.tif")
    areas = disc()
    areas[areas > 0] = 2
    layer = add_labels(
        make_napari_viewer(), write_labels(tmp_path / "a_labels.tif", areas, made=made)
    )
    assert kinds_in(layer) == ({} if changed else {1: "soil", 2: "root"})
    if not changed:
        np.testing.assert_allclose(layer.get_color(2), _rgba(PALETTE[1]), atol=0.01)


def _rgba(colour: str) -> np.ndarray:
    from napari.utils.colormaps.standardize_color import transform_color

    return transform_color(colour)[0]


def test_what_cannot_be_opened_is_told_and_the_rest_is_opened(
    make_napari_viewer, tmp_path: Path, image: Path, monkeypatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(files, "show_error", told.append)
    damaged = tmp_path / "b_labels.tif"
    damaged.write_bytes(image.read_bytes()[:50])
    fractions = tmp_path / "c_labels.tif"
    tifffile.imwrite(fractions, np.full((4, 4), 0.5, np.float32))
    other = tmp_path / "d.docx"
    other.write_bytes(b"no image")
    viewer = make_napari_viewer()
    open_files(viewer, [damaged, fractions, other, image])
    assert [layer.name for layer in viewer.layers] == ["a"]
    assert len(told) == 3
    assert told[0].startswith(f"{other} could not be opened")
    assert str(damaged) in told[1]
    assert told[2].startswith(f"{fractions} holds fractions")


def test_scores_are_an_image(make_napari_viewer, tmp_path: Path) -> None:
    from napari_unet.images import write_image

    path = write_image(tmp_path / "a_scores.tif", np.zeros((2, 8, 8), np.float32), made=MADE)
    viewer = make_napari_viewer()
    open_files(viewer, [path])
    assert type(viewer.layers[0]).__name__ == "Image"


def test_an_image_knows_its_file(make_napari_viewer, image: Path) -> None:
    from napari_unet._qt.annotate.start import subject_of

    assert subject_of(add_image(make_napari_viewer(), image)).source == image


def test_labels_are_chosen_in_a_dialog(
    make_napari_viewer, qtbot, tmp_path: Path, monkeypatch
) -> None:
    """As napari's menu calls it, with a viewer that is wrapped."""
    stored = StoredImage(np.zeros((40, 60)), "YX")
    create_labels(tmp_path / "z.zarr", stored, (40, 60), np.uint16, {}, "z")
    one = write_labels(tmp_path / "one.tif", disc())
    chosen = [str(tmp_path / "z.zarr" / "zarr.json"), str(tmp_path / "gone.tif"), str(one)]
    told: list[str] = []
    monkeypatch.setattr(files, "show_error", told.append)

    def ask(parent: object, *_: object) -> tuple[list[str], str]:
        assert parent is None or isinstance(parent, QWidget)
        return chosen, ""

    monkeypatch.setattr(files.QFileDialog, "getOpenFileNames", ask)
    viewer = make_napari_viewer()
    get_app_model().commands.execute_command("napari-unet-segmentation.open_labels").result()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2 and bool(told), timeout=30_000)
    assert {layer.name for layer in viewer.layers} == {"z", "one"}
    assert len(told) == 1
    assert "gone.tif" in told[0]


def test_labels_of_another_image_do_not_pass_for_its_own(
    make_napari_viewer, tmp_path: Path, image: Path
) -> None:
    viewer = make_napari_viewer()
    below = add_image(viewer, image)
    made = Provenance(SegmentConfig(), "", "b.tif")
    path = write_labels(tmp_path / "b_labels.tif", disc(), like=like(image, disc()), made=made)
    layer = add_labels(viewer, path)
    assert layer.name == "b_labels"
    assert find_results(viewer, below) == [layer]  # while it is the active one
    viewer.layers.selection.active = below
    assert not find_results(viewer, below)


def test_of_images_with_one_name_it_is_the_one_beside_the_labels(
    make_napari_viewer, tmp_path: Path, image: Path
) -> None:
    viewer, layers = make_napari_viewer(), []
    for day in ("day1", "day2"):
        (tmp_path / day).mkdir()
        (path := tmp_path / day / "a.tif").write_bytes(image.read_bytes())
        layers.append(add_image(viewer, path))
    path = write_labels(tmp_path / "day1" / "a_labels.tif", disc(), made=MADE)
    layer = add_labels(viewer, path)
    assert image_of(layer, layers) == layers[0]
    assert layer.name == f"{layers[0].name} [nuclei]"


def test_labels_lie_on_an_image_whose_channels_have_no_name(
    make_napari_viewer, tmp_path: Path, image: Path
) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((2, 40, 60)), name="a", translate=(0, 3, 4))
    path = write_labels(tmp_path / "a_labels.tif", disc(), like=like(image, disc()), made=MADE)
    layer = add_labels(viewer, path)
    np.testing.assert_array_equal(layer.scale, (1, 1))
    np.testing.assert_array_equal(layer.translate, (3, 4))


def test_large_labels_can_be_painted_in(make_napari_viewer, tmp_path: Path, monkeypatch) -> None:
    from napari_unet.images import reading

    monkeypatch.setattr(reading, "MAPPED_BYTES", 100)
    tifffile.imwrite(path := tmp_path / "a_labels.tif", disc())
    layer = add_labels(make_napari_viewer(), path)
    layer.paint((1, 1), 9)
    assert layer.data[1, 1] == 9


def test_a_table_of_other_labels_is_left_aside(make_napari_viewer, tmp_path: Path) -> None:
    from napari_unet.images.records import write_beside

    path = write_labels(tmp_path / "a_labels.tif", disc(), made=MADE)
    (table := tmp_path / "a_objects.csv").write_text("image,label,area_px\na,7,120\n")
    viewer = make_napari_viewer()
    for made, is_shown in ((MADE, True), (replace(MADE, sha256="1" * 64), False)):
        write_beside(table, {"a": made})
        assert ("area_px" in add_labels(viewer, path).features) == is_shown
