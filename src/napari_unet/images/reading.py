"""Images and labels from TIFF, PNG and JPEG files, and images from those of microscopes."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from operator import add
from pathlib import Path
from struct import unpack
from typing import Any

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray
from skimage.io import imread

from napari_unet.images.image import (
    Image,
    PixelSize,
    damaged,
    first_line,
    fit_labels,
    stated_sides,
)
from napari_unet.images.microscopes import MICROSCOPES, read_microscope

TIFF = (".tif", ".tiff")
READABLE = (*TIFF, ".png", ".jpg", ".jpeg", *MICROSCOPES)
MAPPED_BYTES = 2**28
"""Uncompressed files from this size on are memory-mapped instead of read."""

_MICROMETRES = {
    **dict.fromkeys(("micron", "microns", "um", "µm", "μm", "micrometer"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
    **dict.fromkeys(("m", "meter"), 1e6),
}
"""Inches are not among them: they are printing resolutions, which ImageJ passes on."""
_CENTIMETRE = 3  # ResolutionUnit of baseline TIFF
_ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*(["'])(.*?)\2""")


def read_image(path: str | Path, tag: int | None = None, scene: str | None = None) -> Image:
    """Read a TIFF, PNG or JPEG image, or one of a microscope's file.

    Parameters
    ----------
    path : str or Path
        The file.
    tag : int or None
        Number of a private tag of TIFFs, to be read as bytes with the pixels: from the same file,
        even if another one takes its place meanwhile.
    scene : str or None
        Which image of a microscope's file that holds several, by a name of
        :func:`napari_unet.images.scenes_of`.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If it cannot be read as an image, or its numbers are complex.
    """
    path = _existing(path)
    ending = path.suffix.lower()
    if ending in MICROSCOPES:
        image = read_microscope(path, scene)
    else:
        image = _read_tiff(path, tag) if ending in TIFF else _read_picture(path)
    if image.data.dtype.kind not in "buif":
        raise ValueError(
            f"{path} holds numbers of type {image.data.dtype}, which are no gray values: save real"
            " numbers (for complex ones, their magnitude)."
        )
    return image


def read_labels(path: str | Path, of: Image | None = None) -> NDArray[Any]:
    """Read a label image: 0 background, 1.. objects, -1 not annotated.

    Parameters
    ----------
    path : str or Path
        The file.
    of : Image or None
        The image that they are of, whose order of axes they are to have.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, it cannot be read, is a colour picture, or not of whole numbers; or if its
        shape does not fit the image.
    """
    labels = read_label_image(path)
    return labels.data if of is None else fit_labels(labels, of)


def read_label_image(path: str | Path) -> Image:
    """Read labels as :func:`read_labels` does, with what the file says of their axes."""
    image = read_image(path)
    if "S" in image.axes:
        raise ValueError(
            f"{path} is a colour picture, not labels: save labels as a single channel of numbers."
        )
    labels = image.data
    if labels.dtype.kind == "f":
        if not np.array_equal(labels, np.round(labels)):
            raise ValueError(f"{path} holds fractions, so it is no label image: choose another.")
        labels = labels.astype(np.int64)
    return replace(image, data=labels)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name an image in it.")
    if path.suffix.lower() not in READABLE:
        raise ValueError(
            f"{path} is of no kind that is read here: use TIFF, PNG, JPEG or a microscope's file"
            f" ({', '.join(READABLE)})."
        )
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes): copy or export it again.")
    return path


def _read_tiff(path: Path, tag: int | None) -> Image:
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            axes = known_axes(series.axes, series.shape)
            mapped = series.nbytes >= MAPPED_BYTES and series.dataoffset is not None
            if not mapped:
                check_complete(file)
            data = tifffile.memmap(path, mode="r") if mapped else series.asarray()
            sides, spacing = stated_sizes(file)
            private = file.pages.first.tags.get(tag) if tag is not None else None
            value = b"" if private is None else bytes(private.value)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes the decoders raise
        raise ValueError(
            f"{path} cannot be read as a TIFF ({first_line(error)}): it is damaged or of another"
            " kind; export it again."
        ) from error
    return Image(data.reshape(series.shape), axes, sides, spacing, path, value)


