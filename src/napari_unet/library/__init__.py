"""Models by name: the bundled ones and the user's. Reads metadata only, and no torch."""

from napari_unet.library.cards import (
    FORMAT,
    KEY,
    SUFFIX,
    Card,
    check_path,
    read_card,
    read_metadata,
)
from napari_unet.library.folders import (
    BUNDLED,
    LAST,
    STATE,
    find_model,
    is_bundled,
    list_models,
    model_hash,
    own_models,
    user_folder,
)
from napari_unet.library.hold import Hold, held_message, is_held
from napari_unet.library.naming import LOG, check_name, free_name, is_taken
from napari_unet.library.runs import (
    RUN_KEY,
    StoppedRun,
    can_go_on,
    drop_aside,
    is_aside,
    put_back,
    read_run,
    set_aside,
    stopped_runs,
)
from napari_unet.library.shelf import check_own, delete, export, import_model, rename
from napari_unet.library.starts import NewNetwork, Start, card_of, closest_recipe
from napari_unet.library.summary import score_of, summary

__all__ = [
    "BUNDLED",
    "FORMAT",
    "KEY",
    "LAST",
    "LOG",
    "RUN_KEY",
    "STATE",
    "SUFFIX",
    "Card",
    "Hold",
    "NewNetwork",
    "Start",
    "StoppedRun",
    "can_go_on",
    "card_of",
    "check_name",
    "check_own",
    "check_path",
    "closest_recipe",
    "delete",
    "drop_aside",
    "export",
    "find_model",
    "free_name",
    "held_message",
    "import_model",
    "is_aside",
    "is_bundled",
    "is_held",
    "is_taken",
    "list_models",
    "model_hash",
    "own_models",
    "put_back",
    "read_card",
    "read_metadata",
    "read_run",
    "rename",
    "score_of",
    "set_aside",
    "stopped_runs",
    "summary",
    "user_folder",
]
