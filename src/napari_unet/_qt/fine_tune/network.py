"""What a new network is to be: its recipe, its kind, and what it tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from magicgui.widgets import ComboBox, LineEdit
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet._qt import form
from napari_unet.config import ARCHITECTURES, RECIPES, Target, TrainConfig
from napari_unet.library import Card, NewNetwork, closest_recipe

BACKGROUND = "background"


class Meaning(StrEnum):
    """What the numbers in labels are."""

    OBJECTS = "Objects"
    AREAS = "Areas of classes"
    KINDS = "Objects of classes"


BY_RECIPE = {
    "few-shot": "a small padded U-Net, taught in minutes on a few annotated crops (AdamW).",
    "standard": "the same, taught longer and by larger patches, for many annotated images.",
    "paper": "the U-Net as published: unpadded, with dropout, one tile of 572 pixels a step (SGD,"
    " momentum 0.99).",
    "sigmoid": "the padded U-Net of many tutorials, with one output and two tiles of 512 pixels a"
    " step (AdamW).",
}
"""What each recipe is, in the order in which they are offered."""
WORDS = {
    "unet": ("U-Net", "the network of choice."),
    "unet++": (
        "U-Net++ (nested)",
        "more steps between its levels, each with an output of its own; slower, and for those who"
        " want to compare.",
    ),
    "fcn": (
        "FCN (no skips)",
        "what is left of a U-Net without its skip connections; coarser outlines, and for those who"
        " want to see what these are good for.",
    ),
}
"""Name of each architecture to those who click, and what it is for."""
OUTPUTS = {
    "Softmax, distance": RECIPES["few-shot"].target,
    "Softmax": RECIPES["paper"].target,
    "Sigmoid": RECIPES["sigmoid"].target,
}
"""What a network that finds objects predicts."""


class NetworkForm(QWidget):
    """Chooses the kind of a new network, and what labels mean to it.

    Parameters
    ----------
    parent : QWidget or None
        Its place.
    """

    changed = Signal()
    """Something else is chosen, other than the recipe."""
    recipe_changed = Signal()
    """Another recipe is chosen, and its network is filled in."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.recipe = ComboBox(
            name="recipe",
            label="Recipe",
            tooltip="Fills in the network and all settings, which can be changed then. paper and"
            " sigmoid have large networks, which are slow without a GPU.\n"
            + "\n".join(f"{name}: {what}" for name, what in BY_RECIPE.items()),
            choices=list(BY_RECIPE),
        )
        self.architecture = ComboBox(
            name="architecture",
            label="Architecture",
            tooltip="\n".join(f"{name}: {use}" for name, use in WORDS.values()),
            choices=[(WORDS[name][0], name) for name in ARCHITECTURES],
        )
        self.meaning = ComboBox(
            name="meaning",
            label="Labels are",
            tooltip="Objects: each has a number of its own, such as cells.\n"
            "Areas of classes: the number says what is there, such as 1 cytoplasm, 2 nucleus;\n"
            "nothing is counted.\n"
            "Objects of classes: each has a number of its own, and is of one of several kinds,\n"
            "which the dock Annotate sets (Set class).",
            choices=[(str(meaning), meaning) for meaning in Meaning],
        )
        self.classes = LineEdit(
            name="classes",
            label="Classes",
            tooltip="Names of the classes, with commas between; of areas, in the order of their"
            " numbers from 1. Background is not named. What stands there in gray is taken if"
            " nothing is typed.",
        )
        self.output = ComboBox(
            name="output",
            label="Output",
            tooltip="Softmax, distance: scores of background and object, and how far inside an"
            " object a pixel is, which keeps touching ones apart.\n"
            "Softmax: the scores alone, as in the paper.\n"
            "Sigmoid: the score of the object alone, as the Keras tutorials have it.",
            choices=list(OUTPUTS),
        )
        self._classes_row = form.lay_out(self.classes)
        self._output_row = form.lay_out(self.output)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(form.lay_out(self.recipe, self.architecture, self.meaning))
        layout.addWidget(self._classes_row)
        layout.addWidget(self._output_row)
        for widget in (self.architecture, self.meaning, self.classes, self.output):
            widget.changed.connect(self._on_changed)
        self.recipe.changed.connect(self._on_recipe)
        self._show_rows()

    def _on_recipe(self) -> None:
        recipe = RECIPES[str(self.recipe.value)]
        form.show(self.architecture, recipe.network.architecture)
        self._show_output(recipe.target)
        self.recipe_changed.emit()

    def _on_changed(self) -> None:
        self._show_rows()
        self.changed.emit()

    def _show_rows(self) -> None:
        self._classes_row.setVisible(self.means is not Meaning.OBJECTS)
        self._output_row.setVisible(self.means is Meaning.OBJECTS)

    def _show_output(self, target: Target) -> None:
        for name, known in OUTPUTS.items():
            if (target.activation, target.extras) == (known.activation, known.extras):
                form.show(self.output, name)

    @property
    def settings(self) -> TrainConfig:
        """How the recipe teaches."""
        return RECIPES[str(self.recipe.value)].training

    @property
    def means(self) -> Meaning:
        """What labels are."""
        return Meaning(self.meaning.value)  # PySide6 gives a bare string back

    def suggest(self, names: Sequence[str]) -> None:
        """Propose names of classes, which count as long as nothing is typed."""
        self.classes.native.setPlaceholderText(", ".join(names))

    def config(self) -> NewNetwork:
        """Return what is chosen.

        Raises
        ------
        ValueError
            If the names of the classes are not possible.
        """
        return NewNetwork(str(self.architecture.value), self._target(), str(self.recipe.value))

    def _target(self) -> Target:
        if self.means is Meaning.OBJECTS:
            return OUTPUTS[str(self.output.value)]
        names = self._names()
        instances = self.means is Meaning.KINDS
        if instances and len(names) == 1:
            raise ValueError(
                f"Objects of the one class {names[0]} need no class: name a second one, or choose"
                f" '{Meaning.OBJECTS}'."
            )
        return RECIPES[str(self.recipe.value)].target.telling((BACKGROUND, *names), instances)

    def _names(self) -> list[str]:
        text = self.classes.value or self.classes.native.placeholderText()
        names = [name.strip() for name in text.split(",") if name.strip()]
        if not names:
            raise ValueError("There are no classes yet: name them, such as cytoplasm, nucleus.")
        if BACKGROUND in names:
            raise ValueError("Background is no class to be named: it is 0 in the labels.")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"There are two classes {twice}: name each one once.")
        return names

    def show_begun(self, card: Card, config: TrainConfig) -> None:
        """Show the choice that a training was begun with, without a signal that it changed.

        Parameters
        ----------
        card : Card
            What its network says of itself.
        config : TrainConfig
            Its settings.
        """
        form.show(self.recipe, closest_recipe(card, config))
        target = card.target
        kinds = Meaning.KINDS if len(target.classes) > 2 else Meaning.OBJECTS
        form.show(self.architecture, card.architecture)
        form.show(self.meaning, kinds if target.instances else Meaning.AREAS)
        form.show(self.classes, ", ".join(target.classes[1:]))
        self._show_output(target)
        self._show_rows()


def in_words(target: Target) -> str:
    """Say what a trained network tells apart, and what labels then are; "" for plain objects."""
    names = ", ".join(target.classes[1:])
    if not target.instances:
        return f"It labels areas: {names}. The labels are these classes, numbered from 1."
    if len(target.classes) > 2:
        return f"It tells objects apart: {names}. Set class, in Annotate, says which is which."
    return ""
