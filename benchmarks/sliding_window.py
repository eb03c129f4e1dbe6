"""What came before the U-Net: a network that classifies one pixel by the window around it.

    python benchmarks/sliding_window.py --data FOLDER --output window.jsonl \
        [--seeds 1] [--iterations N | --minutes M] [--pixels 20000]
    python benchmarks/sliding_window.py --output window.jsonl --table

The classifier follows D. Ciresan et al. (2012), who won the ISBI 2012 challenge: a window of 65x65
pixels, mirrored at the border; three convolutions with 48 maps, of 4x4, 5x5 and 4x4 pixels, each
followed by max-pooling of 2x2; 200 units; two classes. Windows of membrane and of cell are drawn
equally often, flipped and turned. Smaller than theirs: one network, not the mean of four with
windows of up to 95 pixels; no foveation, no calibration of scores, no median filter; AdamW and
minutes, not plain gradient descent and days.

It learns sections 0 to 23 and is scored on pixels drawn from the other six: their pixel error, and
from the time that they take the seconds a megapixel, beside those of one pass of a U-Net over a
section. Nothing else should run meanwhile. FOLDER holds isbi2012/train; see em.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from _commands import make_parser, read_arguments, run_missing, table_of
from _experiment import card_of
from _records import Trained, budget_of, machine, read_lines
from em import HELD_OUT, OURS, RULE, load
from napari_unet.config import TrainConfig
from napari_unet.engines import TorchEngine
from napari_unet.metrics import pixel_error
from napari_unet.prediction import predict_scores, run_to_end
from napari_unet.preprocessing import as_planes, measure
from napari_unet.training import Pair, untrained

WINDOW = 65
VARIANTS = {"window": TrainConfig(iterations=3000, batch=64, learning_rate=1e-3)}
AT_A_TIME = 256
"""Windows of a pass."""
PUBLISHED = ("Ciresan et al. (2012), hidden sections", "0.0613", "-", "-", "-", "-")


@dataclass(frozen=True)
class Result(Trained):
    """Pixel error and cost.

    Parameters
    ----------
    name, seed, budget, parameters, iterations, seconds, machine
        See :class:`_records.Trained`.
    pixel : tuple of float
        Pixel error on the drawn pixels: least over the thresholds, and at 0.5.
    window_cost, unet_cost : float
        Seconds a megapixel of the classifier, and of one pass of em.py's U-Net.
    """

    pixel: tuple[float, ...]
    window_cost: float
    unet_cost: float


class WindowClassifier(nn.Sequential):
    """Windows (B, 1, 65, 65) to logits (B, 2) of their middle pixels: membrane, cell."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        inputs = 1
        for size in (4, 5, 4):
            layers += [nn.Conv2d(inputs, 48, size), nn.ReLU(), nn.MaxPool2d(2)]
            inputs = 48
        layers += [nn.Flatten(), nn.Linear(48 * 5 * 5, 200), nn.ReLU(), nn.Linear(200, 2)]
        super().__init__(*layers)


