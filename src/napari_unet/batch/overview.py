"""All images of a batch on one sheet, with the outlines of their objects and their names."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from napari_unet.batch.jobs import Job, Outcome, State
from napari_unet.files import Stamp, stamp, write_whole
from napari_unet.images import Image, read_image, read_labels
from napari_unet.images.finding import DRAWN, is_overview
from napari_unet.provenance import KEY, Provenance

Size = tuple[int, int]
SIDE = 4096
"""Pixels of the sheet, at most; it is all that is kept in memory."""
LARGEST, SMALLEST = 512, 128
"""Sides of a picture on it. More images than go on the sheet so are left out, evenly."""
GAP, TEXT, LINE = 4, 14, 22
"""Pixels around a picture, of a letter's height, and that a name takes."""
EVERY = 10.0
"""Seconds between two times that it is written."""
STRETCH = (1, 99.8)
"""Percentiles of the gray values that become black and white."""
BACKGROUND, INK, OUTLINE = (24, 24, 24), (225, 225, 225), (0, 230, 90)

_log = logging.getLogger(__name__)


class Overview:
    """A sheet of pictures, one for each job, in rows; it is written now and then.

    Parameters
    ----------
    path : Path
        The ``.png`` path. What a sheet there shows of the same labels is taken over.
    jobs : sequence of Job
        Whose pictures it holds, in their order.
    channel : int
        The channel to show, of images that have several.
    force : bool
        Whether it may take the place of a picture that is none of ours.

    Raises
    ------
    ValueError
        If such a picture is there, and `force` is not given.

    Attributes
    ----------
    made : Provenance or None
        How all labels are made, without the name of an image; it is written with the sheet.
    """

    def __init__(
        self, path: Path, jobs: Sequence[Job], channel: int = 0, *, force: bool = False
    ) -> None:
        if path.exists() and not (force or is_overview(path)):
            raise ValueError(f"{path} exists already, and is no overview of labels: rename it.")
        self.path = path
        self.made: Provenance | None = None
        self._channel = channel
        most = (SIDE // SMALLEST) ** 2
        shown = [jobs[i * len(jobs) // most] for i in range(most)] if len(jobs) > most else jobs
        self._places = {job.labels: place for place, job in enumerate(shown)}
        columns = max(1, ceil(sqrt(len(shown))))
        self._cell = min(LARGEST, SIDE // columns)
        rows = max(1, ceil(len(shown) / columns))
        self._sheet = PIL.Image.new("RGB", (columns * self._cell, rows * self._cell), BACKGROUND)
        self._font = ImageFont.load_default(TEXT)
        self._drawn: dict[Path, Stamp | None] = {}  # labels that are shown, as they were then
        self._written = time.monotonic()
        for job in shown:
            self._clear(job)
        # Whatever is wrong with an old sheet: a new one is drawn.
        with suppress(OSError, ValueError, KeyError, TypeError, SyntaxError):
            self._take_over()

    def draw(self, job: Job, image: Image, labels: NDArray[Any]) -> None:
        """Draw an image and the outlines of its objects; of a stack, its middle plane."""
        if job.labels not in self._places:
            return
        side = self._cell - 2 * GAP
        try:
            picture = outlined(image, labels, (side, side - LINE), self._channel)
        except Exception as error:  # it has a name only; its labels are none the worse for that
            _log.warning("no picture of %s", job.source, exc_info=error)
            return
        left, top, _, _ = self._box(self._places[job.labels], self._sheet)
        self._clear(job)
        middle = (self._cell - picture.width) // 2, (self._cell - LINE - picture.height) // 2
        self._sheet.paste(picture, (left + middle[0], top + middle[1]))
        self._drawn[job.labels] = stamp(job.labels)

    def settle(self, outcome: Outcome) -> None:
        """See that an outcome is on the sheet, and write that if the last time is long ago."""
        job = outcome.job
        if job.labels not in self._places:
            return
        if outcome.state is not State.DONE:
            self._clear(job, str(outcome.state))
        elif self._drawn.get(job.labels) != stamp(job.labels):
            with suppress(ValueError, OSError, MemoryError):  # it then is a name only
                image = read_image(job.source, scene=job.scene)
                self.draw(job, image, read_labels(job.labels, image))
        if time.monotonic() - self._written > EVERY:
            with suppress(OSError):  # the last time tells of it
                self.write()

    def write(self) -> None:
        """Write the sheet.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        drawn = {self._key(p): [self._places[p], of] for p, of in self._drawn.items()}
        told = PngInfo()
        told.add_text(DRAWN, json.dumps({"cell": self._cell, "drawn": drawn}))
        if self.made is not None:
            told.add_text(KEY, self.made.to_json())
        self._written = time.monotonic()
        write_whole(self.path, lambda temporary: self._sheet.save(temporary, pnginfo=told))

    def _take_over(self) -> None:
        """Copy those pictures from the sheet of last time whose labels are as they were."""
        with PIL.Image.open(self.path) as old:
            told = json.loads(old.info[DRAWN])  # JSON is ASCII, as this text has to be
            if told["cell"] != self._cell:
                return
            for path in self._places:
                place, of = told["drawn"].get(self._key(path), (0, None))
                if of is not None and tuple(of) == stamp(path):
                    box = self._box(self._places[path], self._sheet)
                    self._sheet.paste(old.crop(self._box(int(place), old)), box)
                    self._drawn[path] = stamp(path)

    def _key(self, labels: Path) -> str:
        """Return what labels are called on the sheet, which may be moved with them."""
        folder = self.path.parent
        inside = labels.relative_to(folder) if labels.is_relative_to(folder) else labels
        return inside.as_posix()

    def _box(self, place: int, sheet: PIL.Image.Image) -> tuple[int, int, int, int]:
        """Return the left, top, right and bottom of a place on a sheet."""
        row, column = divmod(place, sheet.width // self._cell)
        left, top = column * self._cell, row * self._cell
        return left, top, left + self._cell, top + self._cell

    def _clear(self, job: Job, text: str = "") -> None:
        """Leave nothing of a job but its name, and a text in place of its picture."""
        box = left, top, right, bottom = self._box(self._places[job.labels], self._sheet)
        self._drawn.pop(job.labels, None)
        self._sheet.paste(BACKGROUND, box)
        draw, centre = ImageDraw.Draw(self._sheet), (left + right) / 2
        name = self._cut(Path(self._key(job.labels)).with_name(job.name))
        draw.text((centre, bottom - GAP), name, INK, self._font, "ms")
        draw.text((centre, (top + bottom - LINE) / 2), text, INK, self._font, "mm")

    def _cut(self, path: Path) -> str:
        """Return a name that fits, without its middle if it is long."""
        text = path.name if path.is_absolute() else path.as_posix()
        text = text.encode(errors="replace").decode()  # bytes of a name that are no letters
        room, kept = self._cell - 2 * GAP, len(text)
        shown = text
        while kept > 2 and self._font.getlength(shown) > room:
            kept -= 1
            shown = f"{text[: ceil(kept / 2)]}…{text[-(kept // 2) :]}"
        return shown


def outlined(image: Image, labels: NDArray[Any], room: Size, channel: int = 0) -> PIL.Image.Image:
    """Return a picture of an image and the outlines of its objects.

    Parameters
    ----------
    image : Image
        Of any kind. One plane is shown: the middle of each axis that is walked.
    labels : integer array
        Its labels.
    room : (int, int)
        The width and height that it fills as far as its shape allows.
    channel : int
        The one to show.
    """
    plane, shown = _middle(image, labels, channel)
    height, width = shown.shape
    factor = min(room[0] / width, room[1] / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    # Of a large image, no more than two pixels become one each way.
    step = max(1, int(0.5 / factor))
    picture = PIL.Image.fromarray(_as_picture(plane[::step, ::step])).convert("RGB")
    pixels = np.array(picture.resize(size, PIL.Image.Resampling.BOX))
    rows, columns = (
        (np.arange(n) * length // n + length // (2 * n))
        for n, length in zip(size[::-1], shown.shape, strict=True)
    )
    pixels[_edges(shown[np.ix_(rows, columns)])] = OUTLINE
    return PIL.Image.fromarray(pixels)


def _middle(image: Image, labels: NDArray[Any], channel: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the plane to show, (Y, X) or (Y, X, 3), and its labels (Y, X)."""
    walked = [n // 2 for n in labels.shape[:-2]]
    order = iter(walked)
    index = [
        slice(None) if letter in "YXS" else min(channel, n - 1) if letter == "C" else next(order)
        for letter, n in zip(image.axes, image.data.shape, strict=True)
    ]
    plane = np.asarray(image.data[tuple(index)])
    letters = [letter for letter in image.axes if letter in "YXS"]
    upright = plane.transpose([letters.index(letter) for letter in "YXS" if letter in letters])
    return upright, labels[tuple(walked)]


def _as_picture(plane: NDArray[Any]) -> NDArray[np.uint8]:
    """Return gray values, or colours, from 0 to 255."""
    if plane.ndim == 3:
        plane = plane[..., :3] if plane.shape[-1] >= 3 else plane[..., 0]
    if plane.ndim == 3 and plane.dtype == np.uint8:
        return np.ascontiguousarray(plane)
    values = np.nan_to_num(plane.astype(np.promote_types(plane.dtype, np.float32)))
    low, high = np.percentile(values, STRETCH)
    gray = np.clip((values - low) / max(float(high - low), 1e-9), 0, 1)
    picture: NDArray[np.uint8] = (255 * gray).astype(np.uint8)
    return picture


def _edges(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels of objects have a neighbour that is not of the same object."""
    around = np.pad(labels, 1, mode="edge")
    neighbours = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    is_edge = np.zeros(labels.shape, bool)
    for neighbour in neighbours:
        is_edge |= neighbour != labels
    edges: NDArray[np.bool_] = is_edge & (labels > 0)
    return edges
