"""List the models, or describe, rename, delete, export, import or prune one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_unet.cli.terminal import tell, warn
from napari_unet.config import RECIPES, NetworkConfig, TrainableConfig

SIZE = 572
"""Input of the published network, for which the layers' shapes are listed."""
PROGRAM = "napari-unet models"
USAGE = f"""{PROGRAM} [-h] [list]
       {PROGRAM} [show] NAME [--layers]
       {PROGRAM} rename NAME NEW
       {PROGRAM} delete NAME [--yes]
       {PROGRAM} export NAME PATH [--force] [--image IMAGE] [--author NAME]
       {PROGRAM} import PATH [--name NAME] [--outputs A,B]
       {PROGRAM} prune NAME LEVELS NEW
each with --project NAME.unet for the models of a project"""
PROJECT = "the project whose models are meant, instead of your own"
FORMATS = "a .safetensors file, an ONNX file, or a bioimage.io package (.zip)"
LAYERS = f"list the layers and their shapes for a {SIZE} input"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet models`` takes.

    A first word that is no action is the name of a model to describe, which argparse's own
    sub-commands do not allow for: it is told apart in :func:`run`, by a parser for the rest.
    """
    parser.usage = USAGE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    width = max(len(name) for name in ACTIONS)
    lines = [f"  {name:<{width}}  {text}" for name, (text, _, _) in ACTIONS.items()]
    parser.epilog = "\n".join(["actions:", *lines, "", f"{PROGRAM} ACTION -h tells more."])
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="ACTION | NAME",
        help="an action (below), or what to describe; all models are listed without it",
    )
    parser.add_argument("--layers", action="store_true", help=LAYERS)
    parser.add_argument("--project", type=Path, metavar="NAME.unet", help=PROJECT)


def run(arguments: argparse.Namespace) -> bool:
    """Do what the first word says; a name alone is described, and without one all are listed."""
    words = ["--layers"] * arguments.layers + arguments.words
    if not words:
        words = ["list"]
    elif words[0] not in ACTIONS:
        words = ["show", *words]
    _, add, act = ACTIONS[words[0]]
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {words[0]}", description=f"{ACTIONS[words[0]][0].capitalize()}."
    )
    add(parser)
    parser.add_argument(
        "--project", type=Path, metavar="NAME.unet", default=arguments.project, help=PROJECT
    )
    chosen = parser.parse_args(words[1:])
    chosen.folder = _models_of(chosen.project)
    return act(chosen)


def _models_of(project: Path | None) -> Path | None:
    """Return the folder of a project's models."""
    if project is None:
        return None
    from napari_unet.annotations import Project

    return Project.open(project).models


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the model's name")


def _add_show(parser: argparse.ArgumentParser) -> None:
    names = f"model, path or recipe ({', '.join(RECIPES)}) to describe"
    parser.add_argument("name", nargs="?", metavar="NAME", help=names)
    parser.add_argument("--layers", action="store_true", help=LAYERS)


