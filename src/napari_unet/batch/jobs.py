"""Which images are to be segmented, what is made of each and where it goes; what became of it."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from napari_unet.config import SegmentConfig
from napari_unet.images import READABLE, TIFF, find_images, scenes_of, stem_of
from napari_unet.images.microscopes import MICROSCOPES
from napari_unet.images.objects import OBJECTS
from napari_unet.images.ome import ENDINGS, is_ome
from napari_unet.provenance import Provenance

LABELS = "_labels"
SCORES = "_scores"
BOXES = "_boxes.csv"
ROIS = "_rois.zip"
FILES = (*READABLE, ".csv", ".json", ".npy", ".npz", ".txt", ".xls", ".xlsx", ".zip")
"""Endings that nobody gives a folder: what is to be written there is a file."""


@dataclass(frozen=True)
class Job:
    """One image to segment, and where its labels go.

    Parameters
    ----------
    source, labels : Path
        The files.
    scene : str or None
        Which image of a microscope's file that holds several; None: the only one.
    """

    source: Path
    labels: Path
    scene: str | None = None

    @property
    def name(self) -> str:
        """What the image is called."""
        return name_of(self.source, self.scene)

    @property
    def scores(self) -> Path:
        """Where its scores go, if they are asked for: as OME-TIFF if the labels do."""
        return self._beside(SCORES + (ENDINGS[0] if is_ome(self.labels) else TIFF[0]))

    @property
    def objects(self) -> Path:
        """Where the measurements of its objects go, if they are asked for."""
        return self._beside(OBJECTS)

    @property
    def boxes(self) -> Path:
        """Where the boxes of its objects go, if they are asked for."""
        return self._beside(BOXES)

    @property
    def rois(self) -> Path:
        """Where its objects go as ImageJ ROIs, if they are asked for."""
        return self._beside(ROIS)

    def _beside(self, ending: str) -> Path:
        return self.labels.with_name(stem_of(self.labels).removesuffix(LABELS) + ending)


def name_of(source: Path, scene: str | None) -> str:
    """Return what an image is called: as its file, and as the scene where that holds several."""
    return stem_of(source) + (f"_{scene}" if scene else "")


@dataclass(frozen=True)
class Wish:
    """What is to be made of each image.

    Parameters
    ----------
    config : SegmentConfig
        Model, scale and so on. Without `config.pixel_size` and `config.diameter`, a file's own
        pixel size counts, if the model states one, too.
    sha256 : str
        Of the model's file.
    scores : bool
        Write the scores, too: float32, (planes, K, y, x) in network pixels.
    objects : bool
        Write a table of what each object measures, too.
    boxes : bool
        Write a table of the objects' bounding boxes, too.
    rois : bool
        Write the objects as ImageJ ROIs, too.
    """

    config: SegmentConfig
    sha256: str = ""
    scores: bool = False
    objects: bool = False
    boxes: bool = False
    rois: bool = False

    def made(self, job: Job) -> Provenance:
        """Return how a job is done."""
        image = job.source.name + (f" {job.scene}" if job.scene else "")
        return Provenance(self.config, self.sha256, image)

    def beside(self, job: Job) -> list[Path]:
        """Return what is to be written beside the labels of a job."""
        return [path for path, wanted in self._asked(job).items() if wanted]

    def unasked(self, job: Job) -> list[Path]:
        """Return what might be written there, and is not to be."""
        return [path for path, wanted in self._asked(job).items() if not wanted]

    def _asked(self, job: Job) -> dict[Path, bool]:
        return {
            job.scores: self.scores,
            job.objects: self.objects,
            job.boxes: self.boxes,
            job.rois: self.rois,
        }


class State(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Labels are there that are not to be written over."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    job : Job
        Which one.
    objects : int
        How many were found.
    found : str
        The same in words, or areas in shares.
    shape : tuple of int
        Of the labels.
    seconds : float
        How long it took.
    error : str
        Why it is not done; empty if it is.
    state : State
        DONE, FAILED or SKIPPED.
    before : bool
        Whether it was done before, so that nothing was left to do.
    written : bool
        Whether its labels were written just now, even if what goes beside them could not be.
    outdated : tuple of Path
        What lies beside those labels and was made of others, which they replaced.
    """

    job: Job
    objects: int = 0
    found: str = ""
    shape: tuple[int, ...] = ()
    seconds: float = 0.0
    error: str = ""
    state: State = State.DONE
    before: bool = False
    written: bool = False
    outdated: tuple[Path, ...] = ()

    @property
    def remark(self) -> str:
        """What its user should know of its files, if anything."""
        if not self.outdated:
            return ""
        names = ", ".join(path.name for path in self.outdated)
        return f"Made of the labels that were replaced: {names}. Delete that, or have it made anew."


