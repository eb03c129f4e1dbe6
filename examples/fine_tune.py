"""Teach the bundled model on your own annotated images, and segment with the result.

Here "your own" images are two crops of a sample, annotated by the model itself.
"""

import tempfile
from pathlib import Path

import napari_unet
from napari_unet.samples import load_sample

image = load_sample("tissue")
crops = [image[:128, :128], image[128:256, :128]]
annotations = [napari_unet.segment(crop, model="nuclei") for crop in crops]
annotations[1][:, 100:] = -1  # not annotated: does not count

model = Path(tempfile.mkdtemp(), "mine.safetensors")  # one that is there is not written over
napari_unet.train(
    crops,
    annotations,
    model,
    start="nuclei",
    iterations=4,  # some hundreds for real
    batch=1,
    patch=64,
    validate_every=2,
)
print(napari_unet.segment(crops[0], model=model).max(), "objects")
