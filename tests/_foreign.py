"""Networks of others: small ONNX graphs and bioimage.io packages, made here."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper


def make_graph(
    outputs: int = 2,
    last: str = "Sigmoid",
    middle: str = "Relu",
    channels: int = 1,
    sizes: Sequence[str | int] = ("h", "w"),
    seed: int = 0,
) -> ModelProto:
    """Return a network of two levels: convolved, pooled, `middle`, enlarged, joined, `last`."""
    random = np.random.default_rng(seed)
    weights = {
        "first": random.normal(0, 0.5, (4, channels, 3, 3)),
        "second": random.normal(0, 0.3, (4, 4, 3, 3)),
        "third": random.normal(0, 0.8, (outputs, 8, 1, 1)),
        "scales": np.array([1, 1, 2, 2]),
        "ones": np.ones(4),
        "zeros": np.zeros(4),
    }
    extra = ["ones", "zeros"] if middle == "InstanceNormalization" else []
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "second"], ["d"], pads=[1] * 4),
        helper.make_node(middle, ["d", *extra], ["e"]),
        helper.make_node("Resize", ["e", "", "scales"], ["f"], mode="linear"),
        helper.make_node("Concat", ["b", "f"], ["g"], axis=1),
        helper.make_node("Conv", ["g", "third"], ["h"]),
        helper.make_node(last, ["h"], ["out"], **({"axis": 1} if last == "Softmax" else {})),
    ]
    shape = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "foreign",
        [shape("image", TensorProto.FLOAT, ["n", channels, *sizes])],
        [shape("out", TensorProto.FLOAT, ["n", outputs, None, None])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def describe(
    graph: bytes,
    names: Sequence[str] = ("foreground", "boundary"),
    preprocessing: Sequence[Mapping[str, Any]] = (),
    postprocessing: Sequence[Mapping[str, Any]] = (),
    channels: int = 1,
) -> dict[str, Any]:
    """Return the description of a package whose network takes multiples of 16 pixels."""

    def tensor(name: str, names: Sequence[str], size: Mapping[str, Any]) -> dict[str, Any]:
        sizes = {
            axis: {**size, "axis_id": axis} if "tensor_id" in size else dict(size) for axis in "yx"
        }
        axes = [{"type": "space", "id": axis, "size": size} for axis, size in sizes.items()]
        named = {"type": "channel", "channel_names": list(names)}
        return {"id": name, "axes": [{"type": "batch"}, named, *axes]}

    image = tensor("raw", [f"c{n}" for n in range(channels)], {"min": 32, "step": 16})
    scores = tensor("scores", names, {"tensor_id": "raw"})
    for axis in scores["axes"][2:]:
        axis["halo"] = 4
    return {
        "type": "model",
        "format_version": "0.5.3",
        "name": "another network",
        "description": "somebody's cells",
        "authors": [{"name": "Some Body"}],
        "cite": [{"text": "a paper", "doi": "10.1234/5678"}],
        "license": "MIT",
        "documentation": "README.md",
        "inputs": [
            {**image, "preprocessing": list(preprocessing), "test_tensor": {"source": "i.npy"}}
        ],
        "outputs": [
            {**scores, "postprocessing": list(postprocessing), "test_tensor": {"source": "o.npy"}}
        ],
        "weights": {
            "onnx": {
                "source": "net.onnx",
                "sha256": hashlib.sha256(graph).hexdigest(),
                "opset_version": 17,
            }
        },
    }


def pack(path: Path, told: Mapping[str, Any], graph: bytes = b"", **files: bytes) -> Path:
    """Write a package, whose description is JSON: that is YAML, too."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("rdf.yaml", json.dumps(told))
        if graph:
            file.writestr("net.onnx", graph)
        for name, data in files.items():
            file.writestr(name, data)
    return path
