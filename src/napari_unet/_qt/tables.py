"""What the tables of the docks have in common."""

from __future__ import annotations

from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

ROW_SPACE = 5
"""Pixels of a low row, beside its text."""


def make_plain(table: QTableView) -> QHeaderView:
    """Let a table list rows that are chosen whole and not edited; returns its header."""
    header, vertical = table.horizontalHeader(), table.verticalHeader()
    assert header is not None
    assert vertical is not None
    header.setHighlightSections(False)
    vertical.hide()
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    return header


def lower_rows(table: QTableView) -> None:
    """Let the rows of a table be as low as their text."""
    vertical = table.verticalHeader()
    assert vertical is not None
    vertical.setMinimumSectionSize(10)
    vertical.setDefaultSectionSize(table.fontMetrics().lineSpacing() + ROW_SPACE)
