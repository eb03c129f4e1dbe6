"""Objects as boxes: where they are, of which class and how sure, in tables and beside labels."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_unet.batch import Outcome, Wish, plan, segment_files
from napari_unet.cli import main
from napari_unet.config import Preprocessing, SegmentConfig, Target, UNetConfig
from napari_unet.engines import TorchEngine
from napari_unet.images import read_image, read_provenance, write_labels
from napari_unet.library import Card
from napari_unet.measurements import find_boxes, measure
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import segment_steps

SIDES = ("top_px", "left_px", "bottom_px", "right_px")


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.int16, st.tuples(*[st.integers(1, 9)] * 2), elements=st.integers(-1, 3)))
def test_a_box_is_the_smallest_that_holds_all_pixels(plane: np.ndarray) -> None:
    table = find_boxes(plane)
    assert table["label"].tolist() == [n for n in np.unique(plane) if n > 0]
    for row, label in enumerate(table["label"]):
        top, left, bottom, right = (int(table[side][row]) for side in SIDES)
        mask = plane == label
        assert mask[top:bottom, left:right].sum() == mask.sum()
        for edge in (mask[top], mask[bottom - 1], mask[:, left], mask[:, right - 1]):
            assert edge.any()


def test_of_a_stack_with_sizes_and_what_is_known() -> None:
    labels = np.zeros((3, 20, 30), np.int32)
    labels[0, 3:7, 4:9] = 2
    labels[2, 3:7, 4:9], labels[2, 10:12, 20:22] = 2, 5
    known = {
        0: {"index": np.array([3, 2, 1]), "class": np.array(list("abc")), "score": np.arange(3.0)},
        2: {"index": np.array([2]), "class": np.array(["pear"]), "score": np.array([0.5])},
        1: {"index": np.zeros(0, int), "class": np.array([], "U1")},
    }
    table = find_boxes(labels, axes="ZYX", pixel_size=(0.5, 0.25), known=known)
    assert list(table)[:4] == ["label", "z", "class", "score"]
    assert table["z"].tolist() == [0, 2, 2]
    assert table["class"].tolist() == ["b", "pear", ""]
    np.testing.assert_array_equal(table["score"], [1, 0.5, np.nan])
    assert [table[side].tolist() for side in SIDES] == [
        [3, 3, 10],
        [4, 4, 20],
        [7, 7, 12],
        [9, 9, 22],
    ]
    assert table["bottom_um"].tolist() == [3.5, 3.5, 6]
    assert table["right_um"].tolist() == [2.25, 2.25, 5.5]
    measured = measure(labels, axes="ZYX", known=known)
    assert list(measured)[:5] == ["label", "z", "class", "score", "area_px"]
    np.testing.assert_array_equal(measured["right_px"], table["right_px"])
    assert not find_boxes(labels[1], known={0: known[2]})["class"].size


class Bright(torch.nn.Module):
    """Fruit where the image is above a third, and pears where it is above two thirds."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        apple = torch.where((x > 0.3) & (x < 0.7), 3.0, -3.0)
        pear = torch.where(x >= 0.7, 3.0, -3.0)
        return torch.cat((torch.zeros_like(x), apple, pear), dim=1)


CARD = Card(
    UNetConfig(base_channels=2, depth=1, padding="same", out_channels=3),
    Target(("background", "apple", "pear")),
    Preprocessing(low=0, high=100, invert_bright=False),
)
CONFIG = SegmentConfig(device="cpu", min_size=0, tile=16)


@pytest.fixture
def fruit(tmp_path: Path) -> Path:
    image = np.zeros((2, 40, 48), np.uint8)
    image[:, 4:9, 4:12] = 100
    image[1, 20:30, 20:31] = 200
    path = tmp_path / "fruit.ome.tif"
    tifffile.imwrite(path, image, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5})
    return path


def engine() -> TorchEngine:
    return TorchEngine(Bright(), CARD.network, CARD.target, "cpu", precision="float32")


def test_objects_carry_class_and_score_into_every_table(fruit: Path) -> None:
    (job,) = plan([fruit], None, ome=True)
    wish = Wish(CONFIG, "0" * 64, scores=True, objects=True, boxes=True)
    (done,) = [s for s in segment_files([job], engine(), CARD, wish) if isinstance(s, Outcome)]
    assert not done.error
    assert done.found == "3 objects: 2 apple, 1 pear"
    names = sorted(path.name for path in fruit.parent.iterdir())
    assert names == [
        "fruit.ome.tif",
        "fruit_boxes.csv",
        "fruit_boxes.csv-metadata.json",
        "fruit_labels.ome.tif",
        "fruit_objects.csv",
        "fruit_objects.csv-metadata.json",
        "fruit_scores.ome.tif",
    ]
    boxes = rows(job.boxes)
    assert [row["image"] for row in boxes] == ["fruit"] * 3
    assert [(row["z"], row["class"]) for row in boxes] == [
        ("0", "apple"),
        ("1", "apple"),
        ("1", "pear"),
    ]
    assert [boxes[2][side] for side in SIDES] == ["20", "20", "30", "31"]
    assert boxes[2]["right_um"] == "15.5"
    assert all(0.9 < float(row["score"]) < 1 for row in boxes)
    assert [row["class"] for row in rows(job.objects)] == ["apple", "apple", "pear"]
    scores = read_image(job.scores)
    assert (scores.axes, scores.data.shape) == ("ZCYX", (2, 3, 40, 48))
    for path in (job.labels, job.scores, job.boxes, job.objects):
        made = read_provenance(path)  # on which device it was is not kept
        assert replace(made, config=replace(made.config, device="cpu")) == wish.made(job)


def test_what_is_known_of_each_plane(fruit: Path) -> None:
    image = read_image(fruit)
    result = run_to_end(segment_steps(image.data, engine(), CARD, CONFIG, image.axes))
    known = result.known()
    assert [table["class"].tolist() for table in known.values()] == [["apple"], ["apple", "pear"]]
    assert result.features() == {}
    areas = Card(CARD.network, replace(CARD.target, instances=False), CARD.preprocessing)
    result = run_to_end(segment_steps(image.data, engine(), areas, CONFIG, image.axes))
    assert result.features()["class"].tolist() == ["background", "apple", "pear"]
    table = find_boxes(result.labels, known=result.known())
    assert table["class"].tolist() == ["apple", "apple", "pear"]
    assert "score" not in table


def test_labels_are_converted_to_boxes_and_an_ome_tiff(tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[2:6, 2:8] = 4
    source, boxes, ome = (tmp_path / n for n in ("a_labels.tif", "b.csv", "a.ome.tif"))
    write_labels(source, labels, pixel_size=0.5, made=Wish(CONFIG).made(plan([source], None)[0]))
    assert main(["convert", str(source), "-o", str(boxes)]) == 0
    (row,) = rows(boxes)
    assert [row[side] for side in ("label", *SIDES, "right_um")] == ["4", "2", "2", "6", "8", "4"]
    assert main(["convert", str(source), "-o", str(ome)]) == 0
    np.testing.assert_array_equal(read_image(ome).data, labels)
    assert read_provenance(ome) == read_provenance(boxes) == read_provenance(source)
