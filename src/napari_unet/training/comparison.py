"""Before and after: what a training has changed, on annotations that it has not learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Target
from napari_unet.metrics import class_ious, mean_iou
from napari_unet.metrics.ratio import Ratio
from napari_unet.patches import Example
from napari_unet.training.scoring import Judgement
from napari_unet.wording import counted

ENOUGH = 20
"""Held-out objects from which on two networks are compared by numbers."""
DRAWS = 4000
"""Of the bootstrap: the ends of its interval are then good to about 0.01."""
Kind = Literal["preview", "before", "after"]


@dataclass(frozen=True)
class Overlay:
    """What a network finds in a held-out region, and where that is.

    Parameters
    ----------
    pair : int
        Number of the annotated image.
    plane : int
        Number of the plane in it, along its leading axes.
    row, column : float
        First pixel edge of the region, in image pixels: pixel i of the overlay lies on image row
        ``row + (i + 0.5) / zoom - 0.5``.
    zoom : float
        Overlay pixels per image pixel.
    labels : int32 array, shape (y, x)
        The objects.
    kind : {"preview", "before", "after"}
        Of which network.
    """

    pair: int
    plane: int
    row: float
    column: float
    zoom: float
    labels: NDArray[np.int32]
    kind: Kind

    @classmethod
    def of(cls, example: Example, labels: NDArray[np.int32], kind: Kind) -> Overlay:
        """Put what was found in an example on its place."""
        at = example.origin
        return cls(at.image, at.plane, at.row / at.zoom, at.column / at.zoom, at.zoom, labels, kind)


@dataclass(frozen=True)
class Scores:
    """How well a network does on all held-out objects, at an IoU of 0.5.

    Parameters
    ----------
    ap50 : float
        Average precision, found / (objects + invented).
    iou : float
        Of the foregrounds, mean over the regions.
    found, invented : int
        Annotated objects that have a partner; predicted ones that have none.
    """

    ap50: float
    iou: float
    found: int
    invented: int

    @classmethod
    def of(cls, judgements: Sequence[Judgement]) -> Scores:
        """Pool what was found in each region."""
        found = sum(j.matching.tp for j in judgements)
        invented = sum(j.matching.fp for j in judgements)
        total = found + invented + sum(j.matching.fn for j in judgements)
        return cls(
            found / total if total else 1.0,
            float(np.mean([j.iou for j in judgements])),
            found,
            invented,
        )


@dataclass(frozen=True)
class AreaScores:
    """How well a network tells classes of areas apart, over all that is held out.

    Parameters
    ----------
    mean : float
        Mean IoU of the classes that there are, the background among them.
    classes : dict of str to float
        IoU of each of them but the background.
    """

    mean: float
    classes: dict[str, float]

    @classmethod
    def of(
        cls, examples: Sequence[Example], judgements: Sequence[Judgement], names: Sequence[str]
    ) -> AreaScores:
        """Pool the pixels of each region."""
        total = [Ratio(0, 0)] * len(names)
        for example, judgement in zip(examples, judgements, strict=True):
            here = class_ious(judgement.labels, example.labels)
            for number, ratio in enumerate(here):
                total[number] += ratio
        there = zip(names[1:], total[1:], strict=True)
        return cls(mean_iou(total), {name: ratio.value for name, ratio in there if ratio.whole})

    def in_words(self) -> str:
        """Say the mean, and what it is the mean of."""
        single = ", ".join(f"{name} {value:.2f}" for name, value in self.classes.items())
        return f"mean IoU {self.mean:.2f} ({single})"


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same held-out annotations.

    The later one was chosen by its scores on them, among those that a run passed through, so it
    will do a little worse elsewhere.

    Parameters
    ----------
    objects : int
        Annotated ones.
    before, after : Scores
        Of the network that the training started from (None if it had learnt nothing yet) and of
        the one that it ended with.
    gain : (float, float) or None
        95 % interval of the difference of their average precisions; see :func:`gain_interval`.
    overlays : tuple of Overlay
        What each of them finds, in every region.
    is_new : bool
        Whether the training has found a better network than it started from.
    areas : tuple of AreaScores
        Of networks that label areas instead of objects: before, if it had learnt anything, and
        after.
    """

    objects: int
    before: Scores | None
    after: Scores
    gain: tuple[float, float] | None
    overlays: tuple[Overlay, ...] = ()
    is_new: bool = True
    areas: tuple[AreaScores, ...] = ()

    @property
    def can_tell(self) -> bool:
        """Whether there are objects enough to compare by."""
        return self.objects >= ENOUGH

    def sentence(self) -> str:
        """Say it to whoever wants to know whether to keep the new network."""
        if self.areas:
            return self._of_areas()
        named = counted(self.objects, "held-out object")
        after = f"AP@0.5 {self.after.ap50:.2f}, IoU {self.after.iou:.2f}"
        if not self.is_new:
            return f"Nothing better than the start model was found on {named} ({after})."
        if self.before is None or self.gain is None:
            few = "" if self.can_tell else ": too few to tell how good it is"
            return f"{named}{few}. {after}."
        before = f"AP@0.5 {self.before.ap50:.2f}, IoU {self.before.iou:.2f}"
        low, high = self.gain
        if not self.can_tell:
            verdict = ": too few to tell"
        elif low > 0:
            verdict = ": better"
        elif high < 0:
            verdict = ": worse"
        else:
            verdict = ": no clear difference"
        return (
            f"{named}{verdict}. Before: {before}. After: {after}. AP changed by {low:+.2f} to"
            f" {high:+.2f} (95% interval). The best step was chosen by these objects: expect a"
            " little less on others."
        )

    def _of_areas(self) -> str:
        *before, after = (scores.in_words() for scores in self.areas)
        if not self.is_new:
            return f"Nothing better than the start model was found on what is held out ({after})."
        if not before:
            return f"On what is held out: {after}."
        return (
            f"Before: {before[0]}. After: {after}. The best step was chosen by what is held out:"
            " expect a little less on other images."
        )