@dataclass(frozen=True)
class Sections:
    """Normalised sections (S, Y, X), with a margin of mirrored pixels, and where cells are."""

    images: Tensor
    cells: NDArray[np.bool_]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Sections:
        """Take annotated sections."""
        planes = [as_planes(pair.image, RULE, pair.axes) for pair in pairs]
        images = np.concatenate([measure(p, RULE)(p[0]) for p in planes])
        margin = WINDOW // 2
        padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin)), mode="reflect")
        cells = np.stack([np.asarray(pair.labels) > 0 for pair in pairs])
        return cls(torch.from_numpy(padded.astype(np.float32)), cells)

    def windows(self, where: NDArray[np.intp]) -> Tensor:
        """Return the windows (B, 1, 65, 65) around pixels, given by section, row and column."""
        every = self.images.unfold(1, WINDOW, 1).unfold(2, WINDOW, 1)  # a view (S, Y, X, 65, 65)
        section, row, column = torch.from_numpy(where)
        return every[section, row, column][:, None]

    def draw(self, count: int, random: np.random.Generator) -> NDArray[np.intp]:
        """Return the places of pixels drawn at random, shape (3, B)."""
        return np.stack([random.integers(n, size=count) for n in self.cells.shape])

    def draw_evenly(self, count: int, random: np.random.Generator) -> NDArray[np.intp]:
        """Return places of which one half is membrane and one is cell, about."""
        where = self.draw(8 * count, random)
        cell = self.cells[tuple(where)]
        halves = (np.flatnonzero(cell == kind)[: count // 2] for kind in (True, False))
        return where[:, np.concatenate(list(halves))]


def teach(network: WindowClassifier, sections: Sections, config: TrainConfig) -> tuple[int, float]:
    """Train for the budget; returns steps and seconds."""
    peak = config.learning_rate or 1e-3
    optimizer = torch.optim.AdamW(network.parameters(), peak)
    random, start, step = np.random.default_rng(config.seed), time.monotonic(), 0
    while (share := _share(config, step, time.monotonic() - start)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = peak * (1 + cos(pi * share)) / 2
        where = sections.draw_evenly(config.batch, random)
        windows = torch.rot90(sections.windows(where), int(random.integers(4)), (2, 3))
        windows = windows.flip(3) if random.integers(2) else windows
        truth = torch.from_numpy(sections.cells[tuple(where)].astype(np.int64))
        loss = F.cross_entropy(network(windows), truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step += 1
        if step % 100 == 0:
            print(f"  step {step}, loss {float(loss.detach()):.3f}", flush=True)
    return step, time.monotonic() - start


def _share(config: TrainConfig, step: int, seconds: float) -> float:
    if config.minutes is not None:
        return seconds / (60 * config.minutes)
    return step / config.iterations


@torch.inference_mode()
def predict(
    network: WindowClassifier, sections: Sections, where: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return how probably each pixel is cell, were both classes as frequent."""
    parts = [where[:, at : at + AT_A_TIME] for at in range(0, where.shape[1], AT_A_TIME)]
    scores = [network(sections.windows(part)).softmax(1)[:, 1] for part in parts]
    return torch.cat(scores).numpy()


def unet_cost(section: NDArray[np.float32]) -> float:
    """Return seconds a megapixel of one pass over a section (1, Y, X); weights do not matter."""
    card = card_of(OURS.network, OURS.target, RULE)
    # By torch in float32, as the windows are.
    engine = TorchEngine(untrained(card).build(), card.network, card.target, precision="float32")
    seconds = []
    for _ in range(4):  # the first one is slower than those that follow
        start = time.perf_counter()
        run_to_end(predict_scores(engine, section))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:])) / section.size * 1e6


def table(output: Path) -> list[str]:
    """Return error and cost, beside the published error."""
    lines = read_lines(output, Result)
    heads = ["classifier", "pixel error", "at 0.5", "s/MP", "s/MP of a U-Net", "times slower"]
    rows = []
    for line in lines:
        told = f"window of {WINDOW}, {line.iterations:,} steps, seed {line.seed}"
        error = [f"{value:.4f}" for value in line.pixel]
        cost = [f"{line.window_cost:.0f}", f"{line.unet_cost:.2f}"]
        rows.append([told, *error, *cost, f"{line.window_cost / line.unet_cost:.0f}"])
    return table_of(heads, [*rows, PUBLISHED])


def main() -> None:
    """Train what is missing, and print the table."""
    parser = make_parser(__doc__, VARIANTS)
    parser.add_argument("--pixels", type=int, default=20_000, help="that are scored")
    args = read_arguments(parser, ["data"])

    def run(name: str, config: TrainConfig) -> Iterator[Result]:
        training, held_out = map(Sections.of, load(args.data, OURS.target, HELD_OUT))
        torch.manual_seed(config.seed)
        network = WindowClassifier()
        steps, seconds = teach(network, training, config)
        where = held_out.draw(args.pixels, np.random.default_rng(0))
        start = time.perf_counter()
        scores = predict(network, held_out, where)
        cost = (time.perf_counter() - start) / args.pixels * 1e6
        error = pixel_error(scores[None], held_out.cells[tuple(where)][None])
        margin = WINDOW // 2
        section = held_out.images[:1, margin:-margin, margin:-margin].numpy()
        yield Result(
            name,
            config.seed,
            budget_of(config),
            sum(p.numel() for p in network.parameters()),
            steps,
            round(seconds),
            machine=machine(),
            pixel=(round(error.least, 4), round(error.at(0.5), 4)),
            window_cost=round(cost, 2),
            unet_cost=round(unet_cost(section), 3),
        )

    run_missing(args, Result, VARIANTS, run)
    print("\n".join(table(args.output)))


if __name__ == "__main__":
    main()
