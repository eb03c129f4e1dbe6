"""A network's forward pass, done on other things than tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from napari_unet.model.architectures import NETWORKS, build
from napari_unet.model.network import Network


def make_twin(network: nn.Module, translate: Callable[..., Any]) -> Network:
    """Return a network like another one, whose layers call a function instead of computing.

    So its code, run once, tells another library what is computed, as fast as it is written.

    Parameters
    ----------
    network : Network
        The other one.
    translate : callable
        Takes a layer of `network`, and what that would take; returns what stands for its result.

    Raises
    ------
    TypeError
        If it is none of ours: another one may compute outside of its layers.
    """
    if not isinstance(network, Network) or type(network) not in NETWORKS.values():
        raise TypeError(f"a {type(network).__name__} is no network of this package")
    with torch.device("meta"):
        twin = build(network.config)
    for name, layer in network.named_modules():
        if not any(layer.children()):
            twin.get_submodule(name).forward = partial(translate, layer)
    return twin
