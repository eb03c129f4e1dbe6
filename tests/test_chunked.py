"""Labels made chunk by chunk are those made in memory, on scores that are drawn in the image."""

from dataclasses import replace
from pathlib import Path

import dask.array
import numpy as np
import pytest
import tifffile
import zarr

from _drawn import CARD, CONFIG, RULE, Drawn, card, chunked, drawing, in_memory, steps
from napari_unet.chunked import (
    Source,
    is_chunked,
    seams,
    segment_chunked,
    sketch_shape,
    sketch_step,
    splitting,
)
from napari_unet.chunked.source import as_image, as_lazy, fingerprint
from napari_unet.config import Target
from napari_unet.images import ngff
from napari_unet.prediction import run_to_end
from napari_unet.preprocessing import ChannelStack


@pytest.mark.parametrize(
    ("seed", "smooth", "shape"),
    [(0, 1, (100, 75)), (1, 2, (64, 97)), (2, 4, (130, 66)), (3, 2, (31, 120)), (4, 2, (32, 32))],
)
def test_labels_are_those_of_the_whole_image(tmp_path: Path, seed, smooth, shape):
    image = drawing(shape, seed, smooth)
    labels, result = chunked(image, tmp_path)
    expected = in_memory(image)
    np.testing.assert_array_equal(labels, expected)
    assert result.objects == expected.max() > 1
    assert result.approximate == 0
    assert [path.name for path in tmp_path.iterdir()] == ["labels.zarr"]


@pytest.mark.parametrize(
    "change",
    [
        {"remove_border": True},
        {"fill_holes": False},
        {"min_size": 0},
        {"min_size": 60},
        {"threshold": 0.3},
        {"threshold": 0.99},
        {"diameter": 7.0},
        {"diameter": 15.0},
        {"averaged": True},
    ],
    ids=str,
)
def test_whatever_is_asked_for(tmp_path: Path, change):
    image, config = drawing(seed=5), replace(CONFIG, **change)
    labels, _ = chunked(image, tmp_path, config)
    np.testing.assert_array_equal(labels, in_memory(image, config))


def test_a_model_without_distances(tmp_path: Path):
    image = drawing(seed=6, channels=1)[0].astype(np.float32) / 3 - 7
    one = card(Target(), replace(RULE, channels=1))
    labels, _ = chunked(image, tmp_path, CONFIG, one, "YX")
    np.testing.assert_array_equal(labels, in_memory(image, CONFIG, one, "YX"))


def test_a_model_with_an_extent(tmp_path: Path):
    image = np.concatenate([drawing(seed=6), drawing(seed=12, channels=1)])
    three = card(Target(extras=("distance", "extent")), replace(RULE, channels=3))
    labels, result = chunked(image, tmp_path, CONFIG, three)
    expected = in_memory(image, CONFIG, three)
    np.testing.assert_array_equal(labels, expected)
    assert (expected > 0).mean() == pytest.approx((image[2] >= 500).mean(), abs=0.1)
    assert result.objects == expected.max() > 1


def test_a_model_of_areas(tmp_path: Path):
    image = drawing(seed=7)
    areas = card(Target(classes=("nothing", "this", "that"), instances=False))
    labels, result = chunked(image, tmp_path, CONFIG, areas)
    np.testing.assert_array_equal(labels, in_memory(image, CONFIG, areas))
    assert result.objects is None
    assert result.in_words == "areas"


def test_planes_are_numbered_each(tmp_path: Path):
    stack = np.stack([drawing(seed=seed) for seed in (8, 9)])[:, None]  # (T, Z, C, Y, X)
    lazy = dask.array.from_array(stack, chunks=(1, 1, 1, 40, 40))
    labels, result = chunked(lazy, tmp_path, axes="TZCYX")
    expected = in_memory(stack, axes="TZCYX")
    np.testing.assert_array_equal(labels, expected)
    assert result.objects == expected[0].max() + expected[1].max()


def rings() -> np.ndarray:
    """A ring around four chunks, with an island in it or not, and one around a crossing of seams.

    The first channel is the foreground; of the second, the distance, each has but one seed.
    """
    image = np.zeros((2, 128, 256), np.uint16)
    for left in (0, 128):
        image[0, 20:108, left + 20 : left + 108] = 1000
        image[0, 24:104, left + 24 : left + 104] = 0
        image[1, 20:24, left + 20 : left + 24] = 1000
    image[0, 50, 200] = 1000  # too small to stay, and yet it keeps the right hole open
    image[0, 60:68, 60:68] = image[1, 60:68, 60:68] = 1000
    image[0, 62:66, 62:66] = 0
    return image


