"""Labels as ImageJ's ROIs, one an object, and back: the same pixels, and the same numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from struct import unpack_from
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.typing import NDArray

from napari_unet.files import write_whole
from napari_unet.images.image import Image
from napari_unet.images.outlines import Outline, fill, trace
from napari_unet.images.writing import as_hyperstack
from napari_unet.provenance import Provenance

if TYPE_CHECKING:
    from roifile import ImagejRoi

ROIS = (".zip", ".roi")
LARGEST_COORDINATE = 60_535
"""ImageJ stores whole coordinates in 16 bits, of which some are negative numbers."""
LARGEST_ENTRY = 2**26
"""Bytes of one ROI: millions of corners."""
LARGEST = 2**30
"""Bytes of all ROIs of a file, once unpacked."""
ELLIPSE_CORNERS = 720
_MOVE, _LINE, _CLOSE = 0, 1, 4
_HEADER, _SECOND_HEADER = 64, 52
_NUMBER = re.compile(r"(?:[tzc]\d+-)*(\d{1,10})")


def write_rois(
    path: str | Path,
    labels: NDArray[Any],
    *,
    like: Image | None = None,
    made: Provenance | None = None,
) -> Path:
    """Write a ROI per object (and plane) into a ZIP file, as ImageJ's ROI Manager opens it.

    Outlines run along the edges of pixels: ImageJ fills them to the very pixels of the objects.
    An object in one piece becomes a traced ROI; one with holes or in several pieces a composite
    one. Each is named by its number; in a stack files are named by the plane, too, as in
    ``z3-17.roi``, and ROIs have their position, both counted from 1 as ImageJ counts.

    Parameters
    ----------
    path : str or Path
        A ``.zip`` path.
    labels : integer array, shape (*leading, Y, X)
        Objects are above 0.
    like : Image or None
        The image they belong to, by whose axes the planes are named.
    made : Provenance or None
        How the labels were made: kept as the comment of the ZIP file. (Of each file in it, readers
        expect that it is a ROI.)

    Raises
    ------
    ValueError
        If the name does not end in ``.zip``, or the labels are not integers of up to 2^31 - 1.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise ValueError(f"{path} cannot hold ROIs: let its name end in .zip.")
    if labels.dtype.kind not in "bui":
        raise ValueError(f"Labels of type {labels.dtype} are not whole numbers.")
    if labels.max(initial=0) > np.iinfo(np.int32).max:
        raise ValueError(
            f"ROIs are numbered up to {np.iinfo(np.int32).max}, and there is the label"
            f" {labels.max()}: number the objects anew."
        )
    stack = as_hyperstack(labels, _axes(labels.ndim, like))
    has_channels = like is not None and any(
        n > 1 for n, letter in zip(like.data.shape, like.axes, strict=True) if letter == "C"
    )

    def write(temporary: Path) -> None:
        with ZipFile(temporary, "w", ZIP_DEFLATED) as file:
            for place, roi in _rois(stack, has_channels):
                file.writestr(f"{place}{roi.name}.roi", roi.tobytes())
            if made is not None:
                file.comment = made.to_json().encode()

    return write_whole(path, write)


def _axes(ndim: int, like: Image | None) -> str:
    """Return a letter per dimension of labels."""
    if like is None:
        return "Q" * (ndim - 2) + "YX"
    return "".join(letter for letter in like.axes if letter not in "CSYX") + "YX"


def _rois(stack: NDArray[Any], has_channels: bool) -> Iterator[tuple[str, ImagejRoi]]:
    """Yield the ROIs of labels (T, Z, C, Y, X), and what their names begin with.

    ImageJ numbers the planes of a stack, and of a hyperstack those of each dimension.
    """
    shape = stack.shape[:3]
    is_hyperstack = sum(n > 1 for n in shape) + has_channels > 1
    for number, index in enumerate(np.ndindex(*shape), start=1):
        at = [i + 1 if n > 1 else 0 for i, n in zip(index, shape, strict=True)]  # 0: in none
        start = "".join(f"{letter}{i}-" for letter, i in zip("tzc", at, strict=True) if i)
        for label, outlines in trace(stack[index]):
            roi = _roi(label, outlines)
            if is_hyperstack:
                roi.t_position, roi.z_position, roi.c_position = at
            elif start:
                roi.position = number
            yield start, roi


