"""Models out to files of any of the known formats, and in from them, by their suffix."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from numpy.typing import NDArray

from napari_unet import library
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import ONNXConfig
from napari_unet.engines import EXTRA, TENSOR
from napari_unet.files import make_folder, write_whole
from napari_unet.library import KEY, SUFFIX, find_model, read_metadata

ONNX, PACKAGE = ".onnx", ".zip"
SUFFIXES = {SUFFIX: "napari-unet model", ONNX: "ONNX graph", PACKAGE: "bioimage.io package"}
"""What models can be exported as, and imported from."""
LARGEST = 2**31
"""Bytes of an ONNX file; none can have more."""


def export_model(
    name: str,
    path: str | Path,
    folder: Path | None = None,
    overwrite: bool = False,
    image: NDArray[Any] | None = None,
    axes: str | None = None,
    authors: Sequence[str] = (),
) -> Path:
    """Write a model to a file, whole or not at all, in the format of its suffix.

    Parameters
    ----------
    name : str
        The model's name.
    path : str or Path
        A path that ends in ``.onnx`` or in ``.zip``, a bioimage.io package; or as
        :func:`napari_unet.library.export` takes it.
    folder : Path or None
        Where the own models are; None: :func:`~napari_unet.library.user_folder`.
    overwrite : bool
        Whether a file of that path may be replaced.
    image : array or None
        An example of what it segments, for a package; None: a sample image.
    axes : str or None
        A letter for each of its dimensions; None: guessed from its shape.
    authors : sequence of str
        Who made it, for a package.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, it is damaged, or cannot be had in that format.
    FileExistsError
        If the path is taken.
    ImportError
        If what the format needs is not installed.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    kind = "" if path.is_dir() else path.suffix.lower()
    if kind in ("", SUFFIX):
        return library.export(name, path, folder, overwrite)
    if kind not in SUFFIXES:
        known = ", ".join(f"{suffix} ({what})" for suffix, what in SUFFIXES.items())
        raise ValueError(f"{path} cannot be a model's name: let it end in one of {known}.")
    _require("Exporting", kind)
    source = find_model(name, folder)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already.")
    checkpoint = Checkpoint.load(source)
    foreign = isinstance(checkpoint.card.network, ONNXConfig)
    if foreign and kind == PACKAGE:
        raise ValueError(
            f"{name} is from elsewhere, and so is its package: pass that on, or export the model as"
            f" {ONNX} or {SUFFIX}."
        )

    def write(temporary: Path) -> None:
        if kind == PACKAGE:
            from napari_unet.exchange.package_writing import write_package

            write_package(checkpoint, source.stem, temporary, image, axes, authors)
        elif foreign:
            temporary.write_bytes(checkpoint.weights[TENSOR].numpy().tobytes())
        else:
            from napari_unet.exchange.onnx_writing import write_onnx

            temporary.write_bytes(write_onnx(checkpoint).SerializeToString())

    make_folder(path.parent)
    return write_whole(path, write)


def import_model(
    path: str | Path,
    name: str | None = None,
    folder: Path | None = None,
    outputs: Sequence[str] = (),
) -> str:
    """Copy a model from a file into the user's models; returns the name that it got.

    No program in the file is run. What napari-unet exported becomes what it was; any other network
    from images to scores of equal height and width can segment, and not be trained.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file of napari-unet, an ONNX file, or a bioimage.io package.
    name : str or None
        What it is to be called; None: as the file, or nearly so if that name is not free.
    folder : Path or None
        Where it goes; None: :func:`~napari_unet.library.user_folder`. It is made.
    outputs : sequence of str
        What the outputs of a network from elsewhere are: "background", "boundary", "distance",
        "unused", or else the class that it is the score of. Empty: as it tells itself.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no file, it is refused or cannot be used, or the name is not possible or free.
    ImportError
        If what the format needs is not installed.
    OSError
        If it cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (ONNX, PACKAGE):
        return library.import_model(path, name, folder)
    if not path.is_file():
        raise FileNotFoundError(f"The model {path} does not exist: check its path.")
    _require("Importing", kind)
    with TemporaryDirectory() as place:
        read = _read_onnx if kind == ONNX else _read_package
        checkpoint = read(path, Path(place), tuple(outputs))
        copy = checkpoint.save(Path(place, f"{path.stem}{SUFFIX}"))
        return library.import_model(copy, name, folder)


def _read_onnx(path: Path, _: Path, outputs: tuple[str, ...]) -> Checkpoint:
    from napari_unet.exchange.foreign import adopt
    from napari_unet.exchange.onnx_reading import read_graph, restore

    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is no ONNX file: those have {LARGEST:,} bytes at most.")
    data = path.read_bytes()
    model = read_graph(data, str(path))
    told = {"name": path.stem, "description": model.doc_string[:500]}
    return restore(model, str(path)) or adopt(
        data, model, str(path), outputs=outputs, provenance={k: v for k, v in told.items() if v}
    )


def _read_package(path: Path, place: Path, outputs: tuple[str, ...]) -> Checkpoint:
    from napari_unet.exchange.archive import open_archive
    from napari_unet.exchange.foreign import adopt
    from napari_unet.exchange.onnx_reading import read_graph, restore
    from napari_unet.exchange.package_reading import read_attachments, read_description

    with open_archive(path) as archive:
        for number, attached in enumerate(read_attachments(archive, path, SUFFIX)):
            own = place / f"attached-{number}{SUFFIX}"
            own.write_bytes(attached)
            if KEY in read_metadata(own):
                return _checked(Checkpoint.load(own))
        told = read_description(archive, path)
        data = archive.read(told.weights, told.sha256)
    name = f"{told.weights} in {path}"
    model = read_graph(data, name)
    return restore(model, name) or adopt(
        data,
        model,
        name,
        preprocessing=told.preprocessing,
        outputs=outputs or told.outputs,
        squash=told.squash,
        step=told.step,
        least=told.least,
        halo=told.halo,
        provenance=told.provenance,
    )


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose weights fit its network."""
    checkpoint.build()
    return checkpoint


def _require(doing: str, kind: str) -> None:
    """See that what a format needs is there.

    Raises
    ------
    ImportError
        If not.
    """
    needed = ["onnx"] + ["onnxruntime"] * (doing == "Importing")
    needed += ["bioimageio.spec"] * (kind == PACKAGE)
    for module in needed:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{doing} a model as {kind} needs {module}, which is not installed: {EXTRA}."
            ) from error
