"""U-Net++ beside U-Net, with as many parameters: what each finds, and what each level costs.

    python benchmarks/unet_plus_plus.py --data FOLDER --models runs/nested --output nested.jsonl \
        [--only dsb2018-unet dsb2018-unet++ usiigaci-unet usiigaci-unet++] [--seeds 1]
    python benchmarks/unet_plus_plus.py --data FOLDER --models runs/nested --output nested.jsonl \
        --speed
    python benchmarks/unet_plus_plus.py --output nested.jsonl --table
    python benchmarks/unet_plus_plus.py --output nested.jsonl --picture nested.png

The U-Net++ of Zhou et al. (2018) is trained with deep supervision and scored whole, by the mean of
its outputs, and pruned to each of its levels. Both networks take equally many steps on the same
patches. The second line times what is trained, all levels of a set in turn, on the held-out images,
with nothing else running; the times go into a file of their own beside the results.

FOLDER holds dsb2018_stardist (the split of Schmidt et al. 2018: every tenth image of its training
part is held out) and usiigaci (Tsai et al. 2019: the last quarter of its training part is). The
test parts are not read.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from _commands import make_parser, read_arguments, run_missing
from _experiment import Result, load, read_pairs, run, score
from _experiment import last_model as load_model
from _records import read_lines
from _speed import read_speed, write_speed
from _tables import cost_table
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import (
    Preprocessing,
    Target,
    TrainConfig,
    UNetConfig,
    UNetPlusPlusConfig,
)
from napari_unet.model import build
from napari_unet.training import Pair

NESTED = "unet++"
TARGET = Target(extras=("distance",))
PLAIN = UNetConfig(base_channels=24, padding="same", batch_norm=True, dropout=0.0)
TRAINING = TrainConfig(
    iterations=1500,
    batch=4,
    patch=128,
    learning_rate=1.5e-3,
    validate_every=500,
    average=0.998,
    scale=1.4,
    sharp=0.75,
)


@dataclass(frozen=True)
class Place:
    """A set: where it is read from, and how its images are seen."""

    told: str
    rule: Preprocessing

    def load(self, data: Path) -> tuple[list[Pair], list[Pair]]:
        """Return what is learnt from, and what is held out."""
        if self is PLACES["dsb2018"]:
            return load(data)
        pairs = read_pairs(data / "usiigaci" / "train")
        kept = len(pairs) * 3 // 4  # frames that follow one another are alike
        return pairs[:kept], pairs[kept:]


PLACES = {
    "dsb2018": Place("nuclei (dsb2018_stardist)", Preprocessing()),
    "usiigaci": Place("phase contrast (usiigaci)", Preprocessing(zoom=0.5, invert_bright=False)),
}
VARIANTS = [f"{place}-{kind}" for place in PLACES for kind in ("unet", NESTED)]


def parameters(network: UNetConfig | UNetPlusPlusConfig) -> int:
    """Count those of a network, without making it."""
    with torch.device("meta"):
        return sum(int(p.numel()) for p in build(network).parameters())


def nested_like(plain: UNetConfig) -> UNetPlusPlusConfig:
    """Return the U-Net++ of that depth whose number of parameters is nearest."""
    like = UNetPlusPlusConfig.like(plain)
    wanted = parameters(plain)
    widths = range(1, plain.base_channels + 1)
    options = [replace(like, base_channels=width) for width in widths]
    return min(options, key=lambda network: abs(parameters(network) - wanted))


def levels(name: str, model: Checkpoint) -> dict[str, Checkpoint]:
    """Return what a U-Net++ can be pruned to, by the names of their results."""
    if not name.endswith(NESTED):
        return {}
    return {f"{name} level {n}": model.pruned(n) for n in range(1, PLAIN.depth + 1)}


def measure_speed(args: argparse.Namespace) -> None:
    """Time all that is trained, on what is held out of the first set that is asked for."""
    place = args.only[0].split("-")[0]
    models: dict[str, Checkpoint] = {}
    for name in (name for name in args.only if name.startswith(place)):
        models[name] = load_model(args.models, name)
        models |= levels(name, models[name])
    _, held_out = PLACES[place].load(args.data)
    write_speed(args.output, models, held_out, args.repeat)


def table(output: Path) -> list[str]:
    """Return a row a network, and a row a level."""
    return cost_table(output)


def draw(output: Path, picture: Path) -> None:
    """Draw AP over the seconds that a megapixel takes, of all that is timed."""
    import _figure  # needs matplotlib

    rates = read_speed(output).get("per_second", {})
    lines = [line for line in read_lines(output, Result) if line.name in rates]
    figure, grid = _figure.axes(6, 4.2, 1, 1)
    ax = grid[0, 0]
    for number, kind in enumerate(("U-Net", "U-Net++ and its levels")):
        chosen = [line for line in lines if (NESTED in line.name) == bool(number)]
        cost = [1 / statistics.median(rates[line.name]) for line in chosen]
        marker, colour = _figure.MARKERS[number], _figure.COLOURS[number]
        ax.plot(cost, [r.mean_ap for r in chosen], marker, color=colour, ms=8, label=kind)
        for x, line in zip(cost, chosen, strict=True):
            level = line.name.partition(" level ")[2]
            ax.annotate(level, (x, line.mean_ap), (6, 4), textcoords="offset points")
    ax.set_xlim(left=0)
    _figure.write_labels(ax, x="seconds a megapixel", y="AP, mean of IoU 0.5 to 0.9")
    _figure.put_legend(figure, ax)
    _figure.save(figure, picture)


def main() -> None:
    """Train or time what is missing, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument("--speed", action="store_true", help="time what is trained, on one set")
    parser.add_argument("--repeat", type=int, default=3, help="of the timing")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw what is timed, only")
    args = read_arguments(parser, to_draw=())
    if args.picture:
        draw(args.output, args.picture)
        return
    if args.speed:
        measure_speed(args)

    def both(name: str, config: TrainConfig) -> Iterator[Result]:
        place = PLACES[name.split("-")[0]]
        training, held_out = place.load(args.data)
        network = nested_like(PLAIN) if name.endswith(NESTED) else PLAIN
        common = (training, held_out, args.models, args.device, place.rule)
        whole = run(name, network, TARGET, config, *common)
        model = load_model(args.models, name, config.seed)
        for level, pruned in levels(name, model).items():
            yield score(level, config, pruned, held_out)
        yield whole

    run_missing(args, Result, {} if args.speed else dict.fromkeys(args.only, TRAINING), both)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
