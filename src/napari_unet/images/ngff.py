"""OME-Zarr: images from it, and labels to it, a part at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.files import REMEDIES
from napari_unet.images.stored import StoredImage

if TYPE_CHECKING:
    import zarr

Version = Literal["0.4", "0.5"]
METADATA = ("zarr.json", ".zgroup", ".zarray")
"""One of these files is in every Zarr group or array."""
CHUNK = 1024
"""Side of the chunks of labels: some 2 MB before compression, as viewers like them."""
COARSEST = 1024
"""The last level of a pyramid has no longer side."""
TYPES = {"T": "time", "Z": "space", "Y": "space", "X": "space"}


@dataclass(frozen=True)
class _Multiscale:
    """What the metadata of an OME-Zarr say of its levels, the finest first, and of that one."""

    paths: tuple[str, ...]
    axes: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    units: tuple[str, ...]
    version: Version = field(default="0.5")


def is_beside(path: Path) -> bool:
    """Say whether labels of that path lie where NGFF has those of an image: in its ``labels``.

    The image is a group: an array has no room for labels.
    """
    return path.parent.name == "labels" and is_group(path.parent.parent)


def is_zarr(path: Path) -> bool:
    """Say whether a Zarr group or array is at a path."""
    return any((path / name).is_file() for name in METADATA)


def is_group(path: Path) -> bool:
    """Say whether a Zarr group is at a path."""
    if (path / ".zgroup").is_file():
        return True
    try:
        told = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("node_type") == "group"


def holds_labels(path: Path) -> bool:
    """Say whether labels are at a path, as NGFF marks them, which may be made again."""
    for name in ("zarr.json", ".zattrs"):
        try:
            told = json.loads((path / name).read_text(encoding="utf-8"))
            told = told.get("attributes", told)
            return "image-label" in told.get("ome", told)
        except (OSError, ValueError, AttributeError, TypeError):
            continue
    return False


def open_zarr(path: Path) -> StoredImage:
    """Open a Zarr array, or the finest level of an OME-Zarr image (NGFF 0.4 or 0.5).

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or several are and none was named.
    """
    import zarr

    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path.")
    if not is_zarr(path):
        raise ValueError(f"{path} holds no Zarr array: name a folder that has zarr.json in it.")
    with readable(path):
        node = zarr.open(path, mode="r")
        if isinstance(node, zarr.Array):
            return _stored(node, None)
        told = _multiscale(path, node)
        return _stored(_array(path, node, _paths(path, node, told)[0]), told)


def as_stored(array: Any) -> StoredImage:
    """See an array as an image of which nothing but its pixels is known.

    Of a Zarr array the missing chunks are counted.
    """
    if "zarr" in sys.modules and isinstance(array, sys.modules["zarr"].Array):
        return _stored(array, None)
    return StoredImage(array)


def _stored(array: zarr.Array[Any], told: _Multiscale | None) -> StoredImage:
    counted = array.shards is None and type(array.store).__name__ == "LocalStore"
    missing = array.nchunks - array.nchunks_initialized if counted else 0
    if told is None:
        return StoredImage(array, chunks=array.nchunks, missing=missing)
    if len(told.axes) != array.ndim:
        raise ValueError(
            f"The axes {told.axes} do not fit an array of shape {array.shape}: the metadata are"
            " damaged; name the array itself, such as IMAGE.zarr/0."
        )
    return StoredImage(
        array,
        told.axes,
        told.scale,
        told.translation,
        told.units,
        told.version,
        array.nchunks,
        missing,
    )


def _multiscale(path: Path, group: zarr.Group) -> _Multiscale | None:
    """Read the NGFF metadata of an image; None if there are none."""
    attributes: Mapping[str, Any] = group.attrs
    ome = attributes.get("ome", attributes)
    if "multiscales" not in ome:
        if not {"plate", "well", "bioformats2raw.layout"}.isdisjoint(ome):
            inside = _images_in(ome, group)
            raise ValueError(
                f"{path} holds several images: name one of them, such as {path}/{inside[0]}."
                if inside
                else f"{path} holds no image: choose another."
            )
        return None
    try:
        return _finest(ome["multiscales"][0], "0.5" if "ome" in attributes else "0.4")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(
            f"The metadata of {path} are no OME-Zarr 0.4 or 0.5 ({error!r}): name the array"
            " itself, such as IMAGE.zarr/0."
        ) from error


def _images_in(ome: Mapping[str, Any], group: zarr.Group) -> list[str]:
    """Return where images are in a plate, one of its wells, or a collection of them."""
    with suppress(KeyError, TypeError):
        if "plate" in ome:
            return [f"{well['path']}/0" for well in ome["plate"]["wells"]]
        if "well" in ome:
            return [str(image["path"]) for image in ome["well"]["images"]]
    return sorted(name for name, _ in group.groups() if name != "OME")


def _finest(multiscale: Mapping[str, Any], version: Version) -> _Multiscale:
    axes = multiscale["axes"]
    level = multiscale["datasets"][0]
    scale, translation = np.ones(len(axes)), np.zeros(len(axes))
    steps = level["coordinateTransformations"] + multiscale.get("coordinateTransformations", [])
    for step in steps:
        if step["type"] == "scale":
            scale, translation = scale * step["scale"], translation * step["scale"]
        elif step["type"] == "translation":
            translation = translation + step["translation"]
    return _Multiscale(
        tuple(dataset["path"] for dataset in multiscale["datasets"]),
        "".join(_letter(axis) for axis in axes),
        tuple(scale.tolist()),
        tuple(translation.tolist()),
        tuple(str(axis.get("unit", "")) for axis in axes),
        version,
    )


def _letter(axis: Mapping[str, str]) -> str:
    """Return the letter that an axis has here."""
    by_type = {"channel": "C", "time": "T"}.get(axis.get("type", ""))
    name = axis["name"].upper()
    return by_type or (name if name in "TZCYX" and len(name) == 1 else "Q")


def _paths(path: Path, group: zarr.Group, told: _Multiscale | None) -> tuple[str, ...]:
    """Return where the levels of an image are in its group."""
    if told is not None:
        return told.paths
    names = sorted(name for name, _ in group.arrays())
    if len(names) == 1:
        return (names[0],)
    found = f"the arrays {', '.join(names)}" if names else "no array"
    raise ValueError(f"{path} is no OME-Zarr image and holds {found}: name an array.")


def _array(path: Path, group: zarr.Group, name: str) -> zarr.Array[Any]:
    import zarr

    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{path} has no array {name!r}, which its metadata name: it is damaged.")
    return array


def create_labels(
    path: Path,
    like: StoredImage,
    shape: tuple[int, ...],
    dtype: type[np.unsignedinteger[Any]],
    record: Mapping[str, Any],
    name: str,
    beside: bool = False,
) -> None:
    """Make an OME-Zarr for labels, all background, in the version of NGFF that the image has.

    Parameters
    ----------
    path : Path
        The group; made anew.
    like : StoredImage
        The image, whose axes, scale and units are kept.
    shape : tuple of int
        The image's without channels or colours.
    dtype : type
        An unsigned integer.
    record : mapping
        How the labels were made, as JSON takes it; kept in the attribute ``napari_unet``.

    name : str
        What the metadata call them.
    beside : bool
        Whether they are to lie in the ``labels`` of the image.

    Raises
    ------
    OSError
        If it cannot be written.

    Notes
    -----
    Level "0" is the finest; each shows every second row and column of the one before.
    """
    import zarr

    shapes = level_shapes(shape)
    kept = [i for i, axis in enumerate(like.letters) if axis not in "CS"]
    axes = [_axis(like, i) for i in kept]
    told = {
        "multiscales": [
            {
                "name": name,
                "axes": axes,
                "datasets": [_dataset(like, kept, level) for level in range(len(shapes))],
                "type": "nearest",
            }
        ],
        "image-label": {"source": {"image": "../../"}} if beside else {},
    }
    older = like.version == "0.4"
    if older:
        told["multiscales"][0]["version"] = told["image-label"]["version"] = "0.4"  # type: ignore[index]
    attributes = told if older else {"ome": {"version": "0.5", **told}}
    with writable(path):
        group = zarr.create_group(
            path,
            zarr_format=2 if older else 3,
            overwrite=True,
            attributes={**attributes, "napari_unet": dict(record)},
        )
        for level, size in enumerate(shapes):
            group.create_array(
                str(level),
                shape=size,
                dtype=dtype,
                chunks=(*(1,) * (len(size) - 2), *(min(n, CHUNK) for n in size[-2:])),
                fill_value=0,
                chunk_key_encoding={"name": "v2" if older else "default", "separator": "/"},
                dimension_names=None if older else [axis["name"] for axis in axes],
            )


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shapes of the levels of a pyramid (*leading, Y, X), the finest first."""
    shapes = [shape]
    while max(shapes[-1][-2:]) > COARSEST:
        shapes.append((*shape[:-2], *(-(-n // 2) for n in shapes[-1][-2:])))
    return shapes


def _axis(like: StoredImage, index: int) -> dict[str, str]:
    letter, unit = like.letters[index], like.units[index] if like.units else ""
    others = like.letters[:index].count(letter)
    axis = {"name": letter.lower() + (str(others) if others else "")}
    if letter in TYPES:
        axis["type"] = TYPES[letter]
    if unit:
        axis["unit"] = unit
    return axis


def _dataset(like: StoredImage, kept: Sequence[int], level: int) -> dict[str, Any]:
    scale, translation = like.transform()
    factors = [2**level if like.letters[i] in "YX" else 1 for i in kept]
    steps: list[dict[str, Any]] = [
        {"type": "scale", "scale": [scale[i] * f for i, f in zip(kept, factors, strict=True)]}
    ]
    if any(translation[i] for i in kept):
        steps.append({"type": "translation", "translation": [translation[i] for i in kept]})
    return {"path": str(level), "coordinateTransformations": steps}


def open_level(path: Path, level: int) -> zarr.Array[Any]:
    """Open a level of labels to be read and written."""
    import zarr

    return zarr.open_array(path / str(level), mode="r+")


def open_levels(path: Path) -> list[zarr.Array[Any]]:
    """Open all levels of an OME-Zarr image, the finest first, for reading; of an array, itself.

    Raises
    ------
    ValueError
        If there are none.
    """
    import zarr

    with readable(path):
        node = zarr.open(path, mode="r")
        if isinstance(node, zarr.Array):
            return [node]
        names = _paths(path, node, _multiscale(path, node))
        return [_array(path, node, name) for name in names]


def list_labels(path: Path) -> None:
    """Name labels that lie in an image's ``labels`` group in the list that NGFF asks for there.

    Labels that lie elsewhere are left alone.
    """
    import zarr

    folder = path.parent
    if not is_beside(path):
        return
    with writable(folder):
        image = zarr.open_group(folder.parent, mode="r")
        group = zarr.open_group(folder, mode="a", zarr_format=image.metadata.zarr_format)
        if "ome" in image.attrs:
            told: Any = group.attrs.get("ome", {"version": "0.5"})
            listed = told.get("labels", [])
            group.attrs["ome"] = {**told, "labels": [*dict.fromkeys([*listed, path.name])]}
        else:
            known: Any = group.attrs.get("labels", [])
            group.attrs["labels"] = [*dict.fromkeys([*known, path.name])]


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Say in one sentence why a Zarr could not be written."""
    try:
        yield
    except OSError as error:
        reason = REMEDIES.get(error.errno or 0, f"{error.strerror or error}.")
        raise OSError(f"{path} could not be written: {reason}") from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one sentence why a Zarr could not be read."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever damaged metadata and chunks make zarr raise
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"{path} cannot be read ({reason}): it is damaged or of another kind; export it again."
        ) from error
