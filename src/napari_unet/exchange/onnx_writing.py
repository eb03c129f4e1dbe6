"""A network as an ONNX graph, from images to scores, of any batch, height and width."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from napari_unet import __version__
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import Target
from napari_unet.library import KEY, Card
from napari_unet.model import CopyAndCrop, Mean, make_twin

OPSET, IR = 17, 8
"""Versions of the operations and the file: of 2022, so that programs that are not new read it."""
IMAGES, SCORES = "images", "scores"


def write_onnx(checkpoint: Checkpoint) -> ModelProto:
    """Return a checkpoint as an ONNX graph from images (B, C, H, W) to scores (B, K, H', W').

    The card is in its metadata, and each weight has the name that it has in the checkpoint, so that
    nothing is lost.

    Raises
    ------
    ValueError
        If the checkpoint is one of a foreign graph, or its weights do not fit.
    """
    network, card = checkpoint.build(), checkpoint.card
    graph = _Graph(network)
    images: Any = IMAGES  # a name instead of a tensor
    logits: Any = make_twin(network, graph.translate).logits(images)
    graph.squash(logits, card.target)
    shapes = {IMAGES: card.network.in_channels, SCORES: card.target.channels}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, *axes])
        for (name, channels), axes in zip(shapes.items(), (["h", "w"], ["h2", "w2"]), strict=True)
    ]
    drawn = helper.make_graph(
        graph.nodes, card.architecture, ends[:1], ends[1:], list(graph.arrays.values())
    )
    model = helper.make_model(
        drawn,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="napari-unet",
        producer_version=__version__,
        doc_string=_describe(card),
    )
    helper.set_model_props(model, {KEY: card.to_json()})
    onnx.checker.check_model(model)
    return model


def _describe(card: Card) -> str:
    channels = ", ".join((*card.target.classes, *card.target.extras))
    return f"{card.provenance.get('description', 'A U-Net')}. Scores, in this order: {channels}."


class _Graph:
    """The operations of a network, one after the other, and its weights."""

    def __init__(self, network: nn.Module) -> None:
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, TensorProto] = {}
        self._names = {layer: name for name, layer in network.named_modules()}
        self._numbers = count()

    def translate(self, layer: nn.Module, x: str, *more: str) -> str:
        """Add what a layer does; returns the name of what comes of it."""
        match layer:
            case nn.Conv2d():
                edge = [size // 2 if layer.padding == "same" else 0 for size in layer.kernel_size]
                inputs = self._weights(layer, "weight", "bias")
                return self._add("Conv", x, *inputs, kernel_shape=layer.kernel_size, pads=2 * edge)
            case nn.ConvTranspose2d():
                inputs = self._weights(layer, "weight", "bias")
                return self._add(
                    "ConvTranspose", x, *inputs, kernel_shape=layer.kernel_size, strides=[2, 2]
                )
            case nn.BatchNorm2d():
                inputs = self._weights(layer, "weight", "bias", "running_mean", "running_var")
                return self._add("BatchNormalization", x, *inputs, epsilon=layer.eps)
            case nn.ReLU():
                return self._add("Relu", x)
            case nn.MaxPool2d():
                return self._add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
            case nn.Dropout2d():
                return x
            case CopyAndCrop():
                skips = [self._crop(skip, layer.margin) for skip in more]
                return self._add("Concat", *skips, x, axis=1)
            case Mean():
                return self._add("Mean", x, *more)
            case _:
                raise TypeError(f"the layer {type(layer).__name__} has no translation")

    def squash(self, logits: str, target: Target) -> None:
        """Add what makes scores of logits."""
        number = len(target.outputs) - len(target.extras)
        classes = self._slice(logits, [0], [number], [1])
        if target.activation == "softmax":
            parts = [self._add("Softmax", classes, axis=1)]
        else:
            object_ = self._add("Sigmoid", classes)
            parts = [self._add("Sub", self._constant(np.float32(1)), object_), object_]
        if target.extras:
            extras = self._slice(logits, [number], [len(target.outputs)], [1])
            parts.append(self._add("Sigmoid", extras))
        self._add("Concat", *parts, axis=1, output=SCORES)

    def _crop(self, x: str, margin: int) -> str:
        return self._slice(x, [margin] * 2, [-margin] * 2, [2, 3]) if margin else x

    def _slice(self, x: str, starts: list[int], stops: list[int], axes: list[int]) -> str:
        limits = (self._constant(np.array(part, np.int64)) for part in (starts, stops, axes))
        return self._add("Slice", x, *limits)

    def _add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operation.lower()}-{next(self._numbers)}"
        self.nodes.append(helper.make_node(operation, inputs, [output], output, **attributes))
        return output

    def _weights(self, layer: nn.Module, *names: str) -> list[str]:
        """Return the names of those of a layer's weights that it has."""
        state, own = layer.state_dict(), self._names[layer]
        return [self._store(f"{own}.{name}", state[name]) for name in names if name in state]

    def _store(self, name: str, tensor: Tensor) -> str:
        array = np.ascontiguousarray(tensor.detach().numpy(), np.float32)
        self.arrays[name] = numpy_helper.from_array(array, name)
        return name

    def _constant(self, array: Any) -> str:
        name = f"constant-{next(self._numbers)}"
        self.arrays[name] = numpy_helper.from_array(np.asarray(array), name)
        return name
