"""Files in and out: axes, scale and labels survive; nothing is half-written."""

import errno
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from skimage.io import imread, imsave

from napari_unet.images import (
    Image,
    find_images,
    pair_by_stem,
    pair_labels,
    read_classes,
    read_image,
    read_labels,
    reading,
    scenes_of,
    write_image,
    write_labels,
    write_overlay,
)
from napari_unet.images.image import fit_labels


def noise(*shape: int, dtype: str = "u1") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8", ">u2", ">f4"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_tiff_of_any_type(tmp_path: Path, dtype: str, compression: str | None):
    array = noise(20, 30, dtype=dtype) - (50 if dtype == "i2" else 0)
    path = tmp_path / "세포 one.tif"
    tifffile.imwrite(
        path, array, compression=compression, byteorder=dtype[0] if ">" in dtype else None
    )
    image = read_image(path)
    np.testing.assert_array_equal(image.data, array)
    assert image.axes == "YX"
    assert image.pixel_size is None


@pytest.mark.parametrize(
    ("unit", "micrometres"),
    [("um", 1), ("micron", 1), ("\\u00B5m", 1), ("nm", 1e-3),
     ("mm", 1e3), ("inch", None), ("pixel", None), ("", None)],
)  # fmt: skip
def test_imagej_scale_counts_with_a_unit_of_length(
    tmp_path: Path, unit: str, micrometres: float | None
):
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZCYX", "spacing": 3.0}
    if unit.isascii():
        metadata["unit"] = unit
    tifffile.imwrite(path, noise(4, 2, 20, 30), imagej=True, resolution=(4, 4), metadata=metadata)
    image = read_image(path)
    assert image.axes == "ZCYX"
    if unit.isascii() and micrometres:
        assert image.pixel_size == pytest.approx(micrometres / 4)
        assert image.spacing == pytest.approx(3 * micrometres)
    else:
        assert image.pixel_size is None


def test_ome_scale(tmp_path: Path):
    path = tmp_path / "a.ome.tif"
    sizes = {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeZ": 2.0}
    tifffile.imwrite(path, noise(3, 20, 30), metadata={"axes": "ZYX", **sizes}, ome=True)
    image = read_image(path)
    assert (image.axes, image.pixel_size, image.spacing) == ("ZYX", 0.25, 2.0)


def test_printing_resolution_is_no_scale(tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(20, 30), resolution=(300, 300), resolutionunit="INCH")
    assert read_image(path).pixel_size is None
    tifffile.imwrite(path, noise(20, 30), resolution=(20000, 20000), resolutionunit="CENTIMETER")
    assert read_image(path).pixel_size == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("array", "axes"),
    [
        (noise(20, 30), "YX"),
        (noise(20, 30, 3), "YXS"),
        (noise(20, 30, 4), "YXS"),
    ],
)
def test_png(tmp_path: Path, array: np.ndarray, axes: str):
    path = tmp_path / "a.png"
    imsave(path, array, check_contrast=False)
    image = read_image(path)
    assert image.axes == axes
    np.testing.assert_array_equal(image.data, array[..., :3] if array.ndim == 3 else array)


def test_jpeg_and_rgb_tiff(tmp_path: Path):
    smooth = np.repeat(np.linspace(0, 255, 64).astype("u1")[None, :, None], 3, 2).repeat(64, 0)
    imsave(tmp_path / "a.jpg", smooth, check_contrast=False)
    assert np.abs(read_image(tmp_path / "a.jpg").data.astype(int) - smooth).max() < 8
    tifffile.imwrite(tmp_path / "a.tif", smooth, photometric="rgb")
    assert read_image(tmp_path / "a.tif").axes == "YXS"


def test_large_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("napari_unet.images.reading.MAPPED_BYTES", 100)
    array = noise(5, 20, 30, dtype="u2")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    image = read_image(tmp_path / "a.tif")
    assert isinstance(image.data, np.memmap)
    np.testing.assert_array_equal(image.data, array)


