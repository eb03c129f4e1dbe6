"""Where a network can run: devices, how much memory they have free, what suits them."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from math import prod

import psutil
import torch
from torch import Tensor

from napari_unet.engines.protocol import Precision

SWITCH = "NAPARI_UNET_BFLOAT16"
"""Environment variable that is 0 where all is to be computed in float32, as on every machine."""
CLEARLY_FASTER = 1.25
"""Speed-up from which bfloat16 is worth its rounding."""
ROUNDING = 0.02
"""Of the largest value, what bfloat16 may be off by: some five times what its 8 bits cost here."""

SPOKEN = {"cuda": "CUDA GPU", "mps": "Apple GPU", "cpu": "CPU"}
"""What devices are called in sentences."""


def available_devices() -> list[str]:
    """Return the devices of this machine that this build of torch can use, the fastest first."""
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return [name for name, there in present.items() if there]


def layout_of(device: torch.device) -> torch.memory_format:
    """Return how images and weights lie in memory there: channels last, as CPUs and CUDA like it.

    Apple's kernels have been slow and wrong for it, gradients of batch normalisation among them.
    """
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def choose_device(name: str) -> torch.device:
    """Return the device of that name.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "mps"}
        "auto" takes an NVIDIA or AMD GPU, then Apple's, then the CPU.

    Raises
    ------
    ValueError
        If the name is unknown, or this machine or this build of torch has no such device.
    """
    present = available_devices()
    if name == "auto":
        return torch.device(present[0])
    if name not in SPOKEN:
        raise ValueError(f"Device {name!r} is unknown: use one of auto, {', '.join(SPOKEN)}.")
    if name not in present:
        raise ValueError(
            f"Device {name!r} is not available: no {SPOKEN[name]} was found by torch "
            f"{torch.__version__}; use 'cpu' or 'auto'."
        )
    return torch.device(name)


def used_memory(device: torch.device) -> int:
    """Return the bytes that torch has taken on a GPU, or that this process has in memory."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    return int(psutil.Process().memory_info().rss)


@cache
def prefers_bfloat16(device: torch.device) -> bool:
    """Say whether 3x3 convolutions are clearly faster in bfloat16 than in float32 there, and right.

    Measured once a process; never on Apple's GPUs, whose autocast differs between versions of
    torch, nor where the environment variable ``NAPARI_UNET_BFLOAT16`` is 0.
    """
    if device.type not in ("cpu", "cuda") or os.environ.get(SWITCH) == "0":
        return False
    try:
        exact, seconds = _convolve(device, bfloat16=False)
        rounded, less = _convolve(device, bfloat16=True)
    except RuntimeError:  # no such kernel
        return False
    error = (rounded - exact).abs().max() / exact.abs().max()
    return seconds > CLEARLY_FASTER * less and bool(error < ROUNDING)  # not where it is NaN


def preferred_precision(device: torch.device) -> Precision:
    """Return the precision that "auto" stands for on a device; see :func:`prefers_bfloat16`."""
    return "bfloat16" if prefers_bfloat16(device) else "float32"


@torch.inference_mode()
def _convolve(device: torch.device, bfloat16: bool, repeats: int = 3) -> tuple[Tensor, float]:
    """Return two 64-channel convolutions of 128x128 pixels, and the least seconds they took."""
    # Not nn.Conv2d, whose random initial weights would advance the caller's random state.
    image = _waves(1, 64, 128, 128).to(device, memory_format=torch.channels_last)
    kernel = _waves(64, 64, 3, 3).to(device, memory_format=torch.channels_last)
    seconds = []
    with exact_convolutions(device), autocast(device, bfloat16):
        for _ in range(1 + repeats):  # the first one warms up
            start = time.perf_counter()
            result = torch.conv2d(torch.conv2d(image, kernel), kernel)
            result[0, 0, 0, 0].item()  # reading a value waits for the GPU
            seconds.append(time.perf_counter() - start)
    return result.float(), min(seconds[1:])


def _waves(*shape: int) -> Tensor:
    """Return values between -1 and 1 in that shape, always the same ones."""
    return torch.arange(prod(shape)).square().remainder(997).mul(0.1).sin().reshape(shape)


def autocast(device: torch.device, bfloat16: bool) -> AbstractContextManager[object]:
    """Compute in bfloat16 where asked; not all devices know autocast, so else it is left alone."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if bfloat16 else nullcontext()


def exact_convolutions(device: torch.device) -> AbstractContextManager[object]:
    """Keep cuDNN from rounding the factors of float32 convolutions to TF32's 10 bits."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
