"""Which files are meant: folders, globs, and labels that go with images."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL.PngImagePlugin import PngImageFile

from napari_unet.images.ome import stem_of
from napari_unet.images.reading import READABLE

LABELS_MARK = "_labels"
OVERVIEW = "overview.png"
DRAWN = "napari-unet"
"""Text in an overview that says of which labels its pictures are: a resumed batch keeps those."""
SCORES_MARK = "_scores"


def find_images(inputs: Sequence[str | Path]) -> list[Path]:
    """Expand files, folders and globs to images, sorted within each, none twice.

    Images named ``*_labels*`` or ``*_scores`` are results: they are skipped in folders and globs,
    and among several files, which are what a shell makes of a glob. One alone is taken.

    Raises
    ------
    FileNotFoundError
        If a folder or glob holds no image, or none of the files exists.
    """
    found: dict[Path, None] = {}
    for item in inputs:
        found |= dict.fromkeys(_expand(Path(item)))
    images = [p for p in found if len(inputs) == 1 or not _is_result(p)]
    if not images:
        raise FileNotFoundError("All files named are results (*_labels*, *_scores): name images.")
    if not any(p.exists() for p in images):
        raise FileNotFoundError(f"{images[0]} does not exist: check the path.")
    return images


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        images = _images_among(path.iterdir())
        if not images:
            raise FileNotFoundError(f"{path} holds no image ({', '.join(READABLE)}).")
        return images
    if path.exists() or not glob.has_magic(str(path)):
        return [path]  # a missing file is told when its turn comes, the others being finished
    images = _images_among(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207 (absolute ones)
    if not images:
        raise FileNotFoundError(f"No image matches {path}.")
    return images


def _images_among(paths: Iterable[Path]) -> list[Path]:
    return sorted(p for p in paths if is_readable(p) and not (_is_result(p) or is_overview(p)))


def is_readable(path: Path) -> bool:
    """Say whether a path is a file of a kind that is read, and not hidden."""
    hidden = path.name.startswith(".")  # as macOS keeps them beside others on foreign disks
    return path.suffix.lower() in READABLE and not hidden and path.is_file()


def _is_result(path: Path) -> bool:
    return LABELS_MARK in path.stem or stem_of(path).endswith(SCORES_MARK)


def is_overview(path: Path) -> bool:
    """Say whether a file is an overview that was drawn here, or what damage has left of one."""
    if path.name != OVERVIEW or not path.is_file():
        return False
    try:
        with PngImageFile(path) as picture:
            return DRAWN in picture.info
    except (OSError, ValueError, SyntaxError):
        return True


def pair_by_stem(images: str | Path, labels: str | Path) -> list[tuple[Path, Path]]:
    """Pair images with labels of the same stem (or that stem and ``_labels``).

    Parameters
    ----------
    images, labels : str or Path
        Two folders, or two files.

    Raises
    ------
    FileNotFoundError
        If one does not exist or holds no image.
    ValueError
        If images lack labels, or two files claim one stem.
    """
    images, labels = Path(images), Path(labels)
    if _are_files(images, labels):
        return [(images, labels)]
    found = _by_stem(labels, only_marked=images == labels)
    return _pair(((stem_of(p), p) for p in _expand(images)), found, f"have no labels in {labels}")


def pair_labels(predictions: str | Path, truths: str | Path) -> list[tuple[Path, Path]]:
    """Pair predicted with true labels of the same stem, a ``_labels`` at its end aside.

    Two folders or two files are taken, and the same is raised, as by :func:`pair_by_stem`.
    """
    predictions, truths = Path(predictions), Path(truths)
    if _are_files(predictions, truths):
        return [(predictions, truths)]
    found, wanted = _by_stem(predictions), _by_stem(truths)
    if not wanted:
        raise FileNotFoundError(f"{truths} holds no labels ({', '.join(READABLE)}).")
    pairs = _pair(wanted.items(), found, f"have no prediction in {predictions}")
    return [(prediction, truth) for truth, prediction in pairs]


def _are_files(one: Path, other: Path) -> bool:
    """Say whether both are files; raise if one is missing, or only one is a file."""
    for path in (one, other):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: check the path.")
    if one.is_file() != other.is_file():
        raise ValueError(f"{one} and {other} cannot be paired: give two folders or two files.")
    return one.is_file()


def _pair(
    wanted: Iterable[tuple[str, Path]], found: Mapping[str, Path], problem: str
) -> list[tuple[Path, Path]]:
    """Give each path the one found for its stem, or name those without."""
    wanted = list(wanted)
    missing = [path.name for stem, path in wanted if stem not in found]
    if missing:
        names = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise ValueError(f"{len(missing)} images {problem}: {names}.")
    return [(path, found[stem]) for stem, path in wanted]


def _by_stem(folder: Path, only_marked: bool = False) -> dict[str, Path]:
    """Return labels by the stem of their image; what is marked as such goes before what is not."""
    marked: dict[str, Path] = {}
    others: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if is_readable(p) and not is_overview(p)):
        stem = stem_of(path)
        found = marked if stem.endswith(LABELS_MARK) else others
        stem = stem.removesuffix(LABELS_MARK)
        if stem in found:
            raise ValueError(f"{found[stem]} and {path} are both labels of {stem}: remove one.")
        found[stem] = path
    return marked if only_marked else others | marked