def test_pyramids_and_pages_of_other_sizes_give_the_first_series(tmp_path: Path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise(40, 60), photometric="minisblack")
        writer.write(noise(20, 30), photometric="minisblack")
    assert read_image(path).data.shape == (40, 60)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tif", b"plain text", "cannot be read as a TIFF"),
        ("a.tif", b"", r"0 bytes"),
        ("a.png", b"plain text", "cannot be read as an image"),
        ("a.lsm", b"x", "use TIFF, PNG, JPEG or a microscope"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, name: str, content: bytes, words: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as error:
        read_image(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("keep", [0.02, 0.5, 0.98])
def test_truncated_files_are_told_and_not_filled_with_zeros(
    tmp_path: Path, compression: str | None, keep: float
):
    whole, path = tmp_path / "whole.tif", tmp_path / "a.tif"
    tifffile.imwrite(whole, noise(60, 70), compression=compression)
    content = whole.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match="cannot be read"):
        read_image(path)


def test_missing_file_folder_and_complex_numbers(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_image(tmp_path / "none.tif")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_image(tmp_path)
    tifffile.imwrite(tmp_path / "c.tif", noise(5, 6).astype(complex))
    with pytest.raises(ValueError, match="magnitude"):
        read_image(tmp_path / "c.tif")


def test_labels(tmp_path: Path):
    labels = noise(20, 30, dtype="i4") - 1
    for array in (labels, labels.astype("f4")):
        tifffile.imwrite(tmp_path / "l.tif", array)
        found = read_labels(tmp_path / "l.tif")
        assert found.dtype.kind == "i"
        np.testing.assert_array_equal(found, labels)
    tifffile.imwrite(tmp_path / "l.tif", labels + 0.5)
    with pytest.raises(ValueError, match="fractions"):
        read_labels(tmp_path / "l.tif")
    imsave(tmp_path / "l.png", noise(20, 30, 3), check_contrast=False)
    with pytest.raises(ValueError, match="colour picture"):
        read_labels(tmp_path / "l.png")


@pytest.mark.parametrize(
    ("axes", "shape", "saved"),
    [("YX", (20, 30), "YX"), ("TYX", (4, 20, 30), "TYX"), ("ZYX", (4, 20, 30), "ZYX"),
     ("TZYX", (2, 3, 20, 30), "TZYX"), ("ZTYX", (3, 2, 20, 30), "TZYX"),
     ("QYX", (4, 20, 30), "ZYX")],
)  # fmt: skip
def test_labels_keep_axes_and_scale(tmp_path: Path, axes: str, shape: tuple[int, ...], saved: str):
    labels = noise(*shape, dtype="i4") + 1000
    like = Image(
        np.empty((*shape[:-2], 2, *shape[-2:])), f"{axes[:-2]}C{axes[-2:]}", (0.25, 0.25), 2.0
    )
    path = write_labels(tmp_path / "l.tif", labels, like=like)
    back = read_image(path)
    assert back.axes == saved
    assert back.data.dtype == np.uint16
    assert back.pixel_size == pytest.approx(0.25)
    order = [axes.index(a) for a in saved] if "Q" not in axes else range(labels.ndim)
    np.testing.assert_array_equal(back.data, labels.transpose(list(order)))
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej


def test_more_objects_than_imagej_can_count(tmp_path: Path):
    labels = np.arange(70_000, dtype=np.int32).reshape(250, 280)
    like = Image(labels, "YX", (0.5, 0.5))
    path = write_labels(tmp_path / "l.tif", labels, like=like)
    back = read_image(path)
    assert back.data.dtype == np.uint32
    np.testing.assert_array_equal(back.data, labels)
    assert back.pixel_size == 0.5
    with tifffile.TiffFile(path) as file:
        assert file.is_ome


def test_annotations_keep_what_is_not_annotated(tmp_path: Path):
    labels = noise(20, 30, dtype="i4") - 1
    back = read_labels(write_labels(tmp_path / "l.tif", labels))
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, labels)


def test_numbers(tmp_path: Path):
    weights = np.random.default_rng(0).random((3, 20, 30), np.float32)
    back = read_image(write_image(tmp_path / "w.tif", weights))
    np.testing.assert_array_equal(back.data, weights)


@pytest.mark.parametrize("name", ["l.png", "l"])
def test_only_tiff_holds_labels(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=r"end in \.tif"):
        write_labels(tmp_path / name, noise(5, 5))


def test_overlay_shows_outlines_in_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("napari_unet.images.writing.OVERLAY_SIDE", 40)
    labels = np.zeros((30, 30), np.int32)
    labels[5:12, 5:12], labels[15:25, 15:25] = 1, 2
    path = write_overlay(tmp_path / "o.png", noise(30, 30), labels)
    picture = imread(path)
    assert picture.shape == (30, 30, 3)
    coloured = np.ptp(picture.astype(int), axis=-1) > 60
    assert coloured[5, 8]
    assert coloured[15, 20]
    assert not coloured[8, 8]
    assert not coloured[0, 0]
    assert tuple(picture[5, 8]) != tuple(picture[15, 20])


def test_small_overlays_are_enlarged(tmp_path: Path):
    path = write_overlay(tmp_path / "o.png", noise(30, 50), np.ones((30, 50), np.int32))
    assert imread(path).shape == (600, 1000, 3)


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_labels(tmp_path / "l.tif", noise(20, 30))
    before = path.read_bytes()

    def fail(file: Path, *_: object, **__: object) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(OSError, match="the disk is full") as error:
        write_labels(path, noise(20, 30) + 1)
    assert str(path) in str(error.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["l.tif"]


def test_find_images(tmp_path: Path):
    for name in (
        "b.tif",
        "a.PNG",
        "a_labels.tif",
        "a_scores.tif",
        "notes.txt",
        ".hidden.tif",
        "c.jpeg",
    ):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub.tif").mkdir()
    names = [p.name for p in find_images([tmp_path])]
    assert names == ["a.PNG", "b.tif", "c.jpeg"]
    assert [p.name for p in find_images([str(tmp_path / "*.tif")])] == ["b.tif"]
    twice = find_images([tmp_path / "b.tif", tmp_path, tmp_path / "a_labels.tif"])
    assert [p.name for p in twice] == ["b.tif", "a.PNG", "c.jpeg"]  # a shell's glob has results
    assert find_images([tmp_path / "a_labels.tif"]) == [tmp_path / "a_labels.tif"]
    with pytest.raises(FileNotFoundError, match="All files named are results"):
        find_images([tmp_path / "a_labels.tif", tmp_path / "a_scores.tif"])
    with pytest.raises(FileNotFoundError, match=r"none.tif does not exist"):
        find_images([tmp_path / "none.tif"])
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / "deeper" / "d.tif").write_bytes(b"x")
    assert [p.name for p in find_images([tmp_path / "**" / "d.tif"])] == ["d.tif"]
    with pytest.raises(FileNotFoundError, match="No image matches"):
        find_images([str(tmp_path / "*.gif")])
    with pytest.raises(FileNotFoundError, match="holds no image"):
        find_images([tmp_path / "sub.tif"])


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_pairs_by_stem(tmp_path: Path):
    make_files(tmp_path, "i/a.tif", "i/b.png", "l/a.tif", "l/b_labels.tif", "l/c.tif")
    pairs = pair_by_stem(tmp_path / "i", tmp_path / "l")
    assert [(image.name, labels.name) for image, labels in pairs] == [
        ("a.tif", "a.tif"),
        ("b.png", "b_labels.tif"),
    ]
    files = pair_by_stem(tmp_path / "i" / "a.tif", tmp_path / "l" / "c.tif")
    assert [(image.name, labels.name) for image, labels in files] == [("a.tif", "c.tif")]
    with pytest.raises(ValueError, match=r"1 images have no labels .*: c\.tif"):
        pair_by_stem(tmp_path / "l", tmp_path / "i")
    with pytest.raises(ValueError, match="two folders or two files"):
        pair_by_stem(tmp_path / "i", tmp_path / "l" / "a.tif")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        pair_by_stem(tmp_path / "i", tmp_path / "none")
    (tmp_path / "l" / "b_labels.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="both labels of b"):
        pair_by_stem(tmp_path / "i", tmp_path / "l")


def test_images_and_labels_in_one_folder(tmp_path: Path):
    make_files(tmp_path, "a.tif", "a_labels.tif")
    assert [(image.name, labels.name) for image, labels in pair_by_stem(tmp_path, tmp_path)] == [
        ("a.tif", "a_labels.tif")
    ]


def test_predictions_pair_with_the_truth_whatever_their_marks(tmp_path: Path):
    predictions = ("p/a_labels.tif", "p/b_labels.tif", "p/c.tif")
    make_files(tmp_path, *predictions, "t/a.tif", "t/b_labels.tif")
    pairs = pair_labels(tmp_path / "p", tmp_path / "t")
    assert [(p.name, t.name) for p, t in pairs] == [
        ("a_labels.tif", "a.tif"),
        ("b_labels.tif", "b_labels.tif"),
    ]
    with pytest.raises(ValueError, match=r"1 images have no prediction in .*: c\.tif"):
        pair_labels(tmp_path / "t", tmp_path / "p")
    with pytest.raises(ValueError, match="cannot be paired"):
        pair_labels(tmp_path / "t", tmp_path / "p" / "c.tif")


@pytest.mark.parametrize("axes", ["TQYX", "QQQYX", "QQQQYX", None])
@pytest.mark.parametrize("largest", [9, 70_000])
def test_labels_of_any_axes_are_written(tmp_path: Path, axes: str | None, largest: int):
    shape = (2,) * (len(axes or "QQQQQYX") - 2) + (6, 7)
    labels = np.random.default_rng(0).integers(0, largest, shape)
    labels.flat[0] = largest
    path = write_labels(tmp_path / "l.tif", labels, axes=axes)
    np.testing.assert_array_equal(tifffile.imread(path).ravel(), labels.ravel())


def test_a_png_as_large_as_a_slide_scan_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)
    imsave(tmp_path / "a.png", noise(40, 50), check_contrast=False)
    assert read_image(tmp_path / "a.png").data.shape == (40, 50)
    assert PIL.Image.MAX_IMAGE_PIXELS == 100


IMAGEJ = {"imagej": True, "metadata": {"unit": "um"}}


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": (2, 0.5), **IMAGEJ},
        {"resolution": (2, 5e-4), "imagej": True, "metadata": {"unit": "um", "yunit": "nm"}},
        {"resolution": (20_000, 5_000), "resolutionunit": "CENTIMETER"},
        {"ome": True, "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 2.0}},
        {
            "ome": True,
            "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeY": 2e3, "PhysicalSizeYUnit": "nm"},
        },
    ],
    ids=["imagej", "units", "centimetres", "ome", "ome units"],
)
def test_height_and_width_of_a_pixel_are_read(tmp_path: Path, options: dict):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(20, 30), **options)
    image = read_image(path)
    assert image.pixel_sides == pytest.approx((2.0, 0.5))
    assert image.pixel_size == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["l.tif", "l.ome.tif"])
