from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

from napari_unet._qt import preferences


@pytest.fixture(scope="session", autouse=True)
def _modules_are_no_garbage(qapp: QApplication) -> None:
    """Leave what is large out of the search for garbage that goes with each viewer."""
    from napari import viewer  # noqa: F401

    from napari_unet import segmentation, training  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> None:
    """Forget the model that a test before used, which may lie in its own folder."""
    preferences.remember("nuclei", "auto")


@pytest.fixture(autouse=True)
def _no_worker_is_left_running(qapp: QApplication) -> Iterator[None]:
    yield
    assert QThreadPool.globalInstance().waitForDone(5000), "a worker still runs after the test"
