"""What all configs share: checking their fields, and reading them back from JSON."""

from __future__ import annotations

from dataclasses import fields
from math import inf
from typing import Any, Self


def require(condition: bool, name: str, value: object, remedy: str) -> None:
    """Raise a ValueError that names the field, its value and the way out."""
    if not condition:
        raise ValueError(f"{name} = {value!r} is not possible: {remedy}.")


def require_positive(record: object, *names: str) -> None:
    """Raise a ValueError unless each field is a positive, finite number, or None."""
    for name in names:
        value = getattr(record, name)
        require(value is None or 0 < value < inf, name, value, "use a positive number")


class Record:
    """Reading a dataclass back from the JSON of a checkpoint."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from :func:`dataclasses.asdict`'s output, JSON's lists becoming tuples.

        Raises
        ------
        ValueError
            If a name is unknown (a checkpoint written by a newer version) or a value is impossible.
        """
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"{cls.__name__} has no field {', '.join(unknown)}: the file was written by a "
                "newer version of napari-unet; update it."
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
