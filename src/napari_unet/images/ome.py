"""OME-TIFF: labels and scores with names of axes, physical sizes and coarser levels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unet.files import write_whole
from napari_unet.images.image import PixelSize, as_pair
from napari_unet.images.reading import TIFF
from napari_unet.provenance import Provenance

ENDINGS = tuple(f".ome{ending}" for ending in TIFF)
PYRAMID_FROM = 4096
"""Height or width from which on coarser levels are written, too."""
COARSEST = 1024
"""The last level has no longer side."""
TILE = 512
BIG = 2**32 - 2**25
"""Bytes of pixels that a TIFF of 32-bit offsets may not have room for."""


def is_ome(path: Path) -> bool:
    """Say whether a name is that of an OME-TIFF."""
    return path.name.lower().endswith(ENDINGS)


def stem_of(path: Path) -> str:
    """Return a file's name without its ending, of which an OME-TIFF has two."""
    return Path(path.stem).stem if is_ome(path) else path.stem


def write_ome(
    path: Path,
    stack: NDArray[Any],
    pixel_size: float | PixelSize | None = None,
    spacing: float | None = None,
    made: Provenance | None = None,
    channels: Sequence[str] = (),
) -> Path:
    """Write an OME-TIFF, each level showing every second row and column of the one before.

    Parameters
    ----------
    path : Path
        Where.
    stack : array, shape (T, Z, C, Y, X)
        Labels or numbers.
    pixel_size : float, (float, float) or None
        Micrometres per pixel: one number, or height and width.
    spacing : float or None
        Micrometres between planes.
    made : Provenance or None
        How they were made: kept as the description of the image.
    channels : sequence of str
        Their names.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    metadata: dict[str, Any] = {"axes": "TZCYX"}
    height, width = as_pair(pixel_size) or (None, None)
    for axis, size in {"X": width, "Y": height, "Z": spacing}.items():
        if size is not None:
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    if channels:
        metadata["Channel"] = {"Name": list(channels)}
    if made is not None:
        metadata["Description"] = made.to_json()
    steps = _steps(stack.shape[-2:])
    size = sum(stack.nbytes // step**2 for step in steps)

    def write(temporary: Path) -> None:
        options: dict[str, Any] = {
            "compression": "zlib",
            "tile": (TILE, TILE),
            "photometric": "minisblack",
        }
        with tifffile.TiffWriter(temporary, ome=True, bigtiff=size > BIG) as file:
            file.write(stack, subifds=len(steps) - 1, metadata=metadata, **options)
            for step in steps[1:]:
                level = np.ascontiguousarray(stack[..., ::step, ::step])
                file.write(level, subfiletype=1, **options)

    return write_whole(path, write)


def _steps(shape: tuple[int, ...]) -> list[int]:
    """Return which rows and columns the levels show: 1 for each, 2 for every second one."""
    longest, steps = max(shape), [1]
    while longest >= PYRAMID_FROM and -(-longest // steps[-1]) > COARSEST:
        steps.append(2 * steps[-1])
    return steps
