"""The dock widget "Segment Folder": all images of a folder, one after the other."""

from napari_unet._qt.folder.widget import FolderWidget

__all__ = ["FolderWidget"]
