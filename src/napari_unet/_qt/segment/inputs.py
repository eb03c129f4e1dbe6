"""What to segment and by which model: the upper half of the dock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import napari
from magicgui.widgets import ComboBox, LineEdit, PushButton
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.form import Field
from napari_unet._qt.layers import images_of, pixel_size
from napari_unet._qt.model_box import ModelBox
from napari_unet._qt.segment import size
from napari_unet._qt.segment.diameter import DiameterTool
from napari_unet._qt.segment.place import Place
from napari_unet._qt.segment.request import Part, Request, read_request
from napari_unet.config import Preprocessing, SegmentConfig
from napari_unet.library import Card, find_model, read_card

MAIN = {
    "diameter": Field(
        "Diameter",
        "Diameter of a typical object, in pixels of the image. The image is resized so that its"
        " objects are as large as those that the model was taught on. Type it, or measure it.",
        empty="auto",
        options={"min": 0.0, "max": 10_000.0, "step": 1.0},
    ),
}
ADVANCED = {
    "device": Field(
        "Run on",
        "Where the network computes. Automatic takes a GPU if there is one.",
        options={
            "choices": [
                ("Automatic", "auto"),
                ("CPU", "cpu"),
                ("GPU (CUDA)", "cuda"),
                ("GPU (Apple)", "mps"),
            ]
        },
    ),
    "tile": Field(
        "Tile",
        "Side of the squares in which the image is segmented, in network pixels. Smaller ones"
        " need less memory; the result is the same.",
        empty="auto",
        options={"min": 0, "max": 8192, "step": 64},
    ),
    "averaged": Field(
        "Average 8 views",
        "Look at the image in all eight flips and quarter turns, and average what the network says:"
        " somewhat better, eight times slower.",
    ),
}
HIDDEN = {
    "model": "has a chooser of its own",
    "channel": "channels are layers, or where the slider stands",
    "pixel_size": "the layer has it",
}
"""Fields of the config that are not typed, and why."""

CLUSTER = "cluster"
"""Chosen as a device: the workers of a scheduler."""
CLUSTER_TEXT = "Cluster…"
ADDRESS = "tcp://10.0.0.1:8786"
NO_ADDRESS = f"The cluster has no address: type that of its scheduler, such as {ADDRESS}."
NO_IMAGE = "There is no image yet: drag a file into the window, or take one of File > Open Sample."


class Inputs(QWidget):
    """Chooses layers, model, part, object size and device.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose image layers can be chosen.
    """

    problem = Signal(str)
    """What to tell the user."""

    def __init__(self, viewer: napari.viewer.ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.image = self._image_box("image", "Image", "The layer to segment.")
        self.second = self._image_box(
            "second",
            "Second channel",
            "The layer of the model's second channel, such as membranes.",
        )
        self.models = ModelBox(self)
        self.model = self.models.box
        for box in (self.image, self.second):
            narrow = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            box.native.setSizeAdjustPolicy(narrow)  # a long name would widen the dock
        self.about = QLabel()
        self.part = ComboBox(
            name="part",
            label="Part",
            tooltip="All of the layer; only the slice that is shown; or only what the window shows"
            " of it, to try things out.",
            choices=[(part.value, part) for part in Part],
        )
        self.main = form.build(SegmentConfig, MAIN)
        self.main["diameter"].native.setSuffix(" px")
        self.measure = PushButton(
            name="measure",
            text="Measure",
            tooltip="Draw lines across objects in the image (or ellipses around them, with the tool"
            " of the layer controls): their size becomes the diameter. The dashed circle is as"
            " large as the objects that the model was taught on.",
        )
        self.measure.native.setCheckable(True)
        self.advanced = form.build(SegmentConfig, ADVANCED)
        self.device = cast(ComboBox, self.advanced["device"])
        self.device.choices = [*ADVANCED["device"].options["choices"], (CLUSTER_TEXT, CLUSTER)]
        self.scheduler = LineEdit(
            name="scheduler",
            label="Scheduler",
            tooltip="Address of a scheduler of dask.distributed. The network runs on its workers;"
            " pixels and model are sent to them. An image that goes by chunks is segmented there as"
            " a whole, if the workers see image and labels at the same paths.",
        )
        self.scheduler.native.setPlaceholderText(ADDRESS)
        self.place = Place()
        self._tool = DiameterTool(viewer, self)
        self._lay_out()
        self._connect()
        self.reset_choices()

    def _image_box(self, name: str, label: str, tooltip: str) -> ComboBox:
        return ComboBox(
            name=name, label=label, tooltip=tooltip, choices=self._images, nullable=True
        )

    def _images(self, _: object = None) -> list[tuple[str, Image]]:
        return [(layer.name, layer) for layer in images_of(self._viewer)]

    def _lay_out(self) -> None:
        diameter = self.main["diameter"]
        measured = QWidget()
        row = QHBoxLayout(measured)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(diameter.native, stretch=1)
        row.addWidget(self.measure.native)
        self._second_row = form.lay_out(self.second)
        self.about.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.lay_out(self.image))
        layout.addWidget(self._second_row)
        rest = (self.part, self.model, (diameter, measured))
        layout.addWidget(form.lay_out(*rest))
        layout.addWidget(self.about)
        layout.addWidget(self.place)
        advanced = QWidget()
        column = QVBoxLayout(advanced)
        column.setContentsMargins(0, 0, 0, 0)
        device, *others = self.advanced.values()
        self._scheduler_row = form.lay_out(self.scheduler)
        self._scheduler_row.hide()
        for part in (form.lay_out(device), self._scheduler_row, form.lay_out(*others)):
            column.addWidget(part)
        layout.addWidget(form.fold("Advanced", advanced))

    def _connect(self) -> None:
        self.image.changed.connect(self._describe)
        self.part.changed.connect(self._describe)
        self.device.changed.connect(self._on_device)
        self.models.changed.connect(self._describe)
        self.models.problem.connect(self.problem)
        self.main["diameter"].changed.connect(self._describe)
        self.measure.changed.connect(self._on_measure)
        self._tool.measured.connect(self._on_measured)
        self._tool.ended.connect(self._on_measuring_ended)

    def reset_choices(self) -> None:
        """Offer the layers and the models that there are now; what was chosen stays, if it can."""
        before = set(self.image.choices)
        for box in (self.image, self.second):
            chosen = box.value
            box.reset_choices()
            if chosen in box.choices:  # which a new name would otherwise lose
                box.value = chosen
        new = [layer for layer in images_of(self._viewer) if layer not in before]
        if new:
            self.image.value = new[0]  # the one just opened
        elif self.image.value is None and len(self.image.choices) > 1:
            self.image.value = self.image.choices[1]
        self.models.reset_choices()

    def prefer(self, remembered: dict[str, str]) -> None:
        """Choose what was chosen last time, where it is still there, unless something else is."""
        if not self.models.is_first or self.device.value != "auto":
            return
        try:
            self.choose_model(remembered.get("model", "nuclei"))
        except (ValueError, OSError):
            return  # it is gone, or damaged: the first one stays
        self.scheduler.value = self.scheduler.value or remembered.get("scheduler", "")
        if remembered.get("device") in self.device.choices:
            self.device.value = remembered["device"]

    def choose_model(self, name: str) -> None:
        """Choose a model by its name or path.

        Raises
        ------
        ValueError, OSError
            If there is none, or it cannot be used.
        """
        self.models.choose(name)

    def offer_devices(self, available: Sequence[str]) -> None:
        """Take away the devices that are not there."""
        texts = {value: text for text, value in ADVANCED["device"].options["choices"]}
        first = texts[available[0]]
        box, wanted = self.device, self.device.value
        box.choices = ()  # else those that stay keep their places
        here = ((texts[device], device) for device in available)
        box.choices = [(f"Automatic: {first}", "auto"), *here, (CLUSTER_TEXT, CLUSTER)]
        if wanted in box.choices:
            box.value = wanted
        else:
            self.problem.emit(f"{texts[wanted]} is not there any more: {first} is used instead.")

    def _on_device(self, device: str) -> None:
        self._scheduler_row.setVisible(device == CLUSTER)

    def _describe(self, _: object = None) -> None:
        """Say what the model looks for, and let go of what does not apply."""
        card = self.models.card
        rule = card.preprocessing if card else Preprocessing()
        self._second_row.setVisible(rule.channels > 1)
        sized = rule.diameter is not None
        self.main["diameter"].enabled = self.measure.enabled = sized
        self.about.setText(self._about(card) if card else "This model cannot be used.")
        self.about.setToolTip(str(card.provenance.get("data", "")) if card else "")
        self._tool.expect(self._own_diameter)
        self.place.show_for(self.image.value if self._goes_by_chunks(rule) else None)

    def look_again(self) -> None:
        """Look for labels that have been written meanwhile, and for the memory that is free."""
        self.place.renew()
        self._describe()

    def _goes_by_chunks(self, rule: Preprocessing) -> bool:
        layer = self.image.value
        if layer is None or self.part.value is not Part.LAYER:
            return False
        typed = form.value(self.main["diameter"])
        return size.goes_by_chunks(layer, size.zoom_of(layer, rule, typed))

    def _about(self, card: Card) -> str:
        found = ", ".join(card.target.classes[1:])
        text = f"Finds {found}s" if card.target.instances else f"Finds areas: {found}"
        diameter, size = self._own_diameter, self._pixel_size
        if diameter is not None:
            diameter = form.value(self.main["diameter"]) or diameter
        if diameter is not None:
            text += f" about {diameter:.0f} pixels"
            text += f" ({diameter * size:.1f} µm)" if size else ""
            text += " across"
        return text if card.is_trained else f"{text}. It has not been taught anything yet."

    @property
    def _pixel_size(self) -> float | None:
        return pixel_size(self.image.value) if self.image.value is not None else None

    @property
    def _own_diameter(self) -> float | None:
        """Diameter, in image pixels, that the model looks for unless one is typed."""
        rule = self.models.card.preprocessing if self.models.card else Preprocessing()
        return rule.expected_diameter(self._pixel_size)

    def _on_measure(self, on: bool) -> None:
        layer = self.image.value
        if on and layer is None:
            self.measure.value = False
            self.problem.emit(NO_IMAGE)
        elif on:
            self._tool.start(layer, self._own_diameter)
            if not self._tool.is_active:
                self.problem.emit("Objects are measured in 2D: switch the view to 2D first.")
        else:
            self.stop_measuring()

    def stop_measuring(self) -> None:
        """Take the measuring layers away, if there are any."""
        self._tool.stop()

    def _on_measured(self, diameter: float) -> None:
        self.main["diameter"].value = round(diameter, 1)

    def _on_measuring_ended(self) -> None:
        self.measure.value = False

    def request(self, decided: dict[str, Any]) -> Request:
        """Return what is asked for; `decided` are the config's fields that are not shown here.

        Raises
        ------
        ValueError, OSError
            If something is missing, or cannot be.
        """
        layer = self.image.value
        if layer is None:
            raise ValueError(NO_IMAGE)
        self.stop_measuring()
        self._describe()  # by the memory that is free now
        rule = read_card(find_model(self.model.value)).preprocessing
        typed = {"model": str(self.model.value), **form.read(self.main), **form.read(self.advanced)}
        scheduler = ""
        if typed["device"] == CLUSTER:
            typed["device"], scheduler = "auto", self.scheduler.value.strip()
            if not scheduler:
                raise ValueError(NO_ADDRESS)
        request = read_request(
            self._viewer, layer, self.second.value, self.part.value, rule, typed | decided
        )
        output = self.place.path if self._goes_by_chunks(rule) else None
        return replace(request, output=output, scheduler=scheduler)