def check_complete(file: tifffile.TiffFile) -> None:
    """Raise if a file ends too early: tifffile would fill pixels with zeros, and sizes be lost."""
    for page in file.series[0].pages:
        if page is None:
            continue
        size = page.parent.filehandle.size  # of an OME-TIFF in several files, each has its pages
        ends = map(add, page.dataoffsets, page.databytecounts)
        if any(end > size for end in ends):
            raise ValueError("the file ends before its pixels do")
    first = file.pages.first
    if "ImageDescription" not in first.tags:  # at the end of an OME-TIFF: tifffile goes without
        file.filehandle.seek(first.offset)
        (told,) = unpack(file.tiff.tagnoformat, file.filehandle.read(file.tiff.tagnosize))
        if told > len(first.tags):
            raise ValueError("the file ends before its metadata do")


def known_axes(axes: str, shape: tuple[int, ...]) -> str:
    """Keep the letters that mean something here; any other axis is walked plane by plane."""
    letters = "".join(a if a in "TZCYXS" else "Q" for a in axes)
    if "Y" not in letters or "X" not in letters or len(letters) != len(shape):
        raise ValueError(f"axes {axes} of shape {shape} have no height and width")
    return letters


def stated_sizes(file: tifffile.TiffFile) -> tuple[PixelSize | None, float | None]:
    """Return the sides of a pixel and the distance of planes, where there is a unit of length."""
    if file.is_ome and file.ome_metadata:
        height, width, spacing = (_ome_size(file.ome_metadata, axis) for axis in "YXZ")
        return stated_sides(height, width), spacing
    tags = file.pages.first.tags
    if file.is_imagej:
        metadata = file.imagej_metadata or {}
        named = metadata.get("unit", "")  # that of X, and of others that have none of their own
        y, x, z = (micrometres(str(metadata.get(f"{a}unit", named))) for a in ("y", "", "z"))
        spacing = metadata.get("spacing")
        spacing = z and spacing and z * float(spacing)
    else:
        centimetres = "ResolutionUnit" in tags and tags["ResolutionUnit"].value == _CENTIMETRE
        y = x = 1e4 if centimetres else None
        spacing = None
    if x is None or y is None:
        return None, None
    sides = stated_sides(_tagged_size(tags, "Y", y), _tagged_size(tags, "X", x))
    return sides, (spacing if sides else None)


def _tagged_size(tags: tifffile.TiffTags, axis: str, unit: float) -> float | None:
    """Return the height or width of a pixel by the tag that says how many are in a unit."""
    name = f"{axis}Resolution"
    pixels, units = tags[name].value if name in tags else (0, 1)
    return unit / (pixels / units) if pixels > 0 and units > 0 else None


def micrometres(unit: str) -> float | None:
    """Return how many micrometres a unit is; None if it is no unit of length that is known here."""
    # ImageJ writes the sign for micro as the six characters of its escape.
    return _MICROMETRES.get(unit.strip().lower().replace("\\u00b5", "µ"))


def _ome_size(xml: str, axis: str) -> float | None:
    """Read PhysicalSizeX, Y or Z of the first image; OME's default unit is µm."""
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    told = {name: value for name, _, value in _ATTRIBUTE.findall(pixels.group() if pixels else "")}
    size, unit = (told.get(f"PhysicalSize{axis}{end}", "") for end in ("", "Unit"))
    factor = micrometres(unescape(unit)) if unit else 1.0
    return float(size) * factor if size and factor and float(size) > 0 else None


def _read_picture(path: Path) -> Image:
    largest = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None  # a bomb to a web server, a slide scan here
    try:
        with path.open("rb") as file:  # of a damaged file, a path would stay open
            data = np.asarray(imread(file))
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(damaged(path, error)) from error
    except Exception as error:  # whatever a damaged file makes the decoders raise
        raise ValueError(damaged(path, error)) from error
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = largest
    if data.ndim == 3 and data.shape[-1] == 2:  # gray and alpha
        data = data[..., 0]
    if data.ndim == 3 and data.shape[-1] == 4:
        data = data[..., :3]
    if data.ndim not in (2, 3) or (data.ndim == 3 and data.shape[-1] != 3):
        raise ValueError(damaged(path, f"its shape is {data.shape}"))
    return Image(data, "YXS" if data.ndim == 3 else "YX", source=path)
