"""How good a network is: the loss it learns by, and its scores on held-out examples."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.augmentation import Batch
from napari_unet.config import Target
from napari_unet.engines import TorchEngine
from napari_unet.instances import label_scores, object_evidence
from napari_unet.metrics import iou, match
from napari_unet.model import UNet, crop_to
from napari_unet.patches import Example
from napari_unet.prediction import predict_scores, run_to_end


def weighted_loss(logits: Tensor, batch: Batch, target: Target) -> Tensor:
    """Return the training loss, over the pixels that count (weight above 0).

    The pixel-wise softmax cross-entropy times the weight map (Ronneberger et al., 2015, equation
    1), averaged, plus the average binary cross-entropy of each extra output.

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
    classes = len(target.classes)
    entropy = F.cross_entropy(logits[:, :classes], truth[:, 0].long(), reduction="none")
    loss = (entropy[:, None] * weights).sum() / total
    if target.extras:
        extra = F.binary_cross_entropy_with_logits(
            logits[:, classes:], truth[:, 1:].clamp(0, 1), reduction="none"
        )
        loss = loss + (extra * counts).sum() / total
    return loss


def validate(
    network: UNet, target: Target, examples: Sequence[Example], device: torch.device
) -> dict[str, float]:
    """Score a network on held-out examples, predicted whole by the tiles that users get.

    Returns
    -------
    dict
        "loss" (cross-entropy times weights), "iou" (of the foreground) and "ap50" (average
        precision of objects at IoU 0.5), over annotated pixels; means over the examples, so that
        one large image does not outvote the others.
    """
    # A copy: short of memory, an engine takes its network to the CPU for good.
    engine = TorchEngine(deepcopy(network), network.config, target, device, precision="float32")
    rows = [_score(run_to_end(predict_scores(engine, e.image)), e, target) for e in examples]
    means = np.mean(rows, axis=0)
    return dict(zip(("loss", "iou", "ap50"), means.tolist(), strict=True))


def _score(
    scores: NDArray[np.float32], example: Example, target: Target
) -> tuple[float, float, float]:
    chosen = np.take_along_axis(scores, example.target[:1].astype(np.intp), axis=0)[0]
    entropy = -(example.weights * np.log(np.maximum(chosen, 1e-7))).sum()
    labels = label_scores(*object_evidence(scores, target), min_size=0)
    return (
        float(entropy) / max(int(np.count_nonzero(example.weights)), 1),
        iou(labels, example.labels),
        match(labels, example.labels, 0.5).ap,
    )


def merit(scores: dict[str, float]) -> float:
    """Return the number by which checkpoints are compared: objects found, and their outlines."""
    # The loss decides between equals, such as early networks that find nothing yet.
    return (scores["iou"] + scores["ap50"]) / 2 - 1e-6 * min(scores["loss"], 1e3)
