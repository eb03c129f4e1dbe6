"""What is drawn is written on, whatever becomes of the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication

from napari_unet._qt.annotate.keeping import Keeper
from napari_unet.annotations import Annotation, read_annotation


def test_a_disk_that_recovers_when_the_window_is_gone(qapp: QApplication, tmp_path: Path) -> None:
    window = QObject()
    keeper = Keeper(ViewerModel(), window)
    autosave = keeper.autosave
    in_the_way = tmp_path / "annotations"
    in_the_way.touch()
    autosave.submit(in_the_way / "a.tif", Annotation(np.ones((20, 30), np.int32)))
    window.deleteLater()
    QApplication.sendPostedEvents(window, QEvent.Type.DeferredDelete)
    assert not isalive(keeper)
    assert not autosave.flush(10)
    in_the_way.unlink()
    assert autosave.close(10)
    assert read_annotation(in_the_way / "a.tif").labels.all()