def _roi(label: int, outlines: list[Outline]) -> ImagejRoi:
    from roifile import ROI_TYPE, ImagejRoi

    corners = np.concatenate(outlines)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    roi = ImagejRoi(name=str(label), top=top, left=left, bottom=bottom, right=right)
    if len(outlines) == 1 and max(right, bottom) <= LARGEST_COORDINATE:
        roi.roitype = ROI_TYPE.TRACED
        roi.n_coordinates = len(corners)
        roi.integer_coordinates = (corners - (left, top)).astype(np.int32)
    else:
        roi.roitype = ROI_TYPE.RECT  # as ImageJ has it of composite ones
        roi.multi_coordinates = np.concatenate([_path(outline) for outline in outlines])
        roi.shape_roi_size = roi.multi_coordinates.size
    return roi


def _path(outline: Outline) -> NDArray[np.float32]:
    """Return the commands that draw an outline: move, lines, close."""
    steps = np.column_stack((np.full(len(outline), _LINE), outline)).astype(np.float32)
    steps[0, 0] = _MOVE
    return np.append(steps.ravel(), np.float32(_CLOSE))


def read_rois(path: str | Path, like: Image) -> tuple[NDArray[np.int32], list[str]]:
    """Draw ROIs as labels of an image.

    A ROI takes the number that it is named by, as :func:`write_rois` names it, and one with any
    other name the next number that is free. A pixel belongs to it if its centre does. Where ROIs
    overlap, the later one in the file is on top. Without a position, it is in every plane, as
    ImageJ shows it.

    Parameters
    ----------
    path : str or Path
        A ``.zip`` or ``.roi`` file. Nothing is unpacked to the disk.
    like : Image
        The image they belong to (or its labels), for its shape and axes.

    Returns
    -------
    labels : int32 array, shape (*leading, Y, X)
        The image's shape without channels or colours.
    left_out : list of str
        Names of the ROIs that enclose no pixel of the image: points, lines, texts, and what lies
        outside of it.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it cannot be read as ROIs.
    """
    path = Path(path)
    rois = list(_read(path))
    axes = _axes(len(like.axes), like)
    lengths = dict(zip(like.axes, like.data.shape, strict=True))
    leading = [n for n, a in zip(like.data.shape, like.axes, strict=True) if a not in "CSYX"]
    labels = np.zeros((*leading, lengths["Y"], lengths["X"]), np.int32)
    stack, left_out = as_hyperstack(labels, axes), []
    numbers = _numbers([roi.name for roi in rois])
    for roi, number in zip(rois, numbers, strict=True):
        try:
            is_drawn = _draw(stack, roi, number)
        except Exception as error:  # whatever a damaged outline leads to
            raise ValueError(_unreadable(path, roi.name, error)) from error
        if not is_drawn:
            left_out.append(roi.name)
    return labels, left_out


def _read(path: Path) -> Iterator[ImagejRoi]:
    """Yield the ROIs of a file, each with a name."""
    from roifile import ImagejRoi

    for name, data in _entries(path):
        try:
            _check_whole(data)
            roi = ImagejRoi.frombytes(data)
        except Exception as error:  # whatever damaged bytes lead to
            raise ValueError(_unreadable(path, name, error)) from error
        stem = re.split(r"[/\\]", name)[-1].removesuffix(".roi")
        if not _NUMBER.fullmatch(roi.name):
            roi.name = stem if _NUMBER.fullmatch(stem) else roi.name or stem
        yield roi


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of the ROIs in a file."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path.")
    if path.suffix.lower() == ".roi":
        yield path.name, path.read_bytes()
        return
    if path.suffix.lower() not in ROIS:
        raise ValueError(f"{path} holds no ROIs: give a .zip or .roi file of ImageJ.")
    try:
        with ZipFile(path) as file:
            found = [entry for entry in file.infolist() if entry.filename.endswith(".roi")]
            if file.infolist() and not found:
                raise ValueError("it holds no file named .roi")
            size = sum(entry.file_size for entry in found)
            if size > LARGEST:
                raise ValueError(f"it would unpack to {size:,} bytes; {LARGEST:,} are allowed")
            for entry in found:
                if entry.filename.startswith("__MACOSX"):  # which macOS adds
                    continue
                if entry.file_size > LARGEST_ENTRY:
                    raise ValueError(f"{entry.filename} is larger than any outline")
                yield entry.filename, file.read(entry)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes the decoders raise
        raise ValueError(
            f"{path} cannot be read as a ZIP file of ROIs ({error}): it is damaged or of another"
            " kind; save it again in ImageJ."
        ) from error


