"""Sample images: some come with scikit-image, some are downloaded once, with checksums."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """A sample image and where it is from.

    Parameters
    ----------
    name : str
        By which it is loaded.
    title : str
        What it shows.
    licence, source : str
        Its terms, and who made it.
    function : str
        Of :mod:`skimage.data`, which returns it; downloads go through pooch, with a checksum.
    axes : str
        A letter per dimension.
    bundled : bool
        Whether it needs no download.
    select : int or None
        Channel taken from a stack, if not all of it.
    stain : int or None
        Stain taken from a colour picture: 0 hematoxylin, 1 eosin, 2 DAB.
    pixel_size : float or None
        Micrometres per pixel.
    crop : tuple of slice
        Rows and columns taken of it; empty: all.
    """

    name: str
    title: str
    licence: str
    source: str
    function: str
    axes: str
    bundled: bool = False
    select: int | None = None
    stain: int | None = None
    pixel_size: float | None = None
    crop: tuple[slice, ...] = ()


DEMO = "tissue"
"""What ``napari-unet demo`` shows; it comes with scikit-image."""

SAMPLES: dict[str, Sample] = {
    s.name: s
    for s in (
        Sample(
            "tissue",
            "Nuclei between colonic glands (the hematoxylin of a stained section)",
            "no known copyright restrictions",
            "scikit-image, from the Center for Microscopy And Molecular Imaging (CMMI)",
            "immunohistochemistry",
            "YX",
            bundled=True,
            stain=0,
            crop=(slice(200, 456), slice(150, 406)),
        ),
        Sample(
            "mitosis",
            "Nuclei of HeLa cells, some of them dividing, fluorescence",
            "CC0",
            "scikit-image, from Moffat et al. (2006), Broad Bioimage Benchmark Collection",
            "human_mitosis",
            "YX",
        ),
        Sample(
            "nuclei-stack",
            "Nuclei of living cells, 60 planes of fluorescence",
            "CC0",
            "scikit-image, from the Allen Institute for Cell Science",
            "cells3d",
            "ZYX",
            select=1,
            pixel_size=0.26,
        ),
    )
}


def load_sample(name: str) -> NDArray[Any]:
    """Load a sample image.

    Returns
    -------
    array
        With the axes that ``SAMPLES[name].axes`` says.

    Raises
    ------
    ValueError
        If there is no sample of that name; the message lists them.
    ConnectionError
        If it has to be downloaded and cannot be.
    """
    picture = load_picture(name)
    return take_stain(SAMPLES[name], picture)


def take_stain(sample: Sample, picture: NDArray[Any]) -> NDArray[Any]:
    """Return what of a sample's picture is segmented: one stain of it, or all."""
    if sample.stain is None:
        return picture
    from skimage.color import rgb2hed  # slow to load, and seldom needed

    # Colour deconvolution (Ruifrok and Johnston, 2001).
    return np.asarray(rgb2hed(picture)[..., sample.stain], np.float32)


def load_picture(name: str) -> NDArray[Any]:
    """Load a sample as people look at it: where it is a stain, the colours that it is taken from.

    Raises
    ------
    ValueError, ConnectionError
        As :func:`load_sample`.
    """
    if name not in SAMPLES:
        raise ValueError(f"There is no sample {name!r}; choose one of {', '.join(SAMPLES)}.")
    sample = SAMPLES[name]
    load = getattr(import_module("skimage.data"), sample.function)
    try:
        image = np.asarray(load())
    except Exception as error:  # pooch lets through whatever requests and urllib3 raise
        if sample.bundled:
            raise
        if isinstance(error, ValueError) and "hash" in str(error):
            raise ConnectionError(
                f"The sample {name!r} arrived damaged (its checksum is wrong): try again later."
            ) from error
        raise ConnectionError(
            f"The sample {name!r} could not be downloaded: connect to the internet, or choose one"
            f" that needs no download ({', '.join(s.name for s in SAMPLES.values() if s.bundled)})."
        ) from error
    if sample.select is not None:
        image = image[:, sample.select]
    return image[sample.crop] if sample.crop else image
