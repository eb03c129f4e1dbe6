"""Labels as ROIs of ImageJ and back, to the pixel, and files that are damaged or hostile."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi, roiread
from skimage.draw import disk, polygon2mask

from napari_unet.images import Image, rois
from napari_unet.images.outlines import fill, trace
from napari_unet.images.rois import LARGEST_COORDINATE, read_rois, write_rois

SMALL = arrays.arrays(np.int32, st.tuples(*[st.integers(1, 9)] * 2), elements=st.integers(-1, 3))


def image(labels: np.ndarray, axes: str = "YX") -> Image:
    return Image(labels, axes)


@pytest.fixture
def labels() -> np.ndarray:
    """A disc; one with a hole that holds a third; two parts; pixels that touch by corners."""
    drawn = np.zeros((50, 60), np.uint16)
    drawn[disk((12, 12), 9)] = 3
    drawn[disk((35, 20), 12)] = 70
    drawn[disk((35, 20), 6)] = 0
    drawn[disk((35, 20), 3)] = 71
    drawn[5:9, 40:50] = drawn[15:20, 45:60] = 500
    drawn[30:36, 40:46] = np.eye(6) * 65_000
    drawn[49, 59] = 1
    return drawn


@settings(max_examples=150, deadline=None)
@given(SMALL)
def test_outlines_enclose_the_very_pixels(plane: np.ndarray) -> None:
    traced = dict(trace(plane))
    assert list(traced) == [number for number in np.unique(plane) if number > 0]
    for number, outlines in traced.items():
        mask = np.zeros(plane.shape, bool)
        box, inside = fill(outlines, plane.shape)
        mask[box] = inside
        np.testing.assert_array_equal(mask, plane == number)
        areas = [shoelace(outline) for outline in outlines]
        assert sum(areas) == (plane == number).sum()  # holes run the other way around
        for outline in outlines:  # corners alone, and right angles
            steps = np.roll(outline, -1, axis=0) - outline
            assert ((steps == 0).sum(axis=1) == 1).all()
            assert ((steps == 0) != (np.roll(steps, 1, axis=0) == 0)).all()


def shoelace(outline: np.ndarray) -> float:
    x, y = outline.T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2


def test_rois_filled_by_others_are_the_objects(labels: np.ndarray, tmp_path: Path) -> None:
    rois = roiread(write_rois(tmp_path / "r.zip", labels))
    assert [roi.name for roi in rois] == ["1", "3", "70", "71", "500", "65000"]
    traced, composite = ROI_TYPE.TRACED, ROI_TYPE.RECT
    kinds = [traced, traced, composite, traced, composite, composite]
    assert [roi.roitype for roi in rois] == kinds
    for roi in rois:
        mask = np.zeros(labels.shape, bool)
        for outline in roi.coordinates(multi=True):
            # Corners of pixels are half a pixel off their centres, which are whole there.
            mask ^= polygon2mask(labels.shape, outline[:, ::-1] - 0.5)
        np.testing.assert_array_equal(mask, labels == int(roi.name))
        y, x = np.nonzero(mask)
        box = (y.min(), x.min(), y.max() + 1, x.max() + 1)
        assert (roi.top, roi.left, roi.bottom, roi.right) == box


def test_there_and_back(labels: np.ndarray, tmp_path: Path) -> None:
    path = write_rois(tmp_path / "r.zip", labels)
    back, left_out = read_rois(path, image(labels))
    np.testing.assert_array_equal(back, labels)
    assert back.dtype == np.int32
    assert not left_out
    empty = write_rois(tmp_path / "none.zip", np.zeros_like(labels))
    assert not read_rois(empty, image(labels))[0].any()


@pytest.mark.parametrize(
    ("axes", "shape", "positions", "name"),
    [
        ("ZYX", (3, 8, 8), {"position": 2}, "z2-5.roi"),
        ("TYX", (3, 8, 8), {"position": 2}, "t2-5.roi"),
        ("CZYX", (2, 3, 8, 8), {"z_position": 2}, "z2-5.roi"),
        ("TZYX", (2, 3, 8, 8), {"t_position": 1, "z_position": 2}, "t1-z2-5.roi"),
        ("QTZYXS", (2, 1, 3, 8, 8, 3), {"c_position": 1, "z_position": 2}, "z2-c1-5.roi"),
    ],
)
def test_planes_are_kept(
    axes: str, shape: tuple[int, ...], positions: dict[str, int], name: str, tmp_path: Path
) -> None:
    of = Image(np.zeros(shape, np.uint8), axes)
    kept = [n for n, letter in zip(shape, axes, strict=True) if letter not in "CS"]
    stack = np.zeros(kept, np.int32)
    planes = stack.reshape(-1, 8, 8)
    planes[1, 2:4, 2:4], planes[2, 5:7, 1:6], planes[-1, 0, 0] = 5, 5, 6
    path = write_rois(tmp_path / "r.zip", stack, like=of)
    back, _ = read_rois(path, of)
    np.testing.assert_array_equal(back, stack)
    roi = ImagejRoi.frombytes(ZipFile(path).read(name))
    for key in ("position", "t_position", "z_position", "c_position"):
        assert getattr(roi, key) == positions.get(key, 0), key


def test_objects_beyond_sixteen_bits(tmp_path: Path) -> None:
    wide = np.zeros((3, 70_000), np.int32)
    wide[1, 100:50_000], wide[:2, LARGEST_COORDINATE - 3 : LARGEST_COORDINATE] = 1, 2
    wide[0, 69_990:], wide[2, 50:69_995] = 3, 4
    path = write_rois(tmp_path / "r.zip", wide)
    assert [roi.roitype for roi in roiread(path)] == [ROI_TYPE.TRACED] * 2 + [ROI_TYPE.RECT] * 2
    np.testing.assert_array_equal(read_rois(path, image(wide))[0], wide)


def roi_zip(path: Path, rois: dict[str, ImagejRoi]) -> Path:
    with ZipFile(path, "w") as file:
        for name, roi in rois.items():
            file.writestr(name, roi.tobytes())
    return path


def test_rois_drawn_in_imagej(tmp_path: Path) -> None:
    square = ImagejRoi(roitype=ROI_TYPE.RECT, top=2, left=3, bottom=6, right=9, position=9)
    oval = ImagejRoi(roitype=ROI_TYPE.OVAL, top=10, left=10, bottom=20, right=20, name="0015-0015")
    fine = ImagejRoi.frompoints([[20.4, 3.4], [24.6, 3.4], [24.6, 6.6], [20.4, 6.6]], name="7")
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5, name="a line")
    text = ImagejRoi(roitype=ROI_TYPE.RECT, subtype=ROI_SUBTYPE.TEXT, bottom=9, right=9, name="t")
    away = ImagejRoi(roitype=ROI_TYPE.RECT, top=90, left=90, bottom=95, right=95, name="12")
    rois = {"x/1.roi": square, "b.roi": oval, "c.roi": fine, "d.roi": line, "e.roi": text}
    path = roi_zip(tmp_path / "r.zip", {**rois, "f.roi": away})
    drawn, left_out = read_rois(path, image(np.zeros((30, 30))))
    assert left_out == ["a line", "t", "12"]
    # By its file's name, as the ROI Manager does; by its own; the next that is free.
    expected = np.zeros((30, 30), np.int32)
    expected[2:6, 3:9], expected[3:7, 20:25] = 1, 7
    y, x = np.mgrid[:30, :30]
    expected[(y - 14.5) ** 2 + (x - 14.5) ** 2 < 25] = 2
    np.testing.assert_array_equal(drawn, expected)
    single = tmp_path / "4.roi"
    single.write_bytes(square.tobytes())
    stack, _ = read_rois(single, image(np.zeros((2, 30, 30)), "ZYX"))
    assert not stack.any()  # it is in the ninth plane
    square.position = 0
    single.write_bytes(square.tobytes())
    stack, _ = read_rois(single, image(np.zeros((2, 30, 30)), "ZYX"))
    assert (stack[:, 2:6, 3:9] == 4).all()


def test_nothing_is_written_outside_of_the_folder(labels: np.ndarray, tmp_path: Path) -> None:
    square = ImagejRoi(roitype=ROI_TYPE.RECT, bottom=6, right=9)
    inner = tmp_path / "inner"
    inner.mkdir()
    names = ["../../3.roi", "/tmp/4.roi", "..\\5.roi", "__MACOSX/._6.roi", "notes.txt"]
    path = roi_zip(inner / "r.zip", dict.fromkeys(names, square))
    drawn, _ = read_rois(path, image(labels))
    assert set(np.unique(drawn)) == {0, 5}
    assert [p.name for p in tmp_path.rglob("*")] == ["inner", "r.zip"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_half_a_file_is_told(labels: np.ndarray, tmp_path: Path, share: float) -> None:
    path = write_rois(tmp_path / "r.zip", labels)
    with ZipFile(path) as file:
        rois = {name: file.read(name) for name in file.namelist()}
    for name, data in rois.items():
        half = tmp_path / name
        half.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ValueError, match=r"cannot be read \(.*save it again in ImageJ"):
            read_rois(half, image(labels))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"r.zip cannot be read as a ZIP file of ROIs"):
        read_rois(path, image(labels))


def composite(*floats: float) -> ImagejRoi:
    path = np.array(floats, np.float32)
    return ImagejRoi(roitype=ROI_TYPE.RECT, shape_roi_size=path.size, multi_coordinates=path)


@pytest.mark.parametrize(
    "roi",
    [
        composite(0, 1, np.nan, 1, 5, 5, 1, 9, 9, 4),
        composite(4, 4, 4),
        composite(2, 1, 1, 2, 2, 4),
        composite(0, 1),
    ],
)
def test_outlines_that_are_none_are_told(roi: ImagejRoi, tmp_path: Path) -> None:
    path = roi_zip(tmp_path / "r.zip", {"1.roi": roi})
    with pytest.raises(ValueError, match=r"r.zip cannot be read \(1: "):
        read_rois(path, image(np.zeros((9, 9))))


def test_a_zip_of_more_than_the_memory_takes_is_told(
    labels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rois(tmp_path / "r.zip", labels)
    with ZipFile(path) as file:
        size = sum(entry.file_size for entry in file.infolist())
    monkeypatch.setattr(rois, "LARGEST", size)
    read_rois(path, image(labels))
    monkeypatch.setattr(rois, "LARGEST", size - 1)
    with pytest.raises(ValueError, match=rf"it would unpack to {size:,} bytes; {size - 1:,} are"):
        read_rois(path, image(labels))


def test_numbers_that_would_not_come_back_are_refused(tmp_path: Path) -> None:
    labels = np.array([[0, 4_000_000_001]], np.uint32)
    with pytest.raises(ValueError, match="there is the label 4000000001"):
        write_rois(tmp_path / "a.zip", labels)
    assert not list(tmp_path.iterdir())


def test_other_files_are_told(labels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_rois(tmp_path / "no.zip", image(labels))
    other = roi_zip(tmp_path / "other.zip", {"a.txt": composite(4)})
    with pytest.raises(ValueError, match="it holds no file named"):
        read_rois(other, image(labels))
    text = tmp_path / "a.txt"
    text.write_text("text")
    with pytest.raises(ValueError, match="holds no ROIs: give a"):
        read_rois(text, image(labels))
    with pytest.raises(ValueError, match="its name end in"):
        write_rois(text, labels)
    with pytest.raises(ValueError, match="float64 are not whole"):
        write_rois(tmp_path / "r.zip", labels.astype(float))
    assert not (tmp_path / "r.zip").exists()
