"""Who does the tasks: this process, or workers of dask.distributed; the only user of dask."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from concurrent import futures
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from napari_unet import __version__

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

Task = Callable[[int], str]
Done = Generator[tuple[int | None, str], None, None]
Run = Callable[[Task, Iterable[int]], Done]
"""Does tasks; yields the index and the message of each that is done, or None while it waits."""

IN_FLIGHT = 2
"""Tasks for each thread of the workers that the scheduler knows of: one is done, one waits."""
HEARTBEAT = 0.5
"""Seconds after which a stop is heeded though no task was done."""
LOOK = 0.01
"""Seconds between looks at whether a task is done."""
PATIENCE = 5
"""Seconds that a scheduler has to answer, and somebody who waits for one pass to find a worker."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What dask sets to 1 in its workers; torch takes the second for the first."""
LARGE = "distributed.admin.large-graph-warning-threshold"
"""What dask calls the size from which it warns of what is sent; pixels are larger."""
PACKAGE = "napari-unet-segmentation"
WAITING = "The scheduler has no workers yet: waiting for them."
MISSING = (
    f"dask.distributed is not installed: pip install '{PACKAGE}[cluster]', or segment on this"
    " machine, without a scheduler or workers."
)
GONE = "The scheduler does not answer any more: what is done is kept; start it and run this again."


def in_turn(task: Task, indices: Iterable[int]) -> Done:
    """Do tasks in this process, one after the other."""
    for index in indices:
        yield index, task(index)


def in_threads(count: int) -> Run:
    """Return who does tasks in threads of this process, for where the network runs elsewhere."""

    def run(task: Task, indices: Iterable[int]) -> Done:
        with ThreadPoolExecutor(count) as pool:
            yield from _flow(_Threads(pool, count), task, indices)

    return run


class _Crew(Protocol):
    """Whoever does several tasks at a time."""

    def room(self) -> int:
        """Return how many tasks may be handed out at a time."""

    def submit(self, task: Task, index: int) -> Any:
        """Hand out a task, and return its future."""

    def first(self, flying: Collection[Any]) -> Collection[Any]:
        """Wait a moment for one of some futures, and return those that are done."""

    def cancel(self, flying: Collection[Any]) -> None:
        """Let go of what is not done."""


def _flow(crew: _Crew, task: Task, indices: Iterable[int]) -> Done:
    """Hand out tasks as others are done."""
    todo = iter(indices)
    flying: dict[Any, int] = {}
    try:
        while True:
            for _ in range(crew.room() - len(flying)):
                if (index := next(todo, None)) is not None:
                    flying[crew.submit(task, index)] = index
            if not flying:
                return
            done = crew.first(flying)
            for future in done:
                index = flying.pop(future)
                yield index, future.result()
            if not done:
                yield None, ""
    finally:
        crew.cancel(flying)


@dataclass(frozen=True)
class _Threads:
    pool: ThreadPoolExecutor
    count: int

    def room(self) -> int:
        return self.count

    def submit(self, task: Task, index: int) -> Any:
        return self.pool.submit(task, index)

    def first(self, flying: Collection[Any]) -> Collection[Any]:
        return futures.wait(flying, HEARTBEAT, futures.FIRST_COMPLETED).done

    def cancel(self, flying: Collection[Any]) -> None:
        for future in flying:
            future.cancel()


@contextmanager
def connect(scheduler: str | None = None, workers: int | None = None) -> Iterator[Run]:
    """Find somebody to do the tasks.

    Parameters
    ----------
    scheduler : str or None
        Address of a scheduler of dask.distributed, such as ``tcp://10.0.0.1:8786``. Its workers
        need this package. Where they see image and labels at the same paths they do all of the
        work, and else run the network on pixels that are sent to them.
    workers : int or None
        Processes to start on this machine, each on a GPU of its own where dask-cuda is installed.
        Without a scheduler and workers this process does all.

    Yields
    ------
    callable
        Of a scheduler and of workers, a :class:`Cluster`.

    Raises
    ------
    ImportError
        If dask.distributed is needed and not installed.
    ValueError
        If both are given, or there are to be fewer than one worker.
    OSError
        If the scheduler does not answer.
    """
    if scheduler is None and workers is None:
        yield in_turn
        return
    if scheduler is not None and workers is not None:
        raise ValueError("A scheduler has workers of its own: give --scheduler or --workers.")
    if workers is not None and workers < 1:
        raise ValueError(f"workers = {workers} is not possible: use 1 or more.")
    if scheduler is not None:
        with cluster_at(scheduler) as cluster:
            yield cluster
        return
    with _quietly(), _local(workers or 1) as local, local.get_client() as client:
        yield Cluster(client)


