"""One warp for image, target and weights; reproducible; labels stay labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.augmentation import Augmentation, Batch, gaussian_blur, warp

STILL = Augmentation(
    elastic=0, shift=0, rotate=False, flip=False, scale=1, blur=0, noise=0, gain=1, offset=0,
    gamma=1, invert=0, shading=0,
)  # fmt: skip


def make_batch(count: int = 3, size: int = 48, channels: int = 1) -> Batch:
    """Squares of class 1 whose image is their class, with a strip that is not annotated."""
    classes = torch.zeros(count, 1, size, size)
    classes[:, :, 10:22, 12:40] = 1
    distance = classes * torch.linspace(0, 1, size)
    weights = 1 + 4 * classes
    weights[..., :6] = 0
    return Batch(classes.repeat(1, channels, 1, 1), torch.cat((classes, distance), 1), weights)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_changes_the_middle_of_the_window_comes_back():
    batch = make_batch(size=49)
    out = STILL(batch, 33, generator())
    middle = (..., slice(8, 41), slice(8, 41))
    torch.testing.assert_close(out.image, batch.image[middle], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.target, batch.target[middle], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.weights, batch.weights[middle], atol=1e-5, rtol=0)


def test_same_seed_same_patches_and_another_seed_others():
    batch, augment = make_batch(), Augmentation()
    first, again = (augment(batch, 32, generator(7)) for _ in range(2))
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.target, again.target)
    assert not torch.equal(first.image, augment(batch, 32, generator(8)).image)


def test_image_target_and_weights_are_warped_alike():
    """The image is the class, so the two agree wherever no interpolation blurs the image."""
    augment = Augmentation(blur=0, noise=0, gain=1, offset=0, gamma=1, invert=0, shading=0)
    out = augment(make_batch(count=8), 32, generator(1))
    sharp = (out.image < 0.01) | (out.image > 0.99)
    assert sharp.float().mean() > 0.8
    assert torch.equal(out.image[sharp].round(), out.target[:, :1][sharp])
    inside = sharp & (out.weights > 0) & (out.target[:, :1] == 1)
    # Weights are interpolated, so they may mix with the 1 of the background within a pixel.
    assert inside.any()
    assert (out.weights[inside] > 2.9).all()


@pytest.mark.parametrize(("window", "size"), [(48, 32), (49, 32), (48, 33)])
def test_sharp_patches_hold_the_pixels_of_the_image_and_no_others(window: int, size: int):
    pixels = torch.arange(window**2, dtype=torch.float32).view(1, 1, window, window)
    pixels = pixels.repeat(40, 1, 1, 1)
    augment = Augmentation(
        sharp=1.0, shift=5, blur=0, noise=0, gain=1, offset=0, gamma=1, invert=0, shading=0
    )
    out = augment(Batch(pixels, torch.ones_like(pixels), 1 + pixels), size, generator())
    found = out.image.round()
    torch.testing.assert_close(out.image, found, atol=0.05, rtol=0)
    torch.testing.assert_close(out.weights, 1 + found, atol=0.05, rtol=0)
    steps = {tuple(p[0, 0, :2].diff().tolist() + p[0, :2, 0].diff().tolist()) for p in found}
    assert steps == {(a * x, a * y) for a in (1, -1) for x, y in ((1, window), (window, 1))} | {
        (a * x, -a * y) for a in (1, -1) for x, y in ((1, window), (window, 1))
    }
    assert all(len(p.unique()) == size**2 for p in found)  # each once


def test_a_share_of_the_patches_is_sharp():
    pixels = torch.arange(48.0**2).view(1, 1, 48, 48).repeat(200, 1, 1, 1)
    augment = Augmentation(
        sharp=0.5, blur=0, noise=0, gain=1, offset=0, gamma=1, invert=0, shading=0
    )
    out = augment(Batch(pixels, torch.ones_like(pixels), torch.ones_like(pixels)), 20, generator())
    whole = (out.image - out.image.round()).abs().amax((1, 2, 3)) < 0.05
    assert 70 < int(whole.sum()) < 130


def test_a_share_of_the_patches_keeps_its_gray_values():
    pixels = torch.rand(200, 1, 48, 48, generator=generator())
    augment = Augmentation(sharp=1.0, plain=0.5, invert=1.0)
    out = augment(Batch(pixels, pixels, torch.ones_like(pixels)), 20, generator())
    kept = (out.image - out.target).abs().amax((1, 2, 3)) < 1e-4
    assert 70 < int(kept.sum()) < 130


def test_classes_stay_classes_and_ignored_pixels_ignored():
    out = Augmentation()(make_batch(count=8), 40, generator(2))
    assert set(out.target[:, 0].unique().tolist()) == {0.0, 1.0}
    assert (out.weights == 0).any()
    assert (out.weights >= 0).all()
    # No weight between ignored (0) and the least weight (1) leaks in from interpolation of zeros
    # at pixels whose nearest source pixel is ignored.
    assert (out.weights[out.weights > 0] >= 0.49).all()


def test_beyond_the_window_the_image_is_mirrored():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    batch = Batch(ramp, torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16))
    axis = torch.arange(-5.0, 21.0)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)[None]
    out = warp(batch, grid).image[0, 0, 8]
    expected = np.pad(np.arange(16.0), 5, mode="reflect")
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_displacements_have_the_papers_spread():
    """3x3 vectors, Gaussian with 10 px; the corners of the patch carry the vectors themselves."""
    field = Augmentation(elastic=10)._displacement(4000, 9, generator(3))
    corners = field[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.std().item() == pytest.approx(10, rel=0.03)
    assert corners.mean().item() == pytest.approx(0, abs=0.3)


def test_displacement_is_smooth():
    field = Augmentation(elastic=10)._displacement(8, 192, generator(4))
    assert (field[:, 1:] - field[:, :-1]).abs().max() < 1  # no folding from pixel to pixel


@pytest.mark.parametrize("sigma", [0.4, 1.0, 1.5])
def test_blur_is_a_gaussian(sigma: float):
    image = torch.rand(2, 2, 30, 31, generator=generator())
    blurred = gaussian_blur(image, torch.full((2,), sigma), 1.5)
    expected = ndimage.gaussian_filter(
        image.double().numpy(), (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, 5, 5)
    )
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_each_image_is_blurred_by_its_own_sigma():
    image = torch.rand(2, 1, 30, 30, generator=generator())
    blurred = gaussian_blur(image, torch.tensor([0.0, 1.5]), 1.5)
    torch.testing.assert_close(blurred[0], image[0], atol=1e-5, rtol=0)
    assert blurred[1].std() < 0.6 * image[1].std()


def test_inversion_exchanges_bright_and_dark():
    batch = make_batch()
    out = Augmentation(
        elastic=0, shift=0, rotate=False, flip=False, scale=1, blur=0, noise=0, gain=1, offset=0,
        gamma=1, invert=1, shading=0,
    )(batch, 48, generator())  # fmt: skip
    torch.testing.assert_close(out.image, 1 - batch.image, atol=1e-5, rtol=0)


def test_illumination_is_uneven_in_half_of_the_patches_smooth_and_within_its_limit():
    flat = Batch(torch.ones(64, 1, 48, 48), torch.zeros(64, 1, 48, 48), torch.ones(64, 1, 48, 48))
    out = replace(STILL, shading=0.4)(flat, 48, generator(5)).image
    uneven = (out - 1).abs().amax((1, 2, 3)) > 1e-3
    assert 16 <= int(uneven.sum()) <= 48
    assert 0.2 < float((out - 1).abs().max()) <= 0.4 + 1e-6
    assert float(out.diff(dim=-1).abs().max()) < 0.06  # of a grid of 24 pixels


def test_gray_values_stay_finite_and_the_global_random_state_untouched():
    state = torch.random.get_rng_state()
    image = torch.randn(4, 1, 48, 48, generator=generator()) * 3  # far below 0 and above 1
    batch = make_batch(4)
    out = Augmentation(invert=0.5)(Batch(image, batch.target, batch.weights), 32, generator())
    assert torch.isfinite(out.image).all()
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu():
    device = torch.device("cuda")
    out = Augmentation()(make_batch().to(device), 32, torch.Generator(device).manual_seed(0))
    assert out.image.device.type == "cuda"
    assert torch.isfinite(out.image).all()