def test_height_and_width_of_a_pixel_are_written(tmp_path: Path, name: str):
    labels = noise(20, 30)
    like = Image(labels, "YX", (2.0, 0.5))
    for options in ({"like": like}, {"pixel_size": (2.0, 0.5)}):
        path = write_labels(tmp_path / name, labels, **options)
        assert read_image(path).pixel_sides == (2.0, 0.5)
    with pytest.raises(ValueError, match=r"pixel_size = -1 is no size"):
        write_labels(tmp_path / name, labels, pixel_size=-1)


def test_a_side_in_seconds_gives_pixels_no_size(tmp_path: Path):
    metadata = {"unit": "um", "yunit": "sec"}
    path = tmp_path / "kymograph.tif"
    tifffile.imwrite(path, noise(20, 30), imagej=True, resolution=(2, 4), metadata=metadata)
    assert read_image(path).pixel_sides is None


def test_what_is_larger_than_a_tiff_of_32_bits_is_a_big_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_unet.images import writing

    scores, labels = noise(2, 20, 20).astype("f4"), noise(20, 20).astype("i4")
    for limit, is_big in ((labels.size, True), (scores.nbytes, False)):
        monkeypatch.setattr(writing, "BIG", limit)
        numbers = write_image(tmp_path / "s.tif", scores)
        stack = write_labels(tmp_path / "l.tif", labels)
        signed = write_labels(tmp_path / "n.tif", -labels)
        for path, array in ((numbers, scores), (stack, labels), (signed, -labels)):
            with tifffile.TiffFile(path) as file:
                assert file.is_bigtiff == (is_big and path != stack)
                assert file.is_imagej == (not is_big and path == stack)
                assert file.is_ome == (is_big and path == stack)
            np.testing.assert_array_equal(read_image(path).data, array)


