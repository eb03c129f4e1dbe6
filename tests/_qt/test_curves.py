"""Curves that stay quick to draw, however long a run is."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.theme import get_theme

from napari_unet._qt.fine_tune.curves import AP, IOU, LOSS, Curves, Trace


@pytest.fixture
def curves(qtbot) -> Curves:
    widget = Curves(ViewerModel())
    qtbot.addWidget(widget)
    widget.resize(310, 240)
    widget.begin()
    return widget


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 300, 12_345])
def test_a_trace_keeps_the_shape_of_any_number_of_values(count: int) -> None:
    trace = Trace(most=10)
    for step in range(count):
        trace.add(step, 2.0 * step + 1)
    assert len(trace.steps) <= 10
    if count >= 10:
        assert len(trace.steps) >= 5
    np.testing.assert_allclose(trace.values, 2 * np.array(trace.steps) + 1)
    assert np.all(np.diff(trace.steps) > 0)
    assert trace.last == (2 * count - 1 if count else None)


def test_what_is_no_number_is_left_out() -> None:
    trace = Trace()
    for value in (nan, 1.0, inf):
        trace.add(1, value)
    assert trace.values == [1.0]


def test_curves_and_their_last_values(curves, qtbot) -> None:
    curves.add(0, nan, {"iou": 0.2, "ap50": 0.1, "loss": 2.0})
    curves.add(1, 0.9, {})
    curves.add(2, 0.7, {"iou": 0.5, "ap50": 0.4, "loss": 1.0})
    qtbot.waitUntil(lambda: curves.drawn(LOSS) == ([1, 2], [0.9, 0.7]))
    assert curves.drawn(IOU) == ([0, 2], [0.2, 0.5])
    assert curves.drawn(AP) == ([0, 2], [0.1, 0.4])
    assert "Loss 0.700" in curves.legend.text()
    assert "AP@0.5 0.40" in curves.legend.text()
    curves.end()
    curves.begin(goes_on=True)
    assert curves.drawn(IOU) == ([0, 2], [0.2, 0.5])
    curves.begin()
    assert curves.drawn(IOU) == ([], [])
    curves.end()


def test_drawing_is_quick_and_rare(curves, qtbot, monkeypatch) -> None:
    """A step each 2 ms would otherwise leave no time for the window."""
    drawings = []
    draw = Curves._show
    monkeypatch.setattr(Curves, "_show", lambda self: (drawings.append(1), draw(self)))
    curves._timer.timeout.disconnect()
    curves._timer.timeout.connect(curves._show)
    for step in range(2000):
        curves.add(step, 1 / (1 + step), {"iou": 0.5, "ap50": 0.4} if step % 20 == 0 else {})
    assert not drawings  # it is the timer that draws
    qtbot.waitUntil(lambda: bool(drawings))
    curves.end()
    assert len(curves.drawn(LOSS)[0]) <= 300


def test_the_theme_is_followed(curves, qtbot) -> None:
    for theme in ("light", "dark"):
        curves._viewer.theme = theme
        curves.setStyleSheet(f"/* {theme} */")  # as napari does for all of the window
        colour = curves._area.backgroundBrush().color().name()
        assert colour == get_theme(theme).background.as_hex(format="long")
    curves.end()
