"""How long the window stands still while it segments, and when labels appear.

    python benchmarks/window_stalls.py [--side 4096] [--device cpu] [--threads N]

Opens a real window (on a machine without a display: under xvfb-run), presses Segment, and notes how
late each of a 2 ms timer's events comes: the time for which no click would have been
answered. The same image is then segmented by the command line, in a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QElapsedTimer, QEventLoop, QTimer

from napari_unet.images import write_image
from napari_unet.samples import load_sample

PLUGIN = "napari-unet-segmentation"


class Watch:
    """Notes how late the events of a timer come, in milliseconds."""

    def __init__(self) -> None:
        self._clock, self._timer = QElapsedTimer(), QTimer()
        self._late: list[float] = []
        self._timer.timeout.connect(self._tick)
        self._clock.start()
        self._timer.start(2)

    def _tick(self) -> None:
        self._late.append(self._clock.nsecsElapsed() / 1e6 - 2)
        self._clock.restart()

    def take(self) -> NDArray[np.float64]:
        """Return what was noted since the last call."""
        late, self._late = self._late, []
        return np.array(late)


def until(condition: Callable[[], bool], seconds: float = 1200) -> None:
    """Let the window live until something has happened."""
    loop, poll, start = QEventLoop(), QTimer(), time.monotonic()

    def look() -> None:
        if condition():
            loop.quit()

    poll.timeout.connect(look)
    poll.start(10)
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()
    poll.stop()
    if time.monotonic() - start > seconds:
        raise SystemExit("It did not happen in time.")


def live(seconds: float) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def print_heading() -> None:
    """Print what :func:`report` has in its columns."""
    print(
        f"{'stalls of the window in ms':42s}{'median':>8s}{'p99':>8s}{'max':>8s}{'> 50 ms':>11s}"
        f"{'events':>9s}"
    )


def report(phase: str, late: NDArray[np.float64]) -> None:
    """Print a line of the table: how late events came, and the share of the time over 50 ms."""
    median, p99 = np.percentile(late, (50, 99))
    total = late.sum() + 2 * len(late)
    over = late[late > 50].sum() / total
    print(f"{phase:42s}{median:8.1f}{p99:8.1f}{late.max():8.1f}{100 * over:9.1f} %{len(late):9d}")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="of the image, in pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    options = parser.parse_args()
    sample = load_sample("tissue")
    repeats = -(-options.side // len(sample))
    image = np.tile(sample, (repeats, repeats))[: options.side, : options.side]

    viewer = napari.Viewer()
    viewer.add_image(image, name="image")
    live(3)
    watch = Watch()
    live(3)
    print_heading()
    report("idle", watch.take())
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    until(lambda: "napari_unet.segmentation" in sys.modules)
    live(5)
    report("opening the dock, loading torch", watch.take())
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    dock.inputs.device.value = options.device
    times = _press(viewer, dock, watch, options)
    command = _command_line(image, options)
    print(
        f"press to first labels {times['first']:.1f} s, to the last {times['last']:.1f} s;"
        f" {options.side} x {options.side} pixels, {dock.message.text()}"
    )
    print(f"command line, start of Python and writing included: {command:.1f} s")


def _press(viewer: Any, dock: Any, watch: Watch, options: argparse.Namespace) -> dict[str, float]:
    """Press Segment and change the threshold; return when labels came."""
    times: dict[str, float] = {}
    watch.take()
    start = time.monotonic()
    dock.segment_button.click()
    until(lambda: "Loading" not in dock.message.text())
    report("press to first labels: the layer is made", watch.take())
    times["first"] = time.monotonic() - start
    until(lambda: not dock.is_running)
    times["last"] = time.monotonic() - start
    report("predicting", watch.take())
    live(2)
    report("after the last tile", watch.take())
    for _ in range(5):
        dock.decisions["threshold"].value += 0.05
        live(3)
    report("moving the threshold, five times", watch.take())
    viewer.add_labels(np.zeros((options.side,) * 2, np.uint16))
    live(2)
    report("add_labels of napari alone", watch.take())
    return times


def _command_line(image: NDArray[Any], options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.tif")
        write_image(path, image)
        start = time.monotonic()
        command = [sys.executable, "-m", "napari_unet", "segment", str(path)]
        subprocess.run([*command, "--device", options.device], check=True, capture_output=True)
        return time.monotonic() - start


if __name__ == "__main__":
    main()
