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
    read_classes,
    read_image,
    read_labels,
    table_of,
    write_image,
    write_labels,
)
from napari_unet.images.rois import write_rois
from napari_unet.library import Card
from napari_unet.measurements import measure, write_table
from napari_unet.segmentation import (
    Segmentation,
    SegmentProgress,
    count_objects,
    segment_steps,
)
from napari_unet.training import Pair

LABELS = "_labels.tif"
SCORES = "_scores.tif"
OBJECTS = "_objects.csv"
ROIS = "_rois.zip"
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
        return self._beside(SCORES)

    @property
    def objects(self) -> Path:
        """Where the measurements of its objects go, if they are asked for."""
        return self._beside(OBJECTS)

    @property
    def rois(self) -> Path:
        """Where its objects go as ImageJ ROIs, if they are asked for."""
        return self._beside(ROIS)

    def _beside(self, ending: str) -> Path:
        return self.labels.with_name(self.labels.stem.removesuffix("_labels") + ending)


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `error` is empty if it was done, and `found` is the result in words."""

    job: Job
    objects: int = 0
    found: str = ""
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
    objects: bool = False,
    rois: bool = False,
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
        Write over files that exist.
    scores : bool
        Write the scores, too: float32, (planes, K, y, x) in network pixels.
    objects : bool
        Write a table of what each object measures, too.
    rois : bool
        Write the objects as ImageJ ROIs, too.

    Yields
    ------
    SegmentProgress
        After each tile. Send True to stop; the image at hand is then not written.
    Outcome
        After each image, done or failed.
    """
    for job in jobs:
        start = time.monotonic()
        asked = {job.scores: scores, job.objects: objects, job.rois: rois}
        try:
            _check_free(job, [path for path, wanted in asked.items() if wanted], force)
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
            if objects:
                _measure(job, image, result, config.pixel_size or image.pixel_size)
            if rois:
                write_rois(job.rois, result.labels, like=image)
        except UserErrors as error:
            yield Outcome(job, error=str(error))
            continue
        seconds = time.monotonic() - start
        number, shape = count_objects(result.labels), result.labels.shape
        yield Outcome(job, number, result.in_words, shape, seconds)


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


def _check_free(job: Job, asked: Sequence[Path], force: bool) -> None:
    if is_same(job.labels, job.source):
        raise ValueError(f"{job.labels} is the image itself: write its labels elsewhere.")
    make_folder(job.labels.parent)  # before time is spent on the image
    for path in (job.labels, *asked):
        if path.exists() and not force:
            raise ValueError(f"{path} exists already: write over it with --force.")


def _write(job: Job, image: Image, result: Segmentation) -> None:
    write_labels(job.labels, result.labels, like=image)
    if result.scores:
        write_image(job.scores, np.stack(result.scores))


def _measure(job: Job, image: Image, result: Segmentation, pixel_size: float | None) -> None:
    table = measure(result.labels, image.data, axes=image.axes, pixel_size=pixel_size)
    write_table(job.objects, {job.source.stem: table})


def load_pairs(
    paths: Sequence[tuple[Path, Path]],
    channel: tuple[int, ...] | None = None,
    classes: Sequence[str] | None = None,
) -> Iterator[Pair]:
    """Read annotated images from files: images and their labels, by pairs of paths.

    Labels may be annotations of a project, or anybody's label images. With `classes`, names of
    which the background's is the first, a table beside each label image says what its objects are;
    see :func:`napari_unet.images.read_classes`.

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
            None if classes is None else read_classes(table_of(labels), classes),
            f"{path} with {labels}",
        )
