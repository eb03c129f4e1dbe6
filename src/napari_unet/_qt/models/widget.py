"""The dock widget "Models": what there is to choose from, and what becomes of one's own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import napari
from magicgui.widgets import ComboBox
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QInputDialog,
    QMessageBox,
    QPushButton,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt import form
from napari_unet._qt.dock import WIDTH
from napari_unet._qt.fine_tune.neighbours import open_project
from napari_unet._qt.message import Message
from napari_unet._qt.models.table import ModelTable, read_rows
from napari_unet._qt.shelf import Shelf
from napari_unet._qt.worker import Job, UserErrors, sentence
from napari_unet.library import (
    SUFFIX,
    check_own,
    delete,
    free_name,
    own_models,
    rename,
    user_folder,
)
from napari_unet.wording import counted

ROWS = 6
"""Models that are seen without scrolling."""
EXPORTED = {
    f"Model of napari-unet (*{SUFFIX})": SUFFIX,
    "bioimage.io package (*.zip)": ".zip",
    "ONNX graph (*.onnx)": ".onnx",
}
IMPORTED = f"Models (*{SUFFIX} *.zip *.onnx)"
NONE_YET = "Models of your own, fine-tuned or imported, will be listed here, too."
ONLY_OWN = "It comes with the plugin and stays as it is: only your own models can be {}."


class ModelsWidget(QWidget):
    """Lists the models; renames, deletes, exports, imports and prunes the user's.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where it is docked.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._job: Job | None = None
        self._html = ""
        self._wanted = ""  # what to select once it is there
        self.place = ComboBox(
            name="place",
            label="Models of",
            tooltip="Your own models, which all images can be segmented with; or those that were"
            " taught in the project that is open in the dock Annotate.",
            choices=self._places,
        )
        self.table = ModelTable()
        self.card = QTextBrowser()
        self.rename_button = QPushButton("Rename…")
        self.delete_button = QPushButton("Delete")
        self.export_button = QPushButton("Export…")
        self.import_button = QPushButton("Import…")
        self.prune_button = QPushButton("Prune…")
        self.message = Message(napari_viewer)
        self._shelf = Shelf(self)
        self._lay_out()
        self._connect()
        self.refresh()
        if not own_models():
            self.message.tell(NONE_YET)

    def _lay_out(self) -> None:
        line = self.fontMetrics().lineSpacing()
        self.table.setMinimumHeight(4 * line)
        self.table.setMaximumHeight(2 * (ROWS + 1) * line)
        self.card.setOpenLinks(False)
        self.card.setMinimumHeight(6 * line)
        self.export_button.setToolTip(
            "Write the model to a file, for others to use: as it is (.safetensors), as a"
            " bioimage.io package (.zip), or as an ONNX graph (.onnx)."
        )
        self.import_button.setToolTip(
            "Copy a model from a .safetensors or .onnx file, or from a bioimage.io package (.zip),"
            " into your models. It is checked first; no program in it is run."
        )
        self.prune_button.setToolTip(
            "Make a smaller and faster model of the upper levels of this U-Net++, which have an"
            " output of their own; it stays as it is. The smaller one may find less."
        )
        buttons = QGridLayout()
        buttons.addWidget(self.rename_button, 0, 0)
        buttons.addWidget(self.delete_button, 0, 1)
        buttons.addWidget(self.export_button, 1, 0)
        buttons.addWidget(self.import_button, 1, 1)
        buttons.addWidget(self.prune_button, 2, 0, 1, 2)
        column = QVBoxLayout(self)
        column.addWidget(form.lay_out(self.place))
        column.addWidget(self.table, stretch=2)
        column.addLayout(buttons)
        column.addWidget(self.message)
        column.addWidget(self.card, stretch=3)
        self.setMinimumWidth(WIDTH)

    def _connect(self) -> None:
        self._shelf.changed.connect(self._on_changed)
        self.place.changed.connect(self._on_place)
        self.table.chosen.connect(self._show_chosen)
        self.rename_button.clicked.connect(self._rename)
        self.delete_button.clicked.connect(self._delete)
        self.export_button.clicked.connect(self._export)
        self.import_button.clicked.connect(self._import)
        self.prune_button.clicked.connect(self._prune)

    def _places(self, _: object = None) -> list[tuple[str, Path]]:
        project = open_project(self._viewer)
        own = [("this computer", user_folder())]
        return own if project is None else [*own, (f"project {project.name}", project.models)]

    def reset_choices(self, _: object = None) -> None:
        """Follow the project that is open; napari calls this whenever layers change."""
        self.place.reset_choices()

    @property
    def folder(self) -> Path:
        """Where the models are that are listed beside the bundled ones."""
        return Path(self.place.value)

    def refresh(self) -> None:
        """List what there is now."""
        self.table.show_rows(read_rows(self.folder), self._wanted)
        self._wanted = ""

    def _on_place(self) -> None:
        self._shelf.turn_to(self.folder)
        self.refresh()

    def _on_changed(self, renamed: dict[str, str]) -> None:
        row = self.table.selected
        if row is not None and not self._wanted:
            self._wanted = renamed.get(row.name, "")
        self.refresh()

    def showEvent(self, event: Any) -> None:
        """Look again: what happened while it was hidden may not have been told."""
        super().showEvent(event)
        self.reset_choices()
        self._shelf.look()

    def changeEvent(self, event: Any) -> None:
        """End what runs when the dock is closed, as napari takes the widget out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and self._job:
            self._job.abandon()

    def _show_chosen(self) -> None:
        row = self.table.selected
        html = row.html() if row else ""
        if html != self._html:  # else it stays where it was scrolled to
            self.card.setHtml(html)
            self._html = html
        busy, own = self._job is not None, row is not None and not row.bundled
        self.rename_button.setEnabled(own and not busy)
        self.delete_button.setEnabled(own and not busy)
        self.export_button.setEnabled(row is not None and row.card is not None and not busy)
        self.import_button.setEnabled(not busy)
        self.prune_button.setVisible(row is not None and bool(row.part_levels))
        self.prune_button.setEnabled(not busy)
        bundled = row is not None and row.bundled
        self.rename_button.setToolTip(
            ONLY_OWN.format("renamed") if bundled else "Give the model another name."
        )
        self.delete_button.setToolTip(
            ONLY_OWN.format("deleted")
            if bundled
            else "Delete the model and what its training left, for good. You are asked first."
        )

    def _rename(self) -> None:
        row = self.table.selected
        if row is None:
            return
        new, folder = self._ask_name("Rename", f"New name of {row.name}:", row.name), self.folder
        if new is not None and new != row.name:
            self._change(lambda: rename(row.name, new, folder), f"{row.name} is now {new}.", new)

    def _delete(self) -> None:
        row = self.table.selected
        if row is None:
            return
        try:
            files = check_own(row.name, self.folder)
        except UserErrors as error:
            self.message.warn(sentence(error))
            self.refresh()
            return
        folder = self.folder
        if self._is_sure(row.name, [path.name for path in files]):
            self._change(lambda: delete(row.name, folder), f"{row.name} was deleted.")

    def _is_sure(self, name: str, files: list[str]) -> bool:
        """Ask before files are deleted."""
        box = QMessageBox(
            QMessageBox.Icon.Question,
            "Delete a model",
            f"Delete {name} for good? These files will be gone:\n" + "\n".join(files),
            QMessageBox.StandardButton.Cancel,
            self,
        )
        agree = box.addButton("Delete", QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        agreed = box.clickedButton() == agree
        box.deleteLater()
        return agreed

    def _change(self, act: Callable[[], object], done: str, wanted: str = "") -> None:
        """Do what is quick, and tell what came of it."""
        try:
            act()
        except UserErrors as error:
            self.message.warn(sentence(error))
        else:
            self._wanted = wanted
            self.message.tell(done)
        self.refresh()
        self._shelf.look()

    def _export(self) -> None:
        row = self.table.selected
        if row is None:
            return
        suggestion = str(Path.home() / row.name)
        chosen, kind = QFileDialog.getSaveFileName(
            self, "Export a model", suggestion, ";;".join(EXPORTED)
        )
        if chosen:
            path, folder = _with_suffix(chosen, EXPORTED.get(kind, SUFFIX)), self.folder
            asked = path == Path(chosen)  # the dialog has, whether that may be written over

            def write() -> str:
                from napari_unet.exchange import export_model  # loads torch

                return str(export_model(row.name, path, folder, overwrite=asked))

            self._copy(
                write,
                f"Exporting {row.name}…",
                f"Exported {row.name} to {{}}.",
            )

    def _import(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Import a model", str(Path.home()), IMPORTED)
        if chosen:
            self._ask_and_import(Path(chosen))

    def _ask_and_import(self, path: Path) -> None:
        suggestion, folder = free_name(path.stem, self.folder), self.folder
        name = self._ask_name("Import a model", "Name that it gets:", suggestion)
        if name is not None:
            self._wanted = name

            def read() -> str:
                from napari_unet.exchange import import_model  # loads torch

                return import_model(path, name, folder)

            self._copy(read, f"Importing {path.name}…", "Imported {}.")

    def _prune(self) -> None:
        row = self.table.selected
        if row is None or not row.part_levels:
            return
        most = row.part_levels[-1]
        text = f"{row.name} has {most + 1} levels. Keep how many? The fewer, the faster:"
        levels, agreed = QInputDialog.getInt(self, "Prune", text, most, 1, most)
        if not agreed:
            return
        suggestion, folder = free_name(f"{row.name}-{levels}", self.folder), self.folder
        name = self._ask_name("Prune", "Name of the smaller model:", suggestion)
        if name is not None:
            self._wanted = name

            def write() -> str:
                from napari_unet.exchange import prune_model  # loads torch

                return prune_model(row.name, levels, name, folder)

            self._copy(
                write,
                f"Pruning {row.name}…",
                f"{{}} is the part of {row.name} with {counted(levels, 'level')}.",
            )

    def _ask_name(self, title: str, prompt: str, suggestion: str) -> str | None:
        """Return the name that is typed; None if the user thinks better of it."""
        name, agreed = QInputDialog.getText(self, title, prompt, text=suggestion)
        return name.strip() if agreed else None

    def _copy(self, copy: Callable[[], str], doing: str, done: str) -> None:
        """Copy in a thread: models are large, and disks can be slow."""

        def steps() -> Generator[None, None, str]:
            yield
            return copy()

        self._job = job = Job(steps, self, keeps_window=True)
        job.returned.connect(lambda result: self.message.tell(done.format(result)))
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_copied)
        self.message.tell(doing)
        self._show_chosen()
        job.start()

    def _on_failed(self, message: str) -> None:
        self._wanted = ""
        self.message.warn(message)

    def _on_copied(self) -> None:
        self._job = None
        self.refresh()
        self._shelf.look()


def _with_suffix(chosen: str, suffix: str) -> Path:
    """Return the path that was chosen, with the suffix of the kind that was, if it has none."""
    path = Path(chosen)
    return path if path.suffix in EXPORTED.values() else path.with_name(f"{path.name}{suffix}")
