"""Who does the tasks: this process, or workers of dask.distributed; the only user of dask."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client, Future

Task = Callable[[int], str]
Done = Generator[tuple[int | None, str], None, None]
Run = Callable[[Task, Iterable[int]], Done]
"""Does tasks; yields the index and the message of each that is done, or None while it waits."""

IN_FLIGHT = 2
"""Tasks for each thread of the workers that the scheduler knows of: one is done, one waits."""
HEARTBEAT = 0.5
"""Seconds after which a stop is heeded though no task was done."""
PATIENCE = 10
"""Seconds that a scheduler has to answer."""
WAITING = "The scheduler has no workers yet: waiting for them."
MISSING = (
    "dask.distributed is not installed: pip install 'napari-unet-segmentation[cluster]', or segment"
    " in this process, without --workers and --scheduler."
)


def in_turn(task: Task, indices: Iterable[int]) -> Done:
    """Do tasks in this process, one after the other."""
    for index in indices:
        yield index, task(index)


@contextmanager
def connect(scheduler: str | None = None, workers: int | None = None) -> Iterator[Run]:
    """Find somebody to do the tasks.

    Parameters
    ----------
    scheduler : str or None
        Address of a scheduler of dask.distributed, such as ``tcp://10.0.0.1:8786``. Its workers
        need this package, and have to see image and labels at the same paths.
    workers : int or None
        Processes to start on this machine, each on a GPU of its own where dask-cuda is installed.
        Without a scheduler and workers this process does all.

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
    if find_spec("distributed") is None:
        raise ImportError(MISSING)
    with _silence():
        if workers is None:
            with _client(scheduler) as client:
                yield _Workers(client).run
        else:
            with _cluster(workers) as cluster, cluster.get_client() as client:
                yield _Workers(client).run


@contextmanager
def _silence() -> Iterator[None]:
    """Keep distributed from logging pages of what is told here in a sentence."""
    import distributed  # which makes its handlers

    handlers = logging.getLogger(distributed.__name__).handlers
    before = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(handlers, before, strict=True):
            handler.setLevel(level)


def _client(scheduler: str | None) -> Client:
    from distributed import Client

    try:
        return Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        raise OSError(
            f"The scheduler at {scheduler} does not answer: check its address, and that it runs"
            " and can be reached from here."
        ) from error


def _cluster(workers: int) -> Any:
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
        env={"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // workers, 1))},
    )


class _Workers:
    """Workers of a scheduler that somebody started."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self, task: Task, indices: Iterable[int]) -> Done:
        """Do tasks, as many at a time as the workers take; what a dead worker had is done again."""
        from distributed import wait

        todo, told = iter(indices), False
        flying: dict[Future[str], int] = {}
        try:
            while True:
                threads = sum(self._client.nthreads().values())
                for _ in range(max(IN_FLIGHT * threads, 1) - len(flying)):
                    if (index := next(todo, None)) is not None:
                        flying[self._client.submit(task, index, pure=False)] = index
                if not flying:
                    return
                try:
                    done = wait(list(flying), HEARTBEAT, "FIRST_COMPLETED").done
                except TimeoutError:
                    yield None, "" if threads or told else WAITING
                    told = told or not threads
                    continue
                for future in done:
                    index = flying.pop(future)
                    yield index, future.result()
        except Exception as error:
            problem = _explained(error)
            if problem is error:
                raise
            raise problem from error
        finally:
            self._client.cancel(list(flying))


def _explained(error: Exception) -> Exception:
    """Return what the end of a task means to the user: the error itself if it was the task's."""
    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    if isinstance(error, KilledWorker):
        return OSError(
            "Workers died again and again at one chunk, perhaps for want of memory: use a smaller"
            " --tile; what is done is kept."
        )
    if isinstance(error, (CommClosedError, CancelledError, TimeoutError)):
        return OSError(
            "The scheduler does not answer any more: what is done is kept; start it and run this"
            " again."
        )
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("napari_unet"):
        return ImportError("The workers do not have napari-unet-segmentation: install it there.")
    return error
