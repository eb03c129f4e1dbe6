"""Running a network that is known by its ONNX graph alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_unet.config import ONNXConfig, Target
from napari_unet.config.foreign import BACKGROUND, BOUNDARY, DISTANCE, SPECIAL
from napari_unet.engines.torch_engine import TorchEngine

TENSOR = "onnx"
"""Name of the tensor in a model's file that holds the graph, as bytes."""
EXTRA = "pip install 'napari-unet-segmentation[exchange]'"
MISSING = "It was imported as an ONNX graph, which needs ONNX Runtime: install it by {}."

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class ONNXEngine(TorchEngine):
    """Runs an ONNX graph by ONNX Runtime, on the CPU or an NVIDIA GPU; on the CPU also by OpenVINO.

    Scores and errors are those of :class:`TorchEngine`. Both libraries compute in float32.

    Parameters
    ----------
    graph : bytes
        The graph, from images (1, C, H, W) to outputs (1, K, H, W).
    config : ONNXConfig
        Its geometry, and what its outputs are.
    target : Target
        What the scores mean, as :func:`read_outputs` returns them.
    device : torch.device or str
        Where it runs. What ONNX Runtime cannot use is left for the CPU, and :attr:`notice` says so.

    Raises
    ------
    ImportError
        If neither library is installed.
    ValueError
        If the graph cannot be run.
    """

    def __init__(
        self, graph: bytes, config: ONNXConfig, target: Target, device: torch.device | str = "cpu"
    ) -> None:
        self._graph = graph
        self._library = ""
        super().__init__(nn.Identity(), config, target, device, "float32")

    def to(self, device: torch.device | str) -> None:
        """Load the graph on another device."""
        super().to(device)
        try:
            if find_spec("onnxruntime") is not None:
                self._load_runtime()
            elif find_spec("openvino") is not None:
                self._load_openvino()
            else:
                raise ImportError(MISSING.format(EXTRA))
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # of classes of the library's own
            raise ValueError(
                f"The model's ONNX graph cannot be run ({_in_words(error)}): export it anew, or"
                " update ONNX Runtime."
            ) from error

    def _load_runtime(self) -> None:
        import onnxruntime

        kinds = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
        wanted = kinds.get(self.device.type, "")
        if wanted not in onnxruntime.get_available_providers():
            self.notice = (
                f"ONNX Runtime cannot use this device ({self.device.type}): the CPU runs the"
                " network; for an NVIDIA GPU, install onnxruntime-gpu."
            )
            self.device, wanted = torch.device("cpu"), kinds["cpu"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors
        # What a pass took would be kept, and grow with each new size of a tile.
        options.enable_cpu_mem_arena = False
        session = onnxruntime.InferenceSession(self._graph, options, providers=[wanted])
        (images,) = session.get_inputs()
        self._library = f"ONNX Runtime {onnxruntime.__version__}"
        self._pass: Run = lambda batch: session.run(None, {images.name: batch})[0]

    def _load_openvino(self) -> None:
        from napari_unet.engines.openvino_engine import without_telemetry

        with without_telemetry():
            from napari_unet.engines.openvino_graph import CompiledNetwork
        compiled = CompiledNetwork(self._graph, False, torch.get_num_threads())
        self.device = torch.device("cpu")
        self._library, self._pass = compiled.description, compiled

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs (B, K, H, W) of images (B, C, H, W), and no more."""
        for size in images.shape[-2:]:
            self.config.output_size(size)
        batch = images.contiguous().cpu().numpy()
        try:
            return torch.cat([torch.from_numpy(self._pass(image[None])) for image in batch])
        except (RuntimeError, MemoryError):
            raise
        except Exception as error:  # ONNX Runtime's are not RuntimeErrors
            raise RuntimeError(_in_words(error)) from error

    def _scores(self, logits: Tensor) -> Tensor:
        """Return the scores (B, K', H, W) that outputs (B, K, H, W) stand for."""
        return read_outputs(logits.float(), cast(ONNXConfig, self.config))

    @property
    def description(self) -> str:
        """What runs the network, on what and in which precision, for messages."""
        return f"{self._library} on the {self.device.type.upper()}, float32"


def read_outputs(outputs: Tensor, config: ONNXConfig) -> Tensor:
    """Return the scores that a foreign graph's outputs stand for.

    Parameters
    ----------
    outputs : Tensor, shape (B, len(config.outputs), H, W)
        Of the graph.
    config : ONNXConfig
        What they are.

    Returns
    -------
    Tensor, shape (B, K, H, W)
        The background, each class, and the distance if there is one, or a boundary. Where there is
        a boundary, objects reach over it, and are told apart by the distance: that is the inside of
        objects less their boundary.
    """
    match config.squash:
        case "softmax":
            outputs = outputs.softmax(1)
        case "sigmoid":
            outputs = outputs.sigmoid()
    part = dict(zip(config.outputs, outputs.clamp(0, 1).unbind(1), strict=True))
    classes = [part[name] for name in config.outputs if name not in SPECIAL]
    extras = [part[DISTANCE]] if DISTANCE in part else []
    if BOUNDARY in part:
        extras = [(classes[0] - part[BOUNDARY]).clamp(min=0)]
        if BACKGROUND in part:  # else objects contain their boundary already
            classes = [1 - part[BACKGROUND]]
    rest = (1 - torch.stack(classes).sum(0)).clamp(min=0)
    return torch.stack([rest, *classes, *extras], 1)


def _in_words(error: Exception) -> str:
    """Return the last part of an error's text, which says what is wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