def _add_rename(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument(
        "new", metavar="NEW", help="its new name: letters, digits, spaces and - _ ."
    )


def _add_delete(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask first")


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument(
        "path", type=Path, metavar="PATH", help=f"a folder, or a new file: {FORMATS}"
    )
    parser.add_argument("--force", action="store_true", help="write over an existing file")
    parser.add_argument(
        "--image", type=Path, metavar="IMAGE", help="an example of what it segments, for a package"
    )
    parser.add_argument(
        "--author", action="append", default=[], metavar="NAME", help="who made it, for a package"
    )


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="PATH", help=FORMATS)
    parser.add_argument("--name", metavar="NAME", help="what to call it (default: as the file)")
    parser.add_argument(
        "--outputs",
        type=lambda text: text.split(","),
        default=(),
        metavar="A,B",
        help="what the outputs of a network from elsewhere are: background, boundary, distance,"
        " unused, or the name of what is found (default: as it tells itself)",
    )


def _add_prune(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("levels", type=int, metavar="LEVELS", help="what its depth becomes")
    parser.add_argument("new", metavar="NEW", help="the name of the smaller model")


def _list(arguments: argparse.Namespace) -> bool:
    """Print a line a model; a broken one is told and the others are listed."""
    from napari_unet.library import list_models, read_card

    fine = True
    for name, path in list_models(arguments.folder).items():
        try:
            card = read_card(path)
        except (ValueError, OSError) as error:
            warn(str(error))
            fine = False
            continue
        diameter = card.preprocessing.expected_diameter()
        size = f"objects of about {diameter:.3g} px" if diameter else "objects of any size"
        tell(f"{name:<16} {card.provenance.get('description', '')} ({size})  {path}")
    return fine


def _show(arguments: argparse.Namespace) -> bool:
    if arguments.name is None:
        return _list(arguments)
    network = _describe(arguments.name, arguments.folder)
    if arguments.layers:
        _print_layers(network)
    return True


def _rename(arguments: argparse.Namespace) -> bool:
    from napari_unet.library import rename

    path = rename(arguments.name, arguments.new, arguments.folder)
    tell(f"{arguments.name} is now {arguments.new}: {path}")
    return True


def _delete(arguments: argparse.Namespace) -> bool:
    from napari_unet.library import check_own, delete

    check_own(arguments.name, arguments.folder)
    if not arguments.yes and not _confirmed(arguments.name):
        tell("Nothing was deleted.")
        return False
    for path in delete(arguments.name, arguments.folder):
        tell(f"deleted {path}")
    return True


def _confirmed(name: str) -> bool:
    """Ask on the terminal; where there is none, nothing is deleted by accident."""
    if not sys.stdin.isatty():
        raise ValueError(f"{name} is deleted for good: confirm it with --yes.")
    try:
        answer = input(f"Delete {name} and what its training left, for good? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _export(arguments: argparse.Namespace) -> bool:
    from napari_unet.exchange import export_model

    image, axes = None, None
    if arguments.image is not None:
        from napari_unet.images import read_image

        read = read_image(arguments.image)
        image, axes = read.data, read.axes
    try:
        path = export_model(
            arguments.name,
            arguments.path,
            arguments.folder,
            arguments.force,
            image,
            axes,
            arguments.author,
        )
    except FileExistsError as error:
        raise ValueError(f"{error} To write over it, add --force.") from error
    tell(f"{arguments.name} -> {path}")
    return True


def _import(arguments: argparse.Namespace) -> bool:
    from napari_unet.exchange import import_model
    from napari_unet.library import find_model

    name = import_model(arguments.path, arguments.name, arguments.folder, arguments.outputs)
    path = find_model(name, arguments.folder)
    wanted = name if arguments.folder is None else str(path)
    tell(f"{arguments.path} -> {path}: segment with --model {_quoted(wanted)}")
    return True


def _prune(arguments: argparse.Namespace) -> bool:
    from napari_unet.exchange import prune_model
    from napari_unet.library import find_model

    name = prune_model(arguments.name, arguments.levels, arguments.new, arguments.folder)
    tell(f"{arguments.name} -> {find_model(name, arguments.folder)}")
    return True


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name


def _describe(name: str, folder: Path | None) -> NetworkConfig:
    """Print what is known of a model or a recipe; returns its network."""
    if name in RECIPES:
        recipe = RECIPES[name]
        _tell_as_json({"architecture": recipe.network.architecture, **asdict(recipe)})
        return recipe.network
    from napari_unet.library import find_model, read_card

    path: Path = find_model(name, folder)
    card = read_card(path)
    _tell_as_json({"path": str(path), **card.to_dict()})
    return card.network


def _tell_as_json(values: dict[str, Any]) -> None:
    tell(json.dumps(values, indent=2, ensure_ascii=False))


def _print_layers(network: NetworkConfig) -> None:
    from napari_unet.model import layer_table

    if not isinstance(network, TrainableConfig):
        raise ValueError(
            "A model that was imported from an ONNX graph has no table of layers: export it as"
            " .onnx, and look at that."
        )
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


Add = Callable[[argparse.ArgumentParser], None]
Act = Callable[[argparse.Namespace], bool]
ACTIONS: dict[str, tuple[str, Add, Act]] = {
    "list": ("list all models", lambda _: None, _list),
    "show": ("describe a model; the word show may be left out", _add_show, _show),
    "rename": ("give a model of yours another name", _add_rename, _rename),
    "delete": ("delete a model of yours, with what its training left", _add_delete, _delete),
    "export": ("write a model to a file, for others to use", _add_export, _export),
    "import": ("copy a model from a file into your models", _add_import, _import),
    "prune": ("keep the upper levels of a U-Net++, a faster model", _add_prune, _prune),
}
