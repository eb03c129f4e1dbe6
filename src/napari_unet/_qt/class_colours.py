"""Labels in the colours of their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from napari.utils.colormaps import DirectLabelColormap

from napari_unet._qt.annotation_layers import BACKGROUND_COLOUR
from napari_unet.annotations import BACKGROUND

PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Of classes: colours that the colour-blind tell apart, too (Okabe and Ito, 2008)."""
LARGEST = 2**16 - 1
"""Label in a table of colours."""
UNNAMED = "white"
"""Of objects of no class, and of those that are painted later."""


def colours_by_class(
    kinds: Mapping[int, str], classes: Sequence[str], has_background: bool = False
) -> DirectLabelColormap | None:
    """Return a colour for each label, that of its class.

    Parameters
    ----------
    kinds : mapping of int to str
        The class of each label that has one.
    classes : sequence of str
        Their names, in the order of their colours.
    has_background : bool
        Whether background is painted, as -1.

    Returns
    -------
    DirectLabelColormap or None
        None where napari could not show it: without numba it looks labels up in a table, which is
        twice as long where there are negative ones.
    """
    last = max(kinds, default=0) + 1
    if (1 + has_background) * last > LARGEST and find_spec("numba") is None:
        return None
    by_name = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(classes)}
    colours: dict[int | None, Any] = {
        label: by_name.get(name, UNNAMED) for label, name in kinds.items()
    }
    colours |= {None: UNNAMED, 0: "transparent"}
    if has_background:
        colours[BACKGROUND] = BACKGROUND_COLOUR
    # Beside a negative label, napari (0.9) shows labels above the last as that one.
    colours[last] = UNNAMED
    return DirectLabelColormap(color_dict=colours)
