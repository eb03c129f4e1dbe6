"""How far an ONNX graph sees, on what grid it pools, and how much it holds in memory.

The graph runs once, on noise, with all that it computes as its output: shapes and sizes of
cropped edges are then numbers. How far a pixel's value spreads follows from the operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

SIDES = (128, 256, 512)
"""Heights to try; widths are twice as many, by which height and width are told apart."""
SPARE = 1.5
"""Memory of a pass, as a multiple of what its tensors take."""
BORDERLESS = 1e-3
"""By how much numbers may be off that are to be scores."""
EVEN = ("asymmetric", "half_pixel", "pytorch_half_pixel")
"""Ways of resizing by which what is where does not depend on the size of the image."""
POINTWISE = """
    Abs Add BatchNormalization Cast Ceil Celu Clip Concat Div Dropout Elu Erf Exp Floor Gelu
    HardSigmoid HardSwish Identity LeakyRelu Log Max Mean Min Mish Mul Neg PRelu Pow Reciprocal
    Relu Round Selu Sigmoid Sign Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh ThresholdedRelu
    Unsqueeze Where
""".split()  # noqa: SIM905 (a line each would be a page)
"""Operations whose result at a pixel depends on their inputs at that pixel alone."""

Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Geometry:
    """What was found out.

    Parameters
    ----------
    channels, outputs : int
        Of the images, and of what comes out.
    step : int
        Coarsest grid that it pools on: heights and widths have to be multiples of it.
    reach : int
        Pixels a side that an output depends on, as far as `exact`.
    exact : bool
        Whether that is all; else something depends on the whole image, as of a normalisation by
        its mean, and tiles differ a little from one pass.
    peak : int
        Channels as large as the input that it holds at a time.
    least, largest : float
        Of the outputs' values.
    total : float
        By how much the sum of a pixel's outputs differs from 1, at most.
    """

    channels: int
    outputs: int
    step: int
    reach: int
    exact: bool
    peak: int
    least: float
    largest: float
    total: float

    @property
    def gives_scores(self) -> bool:
        """Whether outputs are in [0, 1] as they are."""
        return self.least > -BORDERLESS and self.largest < 1 + BORDERLESS

    @property
    def sums_to_one(self) -> bool:
        """Whether those of a pixel exclude one another."""
        return self.total < BORDERLESS


def examine(model: ModelProto, name: str, smallest: int = 1) -> Geometry:
    """Find out the geometry of a graph from images to outputs of equal height and width.

    Parameters
    ----------
    model : ModelProto
        As :func:`napari_unet.exchange.onnx_reading.read_graph` returns it.
    name : str
        Of its file, for messages.
    smallest : int
        Height and width that it is known to need.

    Raises
    ------
    ValueError
        If it is no such graph, or cannot be run.
    """
    channels = _channels(model, name)
    values, side = _try(model, channels, name, smallest)
    (result,) = (values[output.name] for output in model.graph.output)
    if result.ndim != 4 or result.shape[2:] != (side, 2 * side):
        shape = "x".join(map(str, result.shape))
        raise ValueError(
            f"{name} makes {shape} of an image of {side}x{2 * side} pixels: only networks whose"
            " outputs are as high and wide as the image can be used."
        )
    walk = _Walk(values, side, model.graph.input[0].name)
    for node in model.graph.node:
        walk.take(node)
    output = model.graph.output[0].name
    return Geometry(
        channels,
        result.shape[1],
        walk.step,
        ceil(walk.reach.get(output, 0)),
        walk.exact and output in walk.reach,
        ceil(SPARE * _peak(model, values) / (2 * side**2)),
        float(result.min()),
        float(result.max()),
        float(np.abs(result.sum(1) - 1).max()),
    )


def _channels(model: ModelProto, name: str) -> int:
    """Return the channels of the images that a graph takes, if it takes images of any size."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ValueError(
            f"{name} takes {len(inputs)} inputs and gives {len(model.graph.output)} outputs: only"
            " networks with one of each can be used."
        )
    kind = inputs[0].type.tensor_type
    sizes = [axis.dim_value for axis in kind.shape.dim]
    if len(sizes) != 4 or not sizes[1] or kind.elem_type != onnx.TensorProto.FLOAT:
        told = "x".join(str(size or "?") for size in sizes) or "no stated shape"
        raise ValueError(
            f"{name} takes an input of {told}: only networks for float32 images of two dimensions,"
            " (1, channels, height, width), can be used."
        )
    if sizes[2] or sizes[3]:
        raise ValueError(
            f"{name} takes images of {sizes[2] or '?'}x{sizes[3] or '?'} pixels only: export it"
            " with dynamic height and width."
        )
    return int(sizes[1])


