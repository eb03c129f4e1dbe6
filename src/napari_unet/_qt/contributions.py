"""What napari finds in its File menu: the samples, and a writer of label TIFFs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari_unet._qt.layers import LETTERS, micrometres
from napari_unet.images import Image, write_labels
from napari_unet.provenance import KEY, Provenance
from napari_unet.samples import SAMPLES, load_sample

LayerData = tuple[Any, dict[str, Any], str]


def _sample(name: str) -> Callable[[], list[LayerData]]:
    """Return what File > Open Sample calls."""

    def load() -> list[LayerData]:
        sample, image = SAMPLES[name], load_sample(name)
        options: dict[str, Any] = {"name": name, "metadata": {"licence": sample.licence}}
        if sample.pixel_size is not None:
            options["scale"] = (1.0,) * (image.ndim - 2) + (sample.pixel_size,) * 2
            options["units"] = ("pixel",) * (image.ndim - 2) + ("um",) * 2
        return [(image, options, "image")]

    return load


open_tissue = _sample("tissue")
open_mitosis = _sample("mitosis")
open_nuclei_stack = _sample("nuclei-stack")


def save_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer as ``napari-unet segment`` writes labels, with the layer's scale.

    Parameters
    ----------
    path : str
        A ``.tif`` path; one in ``.ome.tif`` makes an OME-TIFF.
    data : integer array-like
        The layer's labels; of a multiscale layer, the finest.
    attributes : dict
        The layer's, as napari hands them to writers.

    Returns
    -------
    list of str
        The path written.
    """
    labels = data[0] if attributes.get("multiscale") else data
    scale = attributes.get("scale", (1.0,) * labels.ndim)
    sizes = micrometres(scale, attributes.get("units") or (None,) * labels.ndim)
    *leading, height, width = sizes
    sides = (height, width) if height and width else None
    axes = _axes(labels.ndim, attributes.get("axis_labels") or ())
    like = Image(labels, axes, sides, leading[-1] if leading else None)
    return [str(write_labels(path, labels, like=like, made=_made(attributes)))]


def _axes(ndim: int, names: Sequence[str]) -> str:
    """Return a letter per dimension: as it is labelled, or else as it is in most files."""
    usual = "TZYX"[-ndim:] if ndim <= 4 else "Q" * (ndim - 2) + "YX"
    pairs = zip(usual[:-2], names or usual, strict=False)
    named = "".join(LETTERS.get(str(name).lower(), letter) for letter, name in pairs) + "YX"
    return named if len(set(named)) == ndim and "C" not in named else usual


def _made(attributes: dict[str, Any]) -> Provenance | None:
    """Return how labels were made, where their layer says so."""
    try:
        return Provenance.from_dict(attributes["metadata"][KEY])
    except (KeyError, TypeError, ValueError):
        return None
