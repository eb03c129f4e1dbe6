"""A run by chunks: in words while it goes on, and as a layer when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari
from napari.layers import Labels
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_unet._qt.message import Notes
from napari_unet._qt.progress import Progress
from napari_unet._qt.segment.request import Request
from napari_unet._qt.segment.so_far import SoFar
from napari_unet._qt.segment.steps import chunk_steps
from napari_unet._qt.worker import Steps

if TYPE_CHECKING:  # loads torch
    from napari_unet.chunked import ChunkedSegmentation, ChunkProgress

STORED = "napari-unet-stored"
"""Key in the metadata of a layer of the path that its labels are written to already."""
STEPS = {
    "measuring": "Measuring the gray values of the image…",
    "predicting": "Chunk",
    "joining": "Joining objects across chunks",
    "growing": "Finishing the objects of chunk",
    "writing": "Writing the labels of chunk",
    "coarser": "Writing the overview, part",
}
"""What is said of each step."""


class Chunks:
    """Segments what was asked for by chunks.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the image is.
    request : Request
        With a place for the labels.
    force : bool
        Whether to begin anew where other settings were begun with.
    opacity : float
        Of labels.
    """

    def __init__(
        self,
        viewer: napari.viewer.ViewerModel,
        request: Request,
        force: bool,
        opacity: float,
    ) -> None:
        self._viewer, self._request, self._force = viewer, request, force
        self._opacity = opacity
        self._so_far = SoFar(viewer, request, opacity)
        self._notes = Notes()
        self._waiting: tuple[str, int] | None = None  # since that many tasks of a step were done

    def steps(self) -> Steps:
        """Return the steps of a job."""
        return chunk_steps(self._request, self._force)

    def follow(self, progress: ChunkProgress, bar: Progress) -> str:
        """Show how far it is, and return it in words, with all that there was to tell."""
        from napari_unet.chunked import WAITING  # loaded by the run, long ago

        if progress.sketch is not None:
            self._so_far.draw(progress.sketch)
        if progress.message == WAITING:
            self._waiting = progress.step, progress.done
        else:
            self._notes.add(progress.message)
        if self._waiting == (progress.step, progress.done):
            return self._notes.after(WAITING)
        text = STEPS[progress.step]
        if progress.step != "measuring":
            bar.reach(progress.share)
            left = bar.left(progress.share)
            text = f"{text} {progress.done} of {progress.total}{left}"
        return self._notes.after(text)

    def end(self) -> None:
        """Show no more what was found so far."""
        self._so_far.end()

    @property
    def stopped(self) -> str:
        """What is said after a stop."""
        return (
            f"Stopped: what is done is kept beside {self._request.output}, and Segment goes on"
            " with it."
        )

    def in_words(self, result: ChunkedSegmentation) -> str:
        """Return what was found."""
        found = f"{result.in_words} in {self._request.name}."
        text = f"{found} Written to {result.path}."
        if result.approximate:
            text += (
                f" {result.approximate} areas of touching objects were too large to be split whole:"
                " their objects are approximate."
            )
        return self._notes.after(text)

    def add_layer(self, result: ChunkedSegmentation, levels: list[Any]) -> Labels:
        """Add what was written, which is read where it is looked at, on the image's place."""
        several = len(levels) > 1  # napari takes a single one for something else
        layer = self._viewer.add_labels(
            levels if several else levels[0],
            multiscale=several,
            name=self._request.name,
            opacity=self._opacity,
            metadata={STORED: str(result.path)},
            **self._request.geometry,
        )
        layer.editable = False  # what is on disk stays what was found
        return layer


def ask_to_begin_anew(begun: str, parent: QWidget) -> bool:
    """Ask whether what was begun with other settings is to be dropped."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Labels that were begun")
    box.setText(f"{begun}.")
    anew = box.addButton("Begin anew", QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton("Leave it as it is", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    box.exec()
    return box.clickedButton() is anew
