"""The dock widget "Evaluate": how well predicted objects agree with true ones."""

from napari_unet._qt.evaluate.widget import EvaluateWidget

__all__ = ["EvaluateWidget"]
