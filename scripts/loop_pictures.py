"""Make the pictures of drawing and teaching, by driving the real window.

    python scripts/loop_pictures.py [--output docs] [--steps 120]

Opens napari on the sample "tissue", corrects what the bundled model finds, shows the weight map,
and fine-tunes on it; writes annotate.png, weight_map.png and fine_tune.png. On a machine without a
display, put before it: xvfb-run -a -s "-screen 0 1280x720x24". The user's settings, models and
annotations are neither read nor written.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pictures import PLUGIN, live, open_window, seen, until, write_still

REGION = np.array([[40, 40], [215, 215]])


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder (default: docs)")
    parser.add_argument("--steps", type=int, default=120, help="of the training (default: 120)")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_DATA_HOME"] = home
        take_all(options.output, options.steps)


def take_all(output: Path, steps: int) -> None:
    """Open the window, and take picture after picture."""
    viewer, segment = open_window()
    segment.segment_button.click()
    until(lambda: not segment.is_running)
    for name, take in (("annotate", annotate), ("weight_map", weight_map)):
        write_still(take(viewer), output / f"{name}.png")
    write_still(fine_tune(viewer, steps), output / "fine_tune.png")
    viewer.close()


def annotate(viewer: Any) -> Any:
    """Correct the result, in a region; return the window."""
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate", tabify=True)
    live(2)
    dock.chooser.correct_button.click()
    until(lambda: not dock.is_busy)
    dock.chooser.region_button.click()
    viewer.layers["tissue regions"].add_rectangles(REGION)
    until(lambda: dock.state.text().startswith("Saved"))
    live(2)
    return seen(viewer)


def weight_map(viewer: Any) -> Any:
    """Show the weight map; return the window."""
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Weight Map", tabify=True)
    live(2)
    dock.show_button.click()
    until(lambda: dock.layer is not None and not dock.is_running)
    live(1)
    picture = seen(viewer)
    dock.show_button.click()
    return picture


def fine_tune(viewer: Any, steps: int) -> Any:
    """Teach for a while; return the window half-way."""
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune", tabify=True)
    dock.plan.start.value = "cells"  # knows no tissue: there is something to learn
    dock.plan.settings["iterations"].value = steps
    dock.plan.settings["patch"].value = 96
    until(lambda: "bout" in dock.status.text())
    dock.tune_button.click()
    until(lambda: "Training" in dock.status.text())
    until(lambda: dock.curves._traces["Loss"].steps[-1:] > [0.6 * steps], seconds=1200)
    live(1)
    picture = seen(viewer)
    dock.stop_button.click()
    until(lambda: not dock.is_running)
    return picture


if __name__ == "__main__":
    main()
