"""Where the images are, and where the results go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QToolButton,
    QWidget,
)

from napari_unet._qt.form import LABEL_WIDTH

RESULTS = "segmented"
"""Folder inside that of the images, for the results of those who choose none."""
ALL = "All images"
PATTERNS = (ALL, "*.tif", "*.png", "*.jpg")
SETTLED_MS = 400
"""Without another letter typed."""


@dataclass(frozen=True)
class Place:
    """What is chosen.

    Parameters
    ----------
    folder : Path
        Where the images are.
    output : Path
        Where the results go.
    pattern : str
        What names of images look like.
    subfolders : bool
        Whether those in folders of the folder count, too.
    """

    folder: Path
    output: Path
    pattern: str
    subfolders: bool


class Places(QWidget):
    """Chooses a folder of images, which of them, and a folder for results."""

    changed = Signal()
    """Something else is chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("choose, type or drop a folder")
        self.folder.setAcceptDrops(
            False
        )  # the dock takes what is dropped; a line would its address
        self.pattern = QComboBox()
        self.pattern.setEditable(True)
        self.pattern.addItems(PATTERNS)
        self.subfolders = QCheckBox("Include subfolders")
        self.subfolders.setToolTip("Segment the images in folders of the folder, too.")
        self.output = QLineEdit()
        self.output.setAcceptDrops(False)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLED_MS)
        self._lay_out()
        self._connect()
        self._show_default()

    def _lay_out(self) -> None:
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, tooltip, line, title in (
            ("Images in", "The folder of the images.", self.folder, "Folder of images"),
            (
                "Results in",
                "The folder for labels and all else that is written, which is made. Files that"
                " were not written by this dock or napari-unet are never written over.",
                self.output,
                "Folder for results",
            ),
        ):
            line.setToolTip(tooltip)
            row = QHBoxLayout()
            row.addWidget(line, stretch=1)
            row.addWidget(self._browser(line, title))
            layout.addRow(_label(text, tooltip), row)
        tooltip = "What the names of the images look like, such as *.tif or day1_*."
        self.pattern.setToolTip(tooltip)
        layout.insertRow(1, _label("Named", tooltip), self.pattern)
        layout.insertRow(2, self.subfolders)

    def _browser(self, line: QLineEdit, title: str) -> QToolButton:
        button = QToolButton()
        button.setText("…")
        button.setToolTip(f"{title}: look for it.")
        button.clicked.connect(lambda: self._browse(line, title))
        return button

    def _connect(self) -> None:
        self.folder.textChanged.connect(self._on_folder)
        self.output.textChanged.connect(self._wait)
        self.pattern.currentTextChanged.connect(self._wait)
        self.subfolders.toggled.connect(self._wait)
        self._settle.timeout.connect(self.changed)

    def _browse(self, line: QLineEdit, title: str) -> None:
        found = QFileDialog.getExistingDirectory(self, title, line.text() or self.folder.text())
        if found:
            line.setText(found)

    @property
    def place(self) -> Place | None:
        """What is chosen; None where no folder is yet."""
        text = self.folder.text().strip()
        if not text:
            return None
        folder, output = Path(text).expanduser(), self.output.text().strip()
        pattern = self.pattern.currentText().strip()
        return Place(
            folder,
            Path(output).expanduser() if output else folder / RESULTS,
            "*" if pattern in ("", ALL) else pattern,
            self.subfolders.isChecked(),
        )

    def choose(self, folder: Path) -> None:
        """Choose a folder of images."""
        self.folder.setText(str(folder))

    def _on_folder(self) -> None:
        self._show_default()
        self._wait()

    def _show_default(self) -> None:
        """Say where results go if no other folder is typed."""
        name = Path(self.folder.text().strip()).name
        self.output.setPlaceholderText(f"{name}/{RESULTS}" if name else RESULTS)

    def _wait(self) -> None:
        self._settle.start()


def _label(text: str, tooltip: str) -> QLabel:
    label = QLabel(text)
    label.setMinimumWidth(LABEL_WIDTH)
    label.setToolTip(tooltip)
    return label
