"""bioimage.io packages of others: what of them can be used, and what is refused."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import lcm
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from bioimageio.spec import InvalidDescr, ValidationContext, build_description

from napari_unet.config import Preprocessing
from napari_unet.config.foreign import Squash
from napari_unet.exchange.archive import Archive
from napari_unet.exchange.operations import read_operations

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
LONGEST = 2**20
"""Bytes of a description."""
AXES = ("batch", "channel", "y", "x")
UNNAMED = re.compile(r"(channel|output|class|c|ch)?[_ -]?\d*", re.IGNORECASE)
"""What channels are called that were given no name."""


@dataclass(frozen=True)
class Description:
    """What a package says of its network.

    Parameters
    ----------
    weights : str
        Path of the ONNX file in the archive.
    sha256 : str or None
        Its hash.
    preprocessing : Preprocessing
        How images become its input.
    squash : {"none", "sigmoid", "softmax"}
        What is done to its output.
    outputs : tuple of str
        What its channels are called; empty if they have no names.
    step, least, halo : int
        Sizes that it takes, and what it wants cut off its output on each side.
    provenance : dict
        Where it is from.
    """

    weights: str
    sha256: str | None
    preprocessing: Preprocessing
    squash: Squash
    outputs: tuple[str, ...]
    step: int
    least: int
    halo: int
    provenance: dict[str, Any]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads YAML without references, by which a short text could stand for one of any length."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has references")
        return super().compose_node(parent, index)


def find_description(archive: Archive, path: Path) -> str:
    """Return the path of the description in a package.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = [name for name in archive.names if PurePosixPath(name).name in DESCRIPTIONS]
    if not found:
        raise ValueError(
            f"{path} is no bioimage.io package: it has no {DESCRIPTIONS[0]}; choose another file."
        )
    return min(found, key=lambda name: (name.count("/"), name))


def read_attachments(archive: Archive, path: Path, suffix: str) -> Iterator[bytes]:
    """Yield the files of a suffix that are attached to a package.

    Raises
    ------
    ValueError
        If the description cannot be read, or a file is not the one that it describes.
    """
    place = find_description(archive, path)
    attached = _load(archive.read(place), path).get("attachments")
    for entry in attached if isinstance(attached, list) else ():
        source = str(entry.get("source", "") if isinstance(entry, dict) else entry)
        if source.lower().endswith(suffix):
            told = entry.get("sha256") if isinstance(entry, dict) else None
            yield archive.read(str(PurePosixPath(place).parent / source), told)


def read_description(archive: Archive, path: Path) -> Description:
    """Return what a package says of its network, which has to be one for images of two dimensions.

    Parameters
    ----------
    archive : Archive
        The package.
    path : Path
        Of it, for messages.

    Raises
    ------
    ValueError
        If it is damaged, or not for such images; if it has no ONNX weights; or if it handles images
        or scores in a way that is not known here.
    """
    place = find_description(archive, path)
    told = _load(archive.read(place), path)
    model = _validate(told, path)
    weights = model.weights.onnx
    if weights is None:
        kinds = [name for name, entry in model.weights if entry is not None]
        raise ValueError(
            f"{path} has its weights only as {', '.join(kinds)}, by which a program of others would"
            " be run: ask its authors for ONNX weights."
        )
    if getattr(weights, "external_data", None) is not None:
        raise ValueError(f"{path} keeps its ONNX weights in two files: export them as one.")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"{path} takes {len(model.inputs)} inputs and gives {len(model.outputs)} outputs: only"
            " networks with one of each can be used."
        )
    (image,), (scores,) = model.inputs, model.outputs
    for tensor in (image, scores):
        _check_axes(tensor, path)
    y, x = (_axis(image, name) for name in "yx")
    sizes = [_size(axis, path) for axis in (y, x) if not hasattr(axis.size, "axis_id")]
    names = [str(name) for name in _axis(scores, "channel").channel_names]
    unnamed = all(UNNAMED.fullmatch(name) for name in names)
    return Description(
        weights=str(PurePosixPath(place).parent / str(weights.source)),
        sha256=None if weights.sha256 is None else str(weights.sha256),
        preprocessing=read_operations(image.preprocessing, _axis(image, "channel").size),
        squash=_squash(scores.postprocessing, path),
        outputs=() if unnamed else tuple(names),
        step=lcm(*(step for _, step in sizes)),
        least=max(least for least, _ in sizes),
        halo=max(int(getattr(_axis(scores, name), "halo", 0)) for name in "yx"),
        provenance=_provenance(model),
    )


