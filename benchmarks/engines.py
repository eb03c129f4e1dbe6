"""Torch beside OpenVINO on this CPU, in one run: speed, equality of labels, exactness of tiling.

    python benchmarks/engines.py [--images FOLDER] [--model nuclei] [--base 24 32]
        [--size 256 572 1024] [--repeat 9]

First, seconds a pass of untrained networks of the standard recipe for inputs of several sizes,
each rounded up to what the network takes (576 for 572): median and range of repeats in which all
engines take turns. Nothing else should be running.

Then the model segments the images with each engine. Labels differ where a pixel is background with
one engine only, or belongs to objects that are not partners at IoU 0.5; the reference is torch in
float32. And each engine does images that are larger than one tile by tiles of 256 and whole: how
far their scores lie apart, and how many pixels then get other labels.

Both engines compute in float32, and in bfloat16 where napari-unet would take that by itself: torch
where it is clearly faster here, OpenVINO if the CPU has instructions for it, too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from _records import machine
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import RECIPES, Preprocessing, SegmentConfig
from napari_unet.engines import OpenVINOEngine, Precision, TorchEngine
from napari_unet.images import find_images, read_image
from napari_unet.library import Card
from napari_unet.metrics import LabelImage, Overlap
from napari_unet.metrics.contingency import Contingency
from napari_unet.prediction import run_to_end
from napari_unet.samples import DEMO, load_sample
from napari_unet.segmentation import Segmentation, segment_steps
from napari_unet.training import untrained

TILE = 256
REFERENCE = "torch float32"
PRECISIONS: tuple[Precision, ...] = ("float32", "auto")


def main() -> None:
    """Measure, and print tables."""
    args = _arguments()
    print(machine())
    if find_spec("openvino") is None:
        print("OpenVINO is not installed here: pip install 'napari-unet-segmentation[openvino]'.")
    _print_speeds(args.base, args.size, args.repeat)
    _print_agreement(args.model, args.images)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", nargs="+", help="folder or files (default: the sample)")
    parser.add_argument("--model", default="nuclei", help="name or path (default: %(default)s)")
    parser.add_argument("--base", nargs="+", type=int, default=[24, 32], metavar="N")
    parser.add_argument("--size", nargs="+", type=int, default=[256, 572, 1024], metavar="PIXELS")
    parser.add_argument("--repeat", type=int, default=9)
    return parser.parse_args()


def engines_of(checkpoint: Checkpoint) -> dict[str, TorchEngine]:
    """Return the engines that there are for a network here, by kind and precision.

    Where bfloat16 is not taken, an engine left to choose is the one in float32 once more.
    """
    card, network = checkpoint.card, checkpoint.build()
    kinds = [TorchEngine, *([OpenVINOEngine] if find_spec("openvino") else [])]
    engines: dict[str, TorchEngine] = {}
    for kind in kinds:
        for precision in PRECISIONS:
            own = deepcopy(network)  # an engine's network is its own from then on
            engine = kind(own, card.network, card.target, "cpu", precision)
            if engine.notice:
                print(engine.notice)
            engines.setdefault(_title(engine), engine)
    return engines


def _title(engine: TorchEngine) -> str:
    """Return kind and precision of what runs the network now."""
    words = engine.description.split()
    return f"{words[0]} {words[-1]}"


def _print_speeds(bases: Sequence[int], sizes: Sequence[int], repeats: int) -> None:
    recipe = RECIPES["standard"]
    for base in bases:
        network = replace(recipe.network, base_channels=base)
        engines = engines_of(untrained(Card(network, recipe.target, Preprocessing())))
        print(f"\nseconds a pass, base {base}: median (range) of {repeats}, times torch's rate\n")
        print(f"| input | {' | '.join(engines)} |\n|---|{'---|' * len(engines)}")
        for size in sizes:
            side = network.nearest_valid_sizes(size)[1]
            seconds = _take_turns(engines, side, repeats)
            reference = statistics.median(seconds[REFERENCE])
            cells = [_told(values, reference) for values in seconds.values()]
            print(f"| {side} x {side} | {' | '.join(cells)} |", flush=True)


def _take_turns(
    engines: Mapping[str, TorchEngine], side: int, repeats: int
) -> dict[str, list[float]]:
    """Return the seconds of each pass over an image of noise."""
    noise = np.random.default_rng(0).random((1, 1, side, side), np.float32)
    image = torch.from_numpy(noise)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for repeat in range(repeats + 1):
        for name, engine in engines.items():
            start = time.perf_counter()
            engine.forward(image)
            if repeat:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _told(seconds: Sequence[float], reference: float) -> str:
    median = statistics.median(seconds)
    faster = reference / median
    return f"{median:.3f} ({min(seconds):.3f} to {max(seconds):.3f}), x{faster:.2f}"


def differing(labels: LabelImage, reference: LabelImage) -> int:
    """Count the pixels on which two label images differ, whatever numbers their objects have.

    Those agree that are background in both, or belong to two objects that are partners at IoU 0.5.
    """
    table = Contingency.of(labels, reference)
    overlap = Overlap.within(table)
    background = table.pixels[(table.row == 0) & (table.column == 1)].sum()
    partners = table.pixels[table.real][overlap.pairs(0.5)].sum()
    return int(labels.size - background - partners)


@dataclass
class Agreement:
    """How far an engine is from the reference, and by tiles from itself; added up over images."""

    images: int = 0
    pixels: int = 0
    different: int = 0
    worst: float = 0.0
    tiled: int = 0
    apart: float = 0.0
    different_by_tiles: int = 0

    def add(self, whole: Segmentation, reference: Segmentation) -> None:
        """Compare an image's labels with those of the reference."""
        different = differing(whole.labels, reference.labels)
        self.images += 1
        self.pixels += whole.labels.size
        self.different += different
        self.worst = max(self.worst, different / whole.labels.size)

    def add_tiled(self, tiled: Segmentation, whole: Segmentation) -> None:
        """Compare an image done by tiles with the same done whole."""
        scores = zip(tiled.scores, whole.scores, strict=True)
        self.tiled += 1
        self.apart = max([self.apart, *(float(abs(a - b).max()) for a, b in scores)])
        self.different_by_tiles += differing(tiled.labels, whole.labels)

    @property
    def cells(self) -> str:
        """A row of the table."""
        share = self.different / self.pixels
        tiles = f"{self.apart:.1e} | {self.different_by_tiles}" if self.tiled else "- | -"
        return f"{share:.4%} | {self.worst:.4%} | {tiles}"


