"""Images from files of microscopes, by the readers of the bioio family, which are an extra."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from napari_unet.images.image import Image, damaged, stated_sides

READERS = {".czi": "bioio_czi", ".lif": "bioio_lif", ".nd2": "bioio_nd2"}
"""What reads which kind of file: Zeiss, Leica, Nikon."""
MICROSCOPES = tuple(READERS)
INSTALL = "pip install 'napari-unet-segmentation[microscopes]'"


def scenes_of(path: Path) -> tuple[str, ...]:
    """Return the names of the images in a file, as file names take them, no two alike.

    Raises
    ------
    ValueError
        If the file cannot be read, or its reader is not installed.
    """
    file = _open(path)
    with _readable(path):
        return names_of(file.scenes)


def read_microscope(path: Path, scene: str | None = None) -> Image:
    """Read one of the images in a file.

    Parameters
    ----------
    path : Path
        The file.
    scene : str or None
        One of :func:`scenes_of`; None: the only one.

    Raises
    ------
    ValueError
        If the file cannot be read, its reader is not installed, there is no such scene, or several
        and none is named.
    """
    file = _open(path)
    with _readable(path):
        names = names_of(file.scenes)
    place = place_of(path, names, scene)
    with _readable(path):
        file.set_scene(place)
        axes, lengths = file.dims.order, file.dims.shape
        # Of what there is but one, a microscope's file has axes, too; other images have not.
        kept = [a in "YXS" or n > 1 for a, n in zip(axes, lengths, strict=True)]
        data = file.data[tuple(slice(None) if keep else 0 for keep in kept)]
        sizes = file.physical_pixel_sizes
    letters = "".join(a for a, keep in zip(axes, kept, strict=True) if keep)
    sides = stated_sides(_positive(sizes.Y), _positive(sizes.X))
    return Image(data, letters, sides, _positive(sizes.Z), path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say in one sentence why a file could not be read."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise ValueError(damaged(path, error)) from error


def _open(path: Path) -> Any:
    """Return a BioImage, whose axes are TCZYX, and S for colours."""
    package = READERS[path.suffix.lower()]
    try:
        bioio, reader = import_module("bioio"), import_module(package).Reader
    except ImportError as error:
        name = package.replace("_", "-")
        raise ValueError(f"{path} is read by {name}, which is not there: {INSTALL}.") from error
    with _readable(path):
        return bioio.BioImage(path, reader=reader)


def names_of(scenes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of images as file names take them, no two alike."""
    names = [re.sub(r"[^\w.-]+", "_", str(scene)).strip("_.") for scene in scenes]
    return tuple(
        name if name and names.count(name) == 1 else f"{name}_{number}".lstrip("_")
        for number, name in enumerate(names, start=1)
    )


def place_of(path: Path, names: tuple[str, ...], scene: str | None) -> int:
    """Return which image of a file has a name, or is the only one; raise ValueError if none is."""
    if scene is None and len(names) == 1:
        return 0
    if scene is None:
        raise ValueError(
            f"{path} holds {len(names)} images ({', '.join(names)}), and one is needed here: save"
            " it as a TIFF of its own."
        )
    if scene not in names:
        raise ValueError(f"{path} holds no image {scene!r}, but {', '.join(names)}.")
    return names.index(scene)


def _positive(size: float | None) -> float | None:
    return float(size) if size and size > 0 else None
