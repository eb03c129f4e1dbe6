from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import UNetConfig
from napari_unet.tiling import (
    Region,
    Tile,
    count,
    mirrored,
    read_mirrored,
    split,
    take_first,
    whole,
)

configs = st.builds(UNetConfig, depth=st.integers(1, 4), padding=st.sampled_from(["valid", "same"]))
shapes = st.tuples(st.integers(1, 90), st.integers(1, 90))
modest = settings(max_examples=60, deadline=None)


def test_tile_of_the_paper_reads_572_and_writes_384_of_the_388_pixels() -> None:
    first, second = split(whole((384, 400)), 384, UNetConfig())
    assert first == Tile(
        read=((-92, 480), (-92, 480)),
        write=(slice(0, 384), slice(0, 384)),
        crop=(slice(0, 384), slice(0, 384)),
    )
    # The rest of 16 pixels reads what 16 need, not what 384 do.
    assert second == Tile(
        read=((-92, 480), (384 - 92, 384 - 92 + 204)),
        write=(slice(0, 384), slice(384, 400)),
        crop=(slice(0, 384), slice(0, 16)),
    )


def test_padded_tile_crops_its_halo_of_96_pixels_away() -> None:
    (tile,) = split(whole((100, 1)), 2048, UNetConfig(padding="same"))
    assert tile == Tile(
        read=((-96, 112 + 96), (-96, 16 + 96)),
        write=(slice(0, 100), slice(0, 1)),
        crop=(slice(96, 196), slice(96, 97)),
    )


@pytest.mark.parametrize(("tile", "side"), [(1, 16), (16, 16), (17, 32), (572, 576)])
def test_tile_is_rounded_up_to_the_pooling_grid(tile: int, side: int) -> None:
    assert split(whole((1000, 1000)), tile, UNetConfig())[0].write == (
        slice(0, side),
        slice(0, side),
    )


@modest
@given(shape=shapes, tile=st.integers(1, 100), config=configs)
def test_every_pixel_is_written_once_on_the_grid(
    shape: tuple[int, int], tile: int, config: UNetConfig
) -> None:
    written = np.zeros(shape, int)
    for part in split(whole(shape), tile, config):
        written[part.write] += 1
        for read, write, crop in zip(part.read, part.write, part.crop, strict=True):
            assert write.start % config.alignment == 0
            assert read[0] == write.start - config.halo
            length = config.output_size(read[1] - read[0])  # raises for a size with no output
            assert 0 <= crop.start < crop.stop <= length
            assert crop.stop - crop.start == write.stop - write.start
    assert (written == 1).all()


@modest
@given(shape=shapes, coarse=st.integers(1, 100), fine=st.integers(1, 50), config=configs)
def test_tiles_are_themselves_split_without_loss(
    shape: tuple[int, int], coarse: int, fine: int, config: UNetConfig
) -> None:
    written = np.zeros(shape, int)
    for tile in split(whole(shape), coarse, config):
        for part in split(tile.write, fine, config):
            written[part.write] += 1
            assert all(write.start % config.alignment == 0 for write in part.write)
    assert (written == 1).all()


def random_region(shape: tuple[int, ...], rng: np.random.Generator) -> Region:
    starts = [int(rng.integers(0, n)) for n in shape]
    ends = zip(starts, shape, strict=True)
    return tuple(slice(a, int(rng.integers(a, n)) + 1) for a, n in ends)


@modest
@given(shape=shapes, tile=st.integers(1, 100), config=configs, seed=st.integers(0, 99))
def test_a_region_is_written_once_by_tiles_of_the_whole_images_grid(
    shape: tuple[int, int], tile: int, config: UNetConfig, seed: int
) -> None:
    region = random_region(shape, np.random.default_rng(seed))
    written = np.zeros(shape, int)
    for part in split(region, tile, config):
        written[part.write] += 1
        for read, write, crop in zip(part.read, part.write, part.crop, strict=True):
            grid = read[0] + config.halo
            assert grid % config.alignment == 0
            assert write.start - grid == crop.start - config.output_offset
            assert crop.stop <= config.output_size(read[1] - read[0])
    assert written.sum() == written[region].sum() == written[region].size
    assert written.max() == 1


@modest
@given(shape=shapes, tile=st.integers(1, 100), config=configs, seed=st.integers(0, 99))
def test_taking_first_tiles_one_by_one_is_splitting(
    shape: tuple[int, int], tile: int, config: UNetConfig, seed: int
) -> None:
    region = random_region(shape, np.random.default_rng(seed))
    todo, taken = [region], []
    while todo:
        first, rest = take_first(todo.pop(), tile, config)
        taken.append(first)
        todo.extend(reversed(rest))
    assert taken == split(region, tile, config)
    assert len(taken) == count(region, tile, config)


@modest
@given(size=st.integers(1, 40), before=st.integers(0, 200), after=st.integers(0, 200))
def test_mirror_is_that_of_numpy_also_where_the_axis_is_shorter(
    size: int, before: int, after: int
) -> None:
    expected = np.pad(np.arange(size), (before, after), mode="reflect")
    np.testing.assert_array_equal(mirrored(-before, size + after, size), expected)


@modest
@given(shape=shapes, tile=st.integers(1, 100), config=configs)
def test_a_tile_reads_its_part_of_the_mirrored_image(
    shape: tuple[int, int], tile: int, config: UNetConfig
) -> None:
    image = np.arange(2 * shape[0] * shape[1]).reshape(2, *shape)
    halo = config.halo
    far = 8 * config.alignment  # the last tile's rounding and more
    padded = np.pad(image, ((0, 0), (halo, halo + far), (halo, halo + far)), mode="reflect")
    for part in split(whole(shape), tile, config):
        (top, bottom), (left, right) = part.read
        expected = padded[:, top + halo : bottom + halo, left + halo : right + halo]
        np.testing.assert_array_equal(read_mirrored(image, part), expected)


class Spy:
    """An image that remembers which part of it was read."""

    def __init__(self, image: np.ndarray) -> None:
        self.image, self.shape = image, image.shape
        self.keys: list[tuple[slice, ...]] = []

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        self.keys.append(key)
        return self.image[key]


def test_only_the_pixels_in_reach_are_read() -> None:
    spy = Spy(np.zeros((1, 1000, 1000)))
    tile = split(whole((1000, 1000)), 64, UNetConfig(depth=2))[17]  # the second row and column
    read_mirrored(spy, tile)
    assert spy.keys == [(slice(None), slice(44, 148), slice(44, 148))]


def test_inside_of_the_image_nothing_is_copied() -> None:
    image = np.zeros((1, 1000, 1000))
    tile = split(whole((1000, 1000)), 64, UNetConfig(depth=2))[17]
    assert np.shares_memory(read_mirrored(image, tile), image)


def test_memory_mapped_and_dask_arrays_are_read_alike(tmp_path) -> None:
    da = pytest.importorskip("dask.array")
    image = np.arange(3 * 50 * 40, dtype=np.uint16).reshape(3, 50, 40)
    np.save(tmp_path / "image.npy", image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    lazy = da.from_array(image, chunks=(1, 16, 16))
    for tile in split(whole((50, 40)), 16, UNetConfig(depth=2)):
        expected = read_mirrored(image, tile)
        np.testing.assert_array_equal(read_mirrored(mapped, tile), expected)
        np.testing.assert_array_equal(read_mirrored(lazy, tile), expected)


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(0, 5\) has no pixels"):
        split(whole((0, 5)), 64, UNetConfig())


def test_a_tile_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="tile = 0 is not possible: use 1"):
        split(whole((5, 5)), 0, UNetConfig())