def test_holes_that_are_larger_than_chunks(tmp_path: Path):
    image = rings()
    image[:, 56:72, 56:72] = 0
    labels, result = chunked(image, tmp_path)
    np.testing.assert_array_equal(labels, in_memory(image))
    assert result.objects == 2
    assert labels[64, 64] == 1
    assert labels[64, 192] == 0


def test_objects_across_the_corners_of_chunks(tmp_path: Path):
    image = rings()
    labels, result = chunked(image, tmp_path)
    np.testing.assert_array_equal(labels, in_memory(image))
    assert result.objects == 3
    assert (labels[60:68, 60:68] == labels[64, 64]).all()
    assert labels[40, 40] == 0  # an object lies in the hole


def test_an_empty_image(tmp_path: Path):
    labels, result = chunked(np.zeros((2, 70, 70), np.uint8), tmp_path)
    assert result.objects == labels.max() == 0


def test_what_is_too_large_is_split_window_by_window(tmp_path: Path, monkeypatch):
    """With a window that sees all it is what it is in memory; with a smaller one it is similar."""
    image = drawing((120, 120), 10)
    config = replace(CONFIG, threshold=0.4)  # nearly all is one component
    expected = in_memory(image, config)
    monkeypatch.setattr(seams, "LARGEST", 40 * 40)
    monkeypatch.setattr(splitting, "REACH", 200)
    labels, result = chunked(image, tmp_path, config)
    np.testing.assert_array_equal(labels, expected)
    assert result.approximate > 0
    monkeypatch.setattr(splitting, "REACH", 40)
    labels, _ = chunked(image, tmp_path, config, force=True)
    assert np.mean((labels > 0) == (expected > 0)) > 0.99
    assert abs(labels.max() / expected.max() - 1) < 0.1


def test_what_is_too_large_stays_one_without_distances(tmp_path: Path, monkeypatch):
    image = drawing((120, 120), 11, channels=1)[0]
    one = card(Target(), replace(RULE, channels=1))
    config = replace(CONFIG, fill_holes=False)
    monkeypatch.setattr(seams, "LARGEST", 40 * 40)
    labels, result = chunked(image, tmp_path, config, one, "YX")
    np.testing.assert_array_equal(labels, in_memory(image, config, one, "YX"))
    assert result.approximate > 0


