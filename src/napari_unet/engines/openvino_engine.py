"""Running a network on the CPU by OpenVINO, where that is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_unet.config import NetworkConfig, Target
from napari_unet.engines.problems import means_memory
from napari_unet.engines.protocol import Precision
from napari_unet.engines.torch_engine import TorchEngine
from napari_unet.model import Network

if TYPE_CHECKING:
    from napari_unet.engines.openvino_graph import CompiledNetwork

SWITCH = "NAPARI_UNET_OPENVINO"
"""Environment variable that, set to 0, leaves the CPU to torch."""


class OpenVINOEngine(TorchEngine):
    """Runs a network on the CPU by OpenVINO, and elsewhere as :class:`TorchEngine` does.

    Parameters, scores and errors are those of :class:`TorchEngine`. One compiled network takes all
    sizes; it computes in bfloat16 where torch's would and the CPU can, else in float32, in as many
    threads as torch has when the network comes to the CPU.

    Notes
    -----
    Where OpenVINO cannot be imported, or cannot compile or run the network, torch runs it and
    :attr:`notice` says why.

    Its peak memory is less than torch's, by which tiles are chosen: 19 to 24 bytes for each input
    pixel and base channel in float32, 12 in bfloat16. To be faster, it keeps what a pass took for
    the next one, until :meth:`free_memory` is asked or the engine is gone.
    """

    _compiled: CompiledNetwork | None = None

    def to(self, device: torch.device | str) -> None:
        """Move the network to another device, and compile it if that is the CPU."""
        self._compiled = None
        super().to(device)
        if self.device.type == "cpu":
            self._compile()

    def _compile(self) -> None:
        try:
            with without_telemetry():
                from napari_unet.engines.openvino_graph import CompiledNetwork
            self._compiled = CompiledNetwork(self.network, self.bfloat16, torch.get_num_threads())
        except Exception as error:  # a foreign library: whatever it raises, torch is there
            self._leave_to_torch(error)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, K, H', W') of images (B, C, H, W) on the device, and no more."""
        for size in images.shape[-2:]:
            self.config.output_size(size)
        if self._compiled is not None:
            try:
                return torch.from_numpy(self._compiled(images.contiguous().numpy()))
            except (RuntimeError, MemoryError) as error:
                if means_memory(error):
                    self._compiled.release_memory()
                    raise
                # Kernels are made for the CPU at hand when they are first needed, here.
                self._leave_to_torch(error)
        return super().forward(images)

    def _leave_to_torch(self, error: Exception) -> None:
        self._compiled = None
        # OpenVINO's messages begin with lines of its own source, and end with what is wrong.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].rstrip(".")
        self.notice = (
            f"OpenVINO failed ({reason}): torch runs the network, more slowly; {SWITCH}=0 stops"
            " OpenVINO from being tried."
        )

    def free_memory(self) -> int:
        """Return the bytes that can still be had on the device, after giving back what was kept."""
        if self._compiled is not None:
            self._compiled.release_memory()
        return super().free_memory()

    @property
    def description(self) -> str:
        """What runs the network, on what and in which precision, for messages."""
        return super().description if self._compiled is None else self._compiled.description


def make_engine(
    network: Network,
    config: NetworkConfig,
    target: Target,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
) -> TorchEngine:
    """Return the fastest engine there is for a network; the parameters are :class:`TorchEngine`'s.

    Returns
    -------
    TorchEngine
        One that has the CPU's part done by OpenVINO if that is installed and the environment
        variable ``NAPARI_UNET_OPENVINO`` is not 0.
    """
    wanted = os.environ.get(SWITCH) != "0" and find_spec("openvino") is not None
    kind = OpenVINOEngine if wanted else TorchEngine
    return kind(network, config, target, device, precision)


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Let the module appear to be absent by which OpenVINO reports to its makers, unasked.

    When OpenVINO is imported, it makes a folder in the user's home, too; where there is none,
    OpenVINO does without.
    """
    module = "openvino_telemetry"
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
