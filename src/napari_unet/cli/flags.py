"""Flags from config fields: name, type, choices and default are those of the dataclass."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, Field, fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints


def add_fields(
    parser: argparse.ArgumentParser, config: type, texts: dict[str, tuple[str, str]]
) -> None:
    """Add a flag for each field of `config` that `texts` has a metavar and a help for."""
    hints = get_type_hints(config)
    for field in fields(config):
        if field.name in texts:
            metavar, text = texts[field.name]
            parser.add_argument(
                f"--{field.name.replace('_', '-')}",
                dest=field.name,
                default=None,
                help=text + _default(field),
                **_reader(hints[field.name], metavar),
            )


def _default(field: Field[Any]) -> str:
    return "" if field.default in (None, MISSING) else f" (default: {field.default})"


def _reader(hint: Any, metavar: str) -> dict[str, Any]:
    """Return how argparse reads a value of that type."""
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    kind = next((k for k in get_args(hint) if k is not NoneType), hint)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": _integers if get_origin(kind) is tuple else kind, "metavar": metavar}


def _integers(text: str) -> tuple[int, ...]:
    """Read "0" or "0,1"."""
    return tuple(int(part) for part in text.split(","))


_integers.__name__ = "list of numbers such as 0 or 0,1,"  # argparse names it when it cannot read


def given(arguments: argparse.Namespace, config: type) -> dict[str, Any]:
    """Return the fields of `config` that were set on the command line."""
    values = {f.name: getattr(arguments, f.name, None) for f in fields(config)}
    return {name: value for name, value in values.items() if value is not None}
