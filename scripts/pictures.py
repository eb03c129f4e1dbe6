"""Make the pictures of the documentation, by driving the real window.

    python scripts/pictures.py [--output docs]

Opens napari on the sample "tissue", presses Segment, and writes what is seen before, during and
after the run, and an animation of the tiles. On a machine without a display, put before it:
xvfb-run -a -s "-screen 0 1280x720x24". The user's settings are neither read nor written.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = ""  # settings in memory; napari looks when it is imported

import napari
import numpy as np
from napari.settings import get_settings
from PIL import Image, ImageOps
from qtpy.QtCore import QEventLoop, QTimer

PLUGIN = "napari-unet-segmentation"
WINDOW = (1280, 720)
SIDE = 480
"""Of the animation, in pixels."""
TILE = 64
"""Side of the tiles, in pixels: the sample has 4 x 4 of them."""
SHARE_DURING = 0.6
"""Of the tiles that are done in the picture "during"."""
FRAME, LAST_FRAME = 200, 2000
"""How long frames are shown, in milliseconds."""


def until(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Let the window live until something has happened."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise SystemExit("It did not happen in time.")
        live(0.01)


def live(seconds: float) -> None:
    """Let the window live for a while."""
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder (default: docs)")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    viewer, dock = open_window()
    pictures = {"_before": seen(viewer)}
    first = canvas(viewer)
    pictures["_during"], frames = segment(viewer, dock)
    live(1)
    pictures[""] = seen(viewer)
    viewer.theme = "light"
    live(1)
    pictures["_light"] = seen(viewer)
    viewer.close()
    for suffix, picture in pictures.items():
        write_still(picture, output / f"segment{suffix}.png")
    write_animation([first, *frames], output / "segment.gif")


def open_window() -> tuple[Any, Any]:
    """Open the window with the sample and the dock; return the viewer and the dock."""
    settings = get_settings()
    settings.application.first_time = False
    settings.application.save_window_geometry = False
    settings.appearance.theme = "dark"
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    viewer.open_sample(PLUGIN, "tissue")
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    until(lambda: "napari_unet.segmentation" in sys.modules)
    live(3)  # the dock has its final width, and knows the devices
    viewer.reset_view()
    live(1)
    return viewer, dock


def segment(viewer: Any, dock: Any) -> tuple[Image.Image, list[Image.Image]]:
    """Press Segment; return the window during the run, and the canvas after each tile."""
    windows: list[Image.Image] = []
    frames: list[Image.Image] = []

    def on_tile(shown: Any) -> None:
        frames.append(canvas(viewer))
        if shown.progress.tile == round(SHARE_DURING * shown.progress.tiles):
            windows.append(seen(viewer))

    dock.inputs.advanced["tile"].value = TILE
    dock.segment_button.click()
    if dock.is_running:
        dock._job.progressed.connect(on_tile)  # after the dock's own slot, which draws the tile
        until(lambda: not dock.is_running)
    if not windows:
        raise SystemExit(f"There was no run to be seen: {dock.message.text()}")
    return windows[0], frames


def seen(viewer: Any) -> Image.Image:
    """Return the window as it looks now."""
    return Image.fromarray(viewer.window.screenshot(flash=False)[..., :3])


def canvas(viewer: Any) -> Image.Image:
    """Return the square in the middle of the canvas as it looks now, small."""
    picture = Image.fromarray(viewer.screenshot(canvas_only=True, flash=False)[..., :3])
    return ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.LANCZOS)


def write_still(picture: Image.Image, path: Path) -> None:
    """Write a picture in 256 colours."""
    picture.quantize(256, Image.Quantize.MEDIANCUT, kmeans=3).save(path, optimize=True)
    report(path)


def write_animation(frames: Sequence[Image.Image], path: Path) -> None:
    """Write frames in the same 256 colours, so that only new tiles differ from frame to frame."""
    strip = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames]))
    colours = strip.quantize(256, Image.Quantize.MEDIANCUT, kmeans=3)
    first, *others = (f.quantize(palette=colours, dither=Image.Dither.NONE) for f in frames)
    durations = [FRAME] * len(others) + [LAST_FRAME]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
    report(path)


def report(path: Path) -> None:
    """Say what was written."""
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
