"""The dock widget "Models": what there is to segment with."""

from napari_unet._qt.models.widget import ModelsWidget

__all__ = ["ModelsWidget"]
