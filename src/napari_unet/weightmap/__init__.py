"""Instance labels to what a network learns: classes with a separation ridge, and loss weights.

    w(x) = w_c(x) + w0 * exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

(Ronneberger et al., 2015, equation 2): w_c balances the classes, d1 and d2 are the distances to the
nearest and the second nearest object. Narrow gaps between touching objects weigh most, so that the
network learns to keep them open.

Labels are integers: 0 background, 1.. objects, -1 not annotated.
"""

from napari_unet.weightmap.labels import as_labels, separate
from napari_unet.weightmap.weights import (
    area_target,
    distance_target,
    reach,
    separation_term,
    training_target,
    weight_map,
)

__all__ = [
    "area_target",
    "as_labels",
    "distance_target",
    "reach",
    "separate",
    "separation_term",
    "training_target",
    "weight_map",
]