def test_an_image_in_several_files_is_whole_where_each_of_them_is(tmp_path: Path):
    """Of the first file, which is the smaller one, its own pages end where it does."""
    names = ("f0.ome.tif", "f1.ome.tif")
    parts = "".join(
        f'<TiffData FirstT="{n}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{n}</UUID>'
        "</TiffData>"
        for n, name in enumerate(names)
    )
    planes = [np.zeros((64, 64), np.uint16), noise(64, 64, dtype="u2")]
    for number, (name, plane) in enumerate(zip(names, planes, strict=True)):
        told = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
            f' UUID="urn:uuid:{number}"><Image ID="Image:0"><Pixels DimensionOrder="XYTZC"'
            f' ID="Pixels:0" SizeC="1" SizeT="2" SizeX="64" SizeY="64" SizeZ="1" Type="uint16">'
            f"{parts}</Pixels></Image></OME>"
        )
        tifffile.imwrite(
            tmp_path / name, plane, compression="zlib", description=told, metadata=None
        )
    assert (tmp_path / names[0]).stat().st_size < (tmp_path / names[1]).stat().st_size
    for name in names:
        np.testing.assert_array_equal(read_image(tmp_path / name).data, planes)
    (tmp_path / names[1]).write_bytes((tmp_path / names[1]).read_bytes()[:3000])
    with pytest.raises(ValueError, match="ends before"):
        read_image(tmp_path / names[0])
    (tmp_path / names[1]).unlink()
    with pytest.raises(ValueError, match=r"f1\.ome\.tif, in which a part of it is, is not beside"):
        read_image(tmp_path / names[0])


