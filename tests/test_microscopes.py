"""Files of microscopes: written here for the true readers, and readers that stand in for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from struct import pack
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_unet.batch import plan
from napari_unet.images import find_images, read_image, scenes_of


class File:
    """What bioio makes of a file, as far as it is used here."""

    def __init__(self, path: Path, reader: object) -> None:
        text = path.read_text()
        if text == "damaged":
            raise RuntimeError("no such chunk\nin line 3")
        self.scenes = tuple(text.split(","))
        self.reader, self._scene = reader, 0

    def set_scene(self, index: int) -> None:
        self._scene = index

    @property
    def data(self) -> np.ndarray:
        stack = np.zeros((1, 2, 3, 8, 9), np.uint16)
        return stack + self._scene

    @property
    def dims(self) -> Any:
        return SimpleNamespace(order="TCZYX", shape=(1, 2, 3, 8, 9))

    @property
    def physical_pixel_sizes(self) -> Any:
        return SimpleNamespace(X=0.25, Y=0.25, Z=0.0)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {"bioio": {"BioImage": File}, "bioio_lif": {"Reader": "lif"}}.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "bioio_nd2", None)


def lif(folder: Path, text: str, name: str = "a.lif") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.usefixtures("readers")
def test_one_image_is_read_with_its_axes_and_sizes(tmp_path: Path) -> None:
    path = lif(tmp_path, "only")
    image = read_image(path)
    assert (image.axes, image.data.shape, image.source) == ("CZYX", (2, 3, 8, 9), path)
    assert (image.pixel_size, image.spacing) == (0.25, None)
    assert [job.labels.name for job in plan([path], None)] == ["a_labels.tif"]


@pytest.mark.usefixtures("readers")
def test_each_scene_is_an_image(tmp_path: Path) -> None:
    path = lif(tmp_path, "Series 1,Pos/2,Pos 2,")
    names = ("Series_1", "Pos_2_2", "Pos_2_3", "4")
    assert scenes_of(path) == names
    jobs = plan([path], None, ome=True)
    assert [job.labels.name for job in jobs] == [f"a_{name}_labels.ome.tif" for name in names]
    assert jobs[1].objects.name == "a_Pos_2_2_objects.csv"
    assert read_image(path, scene=jobs[2].scene).data.max() == 2
    with pytest.raises(ValueError, match=r"holds 4 images .*and one is needed"):
        read_image(path)
    with pytest.raises(ValueError, match="holds no image 'x', but Series_1"):
        read_image(path, scene="x")
    with pytest.raises(ValueError, match="one file, and there are 4 images"):
        plan([path], tmp_path / "out.tif")


@pytest.mark.usefixtures("readers")
def test_what_cannot_be_read_is_told_in_its_turn(tmp_path: Path) -> None:
    missing, broken = lif(tmp_path, "x", "b.nd2"), lif(tmp_path, "damaged", "c.lif")
    assert find_images([tmp_path]) == [missing, broken]
    assert [job.scene for job in plan([missing, broken], None)] == [None, None]
    with pytest.raises(ValueError, match=r"b\.nd2 is read by bioio-nd2, .*: pip install '.*micro"):
        read_image(missing)
    with pytest.raises(ValueError, match=r"c\.lif cannot be read as an image \(no such chunk\):"):
        read_image(broken)


def test_a_czi_file(tmp_path: Path) -> None:
    pytest.importorskip("bioio_czi", reason="needs the extra microscopes")
    czi = pytest.importorskip("pylibCZIrw.czi", reason="needs pylibCZIrw")
    path = tmp_path / "a.czi"
    stack = np.random.default_rng(0).integers(0, 255, (3, 20, 30), np.uint8)
    with czi.create_czi(str(path)) as file:
        for z, plane in enumerate(stack):
            file.write(plane, plane={"C": 0, "Z": z, "T": 0})
        file.write_metadata("a", scale_x=5e-7, scale_y=5e-7, scale_z=2e-6)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, stack)
    assert image.axes == "ZYX"
    assert (image.pixel_size, image.spacing) == pytest.approx((0.5, 2.0))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"a\.czi cannot be read as an image") as error:
        read_image(path)
    assert "\n" not in str(error.value)


def write_lif(path: Path, images: Mapping[str, np.ndarray], height: float = 5e-7) -> Path:
    """Write 8-bit stacks (Z, Y, X) as Leica's software lays them out, of 0.5 x 0.5 x 2 um."""
    elements, pixels = "", b""
    for number, (name, stack) in enumerate(images.items()):
        z, y, x = stack.shape
        axes = ((1, x, 5e-7, 1), (2, y, height, x), (3, z, 2e-6, x * y))
        dimensions = "".join(
            f'<DimensionDescription DimID="{axis}" NumberOfElements="{n}" Origin="0" Unit="m"'
            f' Length="{(n - 1) * step}" BitInc="0" BytesInc="{bytes_}"/>'
            for axis, n, step, bytes_ in axes
        )
        elements += (
            f'<Element Name="{name}"><Data><Image><ImageDescription><Channels><ChannelDescription'
            ' DataType="0" ChannelTag="0" Resolution="8" NameOfMeasuredQuantity="" Min="0"'
            ' Max="255" Unit="" LUTName="Gray" IsLUTInverted="0" BytesInc="0" BitInc="0"/>'
            f"</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>"
            f'</Image></Data><Memory Size="{stack.nbytes}" MemoryBlockID="M{number}"/></Element>'
        )
        called = f"M{number}".encode("utf-16-le")
        sizes = pack("<qc", stack.nbytes, b"*") + pack("<i", len(called) // 2) + called
        pixels += pack("<iic", 0x70, 1 + len(sizes), b"*") + sizes + stack.tobytes()
    text = (
        f'<LMSDataContainerHeader Version="2"><Element Name="{path.name}"><Children>{elements}'
        "</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = pack("<iic", 0x70, 5 + len(text), b"*") + pack("<i", len(text) // 2)
    path.write_bytes(head + text + pixels)
    return path


def test_a_lif_file(tmp_path: Path) -> None:
    pytest.importorskip("bioio_lif", reason="needs the extra microscopes")
    stack = np.random.default_rng(0).integers(0, 255, (3, 20, 30), np.uint8)
    path = write_lif(tmp_path / "a.lif", {"Series 1": stack, "Series 2": stack[2:]})
    assert [job.scene for job in plan([path], None)] == ["Series_1", "Series_2"]
    image, plane = (read_image(path, scene=scene) for scene in scenes_of(path))
    np.testing.assert_array_equal(image.data, stack)
    np.testing.assert_array_equal(plane.data, stack[2])
    assert (image.axes, plane.axes) == ("ZYX", "YX")
    assert (image.pixel_size, image.spacing) == pytest.approx((0.5, 2.0))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"a\.lif cannot be read as an image") as error:
        read_image(path)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("readers")
def test_height_and_width_of_a_pixel_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lif(tmp_path, "only")
    for stated, read in (((0.5, 0.25), (0.5, 0.25)), ((None, 0.25), (0.25, 0.25)), ((0, 0), None)):
        sizes = SimpleNamespace(Y=stated[0], X=stated[1], Z=None)
        monkeypatch.setattr(File, "physical_pixel_sizes", sizes)
        assert read_image(path).pixel_sides == read


def test_pixels_that_are_no_squares_in_true_files(tmp_path: Path) -> None:
    pytest.importorskip("bioio_lif", reason="needs the extra microscopes")
    stack = np.zeros((2, 20, 30), np.uint8)
    path = write_lif(tmp_path / "a.lif", {"only": stack}, height=2e-6)
    assert read_image(path).pixel_sides == pytest.approx((2.0, 0.5))
    pytest.importorskip("bioio_czi", reason="needs the extra microscopes")
    czi = pytest.importorskip("pylibCZIrw.czi", reason="needs pylibCZIrw")
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as file:
        file.write(stack[0], plane={"C": 0, "Z": 0, "T": 0})
        file.write_metadata("a", scale_x=5e-7, scale_y=2e-6)
    assert read_image(path).pixel_sides == pytest.approx((2.0, 0.5))
