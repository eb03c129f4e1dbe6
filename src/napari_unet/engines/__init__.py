"""Running a network on an array: by torch, OpenVINO on the CPU, or ONNX Runtime from elsewhere."""

from napari_unet.engines.averaged_engine import AveragedEngine
from napari_unet.engines.devices import (
    autocast,
    available_devices,
    choose_device,
    layout_of,
    preferred_precision,
    prefers_bfloat16,
    used_memory,
)
from napari_unet.engines.onnx_engine import EXTRA, TENSOR, ONNXEngine, read_outputs
from napari_unet.engines.openvino_engine import OpenVINOEngine, make_engine
from napari_unet.engines.problems import DeviceError, OutOfMemory, explain, first_line
from napari_unet.engines.protocol import Engine, Precision
from napari_unet.engines.torch_engine import NO_ROOM, TorchEngine

__all__ = [
    "EXTRA",
    "NO_ROOM",
    "TENSOR",
    "AveragedEngine",
    "DeviceError",
    "Engine",
    "ONNXEngine",
    "OpenVINOEngine",
    "OutOfMemory",
    "Precision",
    "TorchEngine",
    "autocast",
    "available_devices",
    "choose_device",
    "explain",
    "first_line",
    "layout_of",
    "make_engine",
    "preferred_precision",
    "prefers_bfloat16",
    "read_outputs",
    "used_memory",
]
