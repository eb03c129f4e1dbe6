"""The dock widget "Weight Map": what training looks at."""

from napari_unet._qt.weight_map.widget import WeightMapWidget

__all__ = ["WeightMapWidget"]
