"""Any image to the network's input: axes, channels, gray values, object size; and labels back."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.transform import resize

from napari_unet.config import Preprocessing
from napari_unet.preprocessing import (
    ChannelStack,
    Frame,
    Normalisation,
    Planes,
    ScaledPlane,
    as_planes,
    guess_axes,
    measure,
    normalisation,
    rescale,
    restore,
    scale,
    scaled_shape,
    zoom_factor,
)
from napari_unet.tiling import outside

GRAY = Preprocessing()
TWO = Preprocessing(channels=2)
Image = NDArray[np.generic]
modest = settings(max_examples=40, deadline=None)


def random(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random(shape)


def blobs(dtype: str = "uint8", low: float = 20, high: float = 220, n: int = 40) -> Image:
    """Two bright disks on a dark, slightly noisy background."""
    rows, columns = np.indices((n, n + 3))
    disks = ((rows - 12) ** 2 + (columns - 12) ** 2 < 40) | (
        (rows - 28) ** 2 + (columns - 25) ** 2 < 60
    )
    noise = random(n, n + 3) * 0.02
    return ((disks + noise) * (high - low) / 1.02 + low).astype(dtype)


def normalised(
    image: Image,
    rule: Preprocessing = GRAY,
    axes: str | None = None,
    channel: tuple[int, ...] | None = None,
) -> NDArray[np.float32]:
    """Return all planes of an image, normalised: (N, C, Y, X)."""
    planes = as_planes(image, rule, axes, channel)
    normalise = measure(planes, rule)
    return np.stack([normalise(p) for p in planes])


# Axes


@pytest.mark.parametrize(
    ("shape", "channel", "axes"),
    [
        ((1, 1), None, "YX"),
        ((5, 3), None, "YX"),
        ((5, 3), (0,), "YX"),
        ((64, 48, 3), None, "YXS"),
        ((64, 48, 4), None, "YXS"),
        ((64, 48, 1), None, "YXS"),
        ((64, 48, 2), None, "QYX"),
        ((64, 48, 3), (1,), "YXS"),
        ((3, 64, 48), None, "QYX"),
        ((3, 64, 48), (1,), "CYX"),
        ((9, 4, 3), None, "QYX"),  # 4 is too narrow for a picture
        ((9, 5, 3), None, "YXS"),
        ((7, 64, 48, 3), None, "QYXS"),
        ((7, 2, 64, 48), None, "QQYX"),
        ((7, 2, 64, 48), (0, 1), "QCYX"),
        ((5, 7, 2, 64, 48), (1,), "QQCYX"),
        ((5, 7, 2, 64, 48), None, "QQQYX"),
    ],
)
def test_axes_are_guessed_from_the_shape(
    shape: tuple[int, ...], channel: tuple[int, ...] | None, axes: str
) -> None:
    assert guess_axes(shape, channel) == axes


@pytest.mark.parametrize("shape", [(), (7,)])
def test_shape_without_height_and_width_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        guess_axes(shape)
    assert str(caught.value) == (
        f"An image of shape {shape} has no height and width: give an array of 2 dimensions or more."
    )


LENGTHS = {"T": 2, "Z": 3, "Q": 2, "C": 4, "S": 3, "Y": 5, "X": 6}
ORDERS = ["YX", "XY", "ZCYX", "CZYX", "TZCYX", "YXC", "YXS", "XCY", "CYXZ", "TYXS", "ZYXT", "ZCYXS"]


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@pytest.mark.parametrize("axes", ORDERS)
def test_planes_are_found_whatever_the_order_of_axes(axes: str, lazy: bool) -> None:
    shape = tuple(LENGTHS[a] for a in axes)
    image = np.arange(np.prod(shape)).reshape(shape)
    planes = Planes(da.from_array(image, chunks=2) if lazy else image, axes)
    walked = [a for a in axes if a not in "CSYX"]
    channels = [a for a in axes if a in "CS"]
    ordered = np.einsum(f"{axes}->{''.join([*walked, *channels, 'Y', 'X'])}", image)
    assert planes.leading == tuple(LENGTHS[a] for a in walked)
    assert planes.plane_shape == (5, 6)
    assert planes.available == np.prod([LENGTHS[a] for a in channels], dtype=int)
    expected = ordered.reshape(len(planes), planes.available, 5, 6)
    np.testing.assert_array_equal(np.stack([np.asarray(p) for p in planes]), expected)
    chosen = Planes(planes.data, axes, (planes.available - 1, 0))
    np.testing.assert_array_equal(np.asarray(chosen[len(chosen) - 1]), expected[-1, [-1, 0]])


def test_axes_may_be_lower_case_and_are_checked() -> None:
    assert as_planes(random(2, 4, 5), GRAY, "tyx").leading == (2,)
    for axes in ("YX", "ZYXC", "ZZZ", "YYX"):
        with pytest.raises(ValueError) as caught:
            as_planes(random(2, 4, 5), GRAY, axes)
        assert str(caught.value) == (
            f"axes = {axes!r} do not fit an image of shape (2, 4, 5): give one letter a dimension,"
            " with Y and X once each."
        )


def test_planes_are_not_read_before_they_are_used() -> None:
    def refuse(block: Image) -> Image:
        raise AssertionError("read")

    lazy = da.zeros((3, 2, 64, 64), np.uint16, chunks=(1, 1, 32, 32)).map_blocks(
        refuse, dtype=np.uint16, meta=np.empty((0, 0, 0, 0), np.uint16)
    )
    planes = as_planes(lazy, TWO, "ZCYX")
    assert planes[2].shape == (2, 64, 64)


def test_normalising_a_part_reads_no_more_than_it(tmp_path: Path) -> None:
    read: list[int] = []

    def watch(block: Image) -> Image:
        read.append(block.size)
        return block

    lazy = da.from_array(blobs(n=64), chunks=16).map_blocks(watch, meta=np.empty((0, 0), np.uint8))
    planes = as_planes(lazy, GRAY)
    Normalisation((0.0,), (255.0,))(planes[0][:, :16, :16])
    assert sum(read) == 256


# What is refused


@pytest.mark.parametrize("dtype", ["complex64", "U3", "O", "M8[s]", "V4"])
def test_type_that_is_no_image_is_told(dtype: str) -> None:
    with pytest.raises(ValueError) as caught:
        as_planes(np.zeros((4, 4), dtype), GRAY)
    assert str(caught.value) == (
        f"An image of type {np.dtype(dtype)} cannot be segmented: convert it to real numbers (for"
        " complex data, take the magnitude)."
    )


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 4, 4)])
def test_empty_image_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        as_planes(np.zeros(shape), GRAY)
    assert str(caught.value) == f"The image is empty: its shape is {shape}."


@pytest.mark.parametrize(
    ("shape", "axes", "rule", "channel", "message"),
    [
        (
            (3, 8, 9),
            "CYX",
            GRAY,
            None,
            "The model takes 1 channel and the image of shape (3, 8, 9) and axes CYX gives 3:"
            " choose 1 of 3 with channel (--channel), counted from 0.",
        ),
        (
            (3, 8, 9),
            "CYX",
            TWO,
            (1,),
            "The model takes 2 channels and the image of shape (3, 8, 9) and axes CYX gives 1:"
            " choose 2 of 3 with channel (--channel), counted from 0.",
        ),
        (
            (8, 9),
            None,
            TWO,
            None,
            "The model takes 2 channels and the image of shape (8, 9) and axes YX gives 1:"
            " name the axis of its channels C in axes, or use another model.",
        ),
        (
            (8, 9, 4),
            None,
            Preprocessing(channels=3),
            None,
            "The model takes 3 channels and the image of shape (8, 9, 4) and axes YXS gives 4:"
            " choose 3 of 4 with channel (--channel), counted from 0.",
        ),
        (
            (3, 8, 9),
            None,
            GRAY,
            (3,),
            "channel = 3 does not exist: the image of shape (3, 8, 9) and axes CYX has 3, counted"
            " from 0.",
        ),
        (
            (8, 9),
            None,
            GRAY,
            (-1,),
            "channel = -1 does not exist: the image of shape (8, 9) and axes YX has 1, counted"
            " from 0.",
        ),
    ],
)
def test_channels_that_do_not_fit_are_told(
    shape: tuple[int, ...],
    axes: str | None,
    rule: Preprocessing,
    channel: tuple[int, ...] | None,
    message: str,
) -> None:
    with pytest.raises(ValueError) as caught:
        as_planes(np.zeros(shape), rule, axes, channel)
    assert str(caught.value) == message


# Channels


def test_chosen_channel_is_that_channel() -> None:
    image = random(3, 20, 21)
    np.testing.assert_array_equal(normalised(image, channel=(1,)), normalised(image[1]))
    np.testing.assert_array_equal(
        normalised(image.transpose(1, 2, 0), channel=(1,)), normalised(image[1])
    )


def test_two_channels_are_normalised_each_by_its_own_range() -> None:
    image = random(2, 20, 21) ** 4 * np.array([1, 1000])[:, None, None]  # dark, most of it
    for seen in (normalised(image, TWO), normalised(image, TWO, "CYX", (0, 1))):
        np.testing.assert_array_equal(seen[0, 0], normalised(image[0])[0, 0])
        np.testing.assert_array_equal(seen[0, 1], normalised(image[1])[0, 0])
    np.testing.assert_array_equal(normalised(image, TWO, "CYX", (1, 0)), seen[:, ::-1])


def test_one_of_the_colours_can_be_chosen() -> None:
    image = random(20, 21, 3)
    np.testing.assert_array_equal(normalised(image, channel=(2,)), normalised(image[..., 2]))


def test_trailing_axis_of_length_one_is_a_channel() -> None:
    image = random(20, 21)
    np.testing.assert_array_equal(normalised(image[..., None]), normalised(image))


def test_colour_is_reduced_to_luminance_and_opacity_ignored() -> None:
    image = random(20, 21, 3)
    image[4:9, 4:9] += 4  # bright on dark
    planes = as_planes(image, GRAY)
    normalise = measure(planes, GRAY)
    assert (normalise.mix, normalise.invert) == ((0.299, 0.587, 0.114), False)
    luminance = image @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(normalise(planes[0]), normalised(luminance)[0], atol=1e-6)
    opacity = np.full((20, 21, 1), np.nan)
    rgba = np.concatenate([image, opacity], axis=2)
    np.testing.assert_array_equal(normalised(rgba), normalised(image))


# Gray values


DTYPES = [
    *("uint8", "uint16", ">u2", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", ">f4", "float64", ">f8"),
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_gives_the_same_input(dtype: str) -> None:
    image = blobs()
    result = normalised(image.astype(dtype))
    assert result.dtype == np.float32
    assert result.dtype.isnative
    np.testing.assert_allclose(result, normalised(image), atol=1e-6)


def test_negative_values_count() -> None:
    image = blobs("int16", -3000, -1000)
    np.testing.assert_allclose(
        normalised(image), normalised((image.astype(int) + 3000).astype(np.uint16)), atol=1e-6
    )


def test_bool_becomes_zero_and_one() -> None:
    image = np.zeros((40, 40), bool)
    image[:10] = True
    np.testing.assert_array_equal(normalised(image)[0, 0], image.astype(np.float32))


@pytest.mark.parametrize(("dtype", "offset"), [("uint32", 4_000_000_000), ("float64", 1e12)])
def test_small_range_far_from_zero_keeps_its_steps(dtype: str, offset: float) -> None:
    image = blobs()
    far = (image.astype(np.float64) + offset).astype(dtype)
    np.testing.assert_allclose(normalised(far), normalised(image), atol=1e-6)


def test_percentiles_become_0_and_1() -> None:
    image = np.arange(10_000.0).reshape(100, 100) / 9_999 * 100  # percentiles are the values
    result = normalised(image, Preprocessing(low=10, high=60, invert_bright=False))[0, 0]
    np.testing.assert_allclose(result, (image - 10) / 50, atol=1e-6)


@modest
@given(
    st.integers(0, 100),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["YX", "YXS", "dark", "float64"]),
)
def test_part_normalised_by_the_whole_is_part_of_the_normalised_whole(
    seed: int, y: int, x: int, height: int, width: int, kind: str
) -> None:
    shape = (37, 41, 3) if kind in ("YXS", "dark") else (37, 41)
    image = random(*shape, seed=seed)
    if kind == "dark":
        image[5:9] /= 4
    image = image if kind == "float64" else (image * 60_000).astype(np.uint16)
    planes = as_planes(image, GRAY)
    normalise = measure(planes, GRAY)
    part = (slice(None), slice(y, y + height), slice(x, x + width))
    np.testing.assert_array_equal(normalise(planes[0][part]), normalise(planes[0])[part])


@pytest.mark.parametrize("kind", ["memmap", "dask", "strided"])
def test_lazy_images_give_the_same_input(tmp_path: Path, kind: str) -> None:
    image = (random(3, 2, 20, 21) * 1000).astype(np.uint16)
    lazy: object = image
    if kind == "memmap":
        image.tofile(tmp_path / "image.raw")
        lazy = np.memmap(tmp_path / "image.raw", np.uint16, "r", shape=image.shape)
    elif kind == "dask":
        lazy = da.from_array(image, chunks=(1, 1, 7, 8))
    else:
        lazy = np.repeat(image, 2, axis=3)[..., ::2]
    seen = normalised(lazy, TWO, "ZCYX", (1, 0))  # type: ignore[arg-type]
    np.testing.assert_array_equal(seen, normalised(image, TWO, "ZCYX", (1, 0)))
    if isinstance(lazy, np.memmap):
        assert np.array_equal(lazy, image)  # read-only, and not tried to be written to


def test_image_itself_is_not_changed() -> None:
    image = random(20, 20).astype(np.float32)
    before = image.copy()
    normalised(image)
    np.testing.assert_array_equal(image, before)


def test_planes_of_a_stack_share_their_statistics() -> None:
    stack = np.stack([blobs(), blobs() // 4])
    normalise = measure(as_planes(stack, GRAY), GRAY)
    values = stack.astype(float)
    assert normalise.low == pytest.approx((np.percentile(values, 1.0),))
    assert normalise.high == pytest.approx((np.percentile(values, 99.8),))
    result = normalised(stack)
    assert result[1].max() < 0.3 < result[0].max()


def test_values_that_are_not_finite_become_background_and_do_not_count() -> None:
    image = blobs("float32").copy()
    expected = normalised(image)
    holes = image.copy()
    holes[12, 12], holes[0, 0], holes[28, 25] = np.nan, np.inf, -np.inf
    result = normalised(holes)
    assert np.isfinite(result).all()
    assert result[0, 0, 12, 12] == result[0, 0, 0, 0] == result[0, 0, 28, 25] == 0
    fine = np.isfinite(holes)
    np.testing.assert_allclose(result[0, 0][fine], expected[0, 0][fine], atol=1e-2)


def test_values_that_are_not_finite_are_dark_in_an_inverted_image_too() -> None:
    image = 255 - blobs("float32").astype(np.float32)
    image[0, 0] = np.nan
    assert measure(as_planes(image, GRAY), GRAY).invert
    assert normalised(image)[0, 0, 0, 0] == 0


@pytest.mark.parametrize("invert", [True, False])
@pytest.mark.parametrize("value", [0, 7, -5, 1e30, np.nan, np.inf, -np.inf])
def test_constant_image_is_all_background(value: float, invert: bool) -> None:
    image = np.full((9, 8), value)
    for dtype in (np.float32, np.float64):
        result = normalised(image.astype(dtype), Preprocessing(invert_bright=invert))
        np.testing.assert_array_equal(result, np.zeros((1, 1, 9, 8), np.float32))


def test_single_pixel_is_all_background() -> None:
    np.testing.assert_array_equal(normalised(np.array([[200]], np.uint8)), [[[[0]]]])


def test_enormous_values_do_no_harm() -> None:
    image = random(30, 30)
    image[3, 3], image[4, 4] = 1e300, -1e300
    result = normalised(image)
    assert np.isfinite(result).all()
    assert result[0, 0, 3, 3] == result[0, 0, 4, 4] == 0


@pytest.mark.parametrize("background", [0, 100])
def test_few_bright_pixels_in_an_empty_image_are_seen(background: int) -> None:
    image = np.full((100, 100), background, np.uint8)
    image[50, 50:53] = 200  # fewer than the 0.2 % above the high percentile
    result = normalised(image)[0, 0]
    np.testing.assert_array_equal(result, (image == 200).astype(np.float32))


# Large images


def test_statistics_are_exact_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = random(30, 10, 10)
    monkeypatch.setattr(normalisation, "SAMPLE_PIXELS", 3000)
    normalise = measure(as_planes(stack, GRAY), GRAY)
    assert normalise.low[0] == np.percentile(stack, 1.0)
    assert normalise.high[0] == np.percentile(stack, 99.8)


def test_large_image_is_sampled_on_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    image = random(90, 100)
    monkeypatch.setattr(normalisation, "SAMPLE_PIXELS", 1000)
    normalise = measure(as_planes(image, GRAY), GRAY)
    assert normalise.high[0] == np.percentile(image[::3, ::3], 99.8)


def test_large_stack_is_sampled_from_first_to_last_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = random(61, 8, 8)
    monkeypatch.setattr(normalisation, "SAMPLE_PIXELS", 256)
    normalise = measure(as_planes(stack, GRAY), GRAY)
    assert normalise.low[0] == np.percentile(stack[::4, ::2, ::2], 1.0)


@modest
@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.integers(1, 5000))
def test_sample_is_never_much_larger_than_the_limit(
    count: int, height: int, width: int, limit: int
) -> None:
    planes = as_planes(np.zeros((count, height, width), np.uint8), GRAY, "ZYX")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalisation, "SAMPLE_PIXELS", limit)
        (values,) = normalisation._sample(planes, None)
    step = max(1, int(np.ceil(np.sqrt(min(count, max(16, limit)) * height * width / limit))))
    assert 1 <= values.size <= limit + 16 * step * (height + width + step)
    if count * height * width <= limit:
        assert values.size == count * height * width


# Bright field


def test_bright_field_gray_image_is_turned_round() -> None:
    image = blobs()
    dark_on_bright = (255 - image.astype(int)).astype(np.uint8)
    normalise = measure(as_planes(dark_on_bright, GRAY), GRAY)
    assert normalise.invert
    assert not measure(as_planes(image, GRAY), GRAY).invert
    seen = normalised(dark_on_bright)[0, 0]
    assert seen[12, 12] > 0.9
    assert np.median(seen) < 0.2
    kept = normalised(dark_on_bright, Preprocessing(invert_bright=False))
    np.testing.assert_allclose(seen, 1 - kept[0, 0], atol=1e-6)


def test_crowded_objects_do_not_pass_for_a_bright_background() -> None:
    random = np.random.default_rng(0)
    image = np.full((60, 60), 10.0)
    for row in range(0, 60, 10):  # 36 objects of many gray values cover 81 of 100 pixels
        for column in range(0, 60, 10):
            image[row : row + 9, column : column + 9] = random.uniform(60, 250)
    assert not measure(as_planes(image.astype(np.uint8), GRAY), GRAY).invert
    assert measure(as_planes((255 - image).astype(np.uint8), GRAY), GRAY).invert


def test_noise_does_not_pass_for_a_bright_background() -> None:
    image = blobs().astype(float)
    noise = np.random.default_rng(0).normal(0, 0.4 * np.ptp(image), image.shape)
    assert not measure(as_planes(image + noise, GRAY), GRAY).invert


def test_stained_section_shows_by_its_red() -> None:
    image = np.full((40, 43, 3), 235, np.uint8)
    image[5:15, 5:15] = (90, 70, 150)  # hematoxylin: nuclei
    image[20:35, 5:38] = (230, 120, 160)  # eosin: cytoplasm, dark in green alone
    for picture in (image, np.dstack([image, np.full((40, 43), 255, np.uint8)])):
        planes = as_planes(picture, GRAY)
        normalise = measure(planes, GRAY)
        assert normalise.invert
        assert normalise.mix is not None
        assert normalise.mix[:3] == (1.0, 0.0, 0.0)
        seen = normalise(planes[0])[0]
        assert seen[10, 10] > 0.9
        assert seen[25, 20] < 0.1
        assert seen[1, 1] < 0.1


# Object size


@pytest.mark.parametrize(
    ("diameter", "pixel_size", "expected"),
    [(None, None, 1.0), (40.0, None, 0.5), (10.0, None, 2.0), (None, 1.0, 2.0), (None, 0.25, 0.5)],
)
def test_zoom_brings_objects_to_the_trained_size(
    diameter: float | None, pixel_size: float | None, expected: float
) -> None:
    rule = Preprocessing(diameter=20.0, pixel_size=0.5)
    assert zoom_factor(rule, diameter, pixel_size) == expected


def test_pixel_size_without_the_models_own_is_told() -> None:
    with pytest.raises(ValueError, match=r"pixel_size = 0.1 cannot be used: .* diameter"):
        zoom_factor(Preprocessing(diameter=20.0), pixel_size=0.1)


def test_diameter_without_the_models_own_is_told() -> None:
    with pytest.raises(ValueError) as caught:
        zoom_factor(Preprocessing(), diameter=30.0)
    assert str(caught.value) == (
        "diameter = 30.0 cannot be used: the model does not state the object diameter it was"
        " trained at; leave the diameter out."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diameter": 0.25}, "diameter = 0.25 would resize the image by 80 "),
        ({"diameter": 5000.0}, "diameter = 5000.0 would resize the image by 0.004 "),
        ({"pixel_size": 352.8}, "pixel_size = 352.8 would resize the image by 706 "),
    ],
)
def test_absurd_object_size_is_told(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        zoom_factor(Preprocessing(diameter=20.0, pixel_size=0.5), **options)
    assert str(caught.value) == (
        f"{message}to fit the model: check it and its unit (a diameter is in pixels, a pixel size"
        " in micrometres)."
    )


@modest
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 4), st.integers(1, 2))
def test_rescaling_and_back_has_the_shape_of_the_image(
    height: int, width: int, zoom: float, channels: int
) -> None:
    plane = random(channels, height, width).astype(np.float32)
    small = rescale(plane, zoom)
    assert small.dtype == np.float32
    assert small.shape == (
        channels,
        max(1, round(height * zoom)),
        max(1, round(width * zoom)),
    )
    assert plane.min() - 1e-6 <= small.min()
    assert small.max() <= plane.max() + 1e-6
    labels = np.arange(small[0].size, dtype=np.int32).reshape(small.shape[1:])
    back = restore(labels, (height, width))
    assert back.shape == (height, width)
    assert back.dtype == np.int32
    assert set(np.unique(back)) <= set(np.unique(labels))


@modest
@given(st.integers(2, 60), st.integers(2, 60), st.floats(0.15, 4))
def test_resizing_is_that_of_scikit_image(height: int, width: int, zoom: float) -> None:
    plane = random(1, height, width).astype(np.float32)
    shape = scaled_shape((height, width), zoom)
    options = {"order": 1, "mode": "reflect"}
    sides = zip((height, width), shape, strict=True)
    sigma = [max(0, (n / m - 1) / 2) for n, m in sides]
    smooth = {"anti_aliasing": any(sigma), "anti_aliasing_sigma": sigma if any(sigma) else None}
    expected = resize(plane[0], shape, **options, **smooth)
    np.testing.assert_allclose(rescale(plane, zoom)[0], expected, atol=2e-6)


@modest
@given(st.floats(0.2, 3), st.integers(0, 2**32 - 1))
def test_parts_of_a_resized_plane_are_those_of_the_whole(zoom: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane = rng.integers(0, 255, (2, *rng.integers(8, 50, 2))).astype(np.uint8)
    scaled = ScaledPlane(plane, lambda part: part.astype(np.float32) / 255, zoom, 2)
    whole = scaled[(slice(None),) * 3]
    assert whole.shape == scaled.shape
    starts = [int(rng.integers(0, n)) for n in whole.shape[1:]]
    part = [
        slice(a, int(rng.integers(a, n)) + 1) for a, n in zip(starts, whole.shape[1:], strict=True)
    ]
    np.testing.assert_array_equal(scaled[(slice(None), *part)], whole[:, part[0], part[1]])


@pytest.mark.parametrize("zoom", [1 / 32, 0.1, 0.4])
def test_what_is_shrunk_is_read_a_band_at_a_time(
    monkeypatch: pytest.MonkeyPatch, zoom: float
) -> None:
    """Bands hold no more than is allowed, or than one row needs, and nothing differs for them."""
    plane = np.random.default_rng(0).integers(0, 255, (2, 700, 300)).astype(np.uint8)
    part = (slice(None), slice(3, round(700 * zoom) - 2), slice(1, round(300 * zoom)))
    read: list[int] = []

    def normalise(pixels: Image) -> NDArray[np.float32]:
        read.append(pixels.size)
        return pixels.astype(np.float32) / 255

    scaled = ScaledPlane(plane, normalise, zoom, 2)
    expected, (at_once,) = scaled[part], read
    _ = scaled[part[0], slice(10, 11), part[2]]
    limit = max(at_once // 5, read.pop())
    monkeypatch.setattr(scale, "LARGEST_READ", limit)
    read.clear()
    np.testing.assert_array_equal(scaled[part], expected)
    assert len(read) > 1
    assert max(read) <= limit < at_once


@modest
@given(st.floats(0.2, 3), st.integers(0, 2**32 - 1))
def test_a_frame_restores_its_part_of_the_whole(zoom: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(5, 60, 2))
    labels = rng.integers(0, 99, scaled_shape(shape, zoom)).astype(np.int32)
    starts = [int(rng.integers(0, n)) for n in shape]
    region = tuple(
        slice(a, int(rng.integers(a, n)) + 1) for a, n in zip(starts, shape, strict=True)
    )
    frame = Frame(shape, region, zoom)
    restored = frame.restore(labels[frame.seen])
    assert restored.shape == frame.size
    np.testing.assert_array_equal(restored, restore(labels, shape)[region])


@modest
@given(st.floats(0.2, 3), st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_a_frame_is_drawn_tile_by_tile(zoom: float, seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(5, 60, 2))
    frame = Frame(shape, (slice(1, shape[0]), slice(2, shape[1] - 1)), zoom)
    labels = rng.integers(0, 9, scaled_shape(shape, zoom)).astype(np.int32)
    drawn = np.full(shape, -1)
    known = np.zeros_like(labels[frame.seen])
    for rows in range(0, known.shape[0], side):
        for columns in range(0, known.shape[1], side):
            tile = (slice(rows, rows + side), slice(columns, columns + side))
            known[tile] = labels[frame.seen][tile]
            part = frame.image_part(outside(tile, frame.seen))
            drawn[part] = frame.restore(known, part)
    expected = np.full(shape, -1)
    expected[frame.region] = restore(labels, shape)[frame.region]
    np.testing.assert_array_equal(drawn, expected)


def test_two_images_are_the_channels_of_one() -> None:
    nuclei, membranes = random(3, 8, 9), random(3, 8, 9)
    stack = ChannelStack([nuclei, da.from_array(membranes)])
    planes = as_planes(stack, TWO, "CZYX")
    assert (planes.leading, planes.available) == ((3,), 2)
    np.testing.assert_array_equal(planes[1], [nuclei[1], membranes[1]])


def test_channels_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \(8, 9\) and \(8, 8\) do not fit"):
        ChannelStack([random(8, 9), random(8, 8)])


def test_zoom_of_one_copies_nothing() -> None:
    plane, labels = random(1, 8, 9).astype(np.float32), np.ones((8, 9), np.int32)
    assert rescale(plane, 1.0) is plane
    assert restore(labels, (8, 9)) is labels


@pytest.mark.parametrize("factor", [2, 3])
def test_labels_enlarged_and_restored_are_the_same(factor: int) -> None:
    labels = np.random.default_rng(0).integers(0, 100_000, (7, 9)).astype(np.int32)
    large = np.kron(labels, np.ones((factor, factor), np.int32))
    np.testing.assert_array_equal(restore(large, labels.shape), labels)
    np.testing.assert_array_equal(restore(labels, large.shape), large)


@modest
@given(st.integers(1, 30), st.integers(0, 30))
def test_enlarged_labels_take_the_nearest_pixel(size: int, more: int) -> None:
    labels = np.arange(size, dtype=np.int32)[None]
    centres = (np.arange(size + more) + 0.5) * size / (size + more) - 0.5  # in pixels of `labels`
    distance = np.abs(restore(labels, (1, size + more))[0] - centres)
    assert (distance <= 0.5 + 1e-9).all()


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ([7, 7, 7, 0], 7),
        ([7, 0, 0, 7], 0),  # no more than half
        ([0, 7, 8, 7], 7),
        ([7, 8, 8, 7], 7),  # equally many: the first
        ([7, 8, 0, 9], 7),
        ([0, 8, -1, 8], 0),
        ([-1, 8, -1, 8], -1),
    ],
    ids=str,
)
def test_shrunk_labels_belong_to_what_most_of_four_pixels_do(corners, expected) -> None:
    labels = np.tile(np.array(corners, np.int32).reshape(2, 2), (3, 4))
    np.testing.assert_array_equal(restore(labels, (3, 4)), expected)


@modest
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.floats(1, 3),
    st.floats(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_shrunk_labels_are_where_the_interpolated_mask_is_above_a_half(
    height: int, width: int, tall: float, wide: float, seed: int
) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (round(height * tall), round(width * wide)))
    inner = mask.astype(np.float64)
    for axis, size in enumerate((height, width)):
        centres = (np.arange(size) + 0.5) * mask.shape[axis] / size - 0.5
        inner = np.apply_along_axis(
            lambda line, at=centres: np.interp(at, np.arange(len(line)), line), axis, inner
        )
    found = restore(mask.astype(np.int32) * 5, (height, width))
    sure = np.abs(inner - 0.5) > 1e-9
    np.testing.assert_array_equal(found[sure], 5 * (inner > 0.5)[sure])


@pytest.mark.parametrize("zoom", [0.5, 0.73, 1.9, 2.0])
def test_rescaling_moves_nothing(zoom: float) -> None:
    """An object's centre stays where it was, or labels would lie beside their objects."""
    rows, columns = np.indices((60, 60))
    disk = ((rows - 22) ** 2 + (columns - 37) ** 2 < 81).astype(np.float32)
    back = restore((rescale(disk[None], zoom)[0] > 0.5).astype(np.int32), (60, 60))
    for index, middle in zip(np.nonzero(back), (22, 37), strict=True):
        assert index.mean() == pytest.approx(middle, abs=0.1 if zoom > 1 else 0.35)
    assert (back & (disk > 0)).sum() / (back | (disk > 0)).sum() > 0.9


@pytest.mark.parametrize(
    "image",
    [
        np.array([36.999996, 37.0, 37.000004] * 100, np.float32).reshape(10, 30),
        (1e6 + 2 * np.random.default_rng(0).random((20, 20))).astype(np.float32),
        (1e8 + 100 * np.random.default_rng(0).random((20, 20))).astype(np.float32),
        np.nextafter(5.0, np.array([[5.0, 6.0] * 50] * 10)),
    ],
    ids=["nearly constant", "far from 0", "farther", "an ulp"],
)
def test_gray_values_that_floats_hardly_tell_apart_are_normalised(image) -> None:
    planes = as_planes(image, Preprocessing())
    values = measure(planes, Preprocessing())(planes[0])
    assert np.isfinite(values).all()
    assert -1 <= values.min() <= values.max() <= 2


def test_an_array_with_names_of_axes_is_an_image(rng) -> None:
    class Named:
        """As xarray's arrays are: axes are given by name where it is transposed."""

        dims, variable = ("y", "x"), None

        def __init__(self, data):
            self.data, self.dtype, self.shape = data, data.dtype, data.shape

    pixels = rng.random((20, 30))
    np.testing.assert_array_equal(as_planes(Named(pixels), Preprocessing())[0], pixels[None])
