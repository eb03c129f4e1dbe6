"""A U-Net as a graph of OpenVINO's operations; the only module that imports OpenVINO."""

from __future__ import annotations

from functools import cache, reduce

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import CompiledModel, Core, Model, Node
from openvino import opset8 as ops
from torch import Tensor, nn

from napari_unet.model import UNet


class CompiledNetwork:
    """A U-Net for the CPU, in evaluation mode, for inputs of any size that fits.

    Parameters
    ----------
    network : UNet
        On the CPU; its weights are copied.
    bfloat16 : bool
        Compute in bfloat16 if the CPU has instructions for it; else in float32.
    threads : int
        Threads of a pass.

    Raises
    ------
    TypeError
        If the network is of another kind.
    """

    def __init__(self, network: nn.Module, bfloat16: bool, threads: int) -> None:
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
        self._compiled: CompiledModel = _core().compile_model(translate(network), "CPU", options)

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
    """Return a U-Net's forward pass as OpenVINO's graph, of any batch, height and width.

    Written out rather than traced: tracing takes seconds, for each model that is loaded, and torch
    is giving up the kind of trace that OpenVINO reads.
    """
    if type(network) is not UNet:  # a subclass may do anything
        raise TypeError(f"a {type(network).__name__} is not the U-Net that was translated for it")
    config = network.config
    images = ops.parameter([-1, config.in_channels, -1, -1], np.float32, "images")
    x, skips = images, []
    for level, convs in enumerate(network.contract):
        x = _apply(convs, _pool(x) if level else x)
        skips.append(x)
    x = skips.pop()
    lost = 0  # pixels of a level's side that are lost from its skip connection to its end
    for expand in network.expand:
        x, skip = _apply(expand.get_submodule("up"), x), skips.pop()
        if config.padding == "valid":
            # At both ends: what the level below lost, which is twice as wide here, and the 4 that
            # its first two convolutions took.
            margin = lost + 4
            skip = ops.slice(skip, [margin] * 2, [-margin] * 2, [1, 1], [2, 3])
            lost = 2 * margin + 4
        x = _apply(expand.get_submodule("convs"), ops.concat([skip, x], 1))
    return Model([_apply(network.output, x)], [images], "U-Net")


def _apply(module: nn.Module, x: Node) -> Node:
    match module:
        case nn.Sequential():
            return reduce(lambda x, layer: _apply(layer, x), module, x)
        case nn.Conv2d():
            edge = [size // 2 if module.padding == "same" else 0 for size in module.kernel_size]
            x = ops.convolution(x, _array(module.weight), [1, 1], edge, edge, [1, 1])
            return _add_bias(module.bias, x)
        case nn.ConvTranspose2d():
            x = ops.convolution_backprop_data(x, _array(module.weight), [2, 2])
            return _add_bias(module.bias, x)
        case nn.BatchNorm2d():
            state = module.state_dict()
            names = ("weight", "bias", "running_mean", "running_var")
            return ops.batch_norm_inference(x, *(_array(state[n]) for n in names), module.eps)
        case nn.ReLU():
            return ops.relu(x)
        case _:
            raise TypeError(f"the layer {type(module).__name__} has no translation")


def _pool(x: Node) -> Node:
    return ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)


def _add_bias(bias: Tensor | None, x: Node) -> Node:
    return x if bias is None else ops.add(x, _array(bias).reshape(1, -1, 1, 1))


def _array(numbers: Tensor) -> NDArray[np.float32]:
    """Return a tensor's numbers in C order, whatever its layout."""
    return np.ascontiguousarray(numbers.detach().numpy(), np.float32)
