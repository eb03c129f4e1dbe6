"""Many files, one after the other: what failed is told, and the others are finished."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_unet.annotations import read_annotation
from napari_unet.config import SegmentConfig
from napari_unet.engines import Engine
from napari_unet.files import is_same, make_folder
from napari_unet.images import (
    READABLE,
    TIFF,
    Image,
    read_image,
    read_labels,
    write_image,
    write_labels,
)
from napari_unet.library import Card
from napari_unet.segmentation import (
    Segmentation,
    SegmentProgress,
    count_objects,
    segment_steps,
)
from napari_unet.training import Pair

LABELS = "_labels.tif"
SCORES = "_scores.tif"
UserErrors = (ValueError, OSError, MemoryError, RuntimeError)
"""What a file, an option or a machine can be to blame for; each has a sentence for its user."""


@dataclass(frozen=True)
class Job:
    """One image to segment, and where its labels go."""

    source: Path
    labels: Path

    @property
    def scores(self) -> Path:
        """Where its scores go, if they are asked for."""
        stem = self.labels.stem.removesuffix("_labels")
        return self.labels.with_name(stem + SCORES)


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `error` is empty if it was done."""

    job: Job
    objects: int = 0
    shape: tuple[int, ...] = ()
    seconds: float = 0.0
    error: str = ""


def plan(sources: Sequence[Path], output: Path | None) -> list[Job]:
    """Decide where the labels of each image go.

    Parameters
    ----------
    sources : sequence of Path
        The images.
    output : Path or None
        A folder, made when missing; for one image also a ``.tif`` path; None: beside each image.

    Raises
    ------
    ValueError
        If `output` is a file for several images, or two images would be written to one path.
    """
    if output is not None and output.suffix.lower() in READABLE and not output.is_dir():
        if output.suffix.lower() not in TIFF:
            raise ValueError(f"{output} cannot hold labels: name a folder, or a path in .tif.")
        if len(sources) > 1:
            raise ValueError(
                f"{output} is one file, and there are {len(sources)} images: name a folder."
            )
        return [Job(sources[0], output)]
    jobs = [Job(s, (output or s.parent) / f"{s.stem}{LABELS}") for s in sources]
    taken: dict[Path, Path] = {}
    for job in jobs:
        other = taken.setdefault(job.labels, job.source)
        if other != job.source:
            raise ValueError(
                f"{other} and {job.source} would both be written to {job.labels}: rename one, or"
                " segment them into different folders."
            )
    return jobs


def segment_files(
    jobs: Sequence[Job],
    engine: Engine,
    card: Card,
    config: SegmentConfig,
    *,
    force: bool = False,
    scores: bool = False,
) -> Generator[SegmentProgress | Outcome, bool | None, None]:
    """Segment images one after the other.

    Parameters
    ----------
    jobs : sequence of Job
        From :func:`plan`.
    engine, card, config
        As for :func:`napari_unet.segmentation.segment_steps`. Without `config.pixel_size` and
        `config.diameter`, a file's own pixel size counts, if the model states one, too.
    force : bool
        Write over labels that exist.
    scores : bool
        Write the scores, too: float32, (planes, K, y, x) in network pixels.

    Yields
    ------
    SegmentProgress
        After each tile. Send True to stop; the image at hand is then not written.
    Outcome
        After each image, done or failed.
    """
    for job in jobs:
        start = time.monotonic()
        try:
            _check_free(job, force, scores)
            image = read_image(job.source)
            own = config
            states_size = card.preprocessing.pixel_size is not None
            if states_size and config.pixel_size is None and config.diameter is None:
                own = replace(config, pixel_size=image.pixel_size)
            steps = segment_steps(image.data, engine, card, own, image.axes, keep_scores=scores)
            result = yield from _until_stopped(steps)
            if result is None:
                return
            _write(job, image, result)
        except UserErrors as error:
            yield Outcome(job, error=str(error))
            continue
        seconds = time.monotonic() - start
        yield Outcome(job, count_objects(result.labels), result.labels.shape, seconds)


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


def _check_free(job: Job, force: bool, scores: bool) -> None:
    if is_same(job.labels, job.source):
        raise ValueError(f"{job.labels} is the image itself: write its labels elsewhere.")
    make_folder(job.labels.parent)  # before time is spent on the image
    for path in (job.labels, job.scores) if scores else (job.labels,):
        if path.exists() and not force:
            raise ValueError(f"{path} exists already: write over it with --force.")


def _write(job: Job, image: Image, result: Segmentation) -> None:
    write_labels(job.labels, result.labels, like=image)
    if result.scores:
        write_image(job.scores, np.stack(result.scores))


def load_pairs(
    paths: Sequence[tuple[Path, Path]], channel: tuple[int, ...] | None = None
) -> Iterator[Pair]:
    """Read annotated images from files: images and their labels, by pairs of paths.

    Labels may be annotations of a project, or anybody's label images.

    Raises
    ------
    ValueError, OSError
        If a file cannot be read; the message names it.
    """
    for path, labels in paths:
        image = read_image(path)
        is_tiff = labels.suffix.lower() in TIFF
        yield Pair(
            image.data,
            read_annotation(labels).target() if is_tiff else read_labels(labels),
            image.axes,
            channel,
            image.pixel_size,
            f"{path} with {labels}",
        )
