"""What each part of the training is good for: a network without it, then with it.

    python benchmarks/ablation.py --data FOLDER --models runs/ablation --output ablation.jsonl \
        [--only w0-0 w0-5 ...] [--seeds 1] [--iterations N | --minutes M]
    python benchmarks/ablation.py --output ablation.jsonl --table

Each variant has what the one before it has, and one thing more, unless it says "instead": it is
trained for equally many steps from the same seed and scored once, at the end, on the validation
part (see _experiment.py), a line of JSON each. What is there is not repeated, and a training that
was broken off goes on.

FOLDER holds dsb2018_stardist (the split of Schmidt et al. 2018); its test part is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from _commands import make_parser, read_arguments, run_missing
from _experiment import NEVER, Result, load, run
from _tables import mistakes_table
from napari_unet.config import RECIPES, Target, TrainConfig, UNetConfig

BARE = replace(
    RECIPES["standard"].training,
    iterations=800,
    batch=6,
    patch=128,
    learning_rate=1.5e-3,
    validate_every=NEVER,
    w0=0.0,
    elastic=False,
    scale=1.0,
    sharp=1.0,
    average=0.0,
)
"""Cross-entropy alone; patches are mirrored, turned by right angles, and change in gray value."""


@dataclass(frozen=True)
class Variant:
    """A network, what it predicts, and its training."""

    told: str
    network: UNetConfig
    target: Target
    training: TrainConfig

    def having(
        self,
        told: str,
        *,
        network: UNetConfig | None = None,
        extras: tuple[str, ...] | None = None,
        **training: Any,
    ) -> Variant:
        """Return it with some things exchanged."""
        return Variant(
            told,
            network or self.network,
            self.target if extras is None else Target(extras=extras),
            replace(self.training, **training),
        )


def _variants() -> Iterator[tuple[str, Variant]]:
    """Yield the variants, from the barest to all, then those of it with a thing exchanged."""
    plain = UNetConfig(base_channels=24, padding="same", dropout=0.0)
    variant = Variant("cross-entropy", plain, Target(), BARE)
    yield "bare", variant
    variant = variant.having("+ weight map (w0 = 5)", w0=5.0)
    yield "weight-map", variant
    variant = variant.having("+ batch normalisation", network=replace(plain, batch_norm=True))
    yield "batch-norm", variant
    variant = variant.having("+ distance output, seeded watershed", extras=("distance",))
    yield "distance", variant
    variant = variant.having("+ extent output", extras=("distance", "extent"))
    yield "extent", variant
    variant = variant.having("+ moving average of the weights", average=0.999)
    yield "average", variant
    told = "+ elastic deformation of every second patch"
    variant = variant.having(told, elastic=True, scale=1.4, sharp=0.5)
    yield "elastic", variant
    told = "elastic deformation of all patches instead"
    yield "elastic-all", variant.having(told, sharp=0.0)
    yield "balance", variant.having("classes balanced (--balance), too", balance=True)
    yield "w0-10", variant.having("w0 = 10 instead", w0=10.0)
    yield "w0-0", variant.having("no weight map (w0 = 0) instead", w0=0.0)


VARIANTS = dict(_variants())


def table(output: Path) -> list[str]:
    """Return a row a variant."""
    return mistakes_table(output, {name: variant.told for name, variant in VARIANTS.items()})


def main() -> None:
    """Train what is missing, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    args = read_arguments(parser)

    def scored(name: str, config: TrainConfig) -> Iterator[Result]:
        variant, (training, held_out) = VARIANTS[name], load(args.data)
        common = (training, held_out, args.models, args.device)
        yield run(name, variant.network, variant.target, config, *common)

    run_missing(args, Result, {name: VARIANTS[name].training for name in args.only}, scored)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
