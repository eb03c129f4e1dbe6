"""Decide on objects anew, without running the network again."""

from dataclasses import replace

from napari_unet import SegmentConfig
from napari_unet.prediction import run_to_end
from napari_unet.samples import load_sample
from napari_unet.segmentation import load_engine, segment_steps

config = SegmentConfig(model="nuclei")
engine, card = load_engine(config)
image = load_sample("tissue")[:200, :200]
result = run_to_end(segment_steps(image, engine, card, config, keep_scores=True))
for threshold in (0.3, 0.5, 0.7):
    labels = result.relabel(replace(config, threshold=threshold))
    print(f"threshold {threshold}: {labels.max()} objects")