@contextmanager
def cluster_at(scheduler: str) -> Iterator[Cluster]:
    """Connect to the workers of a scheduler.

    Parameters
    ----------
    scheduler : str
        Its address, as :func:`connect` takes it.

    Raises
    ------
    ImportError
        If dask.distributed is not installed.
    OSError
        If the scheduler does not answer.
    """
    with _quietly(), _client(scheduler) as client:
        yield Cluster(client)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep distributed from logging pages of what is told here in a sentence.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    if find_spec("distributed") is None:
        raise ImportError(MISSING)
    import dask
    import distributed  # which makes its handlers

    handlers = logging.getLogger(distributed.__name__).handlers
    before = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        with dask.config.set({LARGE: "1 TB"}):
            yield
    finally:
        for handler, level in zip(handlers, before, strict=True):
            handler.setLevel(level)


def _client(scheduler: str) -> Client:
    from distributed import Client

    try:
        _knock(scheduler)
        # Not the default one: what else this process computes with dask stays here.
        return Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise OSError(
            f"The scheduler at {scheduler} does not answer: check its address, and that it runs"
            " and can be reached from here."
        ) from error


def _knock(scheduler: str) -> None:
    """Find out whether anybody is there: a client that could not connect is slow to go."""
    address = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
    if address.scheme in ("tcp", "tls"):
        socket.create_connection((address.hostname, address.port), PATIENCE).close()


def _local(workers: int) -> Any:
    """Start processes on this machine; they are ended with this one."""
    if find_spec("dask_cuda") is not None:
        import torch

        if torch.cuda.is_available():
            from dask_cuda import LocalCUDACluster  # type: ignore[import-not-found]

            return LocalCUDACluster(n_workers=workers)
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address=None,
        memory_limit=0,  # a task's memory is bounded by its chunk; dask would pause at its estimate
        silence_logs="CRITICAL",  # a worker that dies is told by what becomes of its task
        env=dict.fromkeys(THREADS, str(max((os.cpu_count() or 1) // workers, 1))),
    )


class Cluster:
    """Workers of a scheduler, as they come and go.

    Parameters
    ----------
    client : distributed.Client
        Of the scheduler.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: set[str] = set()

    def __call__(self, task: Task, indices: Iterable[int]) -> Done:
        """Do tasks, as many at a time as the workers take; what a dead worker had is done again."""
        told = False
        with _explained(), closing(_flow(self, task, indices)) as flow:
            for index, message in flow:
                waits = index is None and not self._known and not told
                told = told or waits
                yield index, WAITING if waits else message

    def ask(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a worker makes of some arguments, which are sent to it.

        Raises
        ------
        ImportError
            If a worker has another version of this package, or none.
        OSError
            If there has been no worker for a while, or they die.
        """
        with _explained():
            self.room()  # looks at workers that are new
            future, waited = self._client.submit(function, *arguments, pure=False), 0.0
            try:
                while not self.first([future]):
                    waited = 0.0 if self.room() > 1 else waited + HEARTBEAT
                    if waited > PATIENCE:
                        raise OSError("The scheduler has no workers: start some, and try again.")
                answer: T = future.result()
                return answer
            finally:
                self.cancel([future])

    def room(self) -> int:
        """Return how many tasks may be handed out at a time.

        Raises
        ------
        ImportError
            If a worker has another version of this package, or none.
        """
        threads: dict[str, int] = self._client.nthreads()
        self._check(sorted(threads.keys() - self._known))
        self._known = set(threads)
        return max(IN_FLIGHT * sum(threads.values()), 1)

    def submit(self, task: Task, index: int) -> Any:
        """Hand out a task, and return its future."""
        return self._client.submit(task, index, pure=False)

    def first(self, flying: Collection[Any]) -> Collection[Any]:
        """Wait a moment for one of some futures, and return those that are done."""
        # distributed.wait would ask the process's default client, which this one is not.
        until = time.monotonic() + HEARTBEAT
        while not (done := [future for future in flying if future.done()]):
            if time.monotonic() > until:
                break
            time.sleep(LOOK)
        return done

    def cancel(self, flying: Collection[Any]) -> None:
        """Let go of what is not done."""
        self._client.cancel(list(flying))

    def _check(self, new: list[str]) -> None:
        if not new:
            return
        # A function of the standard library: workers of any version can be asked.
        found = self._client.run(metadata.version, PACKAGE, workers=new, on_error="return")
        for worker, version in found.items():
            if isinstance(version, metadata.PackageNotFoundError):
                raise ImportError(f"The worker at {worker} has no {PACKAGE}: install it there.")
            if isinstance(version, str) and version != __version__:
                raise ImportError(
                    f"The worker at {worker} has {PACKAGE} {version}, and this machine"
                    f" {__version__}: install the same version on both."
                )


@contextmanager
def _explained() -> Iterator[None]:
    """Say in one sentence what the end of a task means; errors of the task itself go on."""
    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise OSError(
            "Workers died again and again at one task, perhaps for want of memory: use a smaller"
            " tile; what is done is kept."
        ) from error
    except (CommClosedError, CancelledError, TimeoutError) as error:
        raise OSError(GONE) from error
