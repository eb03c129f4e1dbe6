"""A network of others as a model of ours: its ONNX graph, with a card that says how to use it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from math import ceil, lcm
from typing import Any

import numpy as np
import torch
from onnx import ModelProto

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import ONNXConfig, Preprocessing, Target
from napari_unet.config.foreign import BACKGROUND, BOUNDARY, DISTANCE, SPECIAL, UNUSED, Squash
from napari_unet.engines import TENSOR
from napari_unet.exchange.onnx_geometry import Geometry, examine
from napari_unet.library import Card

OBJECT = "object"
MEANINGS = {
    BACKGROUND: r"background|bg",
    BOUNDARY: r".*(boundar|border|edge|contour|membrane).*",
    DISTANCE: r".*distance.*",
    OBJECT: r"foreground|fg|objects?|mask|prediction|probabilit\w*|scores?|interior|inside",
}
"""What channels are called, beside the names of classes."""
INEXACT = (
    "Parts of it depend on the whole image, such as a normalisation by its mean: where an image is"
    " segmented in tiles, scores differ a little from one pass."
)
GUESSED = "How images were prepared for it is not told; they are normalised by their percentiles."


def adopt(
    data: bytes,
    model: ModelProto,
    name: str,
    *,
    preprocessing: Preprocessing | None = None,
    outputs: Sequence[str] = (),
    squash: Squash = "none",
    step: int = 1,
    least: int = 1,
    halo: int = 0,
    provenance: dict[str, Any] | None = None,
) -> Checkpoint:
    """Return a foreign network as a checkpoint that can segment.

    Parameters
    ----------
    data : bytes
        The ONNX file.
    model : ModelProto
        The same, as :func:`napari_unet.exchange.onnx_reading.read_graph` returns it.
    name : str
        Of the file, for messages.
    preprocessing : Preprocessing or None
        How images become its input; None: not known.
    outputs : sequence of str
        What its channels are called; empty: not known.
    squash : {"none", "sigmoid", "softmax"}
        What is to be done to its output; with "none", what its values ask for.
    step, least, halo : int
        What is told of the sizes that it takes, beside what the graph itself tells.
    provenance : dict or None
        Where it is from.

    Raises
    ------
    ValueError
        If it cannot be used, or what its outputs are is neither told nor plain.
    """
    found = examine(model, name, least)
    rule = preprocessing or Preprocessing(channels=found.channels, invert_bright=False)
    if rule.channels != found.channels:
        raise ValueError(
            f"{name} takes {found.channels} channels, but is described with {rule.channels}: ask"
            " its authors for a description that fits."
        )
    meanings = _meanings(found, name, outputs, squash)
    if squash == "none" and not found.gives_scores:
        squash = "softmax" if BACKGROUND in meanings else "sigmoid"
    target = _target(meanings)
    step = lcm(step, found.step)
    network = ONNXConfig(
        in_channels=found.channels,
        out_channels=len(target.outputs),
        outputs=meanings,
        squash=squash,
        step=step,
        reach=max(found.reach, halo),
        least=ceil(max(least, step) / step) * step,
        peak=found.peak,
    )
    told = dict(provenance or {})
    notes = [INEXACT] * (not found.exact) + [GUESSED] * (preprocessing is None)
    if notes:
        told["failures"] = " ".join(notes)
    told["training"] = {}  # unknown to us, but there was one
    told["onnx_sha256"] = hashlib.sha256(data).hexdigest()
    graph = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
    return Checkpoint(Card(network, target, rule, told), {TENSOR: graph})


def _meanings(
    found: Geometry, name: str, outputs: Sequence[str], squash: Squash
) -> tuple[str, ...]:
    """Return what each output is."""
    if outputs:
        if len(outputs) != found.outputs:
            raise ValueError(
                f"{name} has {found.outputs} outputs, not {len(outputs)}: name each of them, as in"
                f" --outputs {','.join([OBJECT, *[UNUSED] * (found.outputs - 1)])}."
            )
        return _checked(tuple(_meaning(output) for output in outputs), name)
    if found.outputs == 1:
        return (OBJECT,)
    if found.outputs == 2 and (found.sums_to_one or squash == "softmax"):
        return (BACKGROUND, OBJECT)
    first = (OBJECT, BOUNDARY) if found.outputs == 2 else (BACKGROUND, OBJECT, BOUNDARY)
    named = ",".join([*first, *[UNUSED] * found.outputs][: found.outputs])
    raise ValueError(
        f"{name} does not say what its {found.outputs} outputs are: name them where it is imported"
        f" on the command line, as by --outputs {named}."
    )


def _meaning(output: str) -> str:
    for meaning, pattern in MEANINGS.items():
        if re.fullmatch(pattern, output.strip().casefold()):
            return meaning
    return output.strip()


def _checked(meanings: tuple[str, ...], name: str) -> tuple[str, ...]:
    try:
        ONNXConfig(outputs=meanings)
    except ValueError as error:
        raise ValueError(
            f"The outputs of {name} cannot be used as they are named ({', '.join(meanings)}):"
            f" {error} Name them by --outputs."
        ) from error
    return meanings


def _target(meanings: tuple[str, ...]) -> Target:
    """Return what scores mean that are made of such outputs."""
    classes = [meaning for meaning in meanings if meaning not in SPECIAL]
    split = bool({BOUNDARY, DISTANCE} & set(meanings))
    extras = ("distance",) if split else ()
    return Target((BACKGROUND, *classes), extras, instances=len(classes) == 1)