@pytest.mark.parametrize("step", [1, 3])
def test_sketches_show_what_the_labels_will_be(tmp_path: Path, step: int):
    image = drawing(seed=28)
    size = in_memory(image).shape
    shown = np.zeros(sketch_shape(size, step), np.uint8)
    times = np.zeros(shown.shape, int)

    def draw(progress) -> None:
        if progress.sketch is not None:
            where = (*progress.sketch.plane, *progress.sketch.region)
            shown[where] = progress.sketch.labels
            times[where] += 1

    begun = steps(image, tmp_path, sketched=step)
    for progress in begun:
        draw(progress)
        if progress.step == "predicting" and progress.done == 2:
            break
    begun.close()
    assert 0 < times.sum() < times.size
    times[:] = 0
    for progress in steps(image, tmp_path, sketched=step):
        draw(progress)
    assert (times == 1).all(), "the chunks that were predicted before, too"
    middle = (slice(step // 2, None, step),) * 2
    found = in_memory(image)[middle] > 0
    inside = shown[tuple(slice(n) for n in found.shape)] > 0
    assert not (inside & ~found).any()
    assert inside.sum() > 0.8 * found.sum()  # holes are filled, and ridges closed, later


def test_a_sketch_has_about_as_many_pixels_as_are_wanted():
    assert sketch_step((100, 100), 10_000) == 1
    assert sketch_step((100, 100), 9_999) == 2
    assert sketch_step((7, 20_000, 10_000), 2**24) == 10
    assert sketch_shape((7, 20_000, 10_001), 10) == (7, 2000, 1001)


def test_what_holds_no_labels_is_not_replaced_even_by_force(tmp_path: Path):
    import zarr

    zarr.save(tmp_path / "labels.zarr", np.arange(12).reshape(3, 4))
    with pytest.raises(ValueError, match=r"labels\.zarr exists already and holds no labels"):
        chunked(drawing(seed=16), tmp_path, force=True)
    np.testing.assert_array_equal(zarr.load(tmp_path / "labels.zarr"), np.arange(12).reshape(3, 4))


def test_two_runs_do_not_write_one_file(tmp_path: Path):
    first = steps(drawing(seed=15), tmp_path)
    next(first)
    with pytest.raises(OSError, match=r"labels\.zarr is being written just now"):
        next(steps(drawing(seed=15), tmp_path))
    run_to_end(first)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.zarr"]


def test_labels_that_exist_are_replaced_by_force_only(tmp_path: Path):
    chunked(drawing(seed=15), tmp_path)
    with pytest.raises(ValueError, match=r"exists already.*--force"):
        chunked(drawing(seed=16), tmp_path)
    labels, _ = chunked(drawing(seed=16), tmp_path, force=True)
    np.testing.assert_array_equal(labels, in_memory(drawing(seed=16)))


@pytest.fixture
def pyramid(tmp_path: Path) -> Path:
    """A group with two levels, and labels."""
    group = zarr.create_group(tmp_path / "image.zarr")
    for level in "01":
        group.create_array(level, shape=(8, 8), dtype="u1")[:] = 1
    group.create_group("labels").create_group("known").create_array("0", shape=(8, 8), dtype="u1")
    return tmp_path / "image.zarr"


@pytest.mark.parametrize(
    ("image", "labels", "message"),
    [
        ("image.zarr/0", "image.zarr", "holds the image"),
        ("image.zarr/0", "link.zarr", "holds the image"),
        ("link.zarr/0", "image.zarr", "holds the image"),
        ("image.zarr/labels/known/0", "image.zarr/labels/known", "holds the image"),
        ("image.zarr/0", "link.zarr/0", "is the image itself"),
        ("image.zarr/0", "image.zarr/1", "lies in the image"),
        ("image.zarr", "image.zarr/labels", "lies in the image"),
        ("image.zarr", "link.zarr/new.zarr", "lies in the image"),
        ("image.zarr/0", "image.zarr/0/labels/new", "lies in the image"),
    ],
)
def test_labels_do_not_take_the_place_of_their_image(pyramid: Path, image, labels, message):
    folder = pyramid.parent
    (folder / "link.zarr").symlink_to(pyramid)
    before = sorted(pyramid.rglob("*"))
    source = Source(folder / image)
    with pytest.raises(ValueError, match=message):
        next(
            segment_chunked(source, folder / labels, CONFIG, engine=Drawn(), card=CARD, force=True)
        )
    assert sorted(pyramid.rglob("*")) == before
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("version", [2, 3])
def test_labels_lie_beside_groups_only(tmp_path: Path, version: int):
    zarr.create_group(tmp_path / "group.zarr", zarr_format=version)
    zarr.create_array(tmp_path / "array.zarr", shape=(8, 8), dtype="u1", zarr_format=version)
    for name, has_room in {"group.zarr": True, "array.zarr": False, "none.zarr": False}.items():
        assert ngff.is_beside(tmp_path / name / "labels" / "cells") is has_room
        assert is_chunked(tmp_path / name / "labels" / "cells") is has_room


def test_a_zarr_is_read_where_it_is_and_its_missing_chunks_are_counted(tmp_path: Path):
    image = drawing(seed=18)
    image[:, 40:80, 40:] = 0
    group = zarr.create_group(
        tmp_path / "image.zarr",
        attributes={
            "ome": {
                "version": "0.5",
                "multiscales": [
                    {
                        "axes": [
                            {"name": "c", "type": "channel"},
                            {"name": "y", "type": "space", "unit": "micrometer"},
                            {"name": "x", "type": "space", "unit": "micrometer"},
                        ],
                        "datasets": [
                            {
                                "path": "full",
                                "coordinateTransformations": [
                                    {"type": "scale", "scale": [1, 0.5, 0.25]},
                                    {"type": "translation", "translation": [0, 3, 4]},
                                ],
                            }
                        ],
                    }
                ],
            }
        },
    )
    group.create_array("full", shape=image.shape, chunks=(1, 40, 40), dtype=image.dtype)[:] = image
    path = tmp_path / "image.zarr" / "labels" / "drawn"
    assert is_chunked(path)
    source = Source(tmp_path / "image.zarr")
    work = segment_chunked(source, path, CONFIG, engine=Drawn(), card=CARD)
    messages = [step.message for step in work if step.message]
    assert messages == [
        f"2 of 12 chunks of {tmp_path / 'image.zarr'} are missing: they are read as empty."
    ]
    written = ngff.open_zarr(path)
    np.testing.assert_array_equal(written.data[:], in_memory(image))
    assert (written.axes, written.scale, written.translation) == ("YX", (0.5, 0.25), (3, 4))
    assert written.units == ("micrometer", "micrometer")
    listed = zarr.open_group(tmp_path / "image.zarr" / "labels").attrs["ome"]
    assert listed == {"version": "0.5", "labels": ["drawn"]}


def test_an_array_that_is_open_already_is_known_by_its_file_and_its_pixels(tmp_path: Path):
    pixels = drawing(seed=22)
    path = tmp_path / "image.zarr"
    array = zarr.create_array(path, shape=pixels.shape, chunks=(1, 50, 40), dtype="u2")
    array[:, :50] = pixels[:, :50]
    image = as_image(dask.array.from_zarr(array), path)
    assert (image.chunks, image.missing) == (8, 4)
    assert as_image(dask.array.zeros((3, 3)), path).chunks == 0
    assert Source(path, "CYX", image).is_light
    assert not Source(path, "CYX", np.zeros((2, 1024, 1024), np.uint16)).is_light
    known = [
        fingerprint(Source(path, "CYX", data).planes(RULE, None)) for data in (array, array[:])
    ]
    array[:, 50:] = 7
    known.append(fingerprint(Source(path, "CYX", array).planes(RULE, None)))
    assert known[0] == known[1] != known[2]


def test_slices_of_what_is_on_disk_are_not_read(tmp_path: Path):
    arrays = [
        zarr.create_array(tmp_path / n, shape=(8, 8), chunks=(4, 4), dtype="u1") for n in "ab"
    ]
    assert type(as_lazy(arrays[:1])) is type(as_lazy(arrays)) is dask.array.Array
    assert as_lazy(arrays).shape == (2, 8, 8)
    assert as_lazy([arrays[0][:]]).base is None
    assert isinstance(as_lazy([arrays[0], arrays[1][:]]), ChannelStack)


@pytest.mark.parametrize(
    ("options", "kind"),
    [({}, "MappedArray"), ({"tile": (32, 32), "compression": "zlib"}, "CompressedArray")],
    ids=["mapped", "compressed"],
)
def test_a_tiff_stays_in_its_file(tmp_path: Path, monkeypatch, options, kind):
    monkeypatch.setattr("napari_unet.images.reading.MAPPED_BYTES", 1)
    image = drawing(seed=19)
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(tmp_path / "image.tif", image, metadata=metadata, ome=True, **options)
    source = Source(tmp_path / "image.tif")
    assert type(source.open().data).__name__ == kind
    work = segment_chunked(source, tmp_path / "out.zarr", CONFIG, engine=Drawn(), card=CARD)
    result = run_to_end(work)
    labels = ngff.open_zarr(result.path)
    np.testing.assert_array_equal(labels.data[:], in_memory(image))
    assert labels.pixel_size == 0.5


@pytest.mark.parametrize("band", [1, 7, 1000])
def test_statistics_are_those_of_the_same_pixels(tmp_path: Path, monkeypatch, band: int):
    monkeypatch.setattr("napari_unet.chunked.source.BAND", band)
    image = drawing(seed=20)
    plane = Source(tmp_path, "CYX", image).planes(RULE, None)[0]
    for step in (1, 3, 10):
        part = plane[:, ::step, ::step]
        np.testing.assert_array_equal(part, image[:, ::step, ::step])


def test_channels_of_dask_are_computed_by_whoever_reads_them(tmp_path: Path):
    """On a cluster, else, a task would wait for tasks that wait for its own place."""
    schedulers = []

    class Part:
        def __init__(self, pixels):
            self.pixels = pixels

        def compute(self, scheduler=None):
            schedulers.append(scheduler)
            return self.pixels

    class Layer:
        def __init__(self, pixels):
            self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype

        def __getitem__(self, key):
            return Part(self.pixels[key])

    pixels = drawing(seed=23)
    channels = ChannelStack([Layer(pixels[0]), pixels[1]])
    planes = Source(tmp_path, "CYX", channels).planes(RULE, None)
    np.testing.assert_array_equal(planes[0][:, 3:50, 5:60], pixels[:, 3:50, 5:60])
    assert schedulers == ["threads"]
