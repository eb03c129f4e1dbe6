"""Forms from the core's configs: a field's default, type and choices are those of the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, get_args, get_type_hints

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    FloatSpinBox,
    SpinBox,
)
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget
from superqt import QCollapsible

Widget = ValueWidget[Any]

LABEL_WIDTH = 112
"""Pixels that the longest label takes, so that all columns line up."""


@dataclass(frozen=True)
class Field:
    """How a field of a config is shown.

    Parameters
    ----------
    label, tooltip : str
        In the words of those who click.
    empty : str
        What stands there for None.
    options : dict
        Of the magicgui widget.
    widget : type or None
        Which one; None: by the field's type.
    """

    label: str
    tooltip: str
    empty: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    widget: type[Widget] | None = None


Form = dict[str, Widget]
"""Widgets by the names of the config's fields."""


def build(config: type, shown: Mapping[str, Field]) -> Form:
    """Return widgets for some of a config's fields.

    A number that may be None is None at the least value of its box, where the text for it stands.
    """
    hints = get_type_hints(config)
    defaults = {f.name: f.default for f in fields(config) if f.default is not MISSING}
    return {name: _widget(name, hints[name], defaults[name], how) for name, how in shown.items()}


def read(form: Form) -> dict[str, Any]:
    """Return the values of a form."""
    return {name: value(widget) for name, widget in form.items()}


def lay_out(*rows: Widget | tuple[Widget, QWidget]) -> QWidget:
    """Return a column of labelled widgets.

    Parameters
    ----------
    rows : Widget or (Widget, QWidget)
        A widget; or one whose label names a row that it shares with others.
    """
    column = QWidget()
    layout = QFormLayout(column)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for row in rows:
        widget, native = row if isinstance(row, tuple) else (row, row.native)
        if isinstance(widget, CheckBox):  # it says itself what it is
            layout.addRow(native)
            continue
        label = QLabel(widget.label)
        label.setMinimumWidth(LABEL_WIDTH)
        label.setToolTip(widget.tooltip or "")
        layout.addRow(label, native)
    return column


def _widget(name: str, hint: Any, default: Any, how: Field) -> Widget:
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    options: dict[str, Any] = {"name": name, "label": how.label, "tooltip": how.tooltip}
    options |= how.options
    if isinstance(kinds[0], str):  # a Literal
        return ComboBox(value=default, **{"choices": kinds, **options})
    if how.widget is not None:
        slider = how.widget(value=default, **options)
        for part in slider.native.findChildren(QWidget):  # its number, too
            part.setToolTip(how.tooltip)
        return slider
    if type(None) in get_args(hint):
        # Only the box for fractions shows its special text, so that one takes whole numbers, too.
        box = FloatSpinBox(value=options["min"], **options)
        box.native.setDecimals(0 if kinds[0] is int else 1)
        box.native.setSpecialValueText(how.empty)
        return box
    return _BOXES[kinds[0]](value=default, **options)


_BOXES: dict[type, type[Widget]] = {bool: CheckBox, int: SpinBox, float: FloatSpinBox}


def value(widget: Widget) -> Any:
    """Return the value of one widget of a form, None where it stands for that."""
    if not isinstance(widget, FloatSpinBox) or not widget.native.specialValueText():
        return widget.value
    if widget.value == widget.min:
        return None
    return widget.value if widget.native.decimals() else round(widget.value)


def show(widget: Widget, shown: Any) -> None:
    """Let a widget of a form show a value, without a signal that it changed."""
    with widget.changed.blocked():
        widget.value = widget.min if shown is None else shown  # type: ignore[attr-defined]


def fold(title: str, content: QWidget) -> QCollapsible:
    """Fold a widget away under a title; the arrow is text, which follows the theme."""
    blank = QPixmap(1, 1)
    blank.fill(Qt.GlobalColor.transparent)
    folded = QCollapsible(f"▸ {title}", expandedIcon=QIcon(blank), collapsedIcon=QIcon(blank))
    folded.addWidget(content)
    folded.toggled.connect(lambda open_: folded.setText(f"{'▾' if open_ else '▸'} {title}"))
    return folded
