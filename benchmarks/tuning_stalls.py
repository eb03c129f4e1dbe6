"""How long the window stands still while a network is fine-tuned in it, and how soon Stop is heard.

    python benchmarks/tuning_stalls.py [--minutes 2] [--device cpu] [--threads N]

Opens a real window (on a machine without a display: under xvfb-run) with five annotated crops of a
sample, presses Fine-tune, and notes how late each of a 2 ms timer's events comes, first left alone
and then with a brush that paints ten times a second; it has painted so before, too, without and
with the dock, as what napari takes for itself is no stall of a training. At the end it presses
Stop.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np

import napari_unet
from napari_unet.samples import load_sample
from window_stalls import PLUGIN, Watch, live, print_heading, report, until

CROPS = 5


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="of each phase of the training")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    options = parser.parse_args()
    sample = load_sample("tissue")
    truth = napari_unet.segment(sample, device=options.device)
    viewer = napari.Viewer()
    for number, corner in enumerate(np.linspace(0, len(sample) - 256, CROPS).astype(int)):
        part = np.s_[corner : corner + 256, corner : corner + 256]
        viewer.add_image(sample[part], name=f"crop {number}")
        viewer.add_labels(truth[part].astype(np.int32), name=f"crop {number} annotation")
    live(3)
    watch = Watch()
    live(3)
    print_heading()
    report("idle", watch.take())
    seconds = 60 * options.minutes
    _paint(viewer, seconds)
    report("somebody paints, no dock", watch.take())
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune")
    until(lambda: "bout" in dock.status.text())
    report("opening the dock, measuring a step", watch.take())
    print(dock.status.text())
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    dock.plan.device.value = options.device
    with tempfile.TemporaryDirectory() as folder:
        dock.plan.put_into(Path(folder))
        live(2)
        watch.take()
        _paint(viewer, seconds)
        report("the dock is open, somebody paints", watch.take())
        _train(viewer, dock, watch, seconds)


def _train(viewer: Any, dock: Any, watch: Watch, seconds: float) -> None:
    live(2)
    watch.take()
    start = time.monotonic()
    dock.tune_button.click()
    until(lambda: "Training" in dock.status.text())
    first = time.monotonic() - start
    report("press to first step", watch.take())
    live(seconds)
    report("training", watch.take())
    _paint(viewer, seconds)
    report("training, somebody paints", watch.take())
    print(dock.status.text())
    stopped = _stop(dock)
    report("Stop, and what comes after", watch.take())
    print(dock.message.text())
    print(f"press to first step {first:.1f} s; Stop to the kept model {stopped:.2f} s")


def _paint(viewer: Any, seconds: float) -> None:
    labels = viewer.layers["crop 0 annotation"]
    labels.brush_size = 8
    random = np.random.default_rng(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        labels.paint(tuple(random.integers(8, 248, 2)), int(random.integers(1, 50)))
        live(0.1)


def _stop(dock: Any) -> float:
    start = time.monotonic()
    dock.stop_button.click()
    until(lambda: not dock.is_running)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
