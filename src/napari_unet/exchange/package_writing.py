"""A model as a bioimage.io package: its ONNX graph, described, with an example and its card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from bioimageio.spec import InvalidDescr, ValidationContext, build_description
from bioimageio.spec import save_bioimageio_package as save_package
from bioimageio.spec.model.v0_5 import ModelDescr
from numpy.typing import NDArray

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import NetworkConfig, SegmentConfig
from napari_unet.engines import TorchEngine
from napari_unet.exchange.onnx_writing import IMAGES, OPSET, SCORES, write_onnx
from napari_unet.exchange.operations import write_operations
from napari_unet.images import write_overlay
from napari_unet.library import SUFFIX, Card, summary
from napari_unet.prediction import run_to_end
from napari_unet.preprocessing import ScaledPlane, as_planes, measure
from napari_unet.samples import DEMO, load_sample
from napari_unet.segmentation import segment_steps

SIDE = 256
"""Of the example, about."""
FILES = {
    "weights": "weights.onnx",
    "input": "test_input.npy",
    "output": "test_output.npy",
    "cover": "cover.png",
    "text": "README.md",
}
CITED = {
    "unet": (
        "Ronneberger, O., Fischer, P. and Brox, T. (2015). U-Net: Convolutional Networks for"
        " Biomedical Image Segmentation. MICCAI.",
        "10.1007/978-3-319-24574-4_28",
    ),
    "unet++": (
        "Zhou, Z., Rahman Siddiquee, M. M., Tajbakhsh, N. and Liang, J. (2018). UNet++: A Nested"
        " U-Net Architecture for Medical Image Segmentation. DLMIA.",
        "10.1007/978-3-030-00889-5_1",
    ),
}
LICENCES = (
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "MIT"),
    *("BSD-3-Clause", "BSD-2-Clause", "Apache-2.0", "GPL-3.0-only", "GPL-3.0-or-later"),
)
"""Those that are found in what a card says of its licence, by their SPDX identifiers."""


def write_package(
    checkpoint: Checkpoint,
    name: str,
    path: Path,
    image: NDArray[Any] | None = None,
    axes: str | None = None,
    authors: Sequence[str] = (),
) -> None:
    """Write a model as a bioimage.io package, a zip file.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    name : str
        What it is called.
    path : Path
        Of the zip file, which is written over.
    image : array or None
        An example of what it segments, by which the package is tested; None: stained tissue.
    axes : str or None
        A letter for each of its dimensions; None: guessed from its shape.
    authors : sequence of str
        Who made it.

    Raises
    ------
    ValueError
        If the model is one of a foreign graph, or the image does not fit it.
    """
    card = checkpoint.card
    graph = write_onnx(checkpoint).SerializeToString()
    engine = TorchEngine(checkpoint.build(), card.network, card.target, precision="float32")
    example = _example(card, image, axes)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        files = {part: root / file for part, file in FILES.items()}
        files["weights"].write_bytes(graph)
        np.save(files["input"], example[np.newaxis])
        np.save(files["output"], engine(_normalised(example, card)[np.newaxis]))
        steps = segment_steps(example, engine, card, SegmentConfig(), "CYX")
        gray = example.astype(float).mean(0)
        write_overlay(files["cover"], gray, run_to_end(steps).labels)
        files["text"].write_text(_text(name, card), "utf-8")
        checkpoint.save(root / f"model{SUFFIX}")
        told = _describe(card, name, authors)
        context = ValidationContext(root=root, file_name="rdf.yaml", log_warnings=False)
        described = build_description(told, context=context)
        if isinstance(described, InvalidDescr):
            raise ValueError(
                f"{name} cannot be described for bioimage.io: "
                + described.validation_summary.format()
            )
        save_package(described, output_path=path)


def _example(card: Card, image: NDArray[Any] | None, axes: str | None) -> NDArray[np.float32]:
    """Return the middle of an image, (C, Y, X), of a size that the network takes."""
    rule, network = card.preprocessing, card.network
    if image is None:
        image, axes = np.stack([load_sample(DEMO)] * rule.channels), "CYX"
    planes = as_planes(image, rule, axes)
    plane = np.asarray(planes[0], np.float32)
    if planes.is_colour and rule.channels == 1:
        plane = plane[:3].mean(0, keepdims=True)
    if not np.ptp(plane):
        raise ValueError("The example image is the same everywhere: choose one with objects.")
    wanted = network.nearest_valid_sizes(SIDE)[1]
    least = network.input_size(network.alignment)
    for axis in (1, 2):
        plane = _fit(plane, axis, max(wanted, least))
    return np.ascontiguousarray(plane)


def _fit(plane: NDArray[np.float32], axis: int, size: int) -> NDArray[np.float32]:
    """Cut the middle out of an axis, or mirror it at the end, until it has a size."""
    missing = max(size - plane.shape[axis], 0)
    plane = np.pad(plane, [(0, missing * (n == axis)) for n in range(3)], "symmetric")
    start = (plane.shape[axis] - size) // 2
    return plane.take(range(start, start + size), axis)


def _normalised(example: NDArray[np.float32], card: Card) -> NDArray[np.float32]:
    """Do what the package's operations do: bright and dark stay as they are."""
    rule = replace(card.preprocessing, invert_bright=False)
    planes = as_planes(example, rule, "CYX")
    plane = ScaledPlane(planes[0], measure(planes, rule), 1.0, rule.channels)
    return plane[(slice(None),) * 3]


