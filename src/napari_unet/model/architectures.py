"""Which class of network a config describes."""

from __future__ import annotations

import torch

from napari_unet.config import FCNConfig, TrainableConfig, UNetConfig, UNetPlusPlusConfig
from napari_unet.model.fcn import FCN
from napari_unet.model.network import Network
from napari_unet.model.unet import UNet
from napari_unet.model.unet_plus_plus import UNetPlusPlus

NETWORKS: dict[type[TrainableConfig], type[Network]] = {
    UNetConfig: UNet,
    UNetPlusPlusConfig: UNetPlusPlus,
    FCNConfig: FCN,
}


def build(config: TrainableConfig) -> Network:
    """Return the network that a config describes, with random weights, in training mode."""
    return NETWORKS[type(config)](config)


def frame(config: TrainableConfig) -> Network:
    """Return a network without weights: no random ones are drawn only to be replaced."""
    with torch.device("meta"):
        return build(config)


def copied(network: Network) -> Network:
    """Return a copy of a network on the CPU, wherever that is."""
    weights = {name: w.to("cpu", copy=True) for name, w in network.state_dict().items()}
    copy = frame(network.config)
    copy.load_state_dict(weights, assign=True)
    return copy
