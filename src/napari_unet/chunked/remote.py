"""A network that runs on a scheduler's workers: pixels travel there, and scores back."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import NetworkConfig, SegmentConfig
from napari_unet.engines import Engine, Precision, choose_device, preferred_precision
from napari_unet.library import Card, find_model, read_card
from napari_unet.segmentation import load_engine

if TYPE_CHECKING:
    from napari_unet.chunked.workers import Cluster

Floats = NDArray[np.float32]


class RemoteEngine:
    """Runs a network wherever a scheduler has workers, which need to see no disk of this machine.

    The model's file is sent to each worker that does not have it yet.

    Parameters
    ----------
    cluster : Cluster
        The workers.
    config : SegmentConfig
        Model, and device that the workers use.
    precision : Precision
        That all workers compute in; "auto": what the first one prefers.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or the file is none.
    """

    def __init__(
        self, cluster: Cluster, config: SegmentConfig, precision: Precision = "auto"
    ) -> None:
        path = find_model(config.model)
        self.card: Card = read_card(path)
        self.notice = ""
        self._cluster, self._device, self._precision = cluster, config.device, precision
        self._name, self._content = path.name, path.read_bytes()
        self._hash = sha256(self._content).hexdigest()

    @property
    def config(self) -> NetworkConfig:
        """The network's geometry."""
        return self.card.network

    @property
    def channels(self) -> int:
        """Channels of the scores."""
        return self.card.target.channels

    def __call__(self, batch: Floats) -> Floats:
        """Return the scores (B, K, H', W') of images (B, C, H, W); may raise OutOfMemory."""
        scores: Floats = self._ask("__call__", batch)
        return scores

    def choose_tile(self, shape: tuple[int, ...]) -> int:
        """Return the written side that suits an image, by the memory of a worker."""
        return int(self._ask("choose_tile", shape))

    def fall_back(self) -> bool:
        """Say that there is no other device."""
        return False

    def _ask(self, method: str, argument: Any) -> Any:
        if self._precision == "auto":
            self._precision = self._cluster.ask(precision_on, self._device)
        known = (self._hash, self._device, self._precision, method, argument)
        told = self._cluster.ask(_answer, None, *known)
        if told is None:  # that worker lacks the model, which goes along this time
            told = self._cluster.ask(_answer, (self._name, self._content), *known)
        assert told is not None
        answer, notice = told
        self.notice = notice or self.notice
        return answer


_engines: dict[tuple[str, str, str], Engine] = {}
"""The engine of this worker, of which there is one at a time."""
_lock = Lock()
"""A worker of several threads passes through the network in one."""


def _answer(
    model: tuple[str, bytes] | None,
    digest: str,
    device: str,
    precision: Precision,
    method: str,
    argument: Any,
) -> tuple[Any, str] | None:
    """Return what the engine of a model says on this worker, and its notice; None without it."""
    key = (digest, device, precision)
    with _lock:
        if key not in _engines:
            if model is None:
                return None
            _engines.clear()
            _engines[key] = _load(*model, device, precision)
        engine = _engines[key]
        answer = getattr(engine, method)(argument)
        notice, engine.notice = engine.notice, ""
        return answer, notice


def _load(name: str, content: bytes, device: Any, precision: Precision) -> Engine:
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return load_engine(SegmentConfig(model=str(path), device=device), precision)[0]


def precision_on(device: str, _: int = 0) -> Precision:
    """Return, as a task, in which precision the worker at hand would compute by itself."""
    return preferred_precision(choose_device(device))
