"""The steps from an image to labels, each of them a task for every chunk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np

from napari_unet.chunked import growing, output, parts, seams, splitting
from napari_unet.chunked.beginning import UNSEEN, begin, is_seen
from napari_unet.chunked.plan import Plan, averaging
from napari_unet.chunked.remote import RemoteEngine, precision_on
from napari_unet.chunked.sketch import Sketch, draw_sketch
from napari_unet.chunked.source import Source
from napari_unet.chunked.workers import Cluster, Run, Task, in_threads, in_turn
from napari_unet.config import SegmentConfig
from napari_unet.engines import Engine, Precision
from napari_unet.files import is_same, make_folder
from napari_unet.images.ngff import (
    create_labels,
    holds_labels,
    is_beside,
    is_group,
    is_zarr,
    list_labels,
    writable,
)
from napari_unet.library import Card, Hold
from napari_unet.wording import counted

THREADS = 2
"""That predict where the network runs elsewhere: while one waits, the other finds objects."""
LABELS = "labels"
"""What marks of tasks lie under whose results are in the Zarr."""
SHARES = {"predicting": 0.9, "joining": 0.03, "growing": 0.03, "writing": 0.03, "coarser": 0.01}
"""Of the time, about, that each step takes."""


@dataclass(frozen=True)
class ChunkProgress:
    """What is done, as :func:`segment_chunked` yields it.

    Parameters
    ----------
    step : str
        What is being done: measuring, predicting, joining, growing, writing, coarser (levels).
    done, total : int
        Chunks of this step.
    share : float
        Of all the work that is done, about, in [0, 1].
    message : str
        What the user should be told, if anything.
    sketch : Sketch or None
        Of a chunk that is predicted, where sketches were asked for.
    """

    step: str
    done: int
    total: int
    share: float
    message: str = ""
    sketch: Sketch | None = None


@dataclass(frozen=True)
class ChunkedSegmentation:
    """Labels that were written.

    Parameters
    ----------
    path : Path
        The OME-Zarr.
    shape : tuple of int
        Of the finest level, (*leading, Y, X).
    objects : int or None
        In all planes; None of a model that labels areas.
    approximate : int
        Components of the foreground that were too large to be split as a whole
        (:data:`napari_unet.chunked.seams.LARGEST`); objects in them may differ from those that are
        found in memory.
    """

    path: Path
    shape: tuple[int, ...]
    objects: int | None
    approximate: int

    @property
    def in_words(self) -> str:
        """What was found."""
        return "areas" if self.objects is None else counted(self.objects)


def is_chunked(path: Path) -> bool:
    """Say whether labels of that path are an OME-Zarr, in or beside an image."""
    return path.suffix.lower() == ".zarr" or is_beside(path)


def segment_chunked(
    source: Source,
    path: Path,
    config: SegmentConfig,
    *,
    run: Run = in_turn,
    engine: Engine | None = None,
    card: Card | None = None,
    force: bool = False,
    sketched: int = 0,
) -> Generator[ChunkProgress, bool | None, ChunkedSegmentation | None]:
    """Segment an image a chunk at a time, from disk to disk.

    The labels are those that :func:`napari_unet.segmentation.segment` gives of the whole image,
    number by number, where scores are the same to the last bit (as with the same tile), with the
    exception that :attr:`ChunkedSegmentation.approximate` counts.

    Memory holds a few chunks, and a table of the objects. What is done lies in a folder beside the
    labels; another run with the same settings goes on from there, whatever ended the last one. The
    labels are there when they are complete.

    Parameters
    ----------
    source : Source
        The image.
    path : Path
        The OME-Zarr to write: a multiscale group, in the NGFF version of the image (0.5 where it
        has none). Labels of ``IMAGE.zarr/labels/NAME`` are listed in the image.
    config : SegmentConfig
        As for :func:`napari_unet.segmentation.segment_steps`. A chunk is two tiles high and wide.
        Without `pixel_size` and `diameter` the image's own pixel size counts, if the model states
        one, too.
    run : callable
        Who does the tasks, from :func:`napari_unet.chunked.connect`. A cluster whose workers do not
        see image and labels runs the network alone, on pixels that are sent to it.
    engine, card
        What runs the network in this process, and its card; None: the config's model, loaded by
        whoever predicts.
    force : bool
        Replace labels that exist, and begin anew where other settings were begun with.
    sketched : int
        Rows and columns of the image to a pixel of the sketches of chunks, of those that were
        predicted earlier, too; 0: none are drawn. See :func:`napari_unet.chunked.sketch_step`.

    Yields
    ------
    ChunkProgress
        After each task, and at least twice a second while others do them. Send True to stop.

    Returns
    -------
    ChunkedSegmentation or None
        None after a stop.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such image or model, they do not fit one another, labels are there, or what
        was begun has other settings (:class:`napari_unet.chunked.OtherSettings`).
    OSError
        If it cannot be written, or workers do not answer any more.
    OutOfMemory
        If memory is not enough even for the smallest tile.
    """
    _check_free(source, path, force)
    held = f"{path} is being written just now: stop that first, or wait for its end."
    with Hold(path, held):
        return (yield from _segment(source, path, config, run, engine, card, force, sketched))


def _segment(
    source: Source,
    path: Path,
    config: SegmentConfig,
    run: Run,
    engine: Engine | None,
    card: Card | None,
    force: bool,
    sketched: int,
) -> Generator[ChunkProgress, bool | None, ChunkedSegmentation | None]:
    """Do what :func:`segment_chunked` says, while nobody else does."""
    yield ChunkProgress("measuring", 0, 1, 0.0)
    plan, record, message = begin(source, path, config, card, engine is None, force)
    if (yield ChunkProgress("measuring", 1, 1, 0.0, message)):
        return None
    predicting = run = run if engine is None else in_turn
    if engine is None:
        preferred = partial(precision_on, plan.config.device)
        precision = yield from _chosen(run, plan, "precision", preferred)
        if precision is None:
            return None
        plan = replace(plan, precision=cast(Precision, precision))
    if isinstance(run, Cluster):
        sees = yield from _ask_what_is_seen(run, plan)
        if sees is None:
            return None
        if not sees:
            engine = RemoteEngine(run, config, plan.precision)
            predicting, run = in_threads(THREADS), in_turn
    engine = engine and averaging(engine, config)
    size = yield from _chosen(predicting, plan, "size", partial(parts.size_up, plan, engine=engine))
    if size is None:
        return None
    zoom, _, message = size.partition(" ")
    plan = plan.at(float(zoom))
    if (yield ChunkProgress("measuring", 1, 1, 0.0, message)):
        return None
    predict = partial(parts.predict, engine=engine)
    predicted = _Steps(plan, predicting, sketched).do("predicting", predict, range(len(plan.seen)))
    if (yield from predicted):
        return None
    steps = _Steps(plan, run)
    approximate, counts = 0, [0] * plan.seen.planes
    if plan.card.target.instances:
        groups = plan.work.told("groups") or seams.join(plan)
        approximate = groups["approximate"]
        if (yield from steps.do("joining", splitting.settle, groups["tasks"])):
            return None
        if (yield from steps.do("growing", growing.grow, range(len(plan.seen)))):
            return None
        counts = plan.work.told("numbers") or growing.number(plan)
    shape = (*plan.leading, *plan.shown.shape)
    if not plan.labels.exists():
        told = {**record, "approximate": approximate, "precision": plan.precision}
        _create(plan, path, shape, max(counts), told)
    if (yield from steps.do("writing", output.write, range(len(plan.shown)))):
        return None
    for level, grid in enumerate(output.levels(plan), start=1):
        task = partial(output.coarsen, level=level)
        if (yield from steps.do("coarser", task, range(len(grid)), f"-{level}")):
            return None
    _finish(plan, path)
    objects = sum(counts) if plan.card.target.instances else None
    return ChunkedSegmentation(path, shape, objects, approximate)


def _answered(run: Run, task: Task) -> Generator[ChunkProgress, bool | None, str | None]:
    """Let one process answer a question that is not of a single chunk; None after a stop."""
    with closing(run(task, [0])) as answers:
        for index, message in answers:
            if index is not None:
                return message
            if (yield ChunkProgress("measuring", 1, 1, 0.0, message)):
                break
    return None


def _chosen(
    run: Run, plan: Plan, name: str, task: Task
) -> Generator[ChunkProgress, bool | None, str | None]:
    """Let one process choose what holds for all chunks, and for good; None after a stop.

    Each might choose something else, or another time: which precision is faster is measured.
    """
    if plan.work.told(name) is None:
        answer = yield from _answered(run, task)
        if answer is not None:
            plan.work.tell(name, answer)
    chosen: str | None = plan.work.told(name)
    return chosen


def _ask_what_is_seen(
    cluster: Cluster, plan: Plan
) -> Generator[ChunkProgress, bool | None, bool | None]:
    """Find out whether workers can do all tasks, or but run the network; None after a stop."""
    if plan.source.is_light:
        message = yield from _answered(cluster, partial(is_seen, plan))
        if not message:
            return None if message is None else True
    return None if (yield ChunkProgress("measuring", 1, 1, 0.0, UNSEEN)) else False


@dataclass(frozen=True)
class _Task:
    """What is done with a chunk, noted when it is done."""

    plan: Plan
    name: str
    act: Callable[..., str]

    def __call__(self, index: int) -> str:
        message = self.act(self.plan, index=index)
        self.plan.work.mark(self.name, index)
        return message


class _Steps:
    """Does the steps one after the other, each for all chunks for which it is not done."""

    def __init__(self, plan: Plan, run: Run, sketched: int = 0) -> None:
        self._plan, self._run, self._sketched = plan, run, sketched

    def do(
        self, step: str, act: Callable[..., str], indices: Iterable[int], suffix: str = ""
    ) -> Generator[ChunkProgress, bool | None, bool]:
        """Do a step, and yield progress; returns whether a stop came."""
        name = f"{LABELS}/{step}{suffix}" if step in ("writing", "coarser") else step
        known = self._plan.work.marked(name)
        wanted = list(indices)
        todo = [index for index in wanted if index not in known]
        done, total = len(wanted) - len(todo), len(wanted)
        before = sum(share for other, share in SHARES.items() if _precedes(other, step))
        message = f"{done} of {total} chunks were predicted before." * bool(
            done and todo and step == "predicting"
        )
        with closing(self._run(_Task(self._plan, name, act), todo)) as results:
            earlier = ((index, "") for index in known.intersection(wanted) if self._sketched)
            for index, told in chain(earlier, [(None, message)] * bool(message), results):
                done += index is not None and index not in known
                share = before + SHARES[step] * done / total
                sketch = self._sketch(index)
                if (yield ChunkProgress(step, done, total, share, told, sketch)):
                    return True
        return False

    def _sketch(self, index: int | None) -> Sketch | None:
        if index is None or not self._sketched:
            return None
        try:
            return draw_sketch(self._plan, index, self._sketched)
        except OSError:  # what another machine has written a moment ago may not be seen here yet
            return None


def _precedes(one: str, other: str) -> bool:
    order = list(SHARES)
    return order.index(one) < order.index(other)


def _check_free(source: Source, path: Path, force: bool) -> None:
    if is_same(path, source.path):
        raise ValueError(f"{path} is the image itself: write its labels elsewhere.")
    if _is_in(path, source.path):
        raise ValueError(f"{path} holds the image {source.path}: write its labels elsewhere.")
    image = _whole_image(source.path)
    if is_zarr(image) and _is_in(image, path) and not is_beside(path):
        raise ValueError(
            f"{path} lies in the image {image}: write its labels elsewhere, or, if the image is a"
            " group, to IMAGE.zarr/labels/NAME."
        )
    make_folder(path.parent)
    if path.exists() and not holds_labels(path):
        raise ValueError(f"{path} exists already and holds no labels: choose another name.")
    if path.exists() and not force:
        raise ValueError(f"{path} exists already: write over it with --force.")


def _is_in(folder: Path, path: Path) -> bool:
    """Say whether a path lies in a folder that exists, whatever links lead there."""
    return any(is_same(folder, parent) for parent in path.resolve().parents)


def _whole_image(path: Path) -> Path:
    """Return the group of an array that is one of its levels, or the path itself."""
    is_level = is_zarr(path) and not is_group(path) and is_group(path.parent)
    return path.parent if is_level else path


def _create(
    plan: Plan, path: Path, shape: tuple[int, ...], most: int, record: dict[str, Any]
) -> None:
    """Make the Zarr that labels are written to, under another name until it is complete."""
    image = replace(plan.source.open(), axes=plan.planes.axes)
    plan.work.unmark(LABELS)
    dtype = np.uint16 if most <= np.iinfo(np.uint16).max else np.uint32
    new = plan.labels.with_name("new.zarr")
    create_labels(new, image, shape, dtype, record, path.stem, is_beside(path))
    new.replace(plan.labels)


def _finish(plan: Plan, path: Path) -> None:
    """Let the labels appear, in place of those that were there; clear away the work."""
    with writable(path):
        if path.exists():
            aside = plan.work.folder / "replaced"
            shutil.rmtree(aside, ignore_errors=True)
            path.replace(aside)
        plan.labels.replace(path)
    list_labels(path)
    plan.work.drop()
