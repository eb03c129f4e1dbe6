"""What every task knows: image, network, settings, geometry, and where the work is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from napari_unet.chunked.grid import Grid
from napari_unet.chunked.source import Source, StoredPlanes
from napari_unet.chunked.work import Work
from napari_unet.config import SegmentConfig
from napari_unet.engines import AveragedEngine, Engine, Precision
from napari_unet.library import Card
from napari_unet.preprocessing import Normalisation, scaled_shape
from napari_unet.segmentation import load_engine
from napari_unet.segmentation.result import smallest_object


@dataclass(frozen=True)
class Plan:
    """A segmentation, of which any process can do any task.

    Parameters
    ----------
    source : Source
        The image.
    card : Card
        Of the network.
    config : SegmentConfig
        Its `model` is the path of a copy in the work's folder, and its `tile` is set.
    normalisation : Normalisation
        Of the whole image.
    zoom : float
        Network pixels per image pixel.
    seen : Grid
        Chunks of the planes in network pixels, in which objects are found.
    shown : Grid
        Chunks of the planes in image pixels, in which labels are written.
    leading : tuple of int
        Lengths of the axes that are walked plane by plane.
    work : Work
        Where it takes shape.
    precision : str
        That the network computes in, the same for all chunks: the seams would show another.
    """

    source: Source
    card: Card
    config: SegmentConfig
    normalisation: Normalisation
    zoom: float
    seen: Grid
    shown: Grid
    leading: tuple[int, ...]
    work: Work
    precision: Precision = "auto"

    @cached_property
    def planes(self) -> StoredPlanes:
        """The image."""
        return self.source.planes(self.card.preprocessing, self.config.channel)

    @property
    def min_size(self) -> int:
        """Network pixels that an object has at least."""
        return smallest_object(self.card, self.config, self.zoom)

    @property
    def has_distance(self) -> bool:
        """Whether touching objects can be split."""
        return "distance" in self.card.target.extras

    def at(self, zoom: float) -> Plan:
        """Return the plan for an image that the network sees at another size."""
        shape = scaled_shape(self.shown.shape, zoom)
        return replace(self, zoom=zoom, seen=replace(self.seen, shape=shape))

    def position(self, plane: int) -> tuple[int, ...]:
        """Return the index of a plane along the axes that are walked."""
        index = np.unravel_index(plane, self.leading) if self.leading else ()
        return tuple(int(i) for i in index)

    @property
    def labels(self) -> Path:
        """The labels while they are not complete."""
        return self.work.folder / "labels.zarr"

    def __getstate__(self) -> dict[str, object]:
        """Leave out the image that was opened: each process opens it for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "planes"}


_lock = Lock()
"""A worker of several threads passes through the network in one."""


@contextmanager
def lent_engine(plan: Plan) -> Iterator[Engine]:
    """Lend the engine of a plan, loaded once a process, to one thread at a time.

    A thread keeps it for a whole chunk: another would find it on another device, in between, when
    memory ran out.
    """
    with _lock:
        config = plan.config
        yield averaging(_load(config.model, config.device, plan.precision), config)


def averaging(engine: Engine, config: SegmentConfig) -> Engine:
    """Return an engine that averages over the eight views if the config asks for it."""
    return AveragedEngine(engine) if config.averaged else engine


@lru_cache(maxsize=1)
def _load(model: str, device: Any, precision: Precision) -> Engine:
    return load_engine(SegmentConfig(model=model, device=device), precision)[0]
