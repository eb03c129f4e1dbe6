"""Show the images with most errors: outlines of truth and prediction, and what went wrong.

    napari-unet segment FOLDER/dsb2018_stardist/test/images -o predicted
    python benchmarks/worst_images.py predicted FOLDER/dsb2018_stardist/test/labels \
        FOLDER/dsb2018_stardist/test/images -o worst.png [-n 10]

Errors are missed and invented objects at IoU 0.5. Missed objects are merged where a predicted
object holds more than half of each of several true ones, and otherwise split where several
predicted ones lie by more than half in the true one. In the picture the truth is orange, the
prediction blue, and white is where both have their outline. The same list is printed as a table,
with all images together below it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

import _figure
from _mistakes import Mistakes
from napari_unet.images import pair_by_stem, pair_labels, read_image, read_labels

T = TypeVar("T", bound=np.generic)

COLUMNS = 2
DPI = 110
LONGEST = 20
"""Letters of a name that a caption has room for."""
SIDE = 640
"""Pixels that an image is enlarged to, about: outlines are then thinner than its own pixels."""
TRUTH, PREDICTION, BOTH = (0.90, 0.62, 0.0), (0.34, 0.71, 0.91), (1.0, 1.0, 1.0)
COLOURS = {"truth": TRUTH, "prediction": PREDICTION, "both": BOTH}
DIMMED = 0.75
"""Of full white, that an image may reach: outlines are to be seen on the brightest object, too."""
GAMMA = 0.6
"""Dim objects are shown brighter: those are what is missed."""


@dataclass(frozen=True)
class Case:
    """An image, and what was made of it."""

    name: str
    image: Path
    prediction: NDArray[np.int32]
    truth: NDArray[np.int32]
    mistakes: Mistakes

    @classmethod
    def read(cls, image: Path, prediction: Path, truth: Path) -> Self:
        """Read and count.

        Raises
        ------
        ValueError
            If a file is no image, or the labels are no planes of one shape.
        """
        found, true = (np.asarray(read_labels(path)) for path in (prediction, truth))
        if true.ndim != 2 or found.shape != true.shape:
            raise ValueError(
                f"{prediction} has shape {found.shape} and {truth} {true.shape}: give labels of"
                " one plane, of one shape."
            )
        return cls(truth.stem, image, found, true, Mistakes.of(found, true))

    @property
    def caption(self) -> str:
        """What the picture says of it, in two lines."""
        m = self.mistakes
        name = self.name if len(self.name) <= LONGEST else f"{self.name[: LONGEST - 3]}..."
        return (
            f"{name}: AP@0.5 {m.ap:.2f}, {m.invented} invented\n"
            f"{m.found} found, {m.missed} missed ({m.merged} merged, {m.split} split)"
        )


def read_cases(prediction: Path, truth: Path, images: Path) -> list[Case]:
    """Read what belongs together, the image with most errors first."""
    found = {there: labels for labels, there in pair_labels(prediction, truth)}
    pairs = pair_by_stem(images, truth)
    cases = [Case.read(image, found[there], there) for image, there in pairs]
    return sorted(cases, key=lambda case: (-case.mistakes.errors, case.name))


def picture(case: Case) -> NDArray[np.float64]:
    """Return an image with both outlines, shape (height, width, 3), in [0, 1]."""
    factor = max(round(SIDE / max(case.truth.shape)), 1)
    image = _enlarged(_gray_or_colour(case.image), factor)
    true, found = (_outlines(_enlarged(a, factor)) for a in (case.truth, case.prediction))
    image[true], image[found], image[true & found] = TRUTH, PREDICTION, BOTH
    return image


def _enlarged(array: NDArray[T], factor: int) -> NDArray[T]:
    return array.repeat(factor, axis=0).repeat(factor, axis=1)


def _outlines(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return the pixels of objects that lie beside another object or the background."""
    edge: NDArray[np.bool_] = maximum_filter(labels, 3) != minimum_filter(labels, 3)
    return edge & (labels > 0)


def _gray_or_colour(path: Path) -> NDArray[np.float64]:
    """Read an image as (Y, X, 3) in [0, 1], stretched to its percentiles."""
    data: NDArray[Any] = np.asarray(read_image(path).data, np.float64)
    if data.ndim == 2:
        data = np.stack([data] * 3, axis=-1)
    if data.ndim != 3 or data.shape[-1] not in (3, 4):
        raise ValueError(f"{path} has shape {data.shape}: give gray or colour images of one plane.")
    low, high = np.percentile(data[..., :3], (1, 99.8))
    stretched = np.clip((data[..., :3] - low) / max(high - low, 1e-9), 0, 1)
    return DIMMED * np.asarray(stretched**GAMMA)


def draw(cases: Sequence[Case], output: Path) -> None:
    """Draw the images, two side by side."""
    rows = -(-len(cases) // COLUMNS)
    figure, grid = _figure.axes(5 * COLUMNS, 5.2 * rows, rows, COLUMNS)
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, case in zip(grid.flat, cases, strict=False):
        ax.imshow(picture(case))
        _figure.write_labels(ax, title=case.caption)
    for name, colour in COLOURS.items():
        grid[0, 0].plot([], [], color=colour, linewidth=3, label=name)
    _figure.put_legend(figure, grid[0, 0], on="#222222")
    _figure.save(figure, output, dpi=DPI)


def print_table(cases: Sequence[Case], total: Mistakes, count: int) -> None:
    """Print the counts of some images, and those of all."""
    print("| image | AP@0.5 | found | missed | merged | split | invented |")
    print("|---|---|---|---|---|---|---|")
    rows = [*((case.name, case.mistakes) for case in cases), (f"all {count} images", total)]
    for name, m in rows:
        counts = (m.found, m.missed, m.merged, m.split, m.invented)
        print(f"| {name} | {m.ap:.3f} | {' | '.join(map(str, counts))} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prediction", type=Path, metavar="PREDICTED", help="folder of labels")
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="folder of true labels")
    parser.add_argument("images", type=Path, metavar="IMAGES", help="folder of the images")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .png or .jpg path")
    parser.add_argument("-n", type=int, default=10, help="how many (default: %(default)s)")
    args = parser.parse_args()
    if args.n < 1:
        parser.error(f"-n {args.n} shows nothing: use 1 or more")
    try:
        cases = read_cases(args.prediction, args.truth, args.images)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    worst = cases[: args.n]
    draw(worst, args.output)
    print_table(worst, sum((case.mistakes for case in cases), Mistakes()), len(cases))


if __name__ == "__main__":
    main()
