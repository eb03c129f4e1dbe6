"""Where models lie: with the package, in the user's folder, or in a project's."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path

from napari_unet.config import SegmentConfig
from napari_unet.library.cards import SUFFIX, check_path
from napari_unet.provenance import sha256_of

BUNDLED = Path(__file__).parents[1] / "weights"
LAST, STATE = ".last", ".resume"
"""What the name of a training's further files ends in: its newest weights, and its state."""


def user_folder() -> Path:
    """Return the folder of the user's own models; it need not exist yet."""
    return user_data_path("napari-unet", appauthor=False) / "models"


def list_models(folder: Path | None = None) -> dict[str, Path]:
    """Return the models that can be named; a user's own hides a bundled one.

    The one that is used unless another is named comes first, then those that are bundled.

    Parameters
    ----------
    folder : Path or None
        Where the own models are; None: :func:`user_folder`.
    """
    models = _models_in(BUNDLED) | own_models(folder)
    return dict(sorted(models.items(), key=lambda item: item[0] != SegmentConfig.model))


def own_models(folder: Path | None = None) -> dict[str, Path]:
    """Return the models of a folder by name, those that cannot be read included."""
    return _models_in(user_folder() if folder is None else folder)


def is_bundled(name: str, folder: Path | None = None) -> bool:
    """Say whether a name leads to a model that comes with the package."""
    return name in _models_in(BUNDLED) and name not in own_models(folder)


def _models_in(folder: Path) -> dict[str, Path]:
    # A hidden one is half-written, or what a crash left of it.
    try:
        found = sorted(folder.glob(f"[!.]*{SUFFIX}"))
    except OSError:  # a folder that may not be read has no models to offer
        return {}
    return {path.stem: path for path in found if not path.stem.endswith((LAST, STATE))}


def model_hash(name: str | Path) -> str:
    """Return the SHA-256 of the file of a model given as to :func:`find_model`, in hexadecimal."""
    return sha256_of(find_model(name))


def find_model(name: str | Path, folder: Path | None = None) -> Path:
    """Return the checkpoint of a model given by name or by path.

    Parameters
    ----------
    name : str or Path
        The name, or the path of a ``.safetensors`` file.
    folder : Path or None
        Where the own models are; None: :func:`user_folder`.

    Raises
    ------
    FileNotFoundError
        If there is none; the message lists the names that exist.
    ValueError
        If the file is no checkpoint by its suffix.
    """
    models = list_models(folder)
    if str(name) in models:
        return models[str(name)]
    path = Path(name)
    if path.suffix or len(path.parts) > 1:
        return check_path(path)
    known = ", ".join(models) or "none"
    raise FileNotFoundError(
        f"There is no model named {str(name)!r}. Known models: {known}. A file of your own is"
        f" given by its path, ending in {SUFFIX}."
    )