def _load(data: bytes, path: Path) -> dict[str, Any]:
    """Return the content of a description, in which no other resource is looked up."""
    try:
        if len(data) > LONGEST:
            raise yaml.YAMLError(f"it has {len(data):,} bytes")
        told = yaml.load(data, _Loader)  # a SafeLoader: it makes nothing but plain values
        if not isinstance(told, dict):
            raise yaml.YAMLError("it is no table")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path} has a description that cannot be read ({reason}): ask its authors for another."
        ) from error
    if told.get("type") != "model":
        raise ValueError(f"{path} describes a {told.get('type')}: choose a package of a model.")
    if not isinstance(version := told.get("format_version"), str):
        raise ValueError(
            f"{path} has a description of the version {version!r}: ask its authors for one that"
            " says its format_version, such as 0.5.3."
        )
    inputs = told.get("inputs")
    for tensor in inputs if isinstance(inputs, list) else ():  # others are told of later
        if isinstance(tensor, dict):
            tensor.pop("output_of", None)  # would be looked up on the internet
    return told


def _validate(told: dict[str, Any], path: Path) -> Any:
    """Return a description as the newest version of the format has it."""
    with TemporaryDirectory() as empty:  # files are not looked for: they are in the archive
        context = ValidationContext(root=Path(empty), perform_io_checks=False, log_warnings=False)
        try:
            with warnings.catch_warnings():  # of what an older version does not tell
                warnings.simplefilter("ignore")
                model = build_description(told, context=context, format_version="latest")
        except Exception as error:  # conversions of older versions are not written for all of them
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise ValueError(
                f"{path} has a description that cannot be read ({reason}): ask its authors for"
                " another."
            ) from error
    if isinstance(model, InvalidDescr) or model.type != "model":
        errors = model.validation_summary.errors
        where = ".".join(map(str, errors[0].loc)) if errors else ""
        reason = f"{where}: {errors[0].msg}" if errors else "it is invalid"
        raise ValueError(
            f"{path} has a description that bioimage.io does not allow ({reason}): ask its authors"
            " for a valid one."
        )
    return model


def _check_axes(tensor: Any, path: Path) -> None:
    found = [str(axis.id) for axis in tensor.axes]
    if tuple(found) not in (AXES, AXES[1:]):
        raise ValueError(
            f"{path} has {tensor.id} with the axes {', '.join(found)}: only networks for"
            f" {', '.join(AXES)} can be used."
        )


def _axis(tensor: Any, name: str) -> Any:
    (axis,) = (axis for axis in tensor.axes if str(axis.id) == name)
    return axis


def _size(axis: Any, path: Path) -> tuple[int, int]:
    """Return the least length of an axis, and what it grows by."""
    if isinstance(axis.size, int):
        raise ValueError(
            f"{path} takes images of {axis.size} pixels along {axis.id} only: networks that take"
            " several sizes can be used."
        )
    return int(axis.size.min), int(axis.size.step)


def _squash(steps: Iterable[Any], path: Path) -> Squash:
    squash: Squash = "none"
    for step in steps:
        match step.id:
            case "sigmoid" | "softmax" if squash == "none":
                squash = step.id
            case "ensure_dtype" if step.kwargs.dtype == "float32":
                pass
            case name:
                raise ValueError(
                    f"{path} changes its output by {name}, which is not known here: use a model"
                    " that gives scores."
                )
    return squash


def _provenance(model: Any) -> dict[str, Any]:
    authors = [author.name for author in model.authors]
    cited = [entry.text for entry in model.cite]
    told = {
        "name": model.name,
        "description": model.description,
        "licence": model.license if isinstance(model.license, str) else "",
        "authors": authors,
        "cite": cited,
        "source": str(model.id or ""),
    }
    return {name: value for name, value in told.items() if value}
