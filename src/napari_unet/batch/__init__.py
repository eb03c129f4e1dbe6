"""Many images: which, one after the other, what became of each, and all of them on one sheet."""

from napari_unet.batch.jobs import (
    Job,
    Outcome,
    State,
    Wish,
    find_in,
    plan,
)
from napari_unet.batch.overview import Overview
from napari_unet.batch.pairs import load_pairs
from napari_unet.batch.running import segment_files
from napari_unet.batch.standing import Standing, look
from napari_unet.batch.tally import Tally
from napari_unet.images.finding import OVERVIEW, is_overview

__all__ = [
    "OVERVIEW",
    "Job",
    "Outcome",
    "Overview",
    "Standing",
    "State",
    "Tally",
    "Wish",
    "find_in",
    "is_overview",
    "load_pairs",
    "look",
    "plan",
    "segment_files",
]
