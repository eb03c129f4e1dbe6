"""Images and labels from files, and labels back to files: whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage.io import imread, imsave
from skimage.segmentation import find_boundaries

TIFF = (".tif", ".tiff")
READABLE = (*TIFF, ".png", ".jpg", ".jpeg")
LABELS_MARK = "_labels"
IMAGEJ_LARGEST = 65_535
"""ImageJ has no integers of more than 16 bits."""
MAPPED_BYTES = 2**28
"""Uncompressed files from this size on are memory-mapped instead of read."""

_MICROMETRES = {
    **dict.fromkeys(("micron", "microns", "um", "µm", "μm", "micrometer"), 1.0),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
    **dict.fromkeys(("m", "meter"), 1e6),
    **dict.fromkeys(("inch", "in"), 25_400.0),
}
_CENTIMETRE = 3  # ResolutionUnit of baseline TIFF; inches there are printing resolutions


@dataclass(frozen=True)
class Image:
    """An image as a file has it.

    Parameters
    ----------
    data : array or memory-mapped array
        Pixels, of bool, integer or float type.
    axes : str
        A letter per dimension: T, Z, C, Y, X, S for colour samples, Q where the file does not say.
    pixel_size : float or None
        Micrometres per pixel, if the file states a unit of length.
    spacing : float or None
        Micrometres between planes, likewise.
    """

    data: NDArray[Any]
    axes: str
    pixel_size: float | None = None
    spacing: float | None = None
    source: Path | None = field(default=None, compare=False)


def read_image(path: str | Path) -> Image:
    """Read a TIFF, PNG or JPEG image.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If it cannot be read as an image, or its numbers are complex.
    """
    path = _existing(path)
    image = _read_tiff(path) if path.suffix.lower() in TIFF else _read_picture(path)
    if image.data.dtype.kind not in "buif":
        raise ValueError(
            f"{path} holds numbers of type {image.data.dtype}, which are no gray values: save real"
            " numbers (for complex ones, their magnitude)."
        )
    return image


def read_labels(path: str | Path) -> NDArray[Any]:
    """Read a label image: 0 background, 1.. objects, -1 not annotated.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, it cannot be read, is a colour picture, or not of whole numbers.
    """
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
    return labels


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name an image in it.")
    if path.suffix.lower() not in READABLE:
        raise ValueError(
            f"{path} is of no kind that is read here: use TIFF, PNG or JPEG"
            f" ({', '.join(READABLE)})."
        )
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes): copy or export it again.")
    return path


def _read_tiff(path: Path) -> Image:
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            axes = _known_axes(series.axes, series.shape)
            mapped = series.nbytes >= MAPPED_BYTES and series.dataoffset is not None
            if not mapped:
                _check_complete(file, path)
            data = tifffile.memmap(path, mode="r") if mapped else series.asarray()
            pixel_size, spacing = _sizes(file)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes the decoders raise
        raise ValueError(
            f"{path} cannot be read as a TIFF ({_first_line(error)}): it is damaged or of another"
            " kind; export it again."
        ) from error
    return Image(data.reshape(series.shape), axes, pixel_size, spacing, path)


def _check_complete(file: tifffile.TiffFile, path: Path) -> None:
    """Raise if the file ends before its pixels do: tifffile would fill them with zeros."""
    size = path.stat().st_size
    for page in file.series[0].pages:
        if page is not None and any(
            offset + count > size
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
        ):
            raise ValueError("the file ends before its pixels do")


def _known_axes(axes: str, shape: tuple[int, ...]) -> str:
    """Keep the letters that mean something here; any other axis is walked plane by plane."""
    letters = "".join(a if a in "TZCYXS" else "Q" for a in axes)
    if "Y" not in letters or "X" not in letters or len(letters) != len(shape):
        raise ValueError(f"axes {axes} of shape {shape} have no height and width")
    return letters


def _sizes(file: tifffile.TiffFile) -> tuple[float | None, float | None]:
    """Return micrometres per pixel and between planes, where the file gives a unit of length."""
    if file.is_ome and file.ome_metadata:
        return tuple(_ome_size(file.ome_metadata, axis) for axis in "XZ")  # type: ignore[return-value]
    tags = file.pages.first.tags
    resolution = tags["XResolution"].value if "XResolution" in tags else (0, 1)
    per_unit = resolution[0] / resolution[1] if resolution[1] else 0.0
    if not per_unit > 0:
        return None, None
    if file.is_imagej:
        metadata = file.imagej_metadata or {}
        unit = _micrometres(str(metadata.get("unit", "")))
        spacing = metadata.get("spacing")
        return (unit and unit / per_unit), (unit and spacing and unit * float(spacing))
    centimetres = "ResolutionUnit" in tags and tags["ResolutionUnit"].value == _CENTIMETRE
    return (1e4 / per_unit if centimetres else None), None


def _micrometres(unit: str) -> float | None:
    # ImageJ writes the sign for micro as the six characters of its escape.
    return _MICROMETRES.get(unit.strip().lower().replace("\\u00b5", "µ"))


def _ome_size(xml: str, axis: str) -> float | None:
    """Read PhysicalSizeX or PhysicalSizeZ of the first image; OME's default unit is µm."""
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    text = pixels.group() if pixels else ""
    size = re.search(rf'\bPhysicalSize{axis}="([^"]+)"', text)
    unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]+)"', text)
    factor = _micrometres(unit.group(1)) if unit else 1.0
    return float(size.group(1)) * factor if size and factor and float(size.group(1)) > 0 else None


