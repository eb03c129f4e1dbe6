"""What a user draws to teach a network: regions, scribbles, corrections; files and projects.

On disk an annotation is a label image of int32 in which -1 is "not annotated", 0 background and
1.. are objects, with a small sidecar for its regions and its mode.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unet.annotations.annotation import (
        BACKGROUND,
        Annotation,
        Counts,
        Mode,
        Region,
        region_of,
    )
    from napari_unet.annotations.autosave import Autosave
    from napari_unet.annotations.edits import (
        Edit,
        delete,
        fill_holes,
        merge,
        next_label,
        remove_specks,
        smooth,
        split,
    )
    from napari_unet.annotations.project import Entry, Project, default_project
    from napari_unet.annotations.records import State
    from napari_unet.annotations.storage import read_annotation, write_annotation

_HOMES = {
    "annotation": ("BACKGROUND", "Annotation", "Counts", "Mode", "Region", "region_of"),
    "autosave": ("Autosave",),
    "edits": (
        "Edit",
        "delete",
        "fill_holes",
        "merge",
        "next_label",
        "remove_specks",
        "smooth",
        "split",
    ),
    "project": ("Entry", "Project", "default_project"),
    "records": ("State",),
    "storage": ("read_annotation", "write_annotation"),
}

__all__ = [
    "BACKGROUND",
    "Annotation",
    "Autosave",
    "Counts",
    "Edit",
    "Entry",
    "Mode",
    "Project",
    "Region",
    "State",
    "default_project",
    "delete",
    "fill_holes",
    "merge",
    "next_label",
    "read_annotation",
    "region_of",
    "remove_specks",
    "smooth",
    "split",
    "write_annotation",
]


def __getattr__(name: str) -> Any:
    # Late, so that a window that names a mode loads neither scipy nor a TIFF library.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
