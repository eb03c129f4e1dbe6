"""Compute the separation weight map of labels: the narrower a gap, the more it weighs."""

import numpy as np

import napari_unet

labels = np.zeros((64, 64), np.uint16)
labels[16:48, 8:31] = 1
labels[16:48, 33:56] = 2
weights = napari_unet.weight_map(labels, w0=10, sigma=5)
print(f"in the gap {weights[32, 31]:.1f}, beside the cells {weights[32, 4]:.1f}")
