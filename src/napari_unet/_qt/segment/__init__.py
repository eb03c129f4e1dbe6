"""The dock widget "Segment": from an image to labels."""

from napari_unet._qt.segment.widget import SegmentWidget

__all__ = ["SegmentWidget"]
