"""Open napari on a project or on images, to annotate them and to fine-tune a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.display import has_display, window_opens

NO_DISPLAY = (
    "There is no display to open a window on: run this on a desktop, or use the commands that need"
    " none (napari-unet --help)."
)
NO_QT = (
    "Qt opens no window here: the display cannot be reached, or Qt is missing (pip install"
    " 'napari[all]' brings it)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what ``napari-unet open`` takes."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PROJECT.unet | FILE",
        help="a project folder; or images (OME-Zarrs, too) and labels of them; without any, the"
        " project in which images are annotated while no other is open",
    )


def run(arguments: argparse.Namespace) -> bool:
    """Look at what is to be opened, then open it; returns when the window is closed."""
    from napari_unet.annotations import Project, default_project

    paths: list[Path] = arguments.paths
    _check(paths)
    images = [path for path in paths if not _is_project(path)]
    project = None
    if not images:
        project = Project.open(paths[0]) if paths else default_project()
    if not has_display():
        raise OSError(NO_DISPLAY)
    if not window_opens():
        raise ImportError(NO_QT)
    import torch  # noqa: F401 (before Qt: on Windows its libraries do not load after Qt's)

    from napari_unet._qt.window import show

    show(project.folder if project else None, images)
    return True


def _check(paths: list[Path]) -> None:
    """Raise an error unless these are images, or one project."""
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: check its path.")
    folders = [path for path in paths if _is_project(path)]
    if folders and len(paths) > 1:
        raise ValueError(
            f"{folders[0]} is a folder, and not all that is to be opened: give one project, or"
            " images and labels only."
        )


def _is_project(path: Path) -> bool:
    """Say whether a path is to be opened as a project: any folder but a Zarr."""
    from napari_unet.images.ngff import is_zarr

    return path.name == "project.json" or (path.is_dir() and not is_zarr(path))