def test_each_image_of_an_ome_tiff_is_one(tmp_path: Path):
    planes = [noise(40, 50), noise(60, 70)]
    with tifffile.TiffWriter(path := tmp_path / "two.ome.tif", ome=True) as file:
        for plane, size in zip(planes, (0.5, 0.25), strict=True):
            told = {
                "axes": "YX",
                "PhysicalSizeX": size,
                "PhysicalSizeY": size,
                "Name": f"at {size}",
            }
            file.write(plane, metadata=told)
    assert scenes_of(path) == ("at_0.5", "at_0.25")
    for scene, plane, size in zip(scenes_of(path), planes, (0.5, 0.25), strict=True):
        image = read_image(path, scene=scene)
        np.testing.assert_array_equal(image.data, plane)
        assert image.pixel_size == pytest.approx(size)
    with pytest.raises(ValueError, match=r"holds 2 images \(at_0.5, at_0.25\), and one is needed"):
        read_image(path)


def test_of_positions_in_several_files_each_file_has_its_own(tmp_path: Path):
    """As microscopes save them: each file names all images, and holds one."""
    names, planes = ("p0.ome.tif", "p1.ome.tif"), [noise(40, 50), noise(40, 50)]
    images = "".join(
        f'<Image ID="Image:{n}"><Pixels DimensionOrder="XYCZT" ID="Pixels:{n}" SizeC="1" SizeT="1"'
        f' SizeX="50" SizeY="40" SizeZ="1" Type="uint8"><TiffData IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{n}</UUID></TiffData></Pixels></Image>'
        for n, name in enumerate(names)
    )
    for number, (name, plane) in enumerate(zip(names, planes, strict=True)):
        told = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
            f' UUID="urn:uuid:{number}">{images}</OME>'
        )
        tifffile.imwrite(tmp_path / name, plane, description=told, metadata=None)
    for name, plane in zip(names, planes, strict=True):
        assert len(scenes_of(tmp_path / name)) == 1
        np.testing.assert_array_equal(read_image(tmp_path / name).data, plane)


