"""Running a network by torch: device, precision, memory."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_unet.config import NetworkConfig, Target
from napari_unet.engines.devices import (
    SPOKEN,
    autocast,
    exact_convolutions,
    layout_of,
    preferred_precision,
)
from napari_unet.engines.problems import OutOfMemory, explain
from napari_unet.engines.protocol import Precision
from napari_unet.memory import free_memory
from napari_unet.model import part_outputs

T = TypeVar("T")

BYTES = 4
"""Of a float32: the peak memory of a pass is that for each pixel and channel that it holds.

Measured on the CPU at 512 and 1024 pixels, per pixel and base channel: U-Net 22 to 26 bytes padded
and 19 unpadded, where 28 are reckoned with; U-Net++ of depth 4 59 to 61, where it is 64."""

LARGEST_TILE = 2048
"""Written side up to which a larger tile is worth its memory: 84 % of the pass is then useful."""

MEMORY_SHARE = {"cpu": 0.5, "mps": 0.5, "cuda": 0.8}
"""Share of the free memory that a tile may take: on the CPU others live from it too."""

NO_ROOM = "The GPU's memory is taken: the CPU goes on."


class TorchEngine:
    """Runs a torch network on arrays, and gives scores instead of logits.

    Parameters
    ----------
    network : torch.nn.Module
        Maps images (B, C, H, W) to logits (B, K, H', W'). It is moved to `device`, put into
        evaluation mode, and is the engine's from then on.
    config : NetworkConfig
        Its geometry.
    target : Target
        What its channels mean: a softmax over the classes, then a sigmoid for each extra.
    device : torch.device or str
        Where it runs; see :func:`choose_device`.
    precision : {"auto", "float32", "bfloat16"}
        "auto" computes in bfloat16 on devices where a measurement of a fraction of a second says
        that this is clearly faster; scores then differ by some 1e-2. Apple's GPUs compute in
        float32 whatever is asked for.

    Raises
    ------
    ValueError
        If `target` and `config` disagree about the number of output channels.
    OutOfMemory
        If the network alone does not fit on the device, and that is the CPU. Where a GPU is full
        the CPU is taken instead, and :attr:`notice` says so.

    Notes
    -----
    In float32, TF32 is off: tiles agree to 1e-5, and GPU and CPU nearly so.
    """

    def __init__(
        self,
        network: nn.Module,
        config: NetworkConfig,
        target: Target,
        device: torch.device | str = "cpu",
        precision: Precision = "auto",
    ) -> None:
        if len(target.outputs) != config.out_channels:
            raise ValueError(
                f"The target names {len(target.outputs)} outputs but the network has "
                f"{config.out_channels}: use the target it was trained for."
            )
        self.config = config
        self.target = target
        self.precision = precision
        self.network = network.eval()
        self.notice = ""
        try:
            self.to(device)
        except OutOfMemory:
            if not self.fall_back():
                raise
            self.notice = NO_ROOM

    def to(self, device: torch.device | str) -> None:
        """Move the network to another device.

        Raises
        ------
        OutOfMemory
            If it does not fit there.
        """
        self.device = torch.device(device)
        layout = layout_of(self.device)
        self._attempt(lambda: self.network.to(self.device))
        self._attempt(lambda: self.network.to(memory_format=layout))  # type: ignore[call-overload]
        wanted = self.precision if self.precision != "auto" else preferred_precision(self.device)
        self.bfloat16 = wanted == "bfloat16" and self.device.type != "mps"

    def fall_back(self) -> bool:
        """Move from a GPU to the CPU; False if it runs there already."""
        if self.device.type == "cpu":
            return False
        self.to("cpu")
        return True

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network.

        Parameters
        ----------
        batch : ndarray of float32, shape (B, C, H, W)
            Images of a size the network accepts.

        Returns
        -------
        ndarray of float32, shape (B, K, H', W')
            Scores in [0, 1]; those of the classes sum to 1 in each pixel.

        Raises
        ------
        ValueError
            If the number of channels or the size does not fit the network.
        OutOfMemory
            If the pass does not fit into memory.
        DeviceError
            If a GPU fails for another reason.
        """
        if batch.ndim != 4 or batch.shape[1] != self.config.in_channels:
            raise ValueError(
                f"A batch of shape {batch.shape} does not fit the network: it takes images "
                f"(B, {self.config.in_channels}, H, W)."
            )
        return self._attempt(lambda: self._run(batch))

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, K, H', W') of images (B, C, H, W) on the device, and no more."""
        with exact_convolutions(self.device), autocast(self.device, self.bfloat16):
            logits: Tensor = self.network(images)
        return logits

    @torch.inference_mode()
    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        images = torch.tensor(batch, device=self.device)  # a copy: the array may be read-only
        scores: NDArray[np.float32] = self._scores(self.forward(images)).cpu().numpy()
        return scores

    def _scores(self, logits: Tensor) -> Tensor:
        """Squash logits (B, K, H, W) to scores."""
        classes, extras = part_outputs(logits.float(), self.target)
        return torch.cat((classes.softmax(dim=1), extras.sigmoid()), dim=1)

    def _attempt(self, action: Callable[[], T]) -> T:
        """Return the action's result, or raise what its failure means to the user."""
        try:
            return action()
        except (RuntimeError, MemoryError) as error:
            problem = explain(error, self.device)
        # Past the handler the traceback is gone, and with it the tensors of the failed pass.
        if isinstance(problem, OutOfMemory) and self.device.type == "cuda":
            torch.cuda.empty_cache()
        raise problem

    @property
    def channels(self) -> int:
        """Channels of the scores."""
        return self.target.channels

    @property
    def description(self) -> str:
        """What runs the network, on what and in which precision, for messages."""
        there = SPOKEN.get(self.device.type, self.device.type)
        precision = "bfloat16" if self.bfloat16 else "float32"
        return f"torch {torch.__version__} on the {there}, {precision}"

    @property
    def bytes_per_pixel(self) -> int:
        """Estimate of a pass's peak memory in bytes for each input pixel."""
        return BYTES * self.config.peak_channels

    def free_memory(self) -> int:
        """Return the bytes that can still be had on the device."""
        if self.device.type != "cuda":  # Apple's GPUs share the CPU's memory
            return free_memory()
        free, _ = torch.cuda.mem_get_info(self.device)
        reserved = torch.cuda.memory_reserved(self.device)
        return int(free + reserved - torch.cuda.memory_allocated(self.device))

    def choose_tile(self, shape: tuple[int, ...]) -> int:
        """Return the side of the largest tile worth writing at a time.

        Parameters
        ----------
        shape : tuple of int
            Height and width of the image; the tile is not chosen larger.

        Returns
        -------
        int
            Side in pixels, a multiple of `config.alignment`: at most 2048, less if half of the
            CPU's or 80 % of the GPU's free memory is not enough for it, and one grid step at least.
        """
        step = self.config.alignment
        budget = MEMORY_SHARE.get(self.device.type, 0.5) * self.free_memory()
        fits = isqrt(int(budget / self.bytes_per_pixel)) - self.config.input_size(0)
        wanted = -(-min(LARGEST_TILE, max(shape)) // step)
        return max(min(wanted, fits // step), 1) * step
