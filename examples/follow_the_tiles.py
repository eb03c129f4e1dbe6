"""See an image being labelled tile by tile, and stop half-way: what is done is kept."""

from napari_unet import SegmentConfig
from napari_unet.samples import load_sample
from napari_unet.segmentation import load_engine, segment_steps

config = SegmentConfig(model="nuclei", tile=128)
engine, card = load_engine(config)
steps = segment_steps(load_sample("tissue")[:256, :256], engine, card, config)
progress = next(steps)
try:
    while True:
        print(f"tile {progress.tile} of {progress.tiles}: {progress.write}")
        progress = steps.send(progress.tile >= progress.tiles // 2)
except StopIteration as end:
    print(f"stopped with {end.value.labels.max()} objects")
