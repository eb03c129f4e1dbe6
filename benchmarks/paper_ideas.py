"""What each idea of the U-Net paper is good for: its network without it, on 30 training images.

    python benchmarks/paper_ideas.py --data FOLDER --models runs/ideas --output ideas.jsonl \
        [--only paper no-skips ...] [--seeds 1] [--iterations N | --minutes M]
    python benchmarks/paper_ideas.py --output ideas.jsonl --table
    python benchmarks/paper_ideas.py --output ideas.jsonl --picture ideas.png
    python benchmarks/learning_curves.py runs/ideas/recipe-0.log.csv -o ideas_curves.png

"paper" is the published network (unpadded, no distance output, w0 = 10, balanced classes, dropout,
elastic deformation), a quarter as wide, and with batch normalisation and AdamW so that it learns
within the minutes of a small machine. Each other variant lacks one thing, or has fewer images: the
first ones of the same 30, which are drawn by the seed. All take equally many steps on patches that
are as large to read; a padded network is also taught at their margins. "recipe" has nothing
exchanged but the width, for curves over time; it takes more steps.

FOLDER holds dsb2018_stardist (the split of Schmidt et al. 2018), of whose training part every tenth
image is scored; its test part is not read. ablation.py does the same for what ships.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from _commands import make_parser, read_arguments, run_missing
from _experiment import NEVER, Result, load, run
from _records import read_lines
from _tables import mistakes_table
from napari_unet.config import (
    RECIPES,
    FCNConfig,
    NetworkConfig,
    Target,
    TrainConfig,
    UNetConfig,
)

IMAGES = 30
"""Of the paper's experiment on electron microscopy."""
NETWORK = UNetConfig(base_channels=16, batch_norm=True)
TRAINING = replace(
    RECIPES["paper"].training,
    optimizer="adamw",
    iterations=2000,
    batch=2,
    patch=316,
    average=0.99,
    validate_every=NEVER,
)
"""The paper's patch, 572 pixels, is larger than the images: 316 in are 132 out."""


@dataclass(frozen=True)
class Variant:
    """A network, its training, and on how many images."""

    told: str
    network: NetworkConfig = NETWORK
    training: TrainConfig = TRAINING
    images: int = IMAGES


VARIANTS = {
    "paper": Variant("all ideas, 30 images"),
    "no-elastic": Variant("no elastic deformation", training=replace(TRAINING, elastic=False)),
    "no-weights": Variant("no weight map", training=replace(TRAINING, w0=0.0, balance=False)),
    "no-skips": Variant("no skip connections", network=FCNConfig.like(NETWORK)),
    "padded": Variant("padded, not valid", network=replace(NETWORK, padding="same")),
    "20-images": Variant("20 images", images=20),
    "10-images": Variant("10 images", images=10),
    "5-images": Variant("5 images", images=5),
    "recipe": Variant(
        "recipe `paper`, a quarter as wide",
        UNetConfig(base_channels=16),
        replace(RECIPES["paper"].training, patch=316, iterations=4000, validate_every=500),
    ),
}


def table(output: Path) -> list[str]:
    """Return a row a variant."""
    return mistakes_table(output, {name: variant.told for name, variant in VARIANTS.items()})


def draw(output: Path, picture: Path) -> None:
    """Draw AP at IoU 0.5 of each variant, and its range over the seeds."""
    import _figure  # needs matplotlib

    lines = read_lines(output, Result)
    names = [name for name in VARIANTS if any(line.name == name for line in lines)]
    figure, grid = _figure.axes(6.5, 0.9 + 0.4 * len(names), 1, 1)
    ax = grid[0, 0]
    aps = [[line.ap[0] for line in lines if line.name == name] for name in names]
    means = [float(np.mean(values)) for values in aps]
    reach = [[m - min(v) for m, v in zip(means, aps, strict=True)]]
    reach += [[max(v) - m for m, v in zip(means, aps, strict=True)]]
    ax.barh([VARIANTS[name].told for name in names], means, xerr=reach, color=_figure.COLOURS[0])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    _figure.write_labels(ax, x="AP@0.5 on held-out images")
    _figure.save(figure, picture)


def main() -> None:
    """Train what is missing, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw what is there, only")
    args = read_arguments(parser, to_draw=())
    if args.picture:
        draw(args.output, args.picture)
        return

    def without(name: str, config: TrainConfig) -> Iterator[Result]:
        variant, (training, held_out) = VARIANTS[name], load(args.data)
        order = np.random.default_rng(config.seed).permutation(len(training))
        chosen = [training[index] for index in order[: variant.images]]
        common = (chosen, held_out, args.models, args.device)
        yield run(name, variant.network, Target(), config, *common)

    variants = {name: VARIANTS[name].training for name in args.only}
    run_missing(args, Result, variants, without)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
