"""What the dock does in threads: it may import here what is slow to load."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet._qt import preferences
from napari_unet._qt.segment import so_far
from napari_unet._qt.segment.request import Request

if TYPE_CHECKING:  # loads torch
    from napari_unet.chunked import ChunkedSegmentation, ChunkProgress, Source
    from napari_unet.engines import Engine
    from napari_unet.library import Card
    from napari_unet.segmentation import Segmentation, Shown

Chunked = tuple["ChunkedSegmentation", list[Any]]
"""What was written, and its levels, the finest first."""


def prepare() -> Generator[None, None, tuple[list[str], dict[str, str]]]:
    """Load what is slow to load; return the devices that there are, and what was used last time."""
    from napari_unet import segmentation  # noqa: F401 (all that a run needs)
    from napari_unet.engines import available_devices, choose_device, prefers_bfloat16

    prefers_bfloat16(choose_device("auto"))
    # napari loads it with the first labels layer, which takes half a second in the window.
    with suppress(ImportError):
        import_module("pandas")
    yield
    return available_devices(), preferences.recall()


def live_steps(request: Request) -> Generator[Shown, bool | None, Segmentation]:
    """Segment in memory, and show labels tile by tile."""
    from napari_unet.chunked.source import as_lazy
    from napari_unet.library import model_hash
    from napari_unet.provenance import Provenance
    from napari_unet.segmentation import Area, segment_live

    digest = model_hash(request.config.model)
    with _engine(request) as (engine, card):
        axes = "C" * (len(request.images) > 1) + request.axes
        area = Area(request.planes, request.region)
        image = as_lazy(request.images)
        result = yield from segment_live(image, engine, card, request.config, axes, area)
    return replace(result, made=Provenance(request.config, digest, request.layer.name))


@contextmanager
def _engine(request: Request) -> Iterator[tuple[Engine, Card]]:
    """Find what runs the network: this machine, or the workers of a scheduler."""
    if not request.scheduler:
        from napari_unet.segmentation import load_engine

        yield load_engine(request.config)
        return
    from napari_unet.chunked import RemoteEngine, cluster_at

    with cluster_at(request.scheduler) as cluster:
        engine = RemoteEngine(cluster, request.config)
        yield engine, engine.card


def chunk_steps(
    request: Request, force: bool
) -> Generator[ChunkProgress, bool | None, Chunked | str | None]:
    """Segment by chunks, from disk to disk.

    Parameters
    ----------
    request : Request
        With a place for the labels.
    force : bool
        Whether to begin anew where other settings were begun with.

    Returns
    -------
    tuple, str or None
        What was written; where other settings were begun with, what they were; None after a stop.
    """
    from napari_unet.chunked import OtherSettings, connect, segment_chunked
    from napari_unet.images.ngff import open_levels

    assert request.output is not None
    source, path, config = _source(request), request.output, request.config
    try:
        with connect(request.scheduler or None) as run:
            result = yield from segment_chunked(
                source,
                path,
                config,
                run=run,
                force=force,
                sketched=so_far.step_of(request),
            )
    except OtherSettings as error:
        return error.begun  # not the error, which the worker would raise
    return None if result is None else (result, open_levels(path))


def _source(request: Request) -> Source:
    """Return the layer's image, placed as the layer is."""
    from napari_unet.chunked import Source
    from napari_unet.chunked.source import as_image
    from napari_unet.preprocessing import ChannelStack

    layer, file = request.layer, request.layer.source.path
    several, colour = len(request.images) > 1, "S" in request.axes
    array = ChannelStack(request.images) if several else request.images[0]
    image = as_image(array, Path(file) if file else None)
    units = ["" if str(unit) == "pixel" else str(unit) for unit in layer.units]
    image = replace(
        image,
        axes="C" * several + request.axes,
        scale=(1.0,) * several + tuple(map(float, layer.scale)) + (1.0,) * colour,
        translation=(0.0,) * several + tuple(map(float, layer.translate)) + (0.0,) * colour,
        units=("",) * several + tuple(units) + ("",) * colour,
    )
    return Source(Path(file or layer.name), array=image)
