"""Windows at random places of annotated images: an endless supply of training patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.augmentation import Batch
from napari_unet.config import NetworkConfig
from napari_unet.patches.examples import Example
from napari_unet.tiling import mirrored

SMALLEST_PATCH = 64
"""Pixels a side that come out of a patch at least, unless it was asked to be smaller."""


def side_of_patches(network: NetworkConfig, patch: int) -> int:
    """Return the side of the patches that a network learns from.

    That is `patch`, rounded up to what it accepts; of a network without padding, of which little
    comes out, at least so much that :data:`SMALLEST_PATCH` pixels do.
    """
    size = network.nearest_valid_sizes(patch)[1]
    if network.output_size(size) < min(patch, SMALLEST_PATCH):
        size = network.nearest_valid_sizes(min(patch, SMALLEST_PATCH) + 2 * network.halo)[1]
    return size


def sample_windows(
    examples: Sequence[Example],
    size: int,
    count: int,
    random: np.random.Generator,
    probabilities: NDArray[np.float64] | None = None,
    *,
    predicted: int | None = None,
) -> Batch:
    """Cut windows at random places of random examples.

    Parameters
    ----------
    examples : sequence of Example
        Where to cut.
    size : int
        Side of a window in pixels; smaller examples are mirrored.
    count : int
        Number of windows.
    random : numpy.random.Generator
        Source of the choices.
    probabilities : array or None
        Of each example; None: all alike.
    predicted : int or None
        Side of the middle of a window that a network predicts: that lies in the example, where it
        is large enough. None: two thirds of the window.

    Returns
    -------
    Batch
        Float32 tensors on the CPU.
    """
    chosen = random.choice(len(examples), count, p=probabilities)
    inner = size * 2 // 3 if predicted is None else predicted
    windows = [_window(examples[i], size, inner, random) for i in chosen]
    return Batch(
        torch.from_numpy(np.stack([w.image for w in windows])),
        torch.from_numpy(np.stack([w.target for w in windows])),
        torch.from_numpy(np.stack([w.weights for w in windows]))[:, None],
    )


def _window(example: Example, size: int, predicted: int, random: np.random.Generator) -> Example:
    """Cut around a random annotated pixel, so that sparse annotation is seen, too."""
    shape = example.weights.shape
    middle = [int(random.integers(n)) for n in shape]
    if not example.weights[tuple(middle)] > 0:
        annotated = np.flatnonzero(example.weights > 0)
        if annotated.size:
            pick = annotated[random.integers(annotated.size)]
            middle = [int(i) for i in np.unravel_index(pick, shape)]
    # Where the image is large enough, what the network predicts of a patch stays inside.
    inset = [min(predicted // 2, n // 2) for n in shape]
    middle = [min(max(m, i), n - i) for m, i, n in zip(middle, inset, shape, strict=True)]
    rows, columns = (
        mirrored(m - size // 2, m - size // 2 + size, n) for m, n in zip(middle, shape, strict=True)
    )
    region = np.ix_(rows, columns)
    return replace(
        example,
        image=example.image[:, region[0], region[1]],
        target=example.target[:, region[0], region[1]],
        weights=example.weights[region],
        labels=example.labels[region],
    )
