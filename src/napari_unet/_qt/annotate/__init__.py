"""The dock widget "Annotate": what a network shall learn."""

from napari_unet._qt.annotate.widget import AnnotateWidget

__all__ = ["AnnotateWidget"]