def find_in(
    folder: Path, pattern: str = "*", *, subfolders: bool = False, output: Path | None = None
) -> list[Path]:
    """Return the images of a folder, sorted.

    Parameters
    ----------
    folder : Path
        Where to look.
    pattern : str
        What their names look like, such as ``*.tif``.
    subfolders : bool
        Whether to look into its folders, too.
    output : Path or None
        The folder of results, which are no images, if it lies in there.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: choose the one that the images are in.")
    inside = [output] if output is not None and folder in output.parents else []
    place = Path(glob.escape(str(folder)), *["**"] * subfolders)
    with suppress(FileNotFoundError):
        images = find_images([place / (pattern or "*")])
        deepest = sorted(images, key=lambda path: len(path.parts), reverse=True)
        images = sorted({path.resolve(): path for path in deepest}.values())  # links may loop
        if found := [p for p in images if not {*inside} & {*p.parents}]:
            return found
    raise FileNotFoundError(
        f"{folder} holds no image like {pattern} ({', '.join(READABLE)}): choose another folder or"
        " pattern."
    )


def plan(
    sources: Sequence[Path], output: Path | None, below: Path | None = None, *, ome: bool = False
) -> list[Job]:
    """Decide where the labels of each image go.

    Parameters
    ----------
    sources : sequence of Path
        The images.
    output : Path or None
        A folder, made when missing; for one image also a ``.tif`` path; None: beside each image.
    below : Path or None
        The folder whose subfolders are made anew in `output`; None: all labels go straight into it.
    ome : bool
        Whether labels and scores are to be OME-TIFFs; of one path its name decides.

    Raises
    ------
    ValueError
        If `output` is a file for several images, or two images would be written to one path.
    """
    if output is not None and output.suffix.lower() in FILES and not output.is_dir():
        if output.suffix.lower() not in TIFF:
            raise ValueError(f"{output} cannot hold labels: name a folder, or a path in .tif.")
        found = [(source, scene) for source in sources for scene in _scenes(source)]
        if len(found) > 1:
            raise ValueError(
                f"{output} is one file, and there are {len(found)} images: name a folder."
            )
        return [Job(sources[0], output)]
    ending = LABELS + (ENDINGS[0] if ome else TIFF[0])
    jobs = [
        Job(source, _folder(source, output, below) / f"{name_of(source, scene)}{ending}", scene)
        for source in sources
        for scene in _scenes(source)
    ]
    taken: dict[Path, Path] = {}
    for job in jobs:
        other = taken.setdefault(job.labels, job.source)
        if other != job.source:
            raise ValueError(
                f"{other} and {job.source} would both be written to {job.labels}: rename one, or"
                " segment them into different folders."
            )
    return jobs


def _scenes(source: Path) -> Sequence[str | None]:
    """Return which images a file holds; None for its only one."""
    if source.suffix.lower() in (*TIFF, *MICROSCOPES):
        with suppress(ValueError, OSError):  # which is told when its turn comes
            names = scenes_of(source)
            return names if len(names) > 1 else (None,)
    return (None,)


def _folder(source: Path, output: Path | None, below: Path | None) -> Path:
    if output is None or below is None:
        return output or source.parent
    return output / source.parent.relative_to(below)
