"""Image after image: what failed is told, and the others are finished."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_unet.batch.jobs import Job, Outcome, State, Wish
from napari_unet.batch.overview import Overview
from napari_unet.batch.record import Records
from napari_unet.batch.standing import Standing, is_of_other, standing
from napari_unet.engines import Engine
from napari_unet.files import is_same, make_folder
from napari_unet.images import Image, read_image, read_labels, write_image, write_labels
from napari_unet.images.image import as_pair
from napari_unet.images.ome import is_ome
from napari_unet.images.rois import write_rois
from napari_unet.library import Card
from napari_unet.measurements import NOTHING, Known, find_boxes, measure, write_table
from napari_unet.provenance import Provenance
from napari_unet.segmentation import (
    Segmentation,
    SegmentProgress,
    count_objects,
    segment_steps,
)

UserErrors = (ValueError, OSError, MemoryError, RuntimeError)
"""What a file, an option or a machine can be to blame for; each has a sentence for its user."""

_log = logging.getLogger(__name__)


def segment_files(
    jobs: Sequence[Job],
    engine: Engine,
    card: Card,
    wish: Wish,
    *,
    force: bool = False,
    resume: bool = False,
    record: bool = False,
    overview: Overview | None = None,
) -> Generator[SegmentProgress | Outcome, bool | None, None]:
    """Segment images one after the other.

    Parameters
    ----------
    jobs : sequence of Job
        From :func:`plan`.
    engine, card : Engine, Card
        As for :func:`napari_unet.segmentation.segment_steps`.
    wish : Wish
        What is to be made of each.
    force : bool
        Write over files that exist.
    resume : bool
        Leave what is done, by the record; what is not or was done in another way is done anew. Of
        files that exist, only those that a batch has written, and nobody has changed since, are
        written over, unless `force` is.
    record : bool
        Keep a record of what became of the images beside the labels, by which to resume; implied by
        `resume`.
    overview : Overview or None
        A picture of all of them, to be drawn meanwhile.

    Yields
    ------
    SegmentProgress
        After each tile. Send True to stop; the image at hand is then not written.
    Outcome
        After each image, done or not. Send True to stop.
    """
    records = Records() if record or resume else None
    if overview is not None:
        overview.made = Provenance(wish.config, wish.sha256)
    for job in jobs:
        at = Standing(job, State.WAITING)
        if records is not None and resume:
            at = standing(job, wish, records.of(job).entry(job), force)
        outcome: Outcome | None = at.outcome
        if at.state in (State.WAITING, State.FAILED):
            begin = partial(_begin, records, job, wish)
            outcome = yield from _try(at, engine, card, wish, overview, force or resume, begin)
            if outcome is None:
                break
            if records is not None:
                outcome = _note(records, outcome, wish)
        assert outcome is not None
        if overview is not None:
            overview.settle(outcome)
        if (yield outcome):
            break
    if overview is not None:
        overview.write()


def _begin(records: Records | None, job: Job, wish: Wish) -> None:
    """Tell a record, if one is kept, that labels are about to be written."""
    if records is not None:
        records.of(job).begin(job, wish.made(job))


def _note(records: Records, outcome: Outcome, wish: Wish) -> Outcome:
    """Keep an outcome; one that cannot be kept has failed, as it would be unknown to a resume."""
    try:
        records.of(outcome.job).add(outcome, wish.made(outcome.job))
    except OSError as error:
        return outcome if outcome.error else _failed(outcome.job, str(error), outcome.written)
    return outcome


def _failed(job: Job, error: str, written: bool) -> Outcome:
    return Outcome(job, error=error, state=State.FAILED, written=written)


def _try(
    at: Standing,
    engine: Engine,
    card: Card,
    wish: Wish,
    overview: Overview | None,
    may_overwrite: bool,
    begin: Callable[[], None],
) -> Generator[SegmentProgress, bool | None, Outcome | None]:
    """Do what is left of a job, and `begin` before anything is written; None if a stop came."""
    job, start, written = at.job, time.monotonic(), False
    try:
        _check_free(job, wish.beside(job), may_overwrite)
        image = read_image(job.source, scene=job.scene)
        if wish.config.pixel_size is not None:
            image = replace(image, pixel_sides=as_pair(wish.config.pixel_size))
        if at.missing and at.entry is not None:
            labels, outcome, known = read_labels(job.labels, image), at.entry.outcome, NOTHING
        else:
            result = yield from _until_stopped(_steps(image, engine, card, wish))
            if result is None:
                return None
            labels, known = result.labels, result.known()
            begin()
            write_labels(job.labels, labels, like=image, made=wish.made(job))
            written = True
            if result.scores:
                _write_scores(job, image, result, wish.made(job))
            outcome = Outcome(job, count_objects(labels), result.in_words, labels.shape)
        _write_beside(job, image, labels, known, wish)
        if overview is not None:
            overview.draw(job, image, labels)
    except UserErrors as error:
        return _failed(job, str(error) or type(error).__name__, written)
    except Exception as error:  # one image, whatever is wrong with it, does not end the others
        _log.error("unexpected", exc_info=error)
        return _failed(
            job,
            f"{job.source} could not be segmented ({type(error).__name__}: {error}): please report"
            " it with what is written on the terminal.",
            written,
        )
    if at.missing:  # the time that it took to find the objects stays
        return replace(outcome, before=False)
    outdated = tuple(path for path in wish.unasked(job) if is_of_other(path, wish.made(job)))
    seconds = time.monotonic() - start
    return replace(outcome, seconds=seconds, written=True, outdated=outdated)


def _steps(
    image: Image, engine: Engine, card: Card, wish: Wish
) -> Generator[SegmentProgress, bool | None, Segmentation]:
    config = wish.config
    states_size = card.preprocessing.pixel_size is not None
    if states_size and config.pixel_size is None and config.diameter is None:
        config = replace(config, pixel_size=image.pixel_size)
    return segment_steps(image.data, engine, card, config, image.axes, keep_scores=wish.scores)


def _until_stopped(
    steps: Generator[SegmentProgress, bool | None, Segmentation],
) -> Generator[SegmentProgress, bool | None, Segmentation | None]:
    """Pass tiles on; None instead of the result if a stop came."""
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            result: Segmentation = end.value
            return result
        if (yield progress):
            return None


def _check_free(job: Job, asked: Sequence[Path], may_overwrite: bool) -> None:
    if is_same(job.labels, job.source):
        raise ValueError(f"{job.labels} is the image itself: write its labels elsewhere.")
    make_folder(job.labels.parent)  # before time is spent on the image
    for path in (job.labels, *asked):
        if path.exists() and not may_overwrite:
            raise ValueError(f"{path} exists already: write over it with --force.")


def _write_scores(job: Job, image: Image, result: Segmentation, made: Provenance) -> None:
    """Write scores (planes, K, y, x); into an OME-TIFF with the axes of the image."""
    scores, target = np.stack(result.scores), result.card.target
    axes = None
    if is_ome(job.scores):
        scores = scores.reshape(*result.labels.shape[:-2], *scores.shape[1:])
        axes = "".join(a for a in image.axes if a not in "CSYX") + "CYX"
    sides, zoom = image.pixel_sides, result.frame.zoom
    size = sides and (sides[0] / zoom, sides[1] / zoom)
    names = (*target.classes, *target.extras)
    write_image(job.scores, scores, axes=axes, pixel_size=size, channels=names, made=made)


def _write_beside(
    job: Job, image: Image, labels: NDArray[np.integer], known: Known, wish: Wish
) -> None:
    """Write what is made of labels, and of what is known of the objects."""
    made, size = wish.made(job), image.pixel_sides
    if wish.objects:
        table = measure(labels, image.data, axes=image.axes, pixel_size=size, known=known)
        write_table(job.objects, {job.name: table}, {job.name: made})
    if wish.boxes:
        table = find_boxes(labels, axes=image.labels_axes, pixel_size=size, known=known)
        write_table(job.boxes, {job.name: table}, {job.name: made})
    if wish.rois:
        write_rois(job.rois, labels, like=image, made=made)
