"""List the models, or describe one."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from napari_unet.cli.terminal import tell, warn
from napari_unet.config import RECIPES, UNetConfig

SIZE = 572
"""Input of the published network, for which the layers' shapes are listed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet models`` takes."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help=f"model, path or recipe ({', '.join(RECIPES)}) to describe; all models are listed"
        " without it",
    )
    parser.add_argument(
        "--layers", action="store_true", help=f"list the layers and their shapes for a {SIZE} input"
    )


def run(arguments: argparse.Namespace) -> bool:
    """List or describe."""
    if arguments.name is None:
        return _list()
    network = _describe(arguments.name)
    if arguments.layers:
        _print_layers(network)
    return True


def _list() -> bool:
    """Print a line a model; a broken one is told and the others are listed."""
    from napari_unet.library import list_models, read_card

    fine = True
    for name, path in list_models().items():
        try:
            card = read_card(path)
        except (ValueError, OSError) as error:
            warn(str(error))
            fine = False
            continue
        diameter = card.preprocessing.diameter
        size = f"objects of about {diameter:g} px" if diameter else "objects of any size"
        tell(f"{name:<16} {card.provenance.get('description', '')} ({size})  {path}")
    return fine


def _describe(name: str) -> UNetConfig:
    """Print what is known of a model or a recipe; returns its network."""
    if name in RECIPES:
        tell(json.dumps(asdict(RECIPES[name]), indent=2, ensure_ascii=False))
        return RECIPES[name].network
    from napari_unet.library import find_model, read_card

    path: Path = find_model(name)
    card = read_card(path)
    tell(json.dumps({"path": str(path), **asdict(card)}, indent=2, ensure_ascii=False))
    return card.network


def _print_layers(network: UNetConfig) -> None:
    from napari_unet.model import layer_table

    size = network.nearest_valid_sizes(SIZE)[1]
    if size != SIZE:
        tell(f"An input of {SIZE} does not fit this network; the shapes are those for {size}.")
    rows = layer_table(network, size)
    tell(f"{'layer':<24}{'kind':<20}{'output':<20}{'parameters':>12}")
    for row in rows:
        shape = " x ".join(str(n) for n in row.shape)
        tell(f"{row.name:<24}{row.kind:<20}{shape:<20}{row.parameters:>12,}")
    convolutions = sum("Conv" in row.kind for row in rows)
    total = sum(row.parameters for row in rows)
    tell(f"{convolutions} convolutional layers, {total:,} parameters")
