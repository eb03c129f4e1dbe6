"""Which class of network a config describes."""

from __future__ import annotations

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
