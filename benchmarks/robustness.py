r"""What images that are worse than those it learnt from do to a model: average precision of each.

    python benchmarks/robustness.py FOLDER/dsb2018_stardist/test --model nuclei

FOLDER/... holds ``images`` and ``labels``. Each image is segmented as it is and then changed in one
way at a time, from fixed seeds: noise, blur, uneven light, low contrast, exchanged gray values,
other sizes, and its most crowded part alone. Labels are changed along where pixels move. Scores are
pooled over all objects, at IoU 0.5 and as the mean of 0.5 to 0.9.

``--model`` may be given several times, for models side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from _experiment import read_pairs, segmented
from _records import machine
from napari_unet.checkpoint import Checkpoint
from napari_unet.library import find_model
from napari_unet.metrics import THRESHOLDS, average_precision
from napari_unet.training import Pair

Floats: TypeAlias = NDArray[np.floating]
Change: TypeAlias = Callable[[Pair], Pair]
CROWDED = 128
"""Pixels along the side of the most crowded part."""


def main() -> None:
    """Segment, score and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of images and labels")
    parser.add_argument("--model", action="append", help="default: nuclei")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    pairs = read_pairs(args.data)
    names = args.model or ["nuclei"]
    models = {name: Checkpoint.load(find_model(name)) for name in names}
    print(f"{len(pairs)} images; {machine()}; AP at IoU 0.5, and mean of 0.5 to 0.9\n")
    print("| image |" + "".join(f" {Path(name).stem} |" for name in models))
    print("| --- |" + " ---: |" * len(models))
    for change, cells in scores(pairs, models, args.device):
        told = "".join(f" {low:.3f}, {mean:.3f} |" for low, mean in cells)
        print(f"| {change} |{told}", flush=True)


def scores(
    pairs: Sequence[Pair], models: Mapping[str, Checkpoint], device: str
) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield each change with AP at IoU 0.5, and the mean of 0.5 to 0.9, of each model."""
    for name, change in CHANGES.items():
        changed = [change(pair) for pair in pairs]
        truth = [np.asarray(pair.labels) for pair in changed]
        cells = []
        for model in models.values():
            labels = [result.labels for result in segmented(model, changed, device)]
            pooled = average_precision(zip(labels, truth, strict=True), THRESHOLDS).pooled
            values = [match.ap for match in pooled]
            cells.append((values[0], float(np.mean(values))))
        yield name, cells


def _gray(change: Callable[[Floats, np.random.Generator], Floats], pair: Pair) -> Pair:
    """Change gray values from 0 to 1, drawn from a seed that the image itself is."""
    image = np.asarray(pair.image, np.float64)
    low, high = np.percentile(image, (1, 99.8))
    span = high - low or 1.0
    random = np.random.default_rng(int(image.sum()) % 2**32)
    changed = change((image - low) / span, random) * span + low
    return replace(pair, image=changed.astype(np.float32))


def _noise(image: Floats, random: np.random.Generator, sigma: float) -> Floats:
    return image + random.normal(0, sigma, image.shape)


def _blur(image: Floats, _: np.random.Generator, sigma: float) -> Floats:
    blurred: Floats = ndimage.gaussian_filter(image, sigma)
    return blurred


def _uneven(image: Floats, _: np.random.Generator, lowest: float) -> Floats:
    """Light a corner by less and less."""
    rows, columns = (np.linspace(1, 0, n) for n in image.shape)
    return image * (1 - (1 - lowest) * (rows[:, None] + columns) / 2)


def _faint(image: Floats, random: np.random.Generator, contrast: float) -> Floats:
    """Add a bright background with its shot noise, of which objects stand out by little."""
    return contrast * image + random.normal(0, 0.1 * contrast, image.shape) + 1


def _inverted(image: Floats, _: np.random.Generator) -> Floats:
    return 1 - image


def _resized(pair: Pair, factor: float) -> Pair:
    image = ndimage.zoom(np.asarray(pair.image, np.float32), factor, order=1)
    return replace(pair, image=image, labels=ndimage.zoom(np.asarray(pair.labels), factor, order=0))


def _crowded(pair: Pair) -> Pair:
    """Keep the part that objects cover most."""
    labels = np.asarray(pair.labels)
    sides = [min(CROWDED, n) for n in labels.shape]
    covered = ndimage.uniform_filter((labels > 0).astype(float), sides, mode="constant")
    middle = [
        slice(side // 2, n - (side - 1) // 2) for side, n in zip(sides, labels.shape, strict=True)
    ]
    inner = covered[tuple(middle)]
    first = np.unravel_index(int(inner.argmax()), inner.shape)
    part = tuple(slice(int(i), int(i) + side) for i, side in zip(first, sides, strict=True))
    return replace(pair, image=np.asarray(pair.image)[part], labels=labels[part])


CHANGES: dict[str, Change] = {
    "as it is": lambda pair: pair,
    "noise 0.1": partial(_gray, partial(_noise, sigma=0.1)),
    "noise 0.2": partial(_gray, partial(_noise, sigma=0.2)),
    "noise 0.4": partial(_gray, partial(_noise, sigma=0.4)),
    "blur 1 px": partial(_gray, partial(_blur, sigma=1.0)),
    "blur 2 px": partial(_gray, partial(_blur, sigma=2.0)),
    "light falls to 0.2": partial(_gray, partial(_uneven, lowest=0.2)),
    "contrast 0.1": partial(_gray, partial(_faint, contrast=0.1)),
    "inverted": partial(_gray, _inverted),
    "half size": partial(_resized, factor=0.5),
    "double size": partial(_resized, factor=2.0),
    "most crowded 128x128": _crowded,
}
"""Noise and contrast are shares of the range from the 1st to the 99.8th percentile."""


if __name__ == "__main__":
    main()
