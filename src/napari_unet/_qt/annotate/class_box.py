"""The box that names a class of objects."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QRegularExpression, Signal
from qtpy.QtGui import QRegularExpressionValidator
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget


class ClassBox(QComboBox):
    """Names the class that objects are given: typed, or one of those that are known.

    Parameters
    ----------
    parent : QWidget or None
        Its place.
    """

    chosen = Signal(str)
    """A class is named, by Enter or from the list."""
    left = Signal(str)
    """What was typed stands there, without Enter."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "What objects are, if there are several kinds of them, such as apple or pear: type a"
            " name, or choose one that is in use. New objects (N) are of this class; Set class"
            " gives it to others. Empty: of no class."
        )
        line = self.lineEdit()
        assert line is not None
        line.setPlaceholderText("Class")
        line.setValidator(QRegularExpressionValidator(QRegularExpression("[^,]*"), self))
        line.returnPressed.connect(lambda: self.chosen.emit(self.kind))
        line.editingFinished.connect(lambda: self.left.emit(self.kind))
        self.activated.connect(lambda _: self.chosen.emit(self.kind))

    @property
    def kind(self) -> str:
        """The class that is named; "" for none."""
        return self.currentText().strip()

    @property
    def known(self) -> tuple[str, ...]:
        """The classes that are offered, in the order in which they were first used."""
        return tuple(self.itemText(i) for i in range(self.count()))

    def offer(self, kinds: Iterable[str]) -> None:
        """Offer more classes; what stands there stays."""
        kind = self.currentText()
        self.addItems(sorted(set(kinds) - set(self.known)))
        self.setEditText(kind)
