"""How good a network is: the loss it learns by, and its scores on held-out examples."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.augmentation import Batch
from napari_unet.config import Target
from napari_unet.engines import TorchEngine
from napari_unet.instances import class_map, classify, label_scores, object_evidence, smallest_area
from napari_unet.library import Card
from napari_unet.metrics import Matching, Overlap, class_ious, iou, mean_iou
from napari_unet.model import Network, copied, crop_to, part_outputs
from napari_unet.patches import Example
from napari_unet.prediction import predict_scores, run_to_end

IOUS = tuple(tenth / 10 for tenth in range(1, 10))
"""At which objects are matched; 0.5 is what users are told."""
TILE = 512
"""Pixels a side that are predicted at a time on the CPU, in a second or so: then a stop is heard.
(Chosen by the clock, tiles would differ from run to run, and so would the last digit of scores.)"""


def weighted_loss(logits: Tensor, batch: Batch, target: Target) -> Tensor:
    """Return the training loss, over the pixels that count (weight above 0).

    The pixel-wise softmax cross-entropy times the weight map (Ronneberger et al., 2015, equation
    1), averaged, plus the average binary cross-entropy of each extra output. Of a single sigmoid
    output the former is the binary cross-entropy, too. The output "distance" is to split what
    touches: the weight map counts for it as well. Not for the others, which it would bias.

    Parameters
    ----------
    logits : Tensor, shape (B, K, h, w)
        Of the network; at most as large as the batch, whose middle is then compared.
    batch : Batch
        Target and weights.
    target : Target
        What the channels mean.
    """
    truth, weights = (crop_to(x, logits) for x in (batch.target, batch.weights))
    counts = (weights > 0).to(weights.dtype)
    total = counts.sum().clamp(min=1)
    classes, extras = part_outputs(logits, target)
    entropy = F.cross_entropy(classes, truth[:, 0].long(), reduction="none")
    loss = (entropy[:, None] * weights).sum() / total
    if target.extras:
        extra = F.binary_cross_entropy_with_logits(
            extras, truth[:, 1:].clamp(0, 1), reduction="none"
        )
        each = [weights if name == "distance" else counts for name in target.extras]
        loss = loss + (extra * torch.cat(each, dim=1)).sum() / total
    return loss


@dataclass(frozen=True)
class Judgement:
    """How well a network does on one held-out example, over the pixels that are annotated.

    Parameters
    ----------
    loss : float
        Cross-entropy times weights.
    iou : float
        Of the foregrounds; where labels are classes, mean of the classes'.
    matching : Matching
        Of the objects, at an IoU of 0.5; those of another class are no partners. Where labels are
        classes, these count as an object each.
    found : bool array
        Whether each annotated object has a partner.
    labels : int32 array, shape (Y, X)
        The objects that the network finds, or the classes.
    ap : float
        Their average precision, mean over IoU 0.1 to 0.9: of a few objects, it says more than that
        at one IoU, which each of them makes jump.
    """

    loss: float
    iou: float
    matching: Matching
    found: NDArray[np.bool_]
    labels: NDArray[np.int32]
    ap: float


def judge(
    network: Network, card: Card, examples: Sequence[Example], device: torch.device
) -> Generator[float, bool | None, list[Judgement]]:
    """Let a network segment held-out examples whole, by the tiles that users get.

    Parameters
    ----------
    network : Network
        As it is by now.
    card : Card
        What its outputs mean, and how large objects are to it.
    examples : sequence of Example
        Held out.
    device : torch.device
        Where it runs.

    Yields
    ------
    float
        After each tile, the share of the examples that is done. Send True to stop.

    Returns
    -------
    list of Judgement
        One an example; after a stop, of those that were done.
    """
    # A copy, made on the CPU: short of memory, an engine takes its network there for good.
    engine = TorchEngine(copied(network), network.config, card.target, device, precision="float32")
    tile = TILE if device.type == "cpu" else None
    judgements: list[Judgement] = []
    for done, example in enumerate(examples):
        tiles = predict_scores(engine, example.image, tile)
        stop: bool | None = None
        while not stop:
            try:
                part = next(tiles)
            except StopIteration as end:
                judgements.append(judgement(end.value, example, card))
                break
            stop = yield (done + part.share) / len(examples)
        if stop:
            break
    return judgements


def judgement(scores: NDArray[np.float32], example: Example, card: Card) -> Judgement:
    """Judge the scores (K, Y, X) of an example by the labels that its user would get of them.

    As there, specks are no objects; but what the example's border cuts is, however little is left.
    """
    target, diameter = card.target, card.preprocessing.diameter
    chosen = np.take_along_axis(scores, example.target[:1].astype(np.intp), axis=0)[0]
    entropy = -(example.weights * np.log(np.maximum(chosen, 1e-7))).sum()
    loss = float(entropy) / max(int(np.count_nonzero(example.weights)), 1)
    if not target.instances:
        return _judged_areas(loss, class_map(scores), example)
    smallest = smallest_area(diameter) if diameter else 0
    labels = label_scores(*object_evidence(scores, target), min_size=smallest, keep_cut=True)
    overlap = Overlap.of(labels, example.labels)
    if len(target.classes) > 2:
        found, _ = classify(labels, scores[: len(target.classes)])
        overlap = _of_one_class(overlap, found, example)
    matchings = [overlap.match(threshold) for threshold in IOUS]
    return Judgement(
        loss,
        iou(labels, example.labels),
        matchings[IOUS.index(0.5)],
        overlap.found(0.5),
        labels,
        float(np.mean([m.ap for m in matchings])),
    )


def _of_one_class(overlap: Overlap, found: NDArray[np.intp], example: Example) -> Overlap:
    """Keep the pairs of objects that are of one class; `found` is that of each predicted one."""
    known = example.classes or {}
    numbers = np.unique(example.labels[example.labels > 0]).tolist()
    truth = np.array([known.get(number, 0) for number in numbers], np.intp)
    same = found[overlap.row] == truth[overlap.column]
    pairs = {name: getattr(overlap, name)[same] for name in ("row", "column", "iou")}
    return replace(overlap, **pairs)


def _judged_areas(loss: float, labels: NDArray[np.int32], example: Example) -> Judgement:
    """Judge labels that are classes: each one is itself or wrong, however it is arranged."""
    ratios = class_ious(labels, example.labels)
    there = np.unique(example.labels[example.labels > 0])
    found = np.array([ratios[one].value >= 0.5 for one in there], bool)
    invented = np.setdiff1d(np.unique(labels[labels > 0]), there).size
    hits = int(found.sum())
    matching = Matching(0.5, tp=hits, fp=invented, fn=found.size - hits)
    return Judgement(loss, mean_iou(ratios), matching, found, labels, mean_iou(ratios))


def pack(judgements: Sequence[Judgement]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Return the arrays of judgements, by name, and the rest as JSON takes it."""
    tensors: dict[str, Tensor] = {}
    told = []
    for number, one in enumerate(judgements):
        tensors[f"{number}.labels"] = torch.tensor(one.labels)
        tensors[f"{number}.found"] = torch.tensor(one.found)
        told.append(
            {"loss": one.loss, "iou": one.iou, "matching": asdict(one.matching), "ap": one.ap}
        )
    return tensors, told


