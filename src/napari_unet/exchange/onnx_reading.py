"""ONNX files of others: what is refused, and what is one of ours in that form."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, TensorProto, load_model_from_string, numpy_helper

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import TrainableConfig
from napari_unet.library import KEY, Card
from napari_unet.model import build

STANDARD = ("", "ai.onnx")
"""Domains of the operations that are ONNX's own."""
_COUNTER = "num_batches_tracked"


def read_graph(data: bytes, name: str) -> ModelProto:
    """Return the ONNX graph in a file, if it is complete in itself and computes by ONNX alone.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for messages.

    Raises
    ------
    ValueError
        If it is damaged, refers to other files, or has operations that are not ONNX's own or
        that choose what to compute.
    """
    try:
        model = load_model_from_string(data)
    except DecodeError as error:
        raise ValueError(f"{name} is no complete ONNX file: copy or download it again.") from error
    if not model.graph.node:
        raise ValueError(f"{name} is no ONNX file of a network: choose another one.")
    for node in model.graph.node:
        if node.domain not in STANDARD:
            raise ValueError(
                f"{name} has the operation {node.op_type} of {node.domain}, which is not ONNX's"
                " own: export it without custom operations."
            )
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ValueError(
                f"{name} has the operation {node.op_type}, which chooses what to compute: export it"
                " without control flow."
            )
    if model.functions:
        raise ValueError(
            f"{name} defines functions of its own, such as {model.functions[0].name}: export it"
            " with all of them inlined."
        )
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ValueError(
                f"{name} keeps the weights {tensor.name!r} in another file, which could be any:"
                " export it as one file."
            )
    return model


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield all arrays that a graph without inner graphs has."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def restore(model: ModelProto, name: str) -> Checkpoint | None:
    """Return the checkpoint that a graph was written from, or None if it is not one of ours.

    Raises
    ------
    ValueError
        If its card is damaged, or its weights do not fit it.
    """
    told = {entry.key: entry.value for entry in model.metadata_props}
    if KEY not in told:
        return None
    try:
        card = Card.from_json(told[KEY])
        if not isinstance(card.network, TrainableConfig):
            return None
        with torch.device("meta"):
            names = list(build(card.network).state_dict())
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        weights = {
            name: torch.from_numpy(numpy_helper.to_array(stored[name]).copy())
            for name in names
            if name in stored
        }
        # No graph has use for how often statistics were updated.
        weights |= {n: torch.tensor(0) for n in names if n.endswith(_COUNTER)}
        checkpoint = Checkpoint(card, weights)
        checkpoint.build()
    except ValueError as error:
        raise ValueError(f"{name} cannot be used as a model. {error}") from error
    return checkpoint
