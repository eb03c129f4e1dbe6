"""How a result was made: a record that goes with every file, and by which it can be made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from napari_unet import __version__
from napari_unet.config import SegmentConfig

KEY = "napari_unet"
"""Under which a record is found in a file's metadata."""
DIGITS = 12
"""Of a hash, where it is read by people."""


@dataclass(frozen=True)
class Provenance:
    """Which model made a result, of which image and with which parameters.

    Parameters
    ----------
    config : SegmentConfig
        As it was asked for: a size that the image's file states is not in it. On which device the
        network ran is not recorded.
    sha256 : str
        Of the model's file, in hexadecimal digits; empty where there was none.
    image : str
        Name of the image.
    version : str
        Of napari-unet.
    """

    config: SegmentConfig
    sha256: str = ""
    image: str = ""
    version: str = __version__

    @property
    def model(self) -> str:
        """The model as it was named, and how its hash begins."""
        return f"{self.config.model} (SHA-256 {self.sha256[:DIGITS] or 'unknown'})"

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in one level, as JSON takes it."""
        settings = asdict(self.config)
        del settings["device"]
        told = {"image": self.image, "model": settings.pop("model"), "sha256": self.sha256}
        return {**told, "version": self.version, **settings}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """Read what :meth:`to_dict` returned; what else is there is left aside.

        Parameters that it does not name, being of an older version, are as they are by default.

        Raises
        ------
        ValueError
            If something is missing or impossible.
        """
        try:
            names = {field.name for field in fields(SegmentConfig)} - {"device"}
            settings = {name: values[name] for name in names if name in values}
            if settings.get("channel") is not None:
                settings["channel"] = tuple(int(number) for number in settings["channel"])
            texts = [str(values[name]) for name in ("sha256", "image", "version", "model")]
            return cls(SegmentConfig(**settings), *texts[:3])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"its record of how it was made is damaged ({error!r})") from error

    def to_json(self) -> str:
        """Write for a file's metadata: letters of ASCII only, which any of them takes."""
        return json.dumps({KEY: self.to_dict()}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Provenance | None:
        """Read what :meth:`to_json` wrote; None if the text is anything else.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        if KEY not in text:
            return None
        try:
            values = json.loads(text)[KEY]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"its record of how it was made is damaged ({error})") from error
        return cls.from_dict(values)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
