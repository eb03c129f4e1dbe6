"""The networks: one class an architecture, each built from a config of its own."""

from napari_unet.model.architectures import NETWORKS, build, copied, frame
from napari_unet.model.blocks import CopyAndCrop, Mean, crop_to
from napari_unet.model.fcn import FCN
from napari_unet.model.layers import Layer, layer_table
from napari_unet.model.network import Network
from napari_unet.model.outputs import part_outputs
from napari_unet.model.twin import make_twin
from napari_unet.model.unet import UNet
from napari_unet.model.unet_plus_plus import UNetPlusPlus

__all__ = [
    "FCN",
    "NETWORKS",
    "CopyAndCrop",
    "Layer",
    "Mean",
    "Network",
    "UNet",
    "UNetPlusPlus",
    "build",
    "copied",
    "crop_to",
    "frame",
    "layer_table",
    "make_twin",
    "part_outputs",
]
