"""Label the nuclei of an image, and write labels that ImageJ and napari open."""

import napari_unet
from napari_unet.images import write_labels
from napari_unet.samples import load_sample

image = load_sample("tissue")[:200, :200]
labels = napari_unet.segment(image, model="nuclei", min_size=30)
print(f"{labels.max()} nuclei, written to {write_labels('nuclei_labels.tif', labels)}")
