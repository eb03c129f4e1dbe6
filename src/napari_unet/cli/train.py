"""Teach a network on annotated images."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.cli.flags import add_fields, given
from napari_unet.cli.terminal import progress_bar, stoppable, tell, warn
from napari_unet.config import ARCHITECTURES, RECIPES, SegmentConfig, TrainConfig, TrainProgress

if TYPE_CHECKING:
    import torch

    from napari_unet.checkpoint import Checkpoint
    from napari_unet.config import Target
    from napari_unet.patches import Example

FLAGS = {
    "iterations": ("N", "training steps"),
    "minutes": ("M", "train so long instead of a number of steps"),
    "optimizer": ("", "optimiser"),
    "learning_rate": ("R", "peak learning rate"),
    "batch": ("N", "patches a step"),
    "patch": ("N", "side of a training patch in pixels"),
    "w0": ("F", "height of the separation term of the weight map"),
    "sigma": ("F", "its width in pixels"),
    "balance": ("", "balance by weights how frequent objects and background are"),
    "val_fraction": ("F", "share of the annotation that is held out to choose the best by"),
    "validate_every": ("N", "steps between validations"),
    "seed": ("N", "seed of every random choice"),
    "patience": ("N", "end after so many validations without an improvement; 0: never"),
    "resize": ("", "resize images to where the start model finds most of their objects"),
    "average": ("F", "decay of the moving average of the weights; 0 for none"),
    "elastic": ("", "deform patches elastically"),
    "invert": ("P", "probability of exchanging bright and dark"),
    "scale": ("F", "largest factor by which patches are resized at random"),
    "sharp": ("P", "probability that a patch is only mirrored and turned by right angles"),
    "plain": ("P", "probability that a patch keeps its gray values"),
    "compile": ("", "compile the network first: faster steps after a minute"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet train`` takes."""
    parser.add_argument(
        "images",
        type=Path,
        metavar="IMAGES",
        help="an image, a folder of them, or a project (NAME.unet), which has its own labels",
    )
    parser.add_argument(
        "labels",
        type=Path,
        nargs="?",
        metavar="LABELS",
        help="their labels, by the same stem: 0 background, 1.. objects, -1 not annotated",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="MODEL.safetensors", help="the model"
    )
    parser.add_argument("--from", dest="start", metavar="NAME", help="model to start from")
    parser.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        default="standard",
        help="network and settings; the defaults below are those of standard",
    )
    parser.add_argument(
        "--architecture",
        choices=tuple(ARCHITECTURES),
        help="kind of a new network, as wide and deep as the recipe's (default: the recipe's)",
    )
    parser.add_argument(
        "--classes",
        type=_classes,
        metavar="N|NAMES",
        help="labels are classes, not objects: how many, background (0) included, or their names,"
        " such as background,cytoplasm,nucleus",
    )
    parser.add_argument(
        "--objects",
        action="store_true",
        help="with --classes: labels are objects, and STEM.csv beside each label image has the"
        " columns label and class",
    )
    add_fields(
        parser,
        SegmentConfig,
        {"channel": ("N", "channel to use, counted from 0; N,M to use two, 0,1,2 for colours")},
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to train"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an interrupted training, given the same options",
    )
    add_fields(parser, TrainConfig, FLAGS)


def _classes(text: str) -> int | tuple[str, ...]:
    if text.isdecimal():
        return int(text)
    return tuple(name.strip() for name in text.split(","))


def run(arguments: argparse.Namespace) -> bool:
    """Train; returns whether a model was written."""
    target = _target(arguments)
    config = replace(RECIPES[arguments.recipe].training, **given(arguments, TrainConfig))
    pairs = _pairs(arguments.images, arguments.labels)
    from napari_unet import training
    from napari_unet.engines import choose_device
    from napari_unet.patches import hold_out

    device = choose_device(arguments.device)
    files = training.Files(arguments.output)
    files.check(resume=arguments.resume)
    model = files.last if arguments.resume else arguments.start
    channels = len(arguments.channel) if arguments.channel else None
    start = training.start_from(
        model, arguments.recipe, channels, config.seed, arguments.architecture, target
    )
    groups, start = _read(pairs, start, config, device, arguments)
    kept, held = hold_out(groups, config.val_fraction, np.random.default_rng(config.seed))
    tell(f"{start.card.provenance['data']}; training on {device.type}")
    steps = training.train(
        kept, held, start, config, device=device, output=arguments.output, resume=arguments.resume
    )
    try:
        with progress_bar("%", total=100) as bar:
            for progress in stoppable(steps):
                _show(progress, bar)
    except (OSError, MemoryError) as error:
        warn(f"{error} Go on with --resume from what was saved, if anything was.")
        return False
    if not arguments.output.exists():
        warn("stopped before anything was learnt: no model is written.")
        return False
    tell(f"{arguments.output}: done; segment with --model {arguments.output}")
    return True


def _target(arguments: argparse.Namespace) -> Target | None:
    """Return what is to be predicted, if it is said."""
    if arguments.classes is None:
        if arguments.objects:
            raise ValueError("--objects says that objects have classes: name them by --classes.")
        return None
    return RECIPES[arguments.recipe].target.telling(arguments.classes, arguments.objects)


def _pairs(images: Path, labels: Path | None) -> list[tuple[Path, Path]]:
    """Return the paths of the images and of their labels."""
    if labels is not None:
        from napari_unet.images import pair_by_stem

        return pair_by_stem(images, labels)
    if images.suffix != ".unet":
        raise ValueError(f"{images} is no project (NAME.unet): name its labels, too.")
    from napari_unet.annotations import Project

    pairs = Project.open(images).pairs()
    if not pairs:
        raise ValueError(f"No image of {images} is annotated yet: napari-unet open {images}")
    return pairs


def _read(
    pairs: list[tuple[Path, Path]],
    start: Checkpoint,
    config: TrainConfig,
    device: torch.device,
    arguments: argparse.Namespace,
) -> tuple[list[list[Example]], Checkpoint]:
    """Read the annotated images, and state their object size in the checkpoint's card."""
    from napari_unet.batch import load_pairs
    from napari_unet.prediction import run_to_end
    from napari_unet.training import prepare_pairs

    names = start.card.target.classes if arguments.objects else None
    read = list(load_pairs(pairs, arguments.channel, names))
    steps = prepare_pairs(
        read, start, config, device=device, command=arguments.typed, resume=arguments.resume
    )
    return run_to_end(steps)


def _show(progress: TrainProgress, bar: Any) -> None:
    bar.n = round(100 * progress.fraction, 1)
    bar.set_postfix_str(f"step {progress.iteration}, loss {progress.loss:.3f}")
    if progress.message:
        bar.clear()
        warn(progress.message)
    if progress.validation:
        bar.clear()
        scores = ", ".join(f"{name} {value:.3f}" for name, value in progress.validation.items())
        best = " (best so far)" * progress.best
        tell(f"step {progress.iteration}, {progress.seconds:.0f} s: validation {scores}{best}")
