"""Compute the separation weight map of label images."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.terminal import tell
from napari_unet.config import RECIPES
from napari_unet.files import is_same


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet weightmap`` takes."""
    parser.add_argument("labels", type=Path, metavar="LABELS", help="a label image")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="a .tif path (float32)"
    )
    parser.add_argument(
        "--recipe",
        choices=list(RECIPES),
        default="paper",
        help="whose w0, sigma and balance of classes to take (paper)",
    )
    parser.add_argument("--w0", type=float, help="height of the term, instead")
    parser.add_argument("--sigma", type=float, help="its width in pixels, instead")
    parser.add_argument("--force", action="store_true", help="write over an existing file")


def run(arguments: argparse.Namespace) -> bool:
    """Write the map, plane by plane."""
    import numpy as np

    from napari_unet.images import read_labels, write_image
    from napari_unet.weightmap import weight_map

    output: Path = arguments.output
    if is_same(output, arguments.labels):
        raise ValueError(f"{output} is the labels themselves: write their weights elsewhere.")
    if output.exists() and not arguments.force:
        raise ValueError(f"{output} exists already: write over it with --force.")
    labels = read_labels(arguments.labels)
    planes = labels.reshape(-1, *labels.shape[-2:])
    training = RECIPES[arguments.recipe].training
    w0 = training.w0 if arguments.w0 is None else arguments.w0
    sigma = training.sigma if arguments.sigma is None else arguments.sigma
    maps = [weight_map(plane, w0, sigma, balance=training.balance) for plane in planes]
    weights = np.stack(maps).reshape(labels.shape)
    write_image(output, weights)
    tell(f"{arguments.labels} -> {output}: weights {weights.min():.2f} to {weights.max():.2f}")
    return True
