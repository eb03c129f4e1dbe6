"""The dock widget "Fine-tune": a network learns from annotations."""

from napari_unet._qt.fine_tune.widget import FineTuneWidget

__all__ = ["FineTuneWidget"]
