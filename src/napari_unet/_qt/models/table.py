"""The models as a table, and the card of one as text."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_unet._qt.tables import make_plain
from napari_unet.config import UNetPlusPlusConfig
from napari_unet.library import Card, is_bundled, list_models, read_card, score_of, summary

COLUMNS = {
    "Name": "What the model is called. Those that come with the plugin are in italics.",
    "Object": "Diameter of the objects that it was taught on, in pixels.",
    "AP@0.5": "Share of the objects that it finds and does not invent, on test images; else on what"
    " was held out of its training.",
    "Date": "When it was trained.",
}
NAME = 0


@dataclass(frozen=True)
class Row:
    """A model as the table shows it.

    Parameters
    ----------
    name : str
        Its name.
    path : Path
        Its file.
    bundled : bool
        Whether it comes with the package.
    card : Card or None
        What its file says of itself; None if it cannot be read.
    fault : str
        Why not.
    """

    name: str
    path: Path
    bundled: bool
    card: Card | None
    fault: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return a text per column."""
        if self.card is None:
            return (self.name, "", "", "damaged")
        diameter, score = self.card.preprocessing.expected_diameter(), score_of(self.card)
        return (
            self.name,
            "" if diameter is None else f"{diameter:.0f} px",
            "" if score is None else f"{score:.2f}",
            str(self.card.provenance.get("date", "")),
        )

    @property
    def part_levels(self) -> range:
        """How many levels a part of it can have that segments alone; none but of a U-Net++."""
        network = self.card.network if self.card else None
        if isinstance(network, UNetPlusPlusConfig) and network.deep_supervision:
            return range(1, network.depth)
        return range(0)

    def tooltip(self) -> str:
        """Return its name, which the column may cut off, and what it was trained on."""
        told = self.fault or str(self.card.provenance.get("data", "") if self.card else "")
        return f"{self.name}\n{told}" if told else self.name

    def html(self) -> str:
        """Return its card, to be read."""
        rows = summary(self.card) if self.card else [("Damaged", self.fault)]
        kind = "comes with the plugin" if self.bundled else "your own"
        lines = [f"<b>{escape(heading)}:</b> {escape(text)}" for heading, text in rows]
        title = f"<b>{escape(self.name)}</b> ({kind})"
        return "<br>".join([title, *lines, f"<b>File:</b> {escape(str(self.path))}"])


def read_rows(folder: Path | None = None) -> list[Row]:
    """Read the cards of all models: those of the package, and of a folder (None: the user's)."""
    return [_row(name, path, folder) for name, path in list_models(folder).items()]


def _row(name: str, path: Path, folder: Path | None) -> Row:
    bundled = is_bundled(name, folder)
    try:
        return Row(name, path, bundled, read_card(path))
    except (ValueError, OSError, MemoryError) as error:
        return Row(name, path, bundled, None, str(error))


class ModelTable(QTableWidget):
    """Lists models, one of which is selected."""

    chosen = Signal()
    """Another one, or none, is selected; or what is known of it has changed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(COLUMNS), parent)
        self._rows: list[Row] = []
        self.setHorizontalHeaderLabels(list(COLUMNS))
        for column, tooltip in enumerate(COLUMNS.values()):
            item = self.horizontalHeaderItem(column)
            assert item is not None
            item.setToolTip(tooltip)
        header = make_plain(self)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.itemSelectionChanged.connect(self.chosen)

    @property
    def selected(self) -> Row | None:
        """The model that is selected."""
        number = self.currentRow()
        return self._rows[number] if self.selectedItems() and number < len(self._rows) else None

    def show_rows(self, rows: list[Row], wanted: str = "") -> None:
        """Show these; the selection stays with the name that it had, or goes to the one wanted."""
        before = wanted or (self.selected.name if self.selected else "")
        at = max(self.currentRow(), 0)
        self._rows = rows
        self.blockSignals(True)
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            self._fill(number, row)
        names = [row.name for row in rows]
        self.selectRow(names.index(before) if before in names else min(at, len(rows) - 1))
        self.blockSignals(False)
        self.chosen.emit()

    def _fill(self, number: int, row: Row) -> None:
        for column, text in enumerate(row.cells()):
            item = QTableWidgetItem(text)
            item.setToolTip(row.tooltip())
            if row.bundled:
                font = item.font()
                font.setItalic(True)
                item.setFont(font)
            if column != NAME:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(number, column, item)
