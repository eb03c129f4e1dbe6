"""Where a segmentation begins, or goes on: its settings are compared, and its plan is made."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from napari_unet.chunked import output
from napari_unet.chunked.grid import Grid
from napari_unet.chunked.plan import Plan
from napari_unet.chunked.source import Source, StoredPlanes, fingerprint, look_anew
from napari_unet.chunked.work import Work
from napari_unet.config import SegmentConfig
from napari_unet.files import make_folder
from napari_unet.library import Card, find_model, read_card
from napari_unet.preprocessing import Normalisation, measure, scaled_shape, zoom_factor
from napari_unet.provenance import Provenance, sha256_of
from napari_unet.tiling import round_up

TILE = 1152
"""Written side of a tile, where none is asked for: 1.2 GB for a network of 24 base channels, and
73 % of the pass is useful."""
TILES = 2
"""Along the side of a chunk: fewer seams than tiles."""
UNFINISHED = ".unfinished"
"""What the name of the folder ends in, beside the labels, in which they take shape."""
UNSEEN = "The workers do not see the labels or the image on a disk: pixels are sent to them."


class OtherSettings(ValueError):
    """What was begun has other settings.

    Parameters
    ----------
    folder : Path
        Where it is.
    name : str
        A setting that differs.
    known, wanted : object
        What it was, and what it is to be.
    """

    def __init__(self, folder: Path, name: str, known: object, wanted: object) -> None:
        self.begun = f"{folder} was begun with {name} = {known!r} and not {wanted!r}"
        super().__init__(f"{self.begun}: use the same settings to go on, or --force to begin anew.")


def begin(
    source: Source,
    path: Path,
    config: SegmentConfig,
    card: Card | None,
    needs_model: bool,
    force: bool,
) -> tuple[Plan, dict[str, Any], str]:
    """Make a plan, or find the one that was begun; with how it is recorded, and what to tell."""
    look_anew()
    source = replace(source, path=source.path.absolute())
    card = card or read_card(find_model(config.model))
    rule = card.preprocessing
    image, asked = source.open(), config
    if rule.pixel_size is not None and not config.is_sized:
        config = replace(config, pixel_size=image.pixel_size)
    planes = source.planes(rule, config.channel)
    zoom = zoom_factor(rule, config.diameter, config.pixel_size)
    tile = round_up(config.tile or TILE, card.network.alignment)
    model = find_model(config.model) if needs_model else None
    record = _record(source, image.missing, planes, replace(asked, tile=tile), model)
    work = _begun(path.with_name(path.name + UNFINISHED).absolute(), record, force)
    if model is not None:
        config = replace(config, model=str(_copied(model, work.folder)))
    measured = work.told("normalisation")
    if measured is None:
        measured = asdict(measure(planes, rule))
        work.tell("normalisation", measured)
    plan = Plan(
        source,
        card,
        replace(config, tile=tile),
        _normalisation(measured),
        zoom,
        Grid(len(planes), scaled_shape(planes.plane_shape, zoom), TILES * tile),
        Grid(len(planes), planes.plane_shape, output.SIDE),
        planes.leading,
        work,
    )
    missing = f"{image.missing} of {image.chunks} chunks of {source.path} are missing"
    return plan, record, f"{missing}: they are read as empty." if image.missing else ""


def _normalisation(values: dict[str, Any]) -> Normalisation:
    """Return what was measured, as JSON has it."""
    known: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Normalisation(**known)


def _copied(model: Path, folder: Path) -> Path:
    """Copy a model to where all who work on the image find it."""
    copy = folder / f"model{model.suffix}"
    if not copy.exists():
        make_folder(folder)
        part = copy.with_name(f".{copy.name}")
        shutil.copyfile(model, part)
        part.replace(copy)
    return copy


def _record(
    source: Source, missing: int, planes: StoredPlanes, config: SegmentConfig, model: Path | None
) -> dict[str, Any]:
    """Return what makes the labels what they are."""
    is_file = source.path.is_file()
    image = str(source.path) if source.path.exists() else source.path.name
    made = Provenance(config, sha256_of(model) if model else "", image).to_dict()
    return {
        "image": image,
        "modified": source.path.stat().st_mtime_ns if is_file and source.array is None else 0,
        "shape": list(planes.data.shape),
        "dtype": str(planes.data.dtype),
        "axes": planes.axes,
        "pixels": fingerprint(planes),
        "missing": missing,
        **{k: list(v) if isinstance(v, tuple) else v for k, v in made.items()},
    }


def _begun(folder: Path, record: dict[str, Any], force: bool) -> Work:
    """Return what was begun with these settings, or begin it."""
    work = Work.at(folder)
    work.sweep()
    known = work.told("settings")
    if known == record:
        return work
    if known is not None and not force:
        other = next(name for name in record if known.get(name) != record[name])
        raise OtherSettings(folder, other, known.get(other), record[other])
    if folder.exists():
        work.drop()  # without settings it is what a program that was killed has left
    work = Work.at(folder)
    work.tell("settings", record)
    return work


def is_seen(plan: Plan, index: int) -> str:
    """Find out, as a task, whether a worker sees what it needs; returns what it means if not."""
    try:
        if plan.work.told("settings") is not None:
            plan.source.open()
            return ""
    except (OSError, ValueError):
        pass
    return UNSEEN