def _check_whole(data: bytes) -> None:
    """Raise if a ROI ends before its name does: roifile would read it without."""
    (second,) = unpack_from(">I", data, _HEADER - 4)
    ends = []
    if second:  # else it is from an old ImageJ
        ends.append(second + _SECOND_HEADER)
        for field in (16, 40):  # where it is told at which place name and properties are
            start, length = unpack_from(">II", data, second + field)
            ends.append(start + 2 * length)
    if any(end > len(data) for end in ends):
        raise ValueError("it ends too early")


def _unreadable(path: Path, name: str, error: Exception) -> str:
    reason = str(error) or type(error).__name__
    return (
        f"{path} cannot be read ({name}: {reason}): it is damaged or of another kind; save it again"
        " in ImageJ."
    )


def _numbers(names: list[str]) -> list[int]:
    """Return the numbers that ROIs are named by, and new ones for the others."""
    found = [_NUMBER.fullmatch(name) for name in names]
    numbers = [int(match[1]) if match else 0 for match in found]
    taken = {number for number in numbers if number <= np.iinfo(np.int32).max}
    free = (number for number in count(1) if number not in taken)
    return [number if number and number in taken else next(free) for number in numbers]


def _draw(stack: NDArray[np.int32], roi: ImagejRoi, number: int) -> bool:
    """Draw a ROI in the planes that it is in; says whether it has any pixel there."""
    box, mask = fill(_outlines(roi), (stack.shape[-2], stack.shape[-1]))
    planes = _planes(stack.shape[:3], roi)
    for at in planes:
        stack[at][box][mask] = number
    return bool(planes) and bool(mask.any())


def _planes(shape: tuple[int, ...], roi: ImagejRoi) -> list[tuple[int, ...]]:
    """Return the planes (t, z, c) of a stack that a ROI is in."""
    at = tuple(
        position - 1 if position > 0 and n > 1 else None
        for position, n in zip((roi.t_position, roi.z_position, roi.c_position), shape, strict=True)
    )
    planes = list(np.ndindex(*shape))
    if at == (None,) * 3 and roi.position > 0 and len(planes) > 1:
        return planes[roi.position - 1 : roi.position]
    return [p for p in planes if all(a in (None, i) for a, i in zip(at, p, strict=True))]


def _outlines(roi: ImagejRoi) -> list[Outline]:
    """Return what encloses the area of a ROI; nothing if it has none."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    kinds = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED, ROI_TYPE.RECT, ROI_TYPE.OVAL)
    if roi.roitype not in kinds or roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE):
        return []
    if roi.roitype == ROI_TYPE.OVAL or (roi.roitype == ROI_TYPE.RECT and not roi.composite):
        return [_round_or_square(roi, roi.roitype == ROI_TYPE.OVAL)]
    outlines = roi.coordinates(multi=True)
    assert isinstance(outlines, list)
    return outlines


def _round_or_square(roi: ImagejRoi, is_round: bool) -> Outline:
    left, top, right, bottom = map(float, (roi.left, roi.top, roi.right, roi.bottom))
    if roi.subpixelrect:
        left, top, right, bottom = roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
    unit = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float64)
    if is_round:
        angle = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
        unit = 0.5 + 0.5 * np.stack((np.cos(angle), np.sin(angle)), axis=1)
    return unit * (right - left, bottom - top) + (left, top)
