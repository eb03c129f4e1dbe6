"""What runs in a thread: finding out how far a folder is, segmenting it, and reading results."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_unet._qt.folder.places import Place
from napari_unet._qt.folder.table import Row
from napari_unet.config import SegmentConfig

if TYPE_CHECKING:  # load torch
    from napari_unet.batch import Job, Outcome, Standing, Wish
    from napari_unet.images import Image
    from napari_unet.provenance import Provenance
    from napari_unet.segmentation import SegmentProgress

LOADING = "Loading the model…"


@dataclass(frozen=True)
class Task:
    """What is asked for, with nothing left to look up in a window.

    Parameters
    ----------
    place : Place
        Which images, and where results go.
    config : SegmentConfig
        How they are segmented.
    objects, boxes, rois, overview : bool
        What is to be written, too.
    ome : bool
        Whether labels are written as OME-TIFF.
    """

    place: Place
    config: SegmentConfig
    objects: bool = False
    boxes: bool = False
    rois: bool = False
    overview: bool = False
    ome: bool = False

    def wish(self) -> Wish:
        """Return what is to be made of each image."""
        from napari_unet.batch import Wish
        from napari_unet.library import model_hash

        return Wish(
            self.config,
            model_hash(self.config.model),
            objects=self.objects,
            boxes=self.boxes,
            rois=self.rois,
        )

    @property
    def sheet(self) -> Path:
        """Where the overview is, if there is one."""
        from napari_unet.batch import OVERVIEW

        return self.place.output / OVERVIEW


@dataclass(frozen=True)
class Found:
    """The images of a folder, and how far each is.

    Parameters
    ----------
    task : Task
        What was asked for.
    jobs : tuple of Job
        The images.
    rows : tuple of Row
        The same, to be shown.
    outcomes : tuple of Outcome
        What is known of each.
    sizes : tuple of int
        Bytes of those that have something left to do, else 0.
    """

    task: Task
    jobs: tuple[Job, ...]
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """How far an image is.

    Parameters
    ----------
    number : int
        Of the image, counted from 0.
    row : Row
        The same, to be shown.
    share : float
        Of all that was left to do, that is done.
    outcome : Outcome or None
        What became of it; None: it is at work.
    message : str
        What the user should be told, if anything.
    """

    number: int
    row: Row
    share: float
    outcome: Outcome | None = None
    message: str = ""


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and its labels, as their files have them.

    Parameters
    ----------
    job : Job
        Of which files.
    image : Image
        The image.
    labels : integer array or None
        Its labels, if there are any.
    made : Provenance or None
        How they were made, if that is known.
    """

    job: Job
    image: Image
    labels: NDArray[Any] | None = None
    made: Provenance | None = None


def look(task: Task) -> Found:
    """Find the images of a folder, and find out how far each is.

    Raises
    ------
    ValueError, OSError
        If there are none, or two would be written to one path.
    """
    from napari_unet import batch

    place = task.place
    sources = batch.find_in(
        place.folder, place.pattern, subfolders=place.subfolders, output=place.output
    )
    below = place.folder if place.subfolders else None
    jobs = batch.plan(sources, place.output, below, ome=task.ome)
    standings = batch.look(jobs, task.wish())
    return Found(
        task,
        tuple(jobs),
        tuple(_row_at(at, place.folder) for at in standings),
        tuple(at.outcome for at in standings),
        tuple(_size(at) for at in standings),
    )


def _row_at(at: Standing, folder: Path) -> Row:
    row = row_of(at.outcome, folder)
    return replace(row, told=f"{row.told}\n{at.reason}" if at.reason not in row.told else row.told)


def _size(at: Standing) -> int:
    from napari_unet.batch import State

    if at.state not in (State.WAITING, State.FAILED):
        return 0
    try:
        return max(at.job.source.stat().st_size, 1)
    except OSError:
        return 1


def row_of(outcome: Outcome, folder: Path) -> Row:
    """Return what is shown of an outcome."""
    from napari_unet.batch import State

    job, done = outcome.job, outcome.state is State.DONE
    told = [str(job.source), outcome.error or (outcome.found if done else ""), outcome.remark]
    return Row(
        str(job.source.relative_to(folder)) + (f" {job.scene}" if job.scene else ""),
        str(outcome.state),
        outcome.objects if done else None,
        outcome.seconds if done else None,
        "\n".join(text for text in told if text),
    )


def looking(task: Task) -> Callable[[], Generator[None, None, Found]]:
    """Return the steps of a job that finds out how far a folder is."""

    def steps() -> Generator[None, None, Found]:
        yield
        return look(task)

    return steps


def segmenting(task: Task) -> Callable[[], Generator[Any, bool | None, bool]]:
    """Return the steps of a job that segments what is left of a folder.

    Yields what was Found, then text to tell, then a Step for each tile and image. Returns whether
    nothing is left.
    """

    def steps() -> Generator[Any, bool | None, bool]:
        from napari_unet.batch import Overview, segment_files
        from napari_unet.files import make_folder
        from napari_unet.segmentation import load_engine

        found = look(task)
        yield found
        yield LOADING
        make_folder(task.place.output)
        engine, card = load_engine(task.config)
        channel = (task.config.channel or (0,))[0]
        overview = Overview(task.sheet, found.jobs, channel) if task.overview else None
        run = segment_files(found.jobs, engine, card, task.wish(), resume=True, overview=overview)
        return (yield from _told(run, found))

    return steps


def _told(
    run: Generator[SegmentProgress | Outcome, bool | None, None], found: Found
) -> Generator[Step, bool | None, bool]:
    """Pass on what a run yields as it is shown, and stops."""
    from napari_unet.batch import Outcome

    folder, total = found.task.place.folder, max(sum(found.sizes), 1)
    number, done, stop = 0, 0.0, None
    while True:
        try:
            step = run.send(stop)
        except StopIteration:
            return number == len(found.jobs)
        if isinstance(step, Outcome):
            done += found.sizes[number]
            stop = yield Step(number, row_of(step, folder), done / total, step)
            number += 1
        else:
            at, of = step.number * step.tiles + step.tile, step.planes * step.tiles
            row = replace(found.rows[number], state=f"tile {at} of {of}")
            share = (done + step.share * found.sizes[number]) / total
            stop = yield Step(number, row, share, message=step.message)


def reading(job: Job) -> Callable[[], Generator[None, None, Pair]]:
    """Return the steps of a job that reads an image and its labels."""

    def steps() -> Generator[None, None, Pair]:
        from napari_unet.images import read_image, read_labels
        from napari_unet.images.records import find_provenance

        yield
        image = read_image(job.source, scene=job.scene)
        if not job.labels.exists():
            return Pair(job, image)
        return Pair(job, image, read_labels(job.labels, image), find_provenance(job.labels))

    return steps


def reading_sheet(path: Path) -> Callable[[], Generator[None, None, Image]]:
    """Return the steps of a job that reads an overview."""

    def steps() -> Generator[None, None, Image]:
        from napari_unet.images import read_image

        yield
        return read_image(path)

    return steps
