from __future__ import annotations

from collections.abc import Iterator

import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication


@pytest.fixture(autouse=True)
def _no_worker_is_left_running(qapp: QApplication) -> Iterator[None]:
    yield
    assert QThreadPool.globalInstance().waitForDone(5000), "a worker still runs after the test"
