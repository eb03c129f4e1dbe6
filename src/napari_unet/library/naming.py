"""Names that a model can have on every system, and those that are free."""

from __future__ import annotations

import re
import unicodedata
from itertools import count
from pathlib import Path

from napari_unet.library.cards import SUFFIX
from napari_unet.library.folders import BUNDLED, LAST, STATE, user_folder
from napari_unet.library.hold import is_held

LONGEST = 60
"""Letters of a name: with what a training appends, any file system holds that many."""
LOG = ".log.csv"
ENDINGS = (SUFFIX, f"{LAST}{SUFFIX}", f"{STATE}{SUFFIX}", LOG)
"""The model, and what its training leaves beside it."""
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""What Windows takes for a device, whatever its suffix."""


def check_name(name: str) -> str:
    """Return `name` if a model can be given it, whether or not another one has it.

    Raises
    ------
    ValueError
        If not; the message names the letter or the ending that is in the way.
    """
    fault = _fault(name)
    if fault:
        raise ValueError(f"{name!r} cannot be a model's name: {fault}.")
    return name


def _fault(name: str) -> str:
    """Return why a name is not possible, and the way out; empty if it is."""
    if not name.strip():
        return "type at least one letter"
    bad = next((letter for letter in name if not _is_allowed(letter)), "")
    if bad:
        return f"leave out {bad!r}; letters, digits, spaces and - _ . are possible"
    if name[0] in ". " or name[-1] in ". ":
        return "let it begin and end with a letter or a digit"
    if name[0] == "-":
        return "let it not begin with -, which begins an option on the command line"
    if len(name) > LONGEST:
        return f"it has {len(name)} letters; shorten it to {LONGEST}"
    if name.casefold().endswith((LAST, STATE, SUFFIX)):
        return f"files of a training end in {Path(name).suffix}; choose another ending"
    if _DEVICES.fullmatch(name):
        return "Windows keeps it for a device; choose another one"
    if name.casefold() in _bundled_names():
        return "a model that comes with napari-unet has it; choose another one"
    return ""


def _is_allowed(letter: str) -> bool:
    # A mark is the second half of a letter such as é, as macOS writes names of files.
    return letter.isalnum() or letter in "-_. " or unicodedata.category(letter)[0] == "M"


def _bundled_names() -> set[str]:
    return {path.stem.casefold() for path in BUNDLED.glob(f"*{SUFFIX}")}


def files_of(name: str, folder: Path | None = None) -> list[Path]:
    """Return the files that a model, or the training of one, has in a folder; its own is first."""
    folder = user_folder() if folder is None else folder
    if not name or name.startswith(".") or Path(name).name != name:
        return []
    return [path for ending in ENDINGS if (path := folder / f"{name}{ending}").is_file()]


def is_taken(name: str, folder: Path | None = None) -> bool:
    """Say whether a model, or what is left of a training, has that name in a folder.

    So has a training that goes on, before it has saved anything.
    """
    place = user_folder() if folder is None else folder
    return bool(files_of(name, folder)) or is_held(place / f"{name}{SUFFIX}")


def free_name(wish: str, folder: Path | None = None) -> str:
    """Return a possible name that no model has yet: `wish`, or what is nearest to it.

    Parameters
    ----------
    wish : str
        Any text, such as the stem of a file.
    folder : Path or None
        Where the model is to lie; None: :func:`~napari_unet.library.user_folder`.
    """
    base = "".join(letter if _is_allowed(letter) else "-" for letter in wish)
    for ending in (LAST, STATE, SUFFIX):
        if base.casefold().endswith(ending):
            base = f"{base[: -len(ending)]}-{ending[1:]}"
    base = base[:LONGEST].strip(". -") or "model"
    if _DEVICES.fullmatch(base):
        base = f"model-{base}"
    for number in count(1):
        end = f"-{number}" if number > 1 else ""
        name = f"{base[: LONGEST - len(end)]}{end}"
        if not _fault(name) and not is_taken(name, folder):
            return name
    raise AssertionError  # count() does not end
