"""How a training is to go: what it starts from, what it is called, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from magicgui.widgets import ComboBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet._qt.fine_tune.network import NetworkForm, in_words
from napari_unet._qt.form import Field
from napari_unet._qt.model_box import model_choices
from napari_unet._qt.segment.inputs import ADVANCED as SEGMENT
from napari_unet._qt.shelf import Shelf
from napari_unet.config import FINE_TUNE, SegmentConfig, TrainConfig
from napari_unet.library import (
    LAST,
    SUFFIX,
    Card,
    Start,
    StoppedRun,
    card_of,
    check_name,
    free_name,
    is_taken,
    list_models,
    own_models,
    read_card,
    read_run,
    stopped_runs,
    user_folder,
)

FIELDS = {
    "minutes": Field(
        "Minutes",
        "How long to learn at most; what is taught further ends sooner if it gets no better for a"
        " while.",
        empty="by steps",
        options={"min": 0.0, "max": 10_000.0, "step": 1.0},
    ),
    "iterations": Field(
        "Steps",
        "How many steps to learn at most, if not by the clock.",
        options={"min": 1, "max": 1_000_000, "step": 50},
    ),
    "learning_rate": Field(
        "Learning rate",
        "How far a step goes, at most. Lower it if the loss jumps.",
        empty="auto",
        options={"min": 0.0, "max": 1.0, "step": 0.0001},
    ),
    "batch": Field(
        "Patches per step",
        "More make a step steadier and slower, and need more memory.",
        options={"min": 1, "max": 256, "step": 1},
    ),
    "patch": Field(
        "Patch",
        "Side of the squares that are cut out to learn from, in pixels of the network. They must"
        " hold several objects.",
        options={"min": 16, "max": 2048, "step": 16},
    ),
    "w0": Field(
        "Gap weight (w0)",
        "How much more a pixel in the narrowest gap between two objects counts. More keeps touching"
        " objects apart. The dock Weight Map shows it.",
        options={"min": 0.0, "max": 1000.0, "step": 1.0},
    ),
    "sigma": Field(
        "Gap width (sigma)",
        "How wide gaps may be that count more, in pixels. The dock Weight Map shows it.",
        options={"min": 0.5, "max": 100.0, "step": 0.5},
    ),
    "balance": Field(
        "Balance classes",
        "Give objects more weight the rarer they are. They then come out wider.",
    ),
    "val_fraction": Field(
        "Held out",
        "Share of the annotation that is not learnt from, but says how good the network is.",
        options={"min": 0.05, "max": 0.9, "step": 0.05},
    ),
    "elastic": Field("Bend patches", "Deform patches as living tissue may be deformed."),
    "invert": Field(
        "Invert contrast",
        "Share of the patches in which dark and bright change places.",
        options={"min": 0.0, "max": 1.0, "step": 0.05},
    ),
    "resize": Field(
        "Fit object size",
        "Resize images whose objects are much larger or smaller than those that the model knows, to"
        " where it finds most of them.",
    ),
    "scale": Field(
        "Vary size",
        "Patches are resized by a random factor of at most so much, up or down.",
        options={"min": 1.0, "max": 4.0, "step": 0.05},
    ),
    "sharp": Field(
        "Leave sharp",
        "Share of the patches that are only mirrored and turned by right angles, not deformed.",
        options={"min": 0.0, "max": 1.0, "step": 0.05},
    ),
    "plain": Field(
        "Leave plain",
        "Share of the patches whose gray values stay as they are: no blur, noise or other light.",
        options={"min": 0.0, "max": 1.0, "step": 0.05},
    ),
    "seed": Field(
        "Seed",
        "Of all that is random: the same seed gives the same network.",
        options={"min": 0, "max": 2**31 - 1, "step": 1},
    ),
}
HIDDEN = {
    "optimizer": "goes with the recipe",
    "validate_every": "goes with the recipe, as often as curves need",
    "average": "goes with the recipe; smooths what is saved",
    "patience": "goes with the recipe; the budget ends a run, and its button",
    "compile": "needs a C++ compiler",
}
"""Fields of the config that are not typed, and why."""
SCRATCH = "From scratch"


class Plan(QWidget):
    """Chooses the start, the name, the device and the settings of a training.

    Parameters
    ----------
    parent : QWidget or None
        Whoever owns it.
    """

    changed = Signal()
    """Something else is chosen, other than the name."""
    renamed = Signal()
    """The name is another one, and may be that of a run that was stopped."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folder: Path = user_folder()
        self._proposed = ""
        self._recipe = FINE_TUNE  # whose settings were filled in
        self._base = FINE_TUNE  # the same; of a stopped run, what it was begun with
        self._filled: dict[str, Any] = {}  # what the form then showed of that
        self._shelf = Shelf(self)
        self.start = ComboBox(
            name="start",
            label="Start from",
            tooltip="The model that is taught further; it stays as it is. From scratch: a network"
            " that knows nothing, by a recipe that you choose, which takes much longer.",
            choices=self._starts,
        )
        self.network = NetworkForm()
        self.known = QLabel()  # what a trained model tells apart
        self.known.setWordWrap(True)
        self.name = QComboBox()
        self.name.setEditable(True)
        self.name.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.name.setToolTip(
            "What the new model is called. The list holds runs that were stopped: choose one, and"
            " press Resume. Its settings come back with it."
        )
        self.settings = form.build(TrainConfig, FIELDS)
        self.settings["learning_rate"].native.setDecimals(5)
        self.device = cast(
            ComboBox, form.build(SegmentConfig, {"device": SEGMENT["device"]})["device"]
        )
        self._show_settings(FINE_TUNE)
        self._lay_out()
        self._connect()
        self.reset_choices()
        self.propose()

    def _starts(self, _: object = None) -> list[tuple[str, str]]:
        general = list_models().values()
        own = [path for path in own_models(self.folder).values() if path not in general]
        return [*model_choices(own), (SCRATCH, "")]

    def _lay_out(self) -> None:
        main = form.lay_out(self.start)
        rows = main.layout()
        assert isinstance(rows, QFormLayout)
        label = QLabel("Name")
        label.setToolTip(self.name.toolTip())
        rows.addRow(label, self.name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(main)
        layout.addWidget(self.network)
        layout.addWidget(self.known)
        layout.addWidget(form.fold("Advanced", form.lay_out(self.device, *self.settings.values())))

    def _connect(self) -> None:
        self.start.changed.connect(self._on_start)
        self.network.changed.connect(self.changed)
        self.network.recipe_changed.connect(self._on_recipe)
        self._shelf.changed.connect(self._on_models_changed)
        self.name.editTextChanged.connect(self._on_name)
        self.settings["minutes"].changed.connect(self._show_budget)
        for widget in (self.device, *self.settings.values()):
            widget.changed.connect(lambda _: self.changed.emit())

    def _on_start(self) -> None:
        self._follow_recipe()
        self._show_network()
        self.propose()
        self.changed.emit()

    def _on_recipe(self) -> None:
        self._follow_recipe()
        self.changed.emit()

    @property
    def _chosen_recipe(self) -> TrainConfig:
        return FINE_TUNE if self.start.value else self.network.settings

    def _follow_recipe(self) -> None:
        """Fill in the settings of another recipe; those of the same one stay as they are."""
        if self._recipe != self._chosen_recipe:
            self._recipe = self._base = self._chosen_recipe
            self._filled = {}
            self._show_settings(self._recipe)

    def _show_settings(self, config: TrainConfig) -> None:
        for name, widget in self.settings.items():
            with suppress(ValueError):  # more than the form offers
                form.show(widget, getattr(config, name))
        self._show_budget()

    def _show_network(self) -> None:
        """Offer what can be chosen of a new network, or say what a trained one tells apart."""
        self.network.setVisible(not self.start.value)
        told = ""
        with suppress(ValueError, OSError):  # told when a run is to begin
            told = in_words(card_of(self.start.value).target) if self.start.value else ""
        self.known.setText(told)
        self.known.setVisible(bool(told))

    def _on_name(self, name: str) -> None:
        """Fill in what a stopped run was begun with, as it can only go on so."""
        self._base, self._filled = self._recipe, {}
        if self.can_resume:
            with suppress(ValueError, OSError):  # told when it is to go on
                self._fill(read_run(name.strip(), self.folder))
        self.renamed.emit()

    def _fill(self, run: StoppedRun) -> None:
        self._show_settings(run.config)
        with self.start.changed.blocked(), suppress(ValueError):  # a model that is gone
            self.start.value = run.start or ""
        if run.start is None:
            with suppress(ValueError, OSError):  # told when it is to go on
                self.network.show_begun(self._last_card, run.config)
        self._show_network()
        self._recipe, self._base = self._chosen_recipe, run.config
        self._filled = form.read(self.settings)
        self.changed.emit()

    def _on_models_changed(self, renamed: dict[str, str]) -> None:
        """Follow the user's models, but for those that a run writes meanwhile."""
        if self.isEnabled():
            chosen = str(self.start.value)
            self.reset_choices()
            if chosen in renamed:
                self.start.value = renamed[chosen]
            self.renamed.emit()

    def _show_budget(self) -> None:
        self.settings["iterations"].enabled = form.value(self.settings["minutes"]) is None

    def put_into(self, folder: Path | None) -> None:
        """Let models be written into a project's folder; None: the user's."""
        folder = user_folder() if folder is None else folder
        if folder != self.folder:
            self.folder = folder
            self.reset_choices()
            self.propose()

    def reset_choices(self) -> None:
        """Offer the models that there are now; what was chosen stays, if it can."""
        chosen = self.start.value
        with self.start.changed.blocked():
            self.start.reset_choices()
            if chosen in self.start.choices:
                self.start.value = chosen
        self._show_network()
        self._show_budget()
        name = self.name.currentText()
        self.name.blockSignals(True)
        self.name.clear()
        self.name.addItems(self.stopped_runs())
        self.name.setEditText(name)
        self.name.blockSignals(False)
        if self.start.value != chosen:
            self._on_start()

    def propose(self) -> None:
        """Propose a free name, unless another one was typed."""
        if self.name.currentText() in ("", self._proposed):
            self._proposed = free_name(f"my-{Path(self.start.value or 'model').stem}", self.folder)
            self.name.setEditText(self._proposed)

    def take_free_name(self) -> None:
        """Replace a name that is taken, if it was proposed and not typed."""
        if self.name.currentText() == self._proposed and is_taken(self._proposed, self.folder):
            self.propose()

    @property
    def output(self) -> Path:
        """File of the model to be.

        Raises
        ------
        ValueError
            If the name is not possible.
        """
        return self.folder / f"{check_name(self.name.currentText().strip())}{SUFFIX}"

    @property
    def begin(self) -> Start:
        """What the training starts from.

        Raises
        ------
        ValueError
            If a new network cannot be as it is chosen.
        """
        return str(self.start.value) or self.network.config()

    def card(self, resume: bool = False) -> Card:
        """Return what the network says of itself that a run starts, or goes on, with.

        Raises
        ------
        ValueError, OSError
            If there is none.
        """
        return self._last_card if resume else card_of(self.begin)

    @property
    def _last_card(self) -> Card:
        return read_card(self.output.with_suffix(f"{LAST}{SUFFIX}"))

    @property
    def can_resume(self) -> bool:
        """Whether the name is that of a run that was stopped."""
        return self.name.currentText().strip() in stopped_runs(self.folder)

    def stopped_runs(self) -> list[str]:
        """Return the names of the runs that can go on."""
        return stopped_runs(self.folder)

    @property
    def config(self) -> TrainConfig:
        """The settings.

        Raises
        ------
        ValueError
            If one is not possible.
        """
        shown = form.read(self.settings)
        changed = {k: v for k, v in shown.items() if k not in self._filled or v != self._filled[k]}
        return replace(self._base, **changed)

    def offer_devices(self, available: Sequence[str]) -> None:
        """Take away the devices that are not there."""
        texts: dict[Any, str] = {
            value: text for text, value in SEGMENT["device"].options["choices"]
        }
        wanted = self.device.value
        first = texts[available[0]]
        with self.device.changed.blocked():
            self.device.choices = ()  # else those that stay keep their places
            self.device.choices = [
                (f"Automatic: {first}", "auto"),
                *((texts[name], name) for name in available),
            ]
            self.device.value = wanted if wanted in self.device.choices else "auto"
