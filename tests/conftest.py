from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

VARIABLE = "NAPARI_UNET_DATA"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--data",
        type=Path,
        default=os.environ.get(VARIABLE),
        help=f"folder of annotated images for the tests marked data (default: ${VARIABLE})",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests out of the user's models, samples and napari settings.

    Where several processes share the tests, each computes in one thread. What is computed does not
    depend on what this machine finds faster.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
    folder = tempfile.mkdtemp(prefix="napari-unet-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ |= {
        "NAPARI_UNET_BFLOAT16": "0",
        "NAPARI_CONFIG": str(Path(folder, "napari", "settings.yaml")),
        "XDG_CACHE_HOME": folder,
        "XDG_DATA_HOME": folder,
    }


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    folder = config.getoption("data")
    if folder and not Path(folder).is_dir():
        raise pytest.UsageError(f"--data {folder} is not a folder.")
    skip = pytest.mark.skip(reason=f"needs annotated images: give --data FOLDER or {VARIABLE}")
    for item in items:
        if item.get_closest_marker("data") and not folder:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def data_folder(request: pytest.FixtureRequest) -> Path:
    """The folder given by --data, for tests marked `data`."""
    return Path(request.config.getoption("data"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _same_random_numbers_in_any_order() -> None:
    """Seed what is global before each test; torch only where something has loaded it."""
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