def _read_picture(path: Path) -> Image:
    try:
        with path.open("rb") as file:  # of a damaged file, a path would stay open
            data = np.asarray(imread(file))
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(_unreadable(path, error)) from error
    except Exception as error:  # whatever a damaged file makes the decoders raise
        raise ValueError(_unreadable(path, error)) from error
    if data.ndim == 3 and data.shape[-1] == 2:  # gray and alpha
        data = data[..., 0]
    if data.ndim == 3 and data.shape[-1] == 4:
        data = data[..., :3]
    if data.ndim not in (2, 3) or (data.ndim == 3 and data.shape[-1] != 3):
        raise ValueError(_unreadable(path, f"its shape is {data.shape}"))
    return Image(data, "YXS" if data.ndim == 3 else "YX", source=path)


def _unreadable(path: Path, reason: object) -> str:
    return (
        f"{path} cannot be read as an image ({_first_line(reason)}): it is damaged or of another"
        " kind; export it again."
    )


def _first_line(reason: object) -> str:
    return (str(reason).splitlines() or [type(reason).__name__])[0].rstrip(".")


def write_labels(
    path: str | Path,
    labels: NDArray[Any],
    *,
    like: Image | None = None,
    axes: str | None = None,
    pixel_size: float | None = None,
) -> Path:
    """Write labels as a TIFF that ImageJ, napari and others open at the image's scale.

    Up to 65,535 objects: an ImageJ TIFF of uint16. Beyond: an OME-TIFF of uint32. With pixels that
    are not annotated (-1): a plain TIFF of int32.

    Parameters
    ----------
    path : str or Path
        A ``.tif`` path.
    labels : integer array
        The image's shape without channels or colours.
    like : Image or None
        The image they belong to, whose axes and pixel size are kept.
    axes, pixel_size
        Instead of `like`.

    Raises
    ------
    ValueError
        If the name does not end in ``.tif`` or ``.tiff``, or the labels are not integers.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF:
        raise ValueError(f"{path} cannot hold labels: let its name end in .tif.")
    if labels.dtype.kind not in "bui":
        raise ValueError(f"Labels of type {labels.dtype} are not whole numbers.")
    spacing = None
    if like is not None:
        axes = "".join(a for a in like.axes if a not in "CS")
        pixel_size, spacing = like.pixel_size, like.spacing
    axes = axes or "QQQQ"[: labels.ndim - 2] + "YX"
    low, high = labels.min(initial=0), labels.max(initial=0)
    if low < 0:
        return _write_tiff(path, labels.astype(np.int32), {}, {"axes": axes})
    resolution = {} if pixel_size is None else {"resolution": (1 / pixel_size,) * 2}
    if high > IMAGEJ_LARGEST:
        sizes = {} if pixel_size is None else _ome_metadata(pixel_size, spacing)
        named = {"axes": axes.replace("Q", "T", 1)} | sizes
        return _write_tiff(path, labels.astype(np.uint32), {"ome": True}, named)
    metadata: dict[str, Any] = {"axes": axes, "max": float(high), "min": 0.0}
    if pixel_size is not None:
        metadata["unit"] = "um"
        metadata |= {"spacing": spacing} if spacing else {}
    stack = _as_hyperstack(labels.astype(np.uint16), axes)
    return _write_tiff(path, stack, {"imagej": True, **resolution}, metadata | {"axes": "TZCYX"})


def _ome_metadata(pixel_size: float, spacing: float | None) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for axis, size in {"X": pixel_size, "Y": pixel_size, "Z": spacing}.items():
        if size is not None:
            sizes |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    return sizes


def _as_hyperstack(labels: NDArray[np.uint16], axes: str) -> NDArray[np.uint16]:
    """Reshape to ImageJ's TZCYX; of leading axes without a name, the last are Z and then T."""
    leading = list(axes[:-2])
    named = [a if a in "TZ" and leading.count(a) == 1 else None for a in leading]
    free = [a for a in "TZC" if a not in named]
    for i in reversed(range(len(named))):
        if named[i] is None:
            named[i] = free.pop(free.index("Z") if "Z" in free else 0)
    order = sorted(range(len(named)), key=lambda i: "TZC".index(str(named[i])))
    moved = labels.transpose([*order, len(named), len(named) + 1])
    lengths = {named[i]: labels.shape[i] for i in range(len(named))}
    return moved.reshape(*(lengths.get(a, 1) for a in "TZC"), *labels.shape[-2:])


