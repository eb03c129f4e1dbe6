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

from napari_unet.images import microscopes
from napari_unet.images.image import (
    Image,
    PixelSize,
    damaged,
    first_line,
    fit_labels,
    stated_sides,
)
from napari_unet.images.microscopes import MICROSCOPES, names_of, place_of, read_microscope

TIFF = (".tif", ".tiff")
JPEG = (".jpg", ".jpeg")
READABLE = (*TIFF, ".png", *JPEG, *MICROSCOPES)
MAPPED_BYTES = 2**28
LARGEST_LABEL = 2**53
"""Up to which every whole number of a floating-point file is itself."""
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
_FILE = re.compile(r"""\bFileName\s*=\s*["']([^"']+)["']""")
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
        Which image of an OME-TIFF or a microscope's file that holds several, by a name of
        :func:`scenes_of`.

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
        image = _read_tiff(path, tag, scene) if ending in TIFF else _read_picture(path)
    if image.data.dtype.kind not in "buif":
        raise ValueError(
            f"{path} holds numbers of type {image.data.dtype}, which are no gray values: save real"
            " numbers (for complex ones, their magnitude)."
        )
    return image


def scenes_of(path: Path) -> tuple[str, ...]:
    """Return the names of the images in a file, as file names take them, no two alike.

    Of an OME-TIFF in several files, which all name all images, they are those that begin in it.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or its reader is not installed.
    """
    if path.suffix.lower() in MICROSCOPES:
        return microscopes.scenes_of(path)
    return _own_names(path)[1]


def own_images(file: tifffile.TiffFile) -> list[int]:
    """Return which images of an OME-TIFF begin in this file; of other TIFFs, the first image."""
    starts = [series.pages[0] for series in file.series] if file.is_ome else []
    here = file.filehandle.path
    own = [n for n, page in enumerate(starts) if page and page.parent.filehandle.path == here]
    return own or [0]


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
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.round(labels)):
        raise ValueError(f"{path} holds fractions, so it is no label image: choose another.")
    most = max(abs(float(labels.max(initial=0))), abs(float(labels.min(initial=0))))
    if most > LARGEST_LABEL:
        raise ValueError(
            f"{path} holds {most:.3g}, which is no label (they are up to 2^53): number its objects"
            " anew, or choose another."
        )
    if labels.dtype.kind == "f":
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


def _read_tiff(path: Path, tag: int | None, scene: str | None) -> Image:
    number = _number_of(path, scene)
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[number]
            axes = known_axes(series.axes, series.shape)
            mapped = series.nbytes >= MAPPED_BYTES and series.dataoffset is not None
            if not mapped:
                check_complete(file, number)
            data = tifffile.memmap(path, series=number, mode="r") if mapped else series.asarray()
            sides, spacing = stated_sizes(file, number)
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


def _number_of(path: Path, scene: str | None) -> int:
    """Return which of a TIFF's images is meant."""
    try:
        own, names = _own_names(path)
    except ValueError:  # which is told when it is read
        return 0
    return own[0] if len(own) == 1 else own[place_of(path, names, scene)]


def _own_names(path: Path) -> tuple[list[int], tuple[str, ...]]:
    """Return which images of a TIFF are its own, and what they are called."""
    try:
        with tifffile.TiffFile(path) as file:
            own = own_images(file)
            return own, names_of([file.series[number].name for number in own])
    except Exception as error:  # whatever a damaged file makes the decoders raise
        raise ValueError(damaged(path, error)) from error


def check_complete(file: tifffile.TiffFile, number: int = 0) -> None:
    """Raise if a file ends too early: tifffile would fill pixels with zeros, and sizes be lost.

    So it would those of an OME-TIFF's other files.
    """
    for name in dict.fromkeys(_FILE.findall(file.ome_metadata or "")):
        if not Path(file.filehandle.dirname, unescape(name)).exists():
            raise ValueError(f"{name}, in which a part of it is, is not beside it")
    for page in file.series[number].pages:
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


def stated_sizes(file: tifffile.TiffFile, number: int = 0) -> tuple[PixelSize | None, float | None]:
    """Return the sides of a pixel and the distance of planes, where there is a unit of length."""
    if file.is_ome and file.ome_metadata:
        height, width, spacing = (_ome_size(file.ome_metadata, axis, number) for axis in "YXZ")
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


def _ome_size(xml: str, axis: str, number: int = 0) -> float | None:
    """Read PhysicalSizeX, Y or Z of an image; OME's default unit is µm."""
    pixels = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    own = "".join(pixels[number : number + 1])
    told = {name: value for name, _, value in _ATTRIBUTE.findall(own)}
    size, unit = (told.get(f"PhysicalSize{axis}{end}", "") for end in ("", "Unit"))
    factor = micrometres(unescape(unit)) if unit else 1.0
    return float(size) * factor if size and factor and float(size) > 0 else None


def _read_picture(path: Path) -> Image:
    largest = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.MAX_IMAGE_PIXELS = None  # a bomb to a web server, a slide scan here
    try:
        with path.open("rb") as file:  # of a damaged file, a path would stay open
            data = np.asarray(imread(file))
            if data.ndim == 3 and data.shape[-1] == 4 and path.suffix.lower() in JPEG:
                # Printers' inks, as JPEG knows no alpha.
                data = np.asarray(PIL.Image.open(file).convert("RGB"))
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
