"""A card in words, for those who choose a model by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_unet.library.cards import Card

_NAMES = {"ap50": "AP@0.5", "ap": "AP@0.1:0.9", "iou": "IoU", "loss": "loss"}


def summary(card: Card) -> list[tuple[str, str]]:
    """Return what a model finds, and where it comes from, as pairs of a heading and a text.

    Parameters
    ----------
    card : Card
        The model's; of its provenance, whatever is there is told.
    """
    told = card.provenance
    rows = {
        "Description": told.get("description", ""),
        "Finds": _finds(card),
        "Known failures": told.get("failures", ""),
        "Trained on": told.get("data", ""),
        "Started from": _origin(told.get("started_from")),
        "Date": told.get("date", ""),
        "Scores": _scores(told.get("scores")),
        "Validation": _scores(told.get("validation")),
        "Training": _training(told.get("training")),
        "Licence": told.get("licence", ""),
        "Input": _input(card),
    }
    return [(heading, str(text)) for heading, text in rows.items() if text]


def score_of(card: Card) -> float | None:
    """Return the AP@0.5 that a model reached on test images, or else when it was validated."""
    for part, key in (("scores", "0.5"), ("scores", "ap50"), ("validation", "ap50")):
        value = _mapping(card.provenance.get(part)).get(key)
        if isinstance(value, int | float):
            return float(value)
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _finds(card: Card) -> str:
    classes = ", ".join(card.target.classes[1:])
    text = f"areas: {classes}"
    if card.target.instances:
        text = f"{classes}s" if len(card.target.classes) == 2 else f"objects: {classes}"
    rule = card.preprocessing
    diameter = rule.expected_diameter()
    if rule.diameter is not None and diameter is not None:
        text += f", about {diameter:.3g} pixels across"
        if rule.pixel_size is not None:
            text += f" ({rule.diameter * rule.pixel_size:.3g} µm)"
    return text if card.is_trained else f"{text}; it has not been taught anything yet"


def _origin(origin: Any) -> str:
    parts = _mapping(origin)
    name, data = parts.get("name"), parts.get("data")
    return f"{name} ({data})" if name and data else str(name or data or "")


def _scores(scores: Any) -> str:
    parts = _mapping(scores)
    texts = [
        f"{_score_name(str(key))} {value:.3g}"
        for key, value in parts.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    notes = [str(value) for value in parts.values() if isinstance(value, str)]
    return "; ".join([*notes, ", ".join(texts)]) if texts else ""


def _score_name(key: str) -> str:
    return _NAMES.get(key, f"AP@{key}" if key.startswith("0.") else key)


def _training(training: Any) -> str:
    parts = _mapping(training)
    steps, seconds = parts.get("iteration"), parts.get("seconds")
    texts = []
    if isinstance(steps, int):
        texts.append(f"{steps} steps")
    if isinstance(seconds, int | float):
        texts.append(f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds")
    return " in ".join(texts)


def _input(card: Card) -> str:
    channels = card.preprocessing.channels
    return "gray images" if channels == 1 else f"images of {channels} channels"
