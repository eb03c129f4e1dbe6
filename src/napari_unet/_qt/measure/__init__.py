"""The dock widget "Measure": what the objects of a labels layer measure, as a table and a plot."""

from napari_unet._qt.measure.widget import MeasureWidget

__all__ = ["MeasureWidget"]
