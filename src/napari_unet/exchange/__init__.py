"""Models in other people's formats: bioimage.io packages and ONNX files, out and in."""

from napari_unet.exchange.doors import ONNX, PACKAGE, SUFFIXES, export_model, import_model

__all__ = ["ONNX", "PACKAGE", "SUFFIXES", "export_model", "import_model"]
