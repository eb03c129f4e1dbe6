"""Annotated images to training patches; what is held out is held out."""

import numpy as np
import pytest

from napari_unet.config import Preprocessing, Target, UNetConfig
from napari_unet.patches import Example, hold_out, prepare, sample_windows, side_of_patches
from napari_unet.weightmap import distance_target, training_target

RULE, TARGET = Preprocessing(), Target(extras=("distance",))


def annotated(size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Two touching squares on a dark background."""
    labels = np.zeros((size, size), np.int32)
    labels[8:20, 8:20], labels[8:20, 20:32] = 1, 2
    return (labels > 0) * 200.0 + np.arange(size), labels


def test_example_holds_the_image_its_target_and_the_weight_map():
    image, labels = annotated()
    (example,) = prepare(image, labels, RULE, TARGET, w0=7, sigma=3)
    classes, weights = training_target(labels, 7, 3)
    np.testing.assert_array_equal(example.target[0], classes)
    np.testing.assert_array_equal(example.target[1], distance_target(labels))
    np.testing.assert_array_equal(example.weights, weights)
    assert example.image.shape == (1, 40, 40)
    assert example.image.dtype == example.weights.dtype == np.float32


def test_extra_outputs_are_in_the_order_of_their_names():
    image, labels = annotated()
    labels[0] = -1
    for names in (("distance", "extent"), ("extent", "distance"), ("extent",)):
        (example,) = prepare(image, labels, RULE, Target(extras=names))
        assert len(example.target) == 1 + len(names)
        extent, inside = example.target[1 + names.index("extent")], example.target[0]
        np.testing.assert_array_equal(extent, labels > 0)
        assert (extent - inside).sum() == 2 * 12, "the ridge is in the objects, too"


def test_planes_without_annotation_are_left_out():
    image, labels = annotated()
    stack = np.stack([image] * 3)
    annotation = np.stack([labels, np.full_like(labels, -1), np.zeros_like(labels)])
    examples = prepare(stack, annotation, RULE, TARGET)
    assert len(examples) == 2
    assert examples[1].labels.max() == 0


def test_shapes_must_agree():
    image, labels = annotated()
    with pytest.raises(ValueError, match=r"\(40, 39\) is not the image's \(40, 40\)"):
        prepare(image, labels[:, :-1], RULE, TARGET)


def test_windows_are_drawn_from_annotated_places():
    """A single annotated pixel in a corner is in every window."""
    image, labels = annotated(200)
    labels[...] = -1
    labels[3, 5] = 1
    (example,) = prepare(image, labels, RULE, TARGET)
    batch = sample_windows([example], 60, 20, np.random.default_rng(0))
    assert batch.image.shape == (20, 1, 60, 60)
    assert (batch.weights.amax((1, 2, 3)) > 0).all()


def test_windows_lie_inside_a_large_image_but_for_their_margin():
    ramp = np.tile(np.arange(300, dtype=np.float32), (300, 1))
    example = Example(ramp[None], np.ones((300, 300), np.int32), ramp[None], np.ones_like(ramp))
    batch = sample_windows([example], 90, 50, np.random.default_rng(1))
    patch = batch.image[:, 0, :, 15:75]  # two thirds of the window
    assert ((patch[..., 1:] - patch[..., :-1]) == 1).all()  # a mirrored ramp would fall


def test_windows_of_images_smaller_than_they_are_mirrored():
    image, labels = annotated()
    (example,) = prepare(image, labels, RULE, TARGET)
    batch = sample_windows([example], 100, 2, np.random.default_rng(0))
    assert batch.image.shape == (2, 1, 100, 100)
    assert (batch.weights > 0).all()


def test_windows_follow_the_probabilities_and_the_seed():
    image, labels = annotated()
    (dark,) = prepare(image, labels * 0, RULE, TARGET)
    (bright,) = prepare(image, labels * 0 + 1, RULE, TARGET)
    chance = np.array([0.0, 1.0])
    batch = sample_windows([dark, bright], 20, 8, np.random.default_rng(0), chance)
    assert (batch.target[:, 0] == 1).all()
    first, again = (
        sample_windows([dark, bright], 20, 8, np.random.default_rng(5)).image for _ in range(2)
    )
    assert (first == again).all()


def test_windows_of_networks_that_predict_less_than_they_see_reach_the_corners():
    image, labels = annotated(200)
    labels[...] = -1
    labels[:3, :3] = 1
    (example,) = prepare(image, labels, RULE, TARGET)
    batch = sample_windows([example], 150, 20, np.random.default_rng(0), predicted=20)
    inner = batch.weights[..., 65:85, 65:85]  # of 100 that are seen, 20 are predicted
    assert (inner.amax((1, 2, 3)) > 0).all()


@pytest.mark.parametrize(("count", "fraction", "held"), [(2, 0.1, 1), (2, 0.9, 1), (10, 0.2, 2)])
def test_whole_images_are_held_out(count: int, fraction: float, held: int):
    image, labels = annotated()
    groups = [prepare(image, labels, RULE, TARGET) for _ in range(count)]
    training, validation = hold_out(groups, fraction, np.random.default_rng(0))
    assert len(validation) == held
    assert {id(e) for e in training} | {id(e) for e in validation} == {id(g[0]) for g in groups}
    assert len(training) == count - held


def test_planes_of_one_stack_stay_together():
    image, labels = annotated()
    groups = [prepare(np.stack([image] * 3), np.stack([labels] * 3), RULE, TARGET) for _ in "ab"]
    training, validation = hold_out(groups, 0.5, np.random.default_rng(0))
    assert len(training) == len(validation) == 3
    assert {id(e) for e in validation} in ({id(e) for e in g} for g in groups)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_held_out_has_objects(seed: int):
    """Where there are none, a network that finds nothing would be the best."""
    image, labels = annotated()
    empty = prepare(image, labels * 0, RULE, TARGET)
    full = prepare(image, labels, RULE, TARGET)
    random = np.random.default_rng(seed)
    training, (held,) = hold_out([empty, full, empty, full, empty], 0.2, random)
    assert (held.labels > 0).any()
    assert any((e.labels > 0).any() for e in training)
    training, (held,) = hold_out([empty, full, empty], 0.3, random)
    assert (held.labels > 0).any()
    assert len(training) == 3
    assert any((e.labels > 0).any() for e in training)


def test_a_block_is_cut_where_the_objects_are():
    labels = np.zeros((40, 100), np.int32)
    labels[10:20, 4:14] = 1
    labels[10:20, 30:40] = 2
    group = prepare(labels.astype(np.float32), labels, RULE, TARGET)
    (training,), (validation,) = hold_out([group], 0.25, np.random.default_rng(0))
    assert (training.labels > 0).sum() == 150
    assert (validation.labels > 0).sum() == 50


@pytest.mark.parametrize("mirrored", [False, True])
def test_background_beyond_the_objects_is_learnt_from(mirrored: bool):
    """And not held out with the last object, for lying behind it."""
    labels = np.zeros((40, 512), np.int32)
    for number in range(5):
        labels[10:20, 10 + 30 * number : 25 + 30 * number] = number + 1
    labels = labels[:, ::-1] if mirrored else labels
    group = prepare(labels.astype(np.float32), labels, RULE, TARGET)
    (training,), (validation,) = hold_out([group], 0.2, np.random.default_rng(0))
    assert len(np.unique(validation.labels)) == 2
    assert validation.labels.size < 0.1 * labels.size
    assert training.labels.size + validation.labels.size == labels.size


@pytest.mark.parametrize(
    ("padding", "patch", "side"),
    [("same", 100, 112), ("same", 32, 32), ("valid", 572, 572), ("valid", 128, 252)],
)
def test_of_a_patch_enough_comes_out(padding: str, patch: int, side: int):
    network = UNetConfig(padding=padding)
    assert side_of_patches(network, patch) == side
    assert network.output_size(side) >= min(64, patch)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [(np.full((40, 40), 0.7), "not whole numbers"), (np.full((40, 40), 2**32 - 1), "reach from")],
)
def test_labels_that_are_none_are_refused(annotation: np.ndarray, words: str):
    with pytest.raises(ValueError, match=words):
        prepare(annotated()[0], annotation, RULE, TARGET)


def test_of_a_single_image_a_block_is_held_out():
    image, labels = annotated()
    group = prepare(image[:30], labels[:30], RULE, TARGET)
    (training,), (validation,) = hold_out([group], 0.25, np.random.default_rng(0))
    assert all((e.labels > 0).any() for e in (training, validation))
    joined = np.concatenate([training.labels, validation.labels], axis=1)
    np.testing.assert_array_equal(joined, group[0].labels)


def test_planes_of_a_single_stack_are_cut_at_one_place():
    """Else what one plane is judged by is learnt from in its neighbour."""
    labels = np.zeros((2, 40, 100), np.int32)
    labels[0, 10:20, 4:14] = 1
    labels[1, 10:20, 70:80] = 1
    group = prepare(labels.astype(np.float32), labels, RULE, TARGET)
    training, validation = hold_out([group], 0.25, np.random.default_rng(0))
    assert {e.labels.shape for e in training} == {(40, 91)}
    assert {e.labels.shape for e in validation} == {(40, 9)}


def test_a_thin_object_is_held_out_in_part():
    labels = np.zeros((40, 100), np.int32)
    labels[:, 50:53] = 1
    group = prepare(labels.astype(np.float32), labels, RULE, TARGET)
    (training,), (validation,) = hold_out([group], 0.1, np.random.default_rng(0))
    assert (training.labels > 0).any()
    assert (validation.labels > 0).any()


def test_without_objects_the_block_parts_the_annotated_area():
    image, labels = annotated()
    labels = labels * 0
    labels[:, 16:] = -1
    group = prepare(image, labels, RULE, TARGET)
    (training,), (validation,) = hold_out([group], 0.5, np.random.default_rng(0))
    counts = [(e.weights > 0).sum() for e in (training, validation)]
    assert min(counts) > 0.4 * sum(counts)