def test_colours_of_printers_are_those_that_are_seen(tmp_path: Path):
    path = tmp_path / "cyan.jpg"
    PIL.Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(path, quality=95)
    image = read_image(path)
    assert image.axes == "YXS"
    np.testing.assert_allclose(image.data.mean(axis=(0, 1)), (0, 255, 255), atol=12)


def test_a_table_of_classes_in_another_encoding_is_named(tmp_path: Path):
    (path := tmp_path / "a.csv").write_bytes("label,class\n1,Zellkörper\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"a\.csv cannot be read as a table .* CSV in UTF-8"):
        read_classes(path, ("background", "Zellkörper"))


@pytest.mark.parametrize(
    "told",
    [
        'PhysicalSizeX="0.25" PhysicalSizeXUnit="&#181;m" PhysicalSizeY="0.25"',
        "PhysicalSizeX='0.25' PhysicalSizeXUnit='µm' PhysicalSizeY = '0.25'",
        'PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="250" PhysicalSizeYUnit="nm"',
    ],
)
def test_sizes_in_ome_metadata_however_they_are_spelt(told: str):
    sizes = [reading._ome_size(f"<OME><Image><Pixels {told}/></Image></OME>", a) for a in "XYZ"]
    assert sizes == [0.25, 0.25, None]


def test_labels_that_do_not_fit_into_32_bits_are_refused(tmp_path: Path):
    labels = np.array([[0, 7], [2**32 + 5, 7]], np.uint64)
    with pytest.raises(ValueError, match="cannot hold labels up to 4294967301"):
        write_labels(tmp_path / "a.tif", labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300, 2**54])
def test_values_that_are_no_labels_are_refused(tmp_path: Path, value: float):
    for dtype in (np.float64, np.uint64):
        if np.can_cast(np.min_scalar_type(value), dtype):
            tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), value, dtype))
            with pytest.raises(ValueError, match="which is no label"):
                read_labels(tmp_path / "a.tif")


def test_labels_are_brought_into_the_order_of_their_image(tmp_path: Path):
    labels = np.arange(3 * 2 * 4 * 5, dtype=np.uint16).reshape(3, 2, 4, 5)
    image = Image(np.zeros((3, 2, 4, 5)), "ZTYX", source=Path("a.ome.tif"))
    write_labels(tmp_path / "a_labels.tif", labels, like=image)
    stored = reading.read_label_image(tmp_path / "a_labels.tif")
    assert stored.axes == "TZYX"
    np.testing.assert_array_equal(fit_labels(stored, image), labels)
    colours = Image(np.zeros((2, 3, 4, 5, 3)), "TZYXS")
    assert fit_labels(stored, colours) is stored.data
    with pytest.raises(ValueError, match=r"a_labels.tif has the shape \(2, 3, 4, 5\)"):
        fit_labels(stored, Image(np.zeros((4, 5)), "YX", source=Path("b.tif")))


def test_labels_of_one_plane_fit_an_image_of_one():
    labels = Image(np.ones((4, 5), int), "YX")
    assert fit_labels(labels, Image(np.zeros((1, 1, 4, 5)), "TCYX")).shape == (1, 4, 5)
