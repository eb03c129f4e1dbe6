"""What all configs share: checking their fields, and reading them back from JSON."""

from __future__ import annotations

from dataclasses import fields
from math import inf
from numbers import Integral, Real
from typing import Any, Self


def require(condition: bool, name: str, value: object, remedy: str) -> None:
    """Raise a ValueError that names the field, its value and the way out."""
    if not condition:
        raise ValueError(f"{name} = {value!r} is not possible: {remedy}.")


def require_positive(record: object, *names: str) -> None:
    """Raise a ValueError unless each field is a positive, finite number, or None."""
    for name in names:
        value = getattr(record, name)
        fits = value is None or (is_number(value) and 0 < value < inf)
        require(fits, name, value, "use a positive number")


def require_whole(record: object, least: int, *names: str, optional: bool = False) -> None:
    """Raise a ValueError unless each field is a whole number from the least on, or None if so."""
    for name in names:
        value = getattr(record, name)
        fits = is_number(value, Integral) and value >= least if value is not None else optional
        require(fits, name, value, f"use a whole number, {least} or more")


def is_number(value: object, kind: type = Real) -> bool:
    """Say whether a value is a number, which True and False are not meant to be."""
    return isinstance(value, kind) and not isinstance(value, bool)


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
