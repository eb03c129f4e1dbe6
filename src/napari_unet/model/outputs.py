"""What a network's outputs mean, in tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_unet.config import Target


def part_outputs(logits: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Part a network's outputs (B, K, H, W) into those of the classes and the extra ones.

    Where a sigmoid gives the object's score alone, a background of logit 0 is put before it: the
    softmax of (0, z) is (1 - sigmoid(z), sigmoid(z)), and its cross-entropy the binary one.

    Returns
    -------
    classes : Tensor, shape (B, len(target.classes), H, W)
        Logits, for a softmax.
    extras : Tensor, shape (B, len(target.extras), H, W)
        Logits, for a sigmoid each.
    """
    count = logits.shape[1] - len(target.extras)
    classes, extras = logits[:, :count], logits[:, count:]
    if target.activation == "sigmoid":
        classes = torch.cat((torch.zeros_like(classes), classes), dim=1)
    return classes, extras
