"""A network as a graph of OpenVINO's operations; the only module that imports OpenVINO."""

from __future__ import annotations

from functools import cache, reduce

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import CompiledModel, Core, Model, Node
from openvino import opset8 as ops
from torch import Tensor, nn

from napari_unet.model import CopyAndCrop, Mean, make_twin


class CompiledNetwork:
    """A network for the CPU, in evaluation mode, for inputs of any size that fits.

    Parameters
    ----------
    network : Network or bytes
        On the CPU; its weights are copied. Or the ONNX graph of one.
    bfloat16 : bool
        Compute in bfloat16 if the CPU has instructions for it; else in float32.
    threads : int
        Threads of a pass.

    Raises
    ------
    TypeError
        If it is none of ours, or passes through what has no translation.
    """

    def __init__(self, network: nn.Module | bytes, bfloat16: bool, threads: int) -> None:
        # Left alone, OpenVINO takes float16 on some CPUs, whose range is small; told to, it
        # imitates bfloat16 on CPUs without it, slowly.
        self.bfloat16 = bfloat16 and "BF16" in _core().get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        )
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,  # one pass at a time has all the threads
            "ENABLE_CPU_PINNING": False,  # processes side by side would be pinned to the same cores
        }
        graph = _core().read_model(network) if isinstance(network, bytes) else translate(network)
        self._compiled: CompiledModel = _core().compile_model(graph, "CPU", options)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (B, K, H', W') of images (B, C, H, W) in C order."""
        request = self._compiled.create_infer_request()  # with an output of its own
        # Not `infer`: in a single thread that hides a lack of memory, and leaves the output as is.
        request.start_async({0: images}, share_inputs=True)
        request.wait()
        logits: NDArray[np.float32] = request.get_output_tensor().data
        return logits

    def release_memory(self) -> None:
        """Give back what the last pass took."""
        self._compiled.release_memory()

    @property
    def description(self) -> str:
        """What runs the network, on what and in which precision."""
        cpu = _core().get_property("CPU", "FULL_DEVICE_NAME")
        version = openvino.__version__.split("-")[0]
        return f"OpenVINO {version} on {cpu}, {'bfloat16' if self.bfloat16 else 'float32'}"


@cache
def _core() -> Core:
    """Load the library's part for this machine, once."""
    return Core()


def translate(network: nn.Module) -> Model:
    """Return a network's forward pass as OpenVINO's graph, of any batch, height and width.

    The network's own code runs once, on nodes of the graph instead of tensors, in a twin whose
    layers add operations to it. That takes hundredths of a second. (OpenVINO's reader of torch's
    networks takes seconds, for each model that is loaded; torch.fx replaces how modules are called
    in all threads while it traces, and so in a training that goes on.)
    """
    twin = make_twin(network, _translate)
    config = twin.config
    images = ops.parameter([-1, config.in_channels, -1, -1], np.float32, "images")
    return Model([twin.logits(images)], [images], config.architecture)


def _translate(layer: nn.Module, x: Node, *more: Node) -> Node:
    """Return what a layer makes of its inputs."""
    match layer:
        case nn.Conv2d():
            edge = [size // 2 if layer.padding == "same" else 0 for size in layer.kernel_size]
            x = ops.convolution(x, _array(layer.weight), [1, 1], edge, edge, [1, 1])
            return _add_bias(layer.bias, x)
        case nn.ConvTranspose2d():
            x = ops.convolution_backprop_data(x, _array(layer.weight), [2, 2])
            return _add_bias(layer.bias, x)
        case nn.BatchNorm2d():
            state = layer.state_dict()
            names = ("weight", "bias", "running_mean", "running_var")
            return ops.batch_norm_inference(x, *(_array(state[n]) for n in names), layer.eps)
        case nn.ReLU():
            return ops.relu(x)
        case nn.MaxPool2d():
            return ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
        case nn.Dropout2d():
            return x
        case CopyAndCrop():
            return ops.concat([*(_crop(skip, layer.margin) for skip in more), x], 1)
        case Mean():
            return ops.divide(reduce(ops.add, more, x), np.float32(1 + len(more)))
        case _:
            raise TypeError(f"the layer {type(layer).__name__} has no translation")


def _crop(x: Node, margin: int) -> Node:
    return ops.slice(x, [margin] * 2, [-margin] * 2, [1, 1], [2, 3]) if margin else x


def _add_bias(bias: Tensor | None, x: Node) -> Node:
    return x if bias is None else ops.add(x, _array(bias).reshape(1, -1, 1, 1))


def _array(numbers: Tensor) -> NDArray[np.float32]:
    """Return a tensor's numbers in C order, whatever its layout."""
    return np.ascontiguousarray(numbers.detach().numpy(), np.float32)