def _print_agreement(model: str, images: Sequence[str] | None) -> None:
    checkpoint = Checkpoint.load(model)
    engines, card = engines_of(checkpoint), checkpoint.card
    agreements = {name: Agreement() for name in engines}
    for image, axes in _read(images):
        reference: Segmentation | None = None
        for name, engine in engines.items():  # the reference comes first
            whole = _segmented(image, axes, engine, card, max(image.shape))
            reference = reference or whole
            agreements[name].add(whole, reference)
            if max(whole.labels.shape[-2:]) > TILE:
                tiled = _segmented(image, axes, engine, card, TILE)
                agreements[name].add_tiled(tiled, whole)
    of = agreements[REFERENCE]
    print(f"\n{model}, {of.images} images, {of.pixels / 1e6:.1f} megapixels; {of.tiled} by tiles\n")
    print("| engine | other labels | worst image | scores, tiles and whole | pixels |")
    print("|---|---|---|---|---|")
    for name, agreement in agreements.items():
        print(f"| {name} | {agreement.cells} |")


def _read(images: Sequence[str] | None) -> Iterator[tuple[NDArray[Any], str | None]]:
    if images is None:
        yield np.tile(load_sample(DEMO), (2, 2)), None  # larger than a tile
        return
    for path in find_images(images):
        image = read_image(path)
        yield np.asarray(image.data), image.axes


def _segmented(
    image: NDArray[Any], axes: str | None, engine: TorchEngine, card: Card, tile: int
) -> Segmentation:
    config = SegmentConfig(device="cpu", tile=tile)
    return run_to_end(segment_steps(image, engine, card, config, axes, keep_scores=True))


if __name__ == "__main__":
    main()
