"""Forms say what the configs say."""

from __future__ import annotations

from dataclasses import fields

import pytest
from qtpy.QtWidgets import QWidget

from napari_unet._qt import form
from napari_unet._qt.segment.inputs import ADVANCED, HIDDEN, MAIN
from napari_unet._qt.segment.widget import DECISIONS
from napari_unet.config import SegmentConfig

SHOWN = {**MAIN, **ADVANCED, **DECISIONS}


def test_each_field_is_in_the_form_or_listed_as_hidden() -> None:
    names = [field.name for field in fields(SegmentConfig)]
    assert sorted(names) == sorted([*SHOWN, *HIDDEN])


def test_a_form_that_nobody_touched_is_the_default_config(qapp) -> None:
    values = form.read(form.build(SegmentConfig, SHOWN))
    assert SegmentConfig(**values) == SegmentConfig()


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("diameter", 31.5),
        ("tile", 512),
        ("threshold", 0.55),
        ("min_size", 0),
        ("min_size", 40),
        ("fill_holes", False),
        ("remove_border", True),
        ("device", "cpu"),
    ],
)
def test_what_is_typed_is_in_the_config_and_back(qapp, name: str, typed: object) -> None:
    built = form.build(SegmentConfig, SHOWN)
    built[name].value = typed
    value = form.read(built)[name]
    assert value == typed
    assert type(value) is type(typed)
    SegmentConfig(**form.read(built))
    signals = []
    built[name].changed.connect(signals.append)
    form.show(built[name], getattr(SegmentConfig(), name))
    assert form.read(built)[name] == getattr(SegmentConfig(), name)
    assert signals == []


@pytest.mark.parametrize("name", SHOWN)
def test_each_control_has_a_tooltip_in_words(qapp, name: str) -> None:
    widget = form.build(SegmentConfig, {name: SHOWN[name]})[name]
    assert len(widget.tooltip.split()) > 4
    hovered = [widget.native, *widget.native.findChildren(QWidget)]
    assert widget.tooltip in [part.toolTip() for part in hovered]


def test_an_empty_number_says_what_it_means(qapp) -> None:
    built = form.build(SegmentConfig, SHOWN)
    for name in ("diameter", "tile", "min_size"):
        assert built[name].native.text() == "auto"
