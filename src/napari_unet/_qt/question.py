"""A question to the user, whose buttons say what they do."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from qtpy.QtWidgets import QMessageBox, QWidget

A = TypeVar("A", bound=Enum)

ROLES = (
    QMessageBox.ButtonRole.AcceptRole,
    QMessageBox.ButtonRole.DestructiveRole,
    QMessageBox.ButtonRole.RejectRole,
)


def ask(title: str, text: str, answers: type[A], parent: QWidget) -> A:
    """Ask which of three answers it is to be.

    Parameters
    ----------
    title, text : str
        Of the dialog.
    answers : Enum type
        What loses nothing, which is the default; what does; what changes nothing, which Escape
        means, too. Their values are the texts of the buttons.
    parent : QWidget
        The dock.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(title)
    box.setText(text)
    choices = list(answers)
    pairs = zip(choices, ROLES, strict=True)
    buttons = [box.addButton(answer.value, role) for answer, role in pairs]
    box.setDefaultButton(buttons[0])
    box.setEscapeButton(buttons[-1])
    box.exec()
    chosen = box.clickedButton()
    return choices[buttons.index(chosen)] if chosen in buttons else choices[-1]
