"""Chooses a model: one that comes with the plugin, one of the user's, or a file."""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path

from magicgui.widgets import ComboBox
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QWidget

from napari_unet._qt.shelf import Shelf
from napari_unet.library import SUFFIX, Card, find_model, list_models, read_card

OTHER_FILE = "Choose a file…"


def told_apart(paths: Iterable[Path], taken: Container[str]) -> list[tuple[str, str]]:
    """Return what model files are called in a box, where no text may stand twice, and their paths.

    That is their name; with their folder where another model has it.
    """
    named: dict[str, str] = {}
    for path in paths:
        is_free = path.stem not in taken and path.stem not in named
        named[path.stem if is_free else f"{path.stem} ({path.parent})"] = str(path)
    return list(named.items())


def model_choices(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Return the models that can be named, and then files, as a box offers them: text and value."""
    names = list_models()
    return [*((name, name) for name in names), *told_apart(paths, names)]


class ModelBox(QObject):
    """Offers models in a box, and follows those of the user, whoever renames or deletes them.

    Parameters
    ----------
    parent : QWidget
        The part of a dock that it belongs to.
    """

    changed = Signal()
    """Another model is chosen, or the card of the one that is was read anew."""
    problem = Signal(str)
    """What to tell the user."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._files: list[Path] = []
        self.card: Card | None = None
        self.box = ComboBox(
            name="model",
            label="Model",
            tooltip="The network that finds the objects: one that comes with the plugin, one of"
            " yours, or a file.",
            choices=self._models,
        )
        narrow = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.box.native.setSizeAdjustPolicy(narrow)  # a long name would widen the dock
        self._chosen = self.box.value
        self._shelf = Shelf(self)
        self.box.changed.connect(self._on_chosen)
        self._shelf.changed.connect(self._on_models_changed)

    def _models(self, _: object = None) -> list[tuple[str, str]]:
        return [*model_choices(self._files), (OTHER_FILE, OTHER_FILE)]

    @property
    def name(self) -> str:
        """Name or path of the model that is chosen."""
        return str(self.box.value)

    @property
    def is_first(self) -> bool:
        """Whether the one is chosen that stands first, as at the beginning."""
        return bool(self.box.value == self.box.choices[0])

    def choose(self, name: str) -> None:
        """Choose a model by its name or path.

        Raises
        ------
        ValueError, OSError
            If there is none, or it cannot be used.
        """
        read_card(find_model(name))
        if name not in list_models():
            name = str(Path(name))
            if Path(name) not in self._files:
                self._files.append(Path(name))
                self.reset_choices()
        self.box.value = name

    def reset_choices(self) -> None:
        """Offer the models that there are now; what was chosen stays, if it can."""
        chosen = self.box.value
        self.box.reset_choices()
        if chosen in self.box.choices:  # which a new name would otherwise lose
            self.box.value = chosen
        self.load_card()

    def load_card(self) -> None:
        """Read again what the chosen model says of itself."""
        try:
            self.card = read_card(find_model(self.name))
        except (ValueError, OSError, MemoryError) as error:
            self.card = None
            self.problem.emit(str(error))
        self.changed.emit()

    def _on_chosen(self, value: str) -> None:
        if value != OTHER_FILE:
            self._chosen = value
            self.load_card()
            return
        self.box.value = self._chosen  # unless another one is chosen, and can be used
        parent = self.parent()
        window = parent if isinstance(parent, QWidget) else None
        path, _ = QFileDialog.getOpenFileName(window, "Choose a model", "", f"Models (*{SUFFIX})")
        if path:
            try:
                self.choose(path)
            except (ValueError, OSError) as error:
                self.problem.emit(str(error))

    def _on_models_changed(self, renamed: dict[str, str]) -> None:
        """Follow the user's models; one that was renamed stays the one that is chosen."""
        chosen = self.name
        self.reset_choices()
        if chosen in renamed:
            self.box.value = renamed[chosen]
        elif chosen not in self.box.choices:
            self.problem.emit(f"The model {chosen} is gone: {self.box.value} is used instead.")