def _try(model: ModelProto, channels: int, name: str, smallest: int) -> tuple[Values, int]:
    """Return all that a graph computes of noise, by name, and the height of that."""
    whole = ModelProto()
    whole.CopyFrom(model)
    known = {output.name for output in whole.graph.output}
    names = [output for node in model.graph.node for output in node.output if output]
    whole.graph.output.extend(
        helper.make_empty_tensor_value_info(output) for output in names if output not in known
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # a size that does not fit is told by its exception
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    failure: Exception | None = None
    try:
        session = onnxruntime.InferenceSession(
            whole.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of classes of its own
        raise ValueError(_unusable(name, error)) from error
    (images,) = session.get_inputs()
    outputs = [output.name for output in session.get_outputs()]
    for side in SIDES:
        if side < smallest:
            continue
        noise = np.random.default_rng(0).random((1, channels, side, 2 * side), np.float32)
        try:
            computed = session.run(outputs, {images.name: noise})
        except Exception as error:  # a size that does not fit, or what never does
            failure = error
            continue
        found = dict(zip(outputs, computed, strict=True))
        if not all(isinstance(value, np.ndarray) for value in found.values()):
            raise ValueError(
                f"{name} computes lists of tensors, which are not followed here: choose another."
            )
        return {**stored, **found, images.name: noise}, side
    raise ValueError(_unusable(name, failure)) from failure


def _unusable(name: str, error: Exception | None) -> str:
    reason = (str(error or "its images are too large").splitlines() or [""])[0].rstrip(".")
    return f"{name} cannot be run by ONNX Runtime ({reason}): export it anew, or choose another."


class _Walk:
    """Follows, node by node, how far each image-like tensor sees."""

    def __init__(self, values: Values, side: int, images: str) -> None:
        self._values, self._side = values, side
        self.reach = {images: Fraction(0)}
        self.exact = True
        self.step = 1
        self._mixed: dict[str, Fraction] = {}  # what comes of images and is none

    def take(self, node: NodeProto) -> None:
        """Go on by one operation."""
        images = [name for name in node.input if name in self.reach]
        mixed = [name for name in node.input if name in self._mixed]
        if node.op_type in ("Shape", "Size") or not (images or mixed):
            return
        reach, local = self._follow(node, images, mixed)
        for output in node.output:
            scale = self._scale(output)
            if scale is None:
                self._mixed[output] = reach
                continue
            self.step = max(self.step, ceil(scale))
            self.reach[output] = reach
            self.exact = self.exact and local and not mixed

    def _scale(self, name: str) -> Fraction | None:
        """Return the image's pixels for each of a tensor's, if it is an image, too."""
        shape = self._values[name].shape if name in self._values else ()
        if len(shape) != 4 or shape[3] != 2 * shape[2]:
            return None
        return Fraction(self._side, shape[2])

    def _follow(
        self, node: NodeProto, images: list[str], mixed: list[str]
    ) -> tuple[Fraction, bool]:
        """Return how far what comes of an operation sees, and whether that is all."""
        known = [self.reach[name] for name in images] + [self._mixed[name] for name in mixed]
        farthest = max(known)
        if not images:
            return farthest, False
        scale = self._scale(images[0]) or Fraction(1)
        told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        match node.op_type:
            case "Conv" | "MaxPool" | "AveragePool" | "LpPool" | "ConvTranspose":
                spread = max(self._spread(node, told), default=0)
            case "Resize" | "Upsample":
                mode = told.get("mode", b"nearest").decode()
                spread = {"nearest": 1, "linear": 1}.get(mode, 2)
                kind = told.get("coordinate_transformation_mode", b"half_pixel").decode()
                if kind not in EVEN or not self._is_multiple(node):
                    return farthest + spread * scale, False
                spread -= mode == "nearest"
            case "Pad" | "Slice":
                spread = self._shift(node)
            case "Softmax" | "LogSoftmax":
                return farthest, told.get("axis", -1) in (1, -3)
            case kind:
                return farthest, kind in POINTWISE
        return farthest + spread * scale, True

    def _spread(self, node: NodeProto, told: Mapping[str, Any]) -> Iterator[int]:
        """Yield, for height and width, how many pixels of its input an operation sees a side."""
        shape = self._values[node.input[1]].shape[2:] if len(node.input) > 1 else ()
        sizes = told.get("kernel_shape", shape)
        pads, steps = told.get("pads", [0] * 4), told.get("strides", [1] * 2)
        automatic = told.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
        for axis, (size, dilation) in enumerate(
            zip(sizes, told.get("dilations", [1] * 2), strict=True)
        ):
            width, before, step = (size - 1) * dilation, pads[axis], steps[axis]
            if automatic:
                yield width
            elif node.op_type == "ConvTranspose":
                yield max((width - before) // step, (step - 1 + before) // step)
            else:
                yield max(before, width - before - (step - 1))

    def _is_multiple(self, node: NodeProto) -> bool:
        """Say whether each pixel becomes a square of several, and none is cut."""
        before, after = self._scale(node.input[0]), self._scale(node.output[0])
        return bool(before and after and (before / after).denominator == 1)

    def _shift(self, node: NodeProto) -> int:
        """Return how many pixels are added to a side, or cut."""
        before, after = (self._values[n].shape[2:] for n in (node.input[0], node.output[0]))
        added = max(abs(a - b) for a, b in zip(before, after, strict=True)) if after else 0
        return int(added)


def _peak(model: ModelProto, values: Values) -> int:
    """Return how many numbers a graph holds at a time, if each is forgotten after its last use."""
    last = {name: n for n, node in enumerate(model.graph.node) for name in node.input}
    weights = {tensor.name for tensor in model.graph.initializer}
    held: dict[str, int] = {}
    peak = 0
    for number, node in enumerate(model.graph.node):
        for name in (*node.input, *node.output):
            if name in values and name not in weights:
                held[name] = values[name].size
        peak = max(peak, sum(held.values()))
        held = {name: size for name, size in held.items() if last.get(name, -1) > number}
    return peak