def compare(
    examples: Sequence[Example],
    before: Sequence[Judgement],
    after: Sequence[Judgement],
    is_new: bool = True,
    target: Target | None = None,
) -> Comparison:
    """Compare two networks by what they find in the same examples.

    Parameters
    ----------
    examples : sequence of Example
        The held-out regions.
    before, after : sequence of Judgement
        One an example; `before` is empty where the start had learnt nothing.
    is_new : bool
        Whether `after` is another network at all.
    target : Target or None
        What they predict; None: objects.
    """
    sides = (before, after) if target is not None and not target.instances else ()
    areas = [AreaScores.of(examples, side, target.classes) for side in sides if side and target]
    overlays = [*_overlays(examples, before, "before"), *_overlays(examples, after, "after")]
    return Comparison(
        sum(j.found.size for j in after),
        Scores.of(before) if before else None,
        Scores.of(after),
        gain_interval(before, after) if before else None,
        tuple(overlays),
        is_new,
        tuple(areas),
    )


def _overlays(
    examples: Sequence[Example], judgements: Sequence[Judgement], kind: Kind
) -> list[Overlay]:
    """Put what was found in each example on its place; nothing where nothing was judged."""
    pairs = zip(examples, judgements, strict=bool(judgements))
    return [Overlay.of(example, judgement.labels, kind) for example, judgement in pairs]


def gain_interval(
    before: Sequence[Judgement], after: Sequence[Judgement], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the change of the average precision.

    Annotated objects are drawn with replacement, each with what both networks made of it, and the
    objects that each network invents are taken to come independently of one another, as a Poisson
    number. (Regions, of which there are few, are not drawn, so that how they differ from other
    images is not in the interval.)
    """
    random = np.random.default_rng(seed)
    then = np.concatenate([j.found for j in before])
    now = np.concatenate([j.found for j in after])
    count = then.size
    if not count:
        return 0.0, 0.0
    cases = np.bincount(2 * then + now, minlength=4) / count
    drawn = random.multinomial(count, cases, DRAWS)
    precision = []
    for judgements, found in ((before, drawn[:, 2:].sum(1)), (after, drawn[:, 1::2].sum(1))):
        invented = random.poisson(sum(j.matching.fp for j in judgements), DRAWS)
        precision.append(found / (count + invented))
    low, high = np.percentile(precision[1] - precision[0], (2.5, 97.5)).tolist()
    return low, high