def write_image(path: str | Path, image: NDArray[Any]) -> Path:
    """Write numbers (weights, scores) as a plain, compressed TIFF.

    Raises
    ------
    ValueError
        If the name does not end in ``.tif`` or ``.tiff``.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF:
        raise ValueError(f"{path} cannot hold numbers: let its name end in .tif.")
    return _write_tiff(path, image, {"photometric": "minisblack"}, {})


def _write_tiff(
    path: Path, array: NDArray[Any], options: dict[str, Any], metadata: dict[str, Any]
) -> Path:
    def write(temporary: Path) -> None:
        tifffile.imwrite(temporary, array, compression="zlib", metadata=metadata or None, **options)

    return write_whole(path, write)


def write_overlay(path: str | Path, image: NDArray[Any], labels: NDArray[Any]) -> Path:
    """Write a PNG of an image with the outlines of its objects, each in one of many colours.

    Parameters
    ----------
    path : str or Path
        A ``.png`` path.
    image : array, shape (Y, X) or (Y, X, 3)
        Stretched to its 1st and 99.8th percentile.
    labels : integer array, shape (Y, X)
        Its labels.
    """
    low, high = np.percentile(image, (1, 99.8))
    gray = np.clip((image - low) / max(high - low, 1e-9), 0, 1)
    picture = np.repeat(gray[..., None], 3, axis=-1) if gray.ndim == 2 else gray
    outline = find_boundaries(labels, mode="inner") & (labels > 0)
    # Steps of the golden angle around the colour circle keep neighbours apart.
    hue = (labels[outline] * 0.618034) % 1
    colours = np.clip(np.abs((hue[:, None] * 6 + (0, 4, 2)) % 6 - 3) - 1, 0, 1)
    picture[outline] = 0.25 + 0.75 * colours
    pixels = (255 * picture).round().astype(np.uint8)

    def write(temporary: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of low contrast, as in an empty image
            imsave(temporary, pixels, check_contrast=False)

    return write_whole(Path(path), write)


def write_whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary file beside `path`, then rename it.

    Raises
    ------
    OSError
        If that cannot be done; `path` is then as it was.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".napari-unet-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OSError(f"{path} could not be written: {_write_problem(error)}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def _write_problem(error: OSError) -> str:
    remedies = {
        errno.ENOSPC: "the disk is full; free some space or choose another folder.",
        errno.EACCES: "the folder may not be written to; choose another one with -o.",
        errno.EROFS: "the disk is read-only; choose another folder with -o.",
        errno.ENOENT: "its folder does not exist; make it first.",
    }
    return remedies.get(error.errno or 0, f"{error.strerror or error}.")


def find_images(inputs: Sequence[str | Path]) -> list[Path]:
    """Expand files, folders and globs to images, sorted within each, none twice.

    Images named ``*_labels*`` are skipped in folders and globs.

    Raises
    ------
    FileNotFoundError
        If a file does not exist, or a folder or glob holds no image.
    """
    found: dict[Path, None] = {}
    for item in inputs:
        found |= dict.fromkeys(_expand(Path(item)))
    return list(found)


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        images = _images_among(path.iterdir())
        if not images:
            raise FileNotFoundError(f"{path} holds no image ({', '.join(READABLE)}).")
        return images
    if path.exists() or not glob.has_magic(str(path)):
        return [path]  # a missing file is told when its turn comes, the others being finished
    images = _images_among(Path(p) for p in glob.glob(str(path)))  # noqa: PTH207 (absolute ones)
    if not images:
        raise FileNotFoundError(f"No image matches {path}.")
    return images


def _images_among(paths: Any) -> list[Path]:
    return sorted(
        p
        for p in paths
        if p.suffix.lower() in READABLE
        and LABELS_MARK not in p.stem
        and not p.name.startswith(".")
        and p.is_file()
    )


def pair_by_stem(images: str | Path, labels: str | Path) -> list[tuple[Path, Path]]:
    """Pair images with labels of the same stem (or that stem and ``_labels``).

    Parameters
    ----------
    images, labels : str or Path
        Two folders, or two files.

    Raises
    ------
    FileNotFoundError
        If one does not exist or holds no image.
    ValueError
        If images lack labels, or two files claim one stem.
    """
    images, labels = Path(images), Path(labels)
    for path in (images, labels):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: check the path.")
    if images.is_file() and labels.is_file():
        return [(images, labels)]
    if images.is_file() or labels.is_file():
        raise ValueError(f"{images} and {labels} cannot be paired: give two folders or two files.")
    by_stem = _by_stem(labels, images == labels)
    pairs = [(image, by_stem.get(image.stem)) for image in _expand(images)]
    missing = [image.name for image, label in pairs if label is None]
    if missing:
        names = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise ValueError(f"{len(missing)} images have no labels in {labels}: {names}.")
    return [(image, label) for image, label in pairs if label is not None]


def _by_stem(folder: Path, only_marked: bool) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        marked = path.stem.endswith(LABELS_MARK)
        if path.suffix.lower() not in READABLE or (only_marked and not marked):
            continue
        stem = path.stem.removesuffix(LABELS_MARK)
        if stem in found:
            raise ValueError(f"{found[stem]} and {path} are both labels of {stem}: remove one.")
        found[stem] = path
    return found
