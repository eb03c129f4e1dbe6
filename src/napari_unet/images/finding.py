"""Which files are meant: folders, globs, and labels that go with images."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_unet.images.reading import READABLE

LABELS_MARK = "_labels"
SCORES_MARK = "_scores"


def find_images(inputs: Sequence[str | Path]) -> list[Path]:
    """Expand files, folders and globs to images, sorted within each, none twice.

    Images named ``*_labels*`` or ``*_scores`` are skipped in folders and globs: they are results.

    Raises
    ------
    FileNotFoundError
        If a file does not exist, or a folder or glob holds no image.
    """
    found: dict[Path, None] = {}
    for item in inputs:
        found |= dict.fromkeys(_expand(Path(item)))
    return list(found)


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        images = _images_among(path.iterdir())
        if not images:
            raise FileNotFoundError(f"{path} holds no image ({', '.join(READABLE)}).")
        return images
    if path.exists() or not glob.has_magic(str(path)):
        return [path]  # a missing file is told when its turn comes, the others being finished
    images = _images_among(Path(p) for p in glob.glob(str(path)))  # noqa: PTH207 (absolute ones)
    if not images:
        raise FileNotFoundError(f"No image matches {path}.")
    return images


def _images_among(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        p
        for p in paths
        if p.suffix.lower() in READABLE
        and LABELS_MARK not in p.stem
        and not p.stem.endswith(SCORES_MARK)
        and not p.name.startswith(".")
        and p.is_file()
    )


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
    for path in (images, labels):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: check the path.")
    if images.is_file() and labels.is_file():
        return [(images, labels)]
    if images.is_file() or labels.is_file():
        raise ValueError(f"{images} and {labels} cannot be paired: give two folders or two files.")
    by_stem = _by_stem(labels, images == labels)
    pairs = [(image, by_stem.get(image.stem)) for image in _expand(images)]
    missing = [image.name for image, label in pairs if label is None]
    if missing:
        names = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise ValueError(f"{len(missing)} images have no labels in {labels}: {names}.")
    return [(image, label) for image, label in pairs if label is not None]


def _by_stem(folder: Path, only_marked: bool) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        marked = path.stem.endswith(LABELS_MARK)
        if path.suffix.lower() not in READABLE or (only_marked and not marked):
            continue
        stem = path.stem.removesuffix(LABELS_MARK)
        if stem in found:
            raise ValueError(f"{found[stem]} and {path} are both labels of {stem}: remove one.")
        found[stem] = path
    return found