def _describe(card: Card, name: str, authors: Sequence[str]) -> dict[str, Any]:
    target, network = card.target, card.network
    licence = _licence(str(card.provenance.get("licence", "")))
    return {
        "type": "model",
        "format_version": ModelDescr.implemented_format_version,
        "name": _plain(name),
        "description": _short(card),
        "authors": [{"name": author.replace("/", "-")} for author in authors],
        "cite": [
            {"text": text, "doi": doi}
            for kind, (text, doi) in CITED.items()
            if kind in ("unet", card.architecture)
        ],
        **({"license": licence} if licence else {}),
        "tags": ["2d", "segmentation", "unet", "napari", *target.classes[1:]],
        "covers": [{"source": FILES["cover"]}],
        "documentation": {"source": FILES["text"]},
        "attachments": [{"source": f"model{SUFFIX}"}],
        "inputs": [
            {
                "id": IMAGES,
                "description": "gray values as they are in the file",
                "axes": [
                    {"type": "batch"},
                    _channels([f"channel{n}" for n in range(network.in_channels)]),
                    *(_input_axis(axis, network) for axis in "yx"),
                ],
                "data": {"type": "float32"},
                "preprocessing": write_operations(card.preprocessing),
                "test_tensor": {"source": FILES["input"]},
            }
        ],
        "outputs": [
            {
                "id": SCORES,
                "description": "scores of the classes, and what else the network tells",
                "axes": [
                    {"type": "batch"},
                    _channels([*target.classes, *target.extras]),
                    *(_output_axis(axis, network) for axis in "yx"),
                ],
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "test_tensor": {"source": FILES["output"]},
            }
        ],
        "weights": {"onnx": {"source": FILES["weights"], "opset_version": OPSET}},
    }


def _channels(names: Sequence[str]) -> dict[str, Any]:
    names = [re.sub(r"\W", "_", name) for name in names]
    return {"type": "channel", "channel_names": names}


def _input_axis(axis: str, network: NetworkConfig) -> dict[str, Any]:
    # The smallest size from which something is left when the halo is cut off.
    size = {"min": network.input_size(network.alignment), "step": network.alignment}
    return {"type": "space", "id": axis, "size": size, "concatenable": True}


def _output_axis(axis: str, network: NetworkConfig) -> dict[str, Any]:
    size: dict[str, Any] = {"tensor_id": IMAGES, "axis_id": axis}
    if network.padding == "valid":  # the network cuts its halo off itself
        return {"type": "space", "id": axis, "size": {**size, "offset": -2 * network.halo}}
    return {"type": "space", "id": axis, "size": size, "halo": network.halo}


def _plain(name: str) -> str:
    """Return a name of the letters and the length that bioimage.io allows."""
    plain = re.sub(r"[^A-Za-z0-9_+\-() ]", "_", name)
    return f"U-Net {plain}"[:64]


def _short(card: Card) -> str:
    told, rule = card.provenance, card.preprocessing
    text = f"{told.get('description') or 'A U-Net that segments images'}. "
    if rule.diameter is not None:
        text += f"Resize images so that objects are about {rule.diameter:g} pixels across. "
    if rule.invert_bright:
        text += "Invert images with a bright background before. "
    if "distance" in card.target.extras:
        text += "Distance: to an object's border, divided by its largest in the object. "
    if "extent" in card.target.extras:
        text += "Extent: where objects are, up to their borders with one another. "
    return text.strip()[:500]


def _text(name: str, card: Card) -> str:
    rows = [f"- {heading}: {text}" for heading, text in summary(card)]
    return "\n".join(
        [
            f"# {name}",
            *("", _short(card), "", *rows, ""),
            f"`model{SUFFIX}` in this package is the model with its card, as napari-unet reads it:",
            "it can segment and be trained further with `napari-unet models import`.",
            *("", "# Validation", ""),
            "Compare its labels of annotated images of your own with their annotation, as with",
            "`napari-unet evaluate`: average precision at several overlaps, and the worst images.",
            "",
        ]
    )


def _licence(text: str) -> str:
    """Return the SPDX identifier in what a card says, that of the weights before that of data."""
    text = re.sub(r"\bCC0\b(?!-)", "CC0-1.0", text)
    found = [name for name in LICENCES if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]
    of_weights = [name for name in found if f"{name} (weights)" in text]
    return (of_weights or found or [""])[0]