def unpack(tensors: Mapping[str, Tensor], told: Sequence[Mapping[str, Any]]) -> list[Judgement]:
    """Return the judgements that :func:`pack` took apart."""
    return [
        Judgement(
            one["loss"],
            one["iou"],
            Matching(**one["matching"]),
            tensors[f"{number}.found"].numpy(),
            tensors[f"{number}.labels"].numpy(),
            one["ap"],
        )
        for number, one in enumerate(told)
    ]


def validate(
    network: Network, card: Card, examples: Sequence[Example], device: torch.device
) -> dict[str, float]:
    """Score a network on held-out examples; see :func:`summarise`."""
    return summarise(run_to_end(judge(network, card, examples, device)))


def summarise(judgements: Sequence[Judgement]) -> dict[str, float]:
    """Return the scores of a validation.

    Returns
    -------
    dict
        "loss", "iou", "ap50" (average precision of objects at IoU 0.5) and "ap" (mean over IoU 0.1
        to 0.9); means over the examples, so that one large image does not outvote the others.
    """
    rows = [(j.loss, j.iou, j.matching.ap, j.ap) for j in judgements]
    return dict(zip(("loss", "iou", "ap50", "ap"), np.mean(rows, axis=0).tolist(), strict=True))


def merit(scores: dict[str, float]) -> float:
    """Return the number by which checkpoints are compared: objects found, and their outlines."""
    # The loss decides between equals, such as early networks that find nothing yet.
    return (scores["iou"] + scores["ap"]) / 2 - 1e-6 * min(scores["loss"], 1e3)


def doubt(merit: float, judgements: Sequence[Judgement], target: Target) -> float:
    """Return by how much a checkpoint may fall behind another's merit by chance alone.

    The share p of n objects that is found has the standard error (p (1 - p) / n)^1/2; and half of
    that, as the same objects are judged twice, and what is easy to find is found by both. Merit is
    half of such a share. Where labels are classes it is counted in pixels, of which there are many.

    Of checkpoints that are as good within a standard error, the one that was trained for longer is
    preferred (after Breiman et al., Classification and Regression Trees, 1984, section 3.4.3): of
    three objects one more or less says little, and the learning rate falls to the end.
    """
    count = sum(one.found.size for one in judgements)
    if not (target.instances and count and 0 < merit < 1):
        return 0.0
    return sqrt(merit * (1 - merit) / count) / 4
