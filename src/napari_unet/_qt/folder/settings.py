"""How images are segmented and what is written: the settings of Segment, for many files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from magicgui.widgets import CheckBox, ComboBox, LineEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.form import Field
from napari_unet._qt.model_box import ModelBox
from napari_unet._qt.segment.inputs import ADVANCED, MAIN
from napari_unet._qt.segment.widget import DECISIONS
from napari_unet.config import Preprocessing, SegmentConfig

HIDDEN = {
    "model": "has a chooser of its own",
    "channel": "is typed as text",
    "pixel_size": "the files have it",
}
"""Fields of the config that are not in the form, and why."""


ALSO = {
    "objects": ("Measurements", "Write a table of each image's objects (CSV), too."),
    "boxes": ("Boxes", "Write a table of each object's box, class and score (CSV), too."),
    "rois": ("ROIs", "Write the objects as ROIs for ImageJ, too."),
    "overview": (
        "Overview",
        "Draw all images, with the outlines of their objects, on one sheet.",
    ),
    "ome": (
        "Labels as OME-TIFF",
        "Write labels as OME-TIFF, in tiles, which OMERO, QuPath and Bio-Formats read. Without it"
        " they are TIFFs that ImageJ opens by itself.",
    ),
}
"""What can be written beside labels, or instead of plain ones: text and tooltip of each."""


class Settings(QWidget):
    """Chooses model, object size, device and so on, and what is written beside labels."""

    changed = Signal()
    """Something else is chosen."""
    problem = Signal(str)
    """What to tell the user."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.models = ModelBox(self)
        shown: dict[str, Field] = {**MAIN, **ADVANCED, **DECISIONS}
        self.form = form.build(SegmentConfig, shown)
        self.form["diameter"].native.setSuffix(" px")
        self.device = cast(ComboBox, self.form["device"])
        self.channel = LineEdit(
            name="channel",
            label="Channel",
            tooltip="Which channel of the images to use, counted from 0; two, such as 0,1, for a"
            " model that takes two. Images of one channel need none.",
        )
        self.channel.native.setPlaceholderText("the only one")
        self.also = {
            name: CheckBox(text=text, tooltip=tooltip) for name, (text, tooltip) in ALSO.items()
        }
        self.also["overview"].value = True
        self._lay_out()
        self._connect()
        self._on_model()

    def _lay_out(self) -> None:
        also = QGridLayout()
        label = QLabel("Also write")
        label.setMinimumWidth(form.LABEL_WIDTH)
        also.addWidget(label, 0, 0)
        for number, box in enumerate(self.also.values()):
            also.addWidget(box.native, number // 2, 1 + number % 2)
        also.setColumnStretch(2, 1)
        advanced = form.lay_out(
            self.channel, *(self.form[name] for name in (*ADVANCED, *DECISIONS))
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(form.lay_out(self.models.box, self.form["diameter"]))
        column.addLayout(also)
        column.addWidget(form.fold("Advanced", advanced))

    def _connect(self) -> None:
        self.models.changed.connect(self._on_model)
        self.models.problem.connect(self.problem)
        written = (box for name, box in self.also.items() if name != "overview")
        for widget in (*self.form.values(), self.channel, *written):
            widget.changed.connect(lambda _=None: self.changed.emit())

    def _on_model(self) -> None:
        self.form["diameter"].enabled = self._rule.diameter is not None
        self.changed.emit()

    @property
    def _rule(self) -> Preprocessing:
        card = self.models.card
        return card.preprocessing if card is not None else Preprocessing()

    def config(self) -> SegmentConfig:
        """Return what is chosen.

        Raises
        ------
        ValueError
            If it cannot be.
        """
        typed: dict[str, Any] = form.read(self.form)
        if self._rule.diameter is None:
            typed["diameter"] = None
        return SegmentConfig(model=self.models.name, channel=_numbers(self.channel.value), **typed)

    def prefer(self, remembered: dict[str, str]) -> None:
        """Choose model and device of last time, where they are there, unless something else is."""
        if not self.models.is_first or self.device.value != "auto":
            return
        try:
            self.models.choose(remembered.get("model", self.models.name))
        except (ValueError, OSError):
            return  # it is gone, or damaged: the first one stays
        if remembered.get("device") in self.device.choices:
            self.device.value = remembered["device"]

    def offer_devices(self, available: Sequence[str]) -> None:
        """Take away the devices that are not there."""
        texts = {value: text for text, value in ADVANCED["device"].options["choices"]}
        box, wanted = self.device, self.device.value
        box.choices = ()  # else those that stay keep their texts
        here = ((texts[device], device) for device in available)
        box.choices = [(f"{texts['auto']}: {texts[available[0]]}", "auto"), *here]
        if wanted in box.choices:
            box.value = wanted


def _numbers(text: str) -> tuple[int, ...] | None:
    """Read "0" or "0,1"; None if nothing is typed."""
    if not text.strip():
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"Channel {text!r} is no number: type one such as 0, or two such as 0,1."
        ) from None
