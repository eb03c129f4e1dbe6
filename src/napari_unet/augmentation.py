"""Random deformations and gray-value changes of training patches, batched, on any device.

"Data augmentation is essential to teach the network the desired invariance and robustness
properties, when only few training samples are available" (Ronneberger et al., 2015, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, pi

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Training patches: image (B, C, H, W), target (B, T, H, W) and weights (B, 1, H, W).

    The first target channel is the class, the others are real-valued; where weights are 0 a pixel
    does not count.
    """

    image: Tensor
    target: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Batch:
        """Move to a device."""
        return Batch(*(x.to(device) for x in (self.image, self.target, self.weights)))


@dataclass(frozen=True)
class Augmentation:
    """Strength of each change; the defaults are what training uses.

    Parameters
    ----------
    elastic : float
        Standard deviation, in pixels, of the displacement vectors on a coarse 3x3 grid; 10 in the
        paper.
    shift : float
        Largest shift, in pixels, on each axis.
    rotate, flip : bool
        Turn by any angle; mirror.
    scale : float
        Patches are resized by a factor between 1/scale and scale.
    sharp : float
        Probability that a patch is only mirrored and turned by right angles, which moves pixels
        without interpolating: as sharp as what is to be segmented, outlines and all.
    plain : float
        Probability that a patch keeps its gray values: nothing of what follows is done to it.
    blur : float
        Largest standard deviation, in pixels, of a Gaussian blur.
    noise : float
        Largest standard deviation of Gaussian noise (the image's gray values span 0 to 1); half of
        the patches get none, and much is rarer than little.
    gain, offset, gamma : float
        Gray values become ``gain * x ** gamma + offset``; gain and gamma are drawn from 1/g to g,
        the offset from -o to o.
    invert : float
        Probability of exchanging bright and dark.
    shading : float
        Largest share by which the illumination of a place differs from the patch's.
    """

    elastic: float = 10.0
    shift: float = 16.0
    rotate: bool = True
    flip: bool = True
    scale: float = 1.25
    sharp: float = 0.0
    plain: float = 0.0
    blur: float = 1.5
    noise: float = 0.25
    gain: float = 1.4
    offset: float = 0.1
    gamma: float = 1.6
    invert: float = 0.1
    shading: float = 0.4

    def __call__(self, batch: Batch, size: int, generator: torch.Generator) -> Batch:
        """Change a batch at random.

        Parameters
        ----------
        batch : Batch
            Windows on the images, at least `size` large where the images are; what a deformation
            takes from beyond them is mirrored.
        size : int
            Side of the patches to return, in pixels.
        generator : torch.Generator
            Source of every random number, on the batch's device.
        """
        grid = self._sampling_grid(batch.image, size, generator)
        warped = warp(batch, grid)
        image = self._change_gray_values(warped.image, generator)
        if self.plain:
            chance = _uniform(generator, 0, 1, (len(image), 1, 1, 1))
            image = torch.where(chance < self.plain, warped.image, image)
        return Batch(image, warped.target, warped.weights)

    def _sampling_grid(self, image: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """Return where in the windows each pixel of the patches comes from, in pixels."""
        count = image.shape[0]
        middle = torch.tensor(
            [(n - 1) / 2 for n in reversed(image.shape[-2:])], device=image.device
        )
        axis = torch.arange(size, device=image.device) - (size - 1) / 2
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)  # (S, S, 2) x, y
        sharp = torch.rand(count, generator=generator, device=image.device) < self.sharp
        matrix = self._matrices(sharp, generator)
        shift = self.shift * _uniform(generator, -1, 1, (count, 1, 1, 2))
        bent = shift + self._displacement(count, size, generator)
        # An even patch on odd windows would lie between pixels.
        parity = middle % 1 - (size - 1) / 2 % 1
        moved = torch.where(sharp[:, None, None, None], shift.round() + parity, bent)
        return torch.einsum("bij,hwj->bhwi", matrix, grid) + middle + moved  # (B, S, S, 2)

    def _matrices(self, sharp: Tensor, generator: torch.Generator) -> Tensor:
        """Return random rotations, mirrorings and scalings (B, 2, 2)."""
        count, device = len(sharp), sharp.device
        angle = _uniform(generator, -pi, pi, (count,)) * self.rotate
        angle = torch.where(sharp, (angle / (pi / 2)).round() * (pi / 2), angle)
        # Enlarging a patch means reading fewer pixels.
        factor = self.scale ** _uniform(generator, -1, 1, (count,))
        factor = torch.where(sharp, 1, factor)
        sign = torch.ones(count, device=device)
        if self.flip:
            sign = 1 - 2 * torch.randint(0, 2, (count,), generator=generator, device=device)
        cos, sin = factor * angle.cos(), factor * angle.sin()
        rows = torch.stack((cos, -sin, sin * sign, cos * sign), dim=-1)
        return rows.view(count, 2, 2)

    def _displacement(self, count: int, size: int, generator: torch.Generator) -> Tensor:
        """Return smooth displacements (B, S, S, 2), bicubic between 3x3 random vectors."""
        coarse = self.elastic * _normal(generator, (count, 2, 3, 3))
        return _smooth(coarse, size, size).permute(0, 2, 3, 1)

    def _change_gray_values(self, image: Tensor, generator: torch.Generator) -> Tensor:
        shape = (image.shape[0], 1, 1, 1)
        sigma = self.blur * _uniform(generator, -1, 1, shape[:1]).clamp(min=0)  # half stay sharp
        image = gaussian_blur(image, sigma, self.blur)
        gamma = self.gamma ** _uniform(generator, -1, 1, shape)
        # A power needs positive numbers; darker ones than the low percentile stay as they are.
        image = torch.where(image > 0, image.clamp(min=1e-6) ** gamma, image)
        inverted = torch.rand(shape, generator=generator, device=image.device) < self.invert
        image = torch.where(inverted, 1 - image, image)
        gain = self.gain ** _uniform(generator, -1, 1, shape)
        offset = self.offset * _uniform(generator, -1, 1, shape)
        noise = self.noise * _uniform(generator, -1, 1, shape).clamp(min=0) ** 2
        gain = gain * self._illumination(image, generator)
        return image * gain + offset + noise * _normal(generator, image.shape)

    def _illumination(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return how bright each place is lit (B, 1, H, W): half of the patches evenly."""
        count, (height, width) = image.shape[0], image.shape[-2:]
        strength = self.shading * _uniform(generator, -1, 1, (count, 1, 1, 1)).clamp(min=0)
        coarse = _uniform(generator, -1, 1, (count, 1, 3, 3))
        return 1 + strength * _smooth(coarse, height, width).clamp(-1, 1)


def warp(batch: Batch, grid: Tensor) -> Batch:
    """Take image, target and weights from the same places of their windows.

    Parameters
    ----------
    batch : Batch
        Windows (B, ..., H, W).
    grid : Tensor
        (B, S, S, 2): x and y, in pixels of the window, of each pixel to return.

    Returns
    -------
    Batch
        Patches of side S. Images, weights and real-valued targets are interpolated; classes, and
        whether a pixel counts, are those of the nearest pixel.
    """
    height, width = batch.image.shape[-2:]
    span = torch.tensor([width - 1, height - 1], device=grid.device).clamp(min=1)
    grid = 2 * grid / span - 1

    def sample(x: Tensor, mode: str) -> Tensor:
        return F.grid_sample(x, grid, mode, padding_mode="reflection", align_corners=True)

    classes, values = batch.target[:, :1], batch.target[:, 1:]
    nearest = sample(torch.cat((classes, (batch.weights > 0).to(classes.dtype)), dim=1), "nearest")
    smooth = sample(torch.cat((batch.image, batch.weights, values), dim=1), "bilinear")
    channels = batch.image.shape[1]
    return Batch(
        smooth[:, :channels],
        torch.cat((nearest[:, :1], smooth[:, channels + 1 :]), dim=1),
        smooth[:, channels : channels + 1] * nearest[:, 1:],
    )


def gaussian_blur(image: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur each image (B, C, H, W) by its own sigma (B,), in pixels, at most `largest`."""
    radius = ceil(3 * largest)
    if radius == 0 or min(image.shape[-2:]) <= radius:
        return image
    offset = torch.arange(-radius, radius + 1, device=image.device)
    kernel = torch.exp(-(offset**2) / (2 * sigma[:, None].clamp(min=1e-3) ** 2))
    kernel = kernel / kernel.sum(dim=1, keepdim=True)  # (B, 2r + 1)
    count, channels, height, width = image.shape
    kernel = kernel.repeat_interleave(channels, dim=0)[:, None, None]  # (B * C, 1, 1, 2r + 1)
    x = image.reshape(1, count * channels, height, width)
    padding = (radius, radius, radius, radius)
    x = F.pad(x, padding, mode="reflect")
    x = F.conv2d(x, kernel, groups=count * channels)
    x = F.conv2d(x, kernel.transpose(2, 3), groups=count * channels)
    return x.view_as(image)


def _smooth(coarse: Tensor, height: int, width: int) -> Tensor:
    """Spread a coarse grid (B, C, h, w) over a patch (B, C, H, W), bicubically."""
    apple = coarse.device.type == "mps"  # for which older versions of torch cannot
    grid = coarse.cpu() if apple else coarse
    return F.interpolate(grid, (height, width), mode="bicubic", align_corners=True).to(coarse)


def _uniform(generator: torch.Generator, low: float, high: float, shape: tuple[int, ...]) -> Tensor:
    unit = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * unit


def _normal(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
