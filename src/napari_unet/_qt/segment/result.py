"""The labels of one run: drawn while it goes on, decided on anew afterwards, saved."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_unet._qt.class_colours import colours_by_class
from napari_unet._qt.layers import position
from napari_unet._qt.question import ask
from napari_unet._qt.segment.painter import Painter
from napari_unet._qt.worker import Job
from napari_unet.config import SegmentConfig
from napari_unet.provenance import KEY
from napari_unet.tiling import Region, within
from napari_unet.wording import counted

if TYPE_CHECKING:  # loads torch
    from napari_unet.segmentation import Piece, Segmentation


Table = dict[str, NDArray[Any]]


class Answer(Enum):
    """What is to become of labels that their user has changed."""

    NEW_LAYER = "Keep mine, make a new layer"
    OVERWRITE = "Overwrite mine"
    CANCEL = "Leave all as it is"


class Result(QObject):
    """A labels layer, and the scores that it was made of.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layer is added.
    make_layer : callable
        Adds an empty layer, and returns it.
    parent : QWidget
        The dock.
    box : tuple of slice or None
        What the layer shows of the image's labels; None: all.
    """

    decided = Signal()
    """All planes have been decided on anew."""
    refused = Signal()
    """The user's own labels were to stay; :attr:`config` holds what the layer shows."""
    failed = Signal(str)

    def __init__(
        self,
        viewer: napari.viewer.ViewerModel,
        make_layer: Callable[[], Labels],
        parent: QWidget,
        box: Region | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._dock, self._box = viewer, parent, box
        self._make_layer = make_layer
        self._painter = Painter(viewer, make_layer(), self)
        self._painter.layer.editable = False  # until the run is over
        self._segmentation: Segmentation | None = None
        self._objects: dict[int, int] = {}
        self._job: Job | None = None
        self._wanted: SegmentConfig | None = None
        self.config = SegmentConfig()

    @property
    def layer(self) -> Labels:
        """The layer that holds the labels."""
        return self._painter.layer

    @property
    def found(self) -> str:
        """What there is, in words; of a run that failed, in the planes that are finished."""
        if self._segmentation is not None:
            return self._segmentation.in_words
        return counted(sum(self._objects.values()))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not any(self._objects.values())

    @property
    def can_decide(self) -> bool:
        """Whether scores were kept, so that thresholds can change the labels."""
        return self._segmentation is not None and bool(self._segmentation.scores)

    def is_writable(self) -> bool:
        """Say whether the layer is still there, with the shape that it was made with."""
        return self.layer in self._viewer.layers and self._painter.fits()

    def draw(self, pieces: tuple[Piece, ...]) -> None:
        """Put pieces in place."""
        for piece in map(self._placed, pieces):
            self._painter.draw(piece)
            if piece.objects is not None:
                self._objects[piece.plane] = piece.objects

    def _placed(self, piece: Piece) -> Piece:
        """Return a piece where the layer has it."""
        if self._box is None:
            return piece
        return replace(piece, plane=0, where=within(piece.where, self._box[-2:]))

    def finish(self, segmentation: Segmentation | None, config: SegmentConfig) -> None:
        """Hand the layer over to its user; None if the run failed, which keeps what is drawn."""
        self._segmentation, self.config = segmentation, config
        if self.layer in self._viewer.layers:
            self.layer.editable = True
            self._describe()

    def decide(self, config: SegmentConfig) -> None:
        """Draw what the scores say under another threshold and so on; the last wish wins."""
        if config == (self._wanted or self.config):
            return
        self._wanted = config
        if self._job is None:
            self._decide_next()
        else:
            self._job.abandon()

    def end(self) -> None:
        """Compute no more, and let go of the scores; the layer stays."""
        self._wanted = self._segmentation = None
        if self._job is not None:
            self._job.abandon()
        self.deleteLater()

    def _decide_next(self) -> None:
        config, self._wanted = self._wanted, None
        if config is None or self._segmentation is None or not self.is_writable():
            return
        if not self._may_draw():
            self.refused.emit()
            return
        if self._segmentation is None:  # ended while the question was open
            return
        self.config = config
        job = Job(self._steps(config), self)
        job.progressed.connect(self._on_piece)
        job.returned.connect(self._on_decided)
        job.failed.connect(self.failed)
        job.ended.connect(self._on_ended)
        self._job = job
        job.start()

    def _steps(self, config: SegmentConfig) -> Callable[[], Generator[Any, Any, Any]]:
        from napari_unet.segmentation import relabel_live

        segmentation, first = self._segmentation, self._plane_in_view()
        assert segmentation is not None
        return lambda: relabel_live(segmentation, config, first)

    def _plane_in_view(self) -> int:
        leading = self.layer.data.shape[:-2]
        where = position(self._viewer, self.layer)
        return int(np.ravel_multi_index(where, leading)) if leading else 0

    def _may_draw(self) -> bool:
        """Ask what is to become of the user's own labels, if there are any."""
        if not self._painter.has_edits():
            return True
        answer = ask_about_edits(self.layer.name, self._dock)
        if answer is Answer.NEW_LAYER and self._segmentation is not None:
            self._painter.deleteLater()
            self._painter = Painter(self._viewer, self._make_layer(), self)
        elif answer is Answer.OVERWRITE:
            self._painter.overwrite_edits()
        return answer is not Answer.CANCEL

    def _on_piece(self, piece: Piece) -> None:
        if self._wanted is not None or self._job is None or not self.is_writable():
            return
        if self._painter.is_edited(self._placed(piece)):  # in the meantime: ask before going on
            self._wanted = self.config
            self._job.abandon()
        else:
            self.draw((piece,))

    def _on_decided(self, segmentation: Segmentation) -> None:
        if self._segmentation is None:  # ended meanwhile
            return
        self._segmentation = segmentation
        if self.is_writable():
            self._describe()
        self.decided.emit()

    def _describe(self) -> None:
        """Tell napari what each label is: it says so under the pointer, and colours classes."""
        if self._segmentation is None:
            return
        made = self._segmentation.made
        if made is not None:
            told = replace(made, config=self.config).to_dict()
            self.layer.metadata = {**self.layer.metadata, KEY: told}
        features = self._segmentation.features()
        if features:
            self.layer.features = features
        if "class" in features:
            kinds = zip(features["index"].tolist(), features["class"].tolist(), strict=True)
            names = self._segmentation.card.target.classes[1:]
            if colours := colours_by_class(dict(kinds), names):
                self.layer.colormap = colours

    def _on_ended(self) -> None:
        self._job = None
        self._decide_next()


def ask_about_edits(name: str, parent: QWidget) -> Answer:
    """Ask what is to become of labels that their user has changed."""
    text = f"You have changed labels in {name}. New labels would go over them."
    return ask("Your own labels", text, Answer, parent)
