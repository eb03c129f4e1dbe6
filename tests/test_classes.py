"""Targets beside objects of one kind: a single sigmoid, areas, and objects with classes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_unet.augmentation import Batch
from napari_unet.checkpoint import Checkpoint, rehead
from napari_unet.cli import main
from napari_unet.config import (
    RECIPES,
    Preprocessing,
    SegmentConfig,
    Target,
    TrainConfig,
    UNetConfig,
)
from napari_unet.engines import TorchEngine
from napari_unet.images import read_classes, table_of
from napari_unet.instances import classify
from napari_unet.library import Card, read_card
from napari_unet.metrics import class_ious, mean_iou, measure, pool
from napari_unet.model import UNet, layer_table
from napari_unet.patches import Plane, teach
from napari_unet.prediction import run_to_end
from napari_unet.preprocessing import Frame
from napari_unet.segmentation import Objects, Segmentation, segment_steps
from napari_unet.training import Pair, prepare_pairs, train, untrained
from napari_unet.training.scoring import judgement, merit, summarise, weighted_loss
from napari_unet.weightmap import area_target, training_target

SIGMOID = Target(activation="sigmoid")
AREAS = Target(("background", "cytoplasm", "nucleus"), instances=False)
FRUIT = Target(("background", "apple", "pear"), extras=("distance",))
SMALL = TrainConfig(
    iterations=60, batch=2, patch=48, learning_rate=4e-3, validate_every=60, average=0.9,
    scale=1, sharp=1, elastic=False, invert=0, resize=False,
)  # fmt: skip


def shape_of(target: Target, channels: int = 1) -> UNetConfig:
    return UNetConfig(
        in_channels=channels,
        out_channels=len(target.outputs),
        base_channels=8,
        depth=2,
        padding="same",
        batch_norm=True,
        dropout=0.0,
    )


def fruit() -> tuple[NDArray[np.float32], NDArray[np.int32], dict[int, int]]:
    """Apples are plain, pears striped; two that touch are of different kinds."""
    image, labels = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.int32)
    for number, (y, x) in enumerate([(4, 4), (4, 30), (28, 8), (28, 20), (48, 46)], start=1):
        labels[y : y + 12, x : x + 12] = number
        image[y : y + 12, x : x + 12] = 1
        image[y : y + 12, x : x + 12 : 3] = number % 2
    noise = np.random.default_rng(0).normal(0, 0.02, image.shape)
    return (image + noise).astype(np.float32), labels, {n: 1 if n % 2 else 2 for n in range(1, 6)}


def learn(pair: Pair, target: Target, config: TrainConfig = SMALL, channels: int = 1) -> Checkpoint:
    rule = Preprocessing(channels=channels, invert_bright=False)
    start = untrained(Card(shape_of(target, channels), target, rule))
    groups, start = run_to_end(prepare_pairs([pair], start, config))
    return run_to_end(train(groups[0], groups[0], start, config))


def segmented(image: NDArray[np.float32], model: Checkpoint) -> Segmentation:
    engine = TorchEngine(model.build(), model.card.network, model.card.target)
    steps = segment_steps(image, engine, model.card, SegmentConfig(min_size=0), keep_scores=True)
    return run_to_end(steps)


def test_a_single_sigmoid_has_the_binary_cross_entropy_with_the_same_weights():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 9, 7, generator=random)
    classes = (torch.rand(2, 1, 9, 7, generator=random) < 0.4).float()
    weights = torch.rand(2, 1, 9, 7, generator=random) + 0.1
    expected = F.binary_cross_entropy_with_logits(logits, classes, weight=weights)
    found = weighted_loss(logits, Batch(logits, classes, weights), SIGMOID)
    torch.testing.assert_close(found, expected)


def test_the_padded_network_of_the_tutorials_takes_colours_and_gives_one_channel():
    recipe = RECIPES["sigmoid"]
    assert recipe.target.outputs == ("object",)
    layers = layer_table(replace(recipe.network, in_channels=3), 512)
    assert layers[-1].shape == (1, 512, 512)
    # The published network, with two more inputs of 64 kernels of 3x3, and one output less of 64.
    assert sum(layer.parameters for layer in layers) == 31_030_658 + 2 * 64 * 9 - (64 + 1)


def test_scores_of_a_sigmoid_are_those_of_the_object_and_of_what_is_left():
    network = UNet(shape_of(SIGMOID)).eval()
    images = np.random.default_rng(0).random((1, 1, 32, 32), dtype=np.float32)
    scores = TorchEngine(network, network.config, SIGMOID)(images)
    with torch.inference_mode():
        expected = torch.sigmoid(network(torch.from_numpy(images)))[:, 0].numpy()
    np.testing.assert_allclose(scores[:, 1], expected, atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"classes": ("background", "a", "b"), "activation": "sigmoid"}, "more than two classes"),
        ({"classes": ("background", "a", "a")}, "each class once"),
        ({"instances": False, "extras": ("distance",)}, "areas have none"),
        ({"activation": "tanh"}, "softmax or sigmoid"),
    ],
)
def test_targets_that_contradict_themselves(values: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Target(**values)


def test_area_targets_weigh_classes_alike_and_what_is_not_annotated_nothing():
    labels = np.array([[0, 0, 0, 0, 1, 1, 2, -1]])
    classes, weights = area_target(labels, 4)
    assert classes.tolist() == [[0, 0, 0, 0, 1, 1, 2, 0]]
    np.testing.assert_allclose(weights, [[7 / 12] * 4 + [7 / 6] * 2 + [7 / 3, 0]], rtol=1e-6)
    assert area_target(labels, 4, balance=False)[1].tolist() == [[1] * 7 + [0]]
    with pytest.raises(ValueError, match="go up to 2, but of 2 classes"):
        area_target(labels, 2)


def test_objects_with_classes_keep_their_ridges_and_weights():
    image, labels, classes = fruit()
    example = teach(Plane(image[None], labels, classes=classes), FRUIT)
    inside, weights = training_target(labels)
    assert ((example.target[0] > 0) == (inside > 0)).all()
    np.testing.assert_array_equal(example.weights, weights)
    for number, one in classes.items():
        assert set(np.unique(example.target[0][labels == number])) <= {0, one}


def test_objects_without_a_class_are_told():
    image, labels, classes = fruit()
    with pytest.raises(ValueError, match="apple, pear apart: state the class of each object"):
        teach(Plane(image[None], labels), FRUIT)
    with pytest.raises(ValueError, match=r"Object 3 has no class .*1 \(apple\), 2 \(pear\)"):
        teach(Plane(image[None], labels, classes={**classes, 3: 7}), FRUIT)


def test_class_ious_by_hand_and_pooled():
    truth = np.array([[0, 0, 1, 1, 2, -1]])
    found = np.array([[0, 1, 1, 1, 1, 2]])
    ratios = class_ious(found, truth)
    assert [(r.part, r.whole) for r in ratios] == [(1, 2), (2, 4), (0, 1)]
    assert mean_iou(ratios) == pytest.approx(1 / 3)
    more = measure(np.array([[3]]), np.array([[3]]), ["class-iou"])
    both = pool([measure(found, truth, ["class-iou"]), more]).values()["class-iou"]
    assert both == {"0": 0.5, "1": 0.5, "2": 0.0, "3": 1.0, "mean": 0.5}


def test_objects_are_no_classes():
    labels = np.array([[0, 4_000_000_001]], np.uint32)
    with pytest.raises(ValueError, match="label 4000000001: these are objects, not classes"):
        class_ious(labels, labels)


def test_swapped_classes_are_wrong():
    image, labels, _ = fruit()
    areas = np.where(labels > 0, 1 + labels % 2, 0).astype(np.int32)
    example = teach(Plane(image[None], areas), AREAS)
    scores = np.eye(3, dtype=np.float32)[np.array([0, 2, 1])[areas]].transpose(2, 0, 1)
    judged = judgement(scores, example, Card(shape_of(AREAS), AREAS, Preprocessing()))
    assert (judged.matching.tp, judged.matching.fn) == (0, 2)
    assert judged.iou == pytest.approx(1 / 3)


def test_objects_of_the_wrong_class_are_wrong():
    image, labels, classes = fruit()
    example = teach(Plane(image[None], labels, classes=classes), FRUIT)
    card = Card(shape_of(FRUIT), FRUIT, Preprocessing())
    right = np.zeros((3, *labels.shape), np.float32)
    for number, one in classes.items():
        right[one][labels == number] = 1
    right[0] = labels == 0
    judged = judgement(np.stack([*right, *example.target[1:]]), example, card)
    assert judged.found.all()
    assert judged.matching.fp == 0
    wrong = judgement(np.stack([*right[[0, 2, 1]], *example.target[1:]]), example, card)
    assert not wrong.found.any()
    assert (wrong.matching.tp, wrong.matching.fp) == (0, judged.matching.tp)
    assert wrong.ap == 0
    assert merit(summarise([judged])) > merit(summarise([wrong]))


def test_a_sigmoid_network_learns():
    image, labels, _ = fruit()
    model = learn(Pair(image, labels), SIGMOID)
    found = segmented(image, model).labels
    assert ((found > 0) == (labels > 0)).mean() > 0.95


def test_areas_are_learnt_and_labelled_by_class_from_colours():
    image, labels, classes = fruit()
    areas = np.zeros_like(labels)
    for number, one in classes.items():
        areas[labels == number] = one
    colour = np.stack([image, image, 1 - image], axis=-1)
    config = replace(SMALL, iterations=100, validate_every=100)
    model = learn(Pair(colour, areas, channel=(0, 1, 2)), AREAS, config, channels=3)
    assert model.card.preprocessing.diameter is None
    result = segmented(colour, model)
    assert mean_iou(class_ious(result.labels, areas)) > 0.85
    assert result.objects == ()


def test_objects_learn_their_classes():
    image, labels, classes = fruit()
    config = replace(SMALL, iterations=300, validate_every=300)
    model = learn(Pair(image, labels, classes=classes), FRUIT, config)
    scores = segmented(image, model).scores[0]
    found, certain = classify(labels, scores[:3])
    assert found.tolist() == list(classes.values())
    assert (certain > 0.5).all()


def test_a_trained_model_gets_other_classes_and_keeps_what_it_knows():
    start = untrained(Card(shape_of(Target()), Target(), Preprocessing()))
    other = rehead(start, 1, FRUIT)
    assert other.card.network.out_channels == 4
    first = {name: value for name, value in start.weights.items() if "output" in name}
    kept = {name: other.weights[name][:1] for name in first}
    assert all(torch.equal(kept[name], value[:1]) for name, value in first.items())


def test_a_result_says_in_words_and_columns_what_its_classes_are():
    labels = np.array([[1, 1, 0, 2], [0, 0, 3, 3]], np.int32)
    frame = Frame((2, 4), (slice(0, 2), slice(0, 4)), 1.0)
    kinds = Objects(np.array([1, 2, 2]), np.array([0.9, 0.8, 0.7]))
    card = Card(shape_of(FRUIT), FRUIT, Preprocessing())
    result = Segmentation(labels, (), card, (kinds,), (0,), frame)
    assert result.in_words == "3 objects: 1 apple, 2 pear"
    features = {name: column.tolist() for name, column in result.features().items()}
    assert features == {
        "index": [1, 2, 3],
        "class": ["apple", "pear", "pear"],
        "score": [0.9, 0.8, 0.7],
    }
    plain = replace(result, card=Card(shape_of(Target()), Target(), Preprocessing()))
    assert plain.in_words == "3 objects"
    assert "class" not in plain.features()
    areas = replace(result, labels=labels % 3, objects=())
    areas = replace(areas, card=Card(shape_of(AREAS), AREAS, Preprocessing()))
    assert areas.in_words == "cytoplasm 25.0 %, nucleus 12.5 %"
    assert areas.features()["class"].tolist() == list(AREAS.classes)


def test_tables_of_classes_are_read_and_their_faults_told(tmp_path: Path):
    table = table_of(tmp_path / "a.tif")
    names = FRUIT.classes
    with pytest.raises(FileNotFoundError, match=r"a\.csv does not exist: write a table"):
        read_classes(table, names)
    table.write_text("\ufefflabel,area,class\n1,20,apple\n2,9,2\n", "utf-8")
    assert read_classes(table, names) == {1: 1, 2: 2}
    for text, message in [
        ("label,area\n1,20\n", "has no column class"),
        ("label,class\n1,plum\n", "'plum' is none of the classes apple, pear"),
        ("label,class\n1,3\n", "'3' is none of"),
        ("label,class\none,apple\n", "label 'one' is no whole number"),
    ]:
        table.write_text(text, "utf-8")
        with pytest.raises(ValueError, match=message):
            read_classes(table, names)


@pytest.mark.parametrize("objects", [False, True])
def test_the_command_line_teaches_classes(
    tmp_path: Path, objects: bool, capsys: pytest.CaptureFixture[str]
):
    image, labels, classes = fruit()
    if not objects:
        labels = np.array([0, *classes.values()], np.int32)[labels]
    for part, array in (("images", image), ("labels", labels.astype(np.uint16))):
        (tmp_path / part).mkdir()
        tifffile.imwrite(tmp_path / part / "a.tif", array)
    rows = "".join(f"{label},{FRUIT.classes[one]}\n" for label, one in classes.items())
    (tmp_path / "labels" / "a.csv").write_text(f"label,class\n{rows}", "utf-8")
    model = tmp_path / "fruit.safetensors"
    command = ["train", str(tmp_path / "images"), str(tmp_path / "labels"), "-o", str(model)]
    command += ["--classes", ",".join(FRUIT.classes), *["--objects"] * objects]
    assert main([*command, "--iterations", "2", "--batch", "1", "--patch", "32"]) == 0
    card = read_card(model)
    assert card.target.classes == FRUIT.classes
    assert (card.target.instances, card.target.extras) == (objects, ("distance",) * objects)
    assert main(["segment", str(tmp_path / "images"), "--model", str(model)]) == 0
    assert ("%" in capsys.readouterr().out) != objects
