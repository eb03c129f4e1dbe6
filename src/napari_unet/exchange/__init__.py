"""Models made of models: in other people's formats, out and in, and as parts of them."""

from napari_unet.exchange.doors import ONNX, PACKAGE, SUFFIXES, export_model, import_model
from napari_unet.exchange.pruning import prune_model

__all__ = ["ONNX", "PACKAGE", "SUFFIXES", "export_model", "import_model", "prune_model"]
