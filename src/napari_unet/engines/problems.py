"""What can go wrong while a network runs, in the user's words."""

from __future__ import annotations

import torch

from napari_unet.engines.devices import SPOKEN

MEMORY_SIGNS = (
    "out of memory",  # CUDA, MPS
    "allocate memory",  # torch's CPU allocator on POSIX
    "not enough memory",  # and on Windows
    "alloc_failed",  # cuDNN, cuBLAS
    "failed to allocate",  # OpenVINO
    "bad_alloc",  # C++ on POSIX
    "bad allocation",  # and on Windows
)
"""How a lack of memory is worded."""


class OutOfMemory(MemoryError):
    """The device had not enough memory for this pass; a smaller tile may fit."""


class DeviceError(OSError):
    """The device failed for another reason than memory, as when a GPU was unplugged.

    No RuntimeError, since napari's generator workers swallow those.
    """


def means_memory(error: Exception) -> bool:
    """Say whether an error is a lack of memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in MEMORY_SIGNS)


def explain(error: RuntimeError | MemoryError, device: torch.device) -> Exception:
    """Return what to raise instead: out of memory, a failed device, or the error itself."""
    spoken = SPOKEN.get(device.type, device.type)
    if means_memory(error):
        return OutOfMemory(f"The network needs more memory than the {spoken} has free.")
    if device.type == "cpu":
        return error
    problem = DeviceError(f"The {spoken} failed ({first_line(error)}): use the CPU instead.")
    problem.__cause__ = error
    return problem


def first_line(error: Exception) -> str:
    """Return what an error says first, for a sentence: torch's messages run on for pages."""
    return (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
