"""Learning, in seconds: the loss, overfitting, resuming, stopping, and the files of a run."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_unet
from napari_unet.augmentation import Batch
from napari_unet.checkpoint import Checkpoint, write_tensors
from napari_unet.config import (
    Preprocessing,
    SegmentConfig,
    Target,
    TrainConfig,
    TrainProgress,
    UNetConfig,
)
from napari_unet.engines import TorchEngine
from napari_unet.library import Card
from napari_unet.metrics import iou
from napari_unet.model import UNet
from napari_unet.patches import Example, prepare
from napari_unet.prediction import run_to_end
from napari_unet.segmentation.result import smallest_object
from napari_unet.training import (
    Files,
    describe_data,
    find_recipe,
    train,
    untrained,
    validate,
    weighted_loss,
)
from napari_unet.training.scoring import judgement
from napari_unet.training.session import learning_rate

NETWORK = UNetConfig(
    out_channels=3, base_channels=8, depth=2, padding="same", batch_norm=True, dropout=0.2
)
TARGET = Target(extras=("distance",))
CARD = Card(NETWORK, TARGET, Preprocessing(diameter=12.0))
CONFIG = TrainConfig(
    iterations=6, batch=2, patch=32, validate_every=3, elastic=False, scale=1.0, invert=0.0
)


def disks(seed: int = 0, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Bright disks on a dark, noisy background, and their labels."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices((size, size))
    labels = np.zeros((size, size), np.int32)
    grid = np.stack(np.meshgrid((12, 32, 52), (12, 32, 52)), -1).reshape(-1, 2)
    for number, (y, x) in enumerate(grid + random.uniform(-3, 3, grid.shape), start=1):
        labels[(rows - y) ** 2 + (columns - x) ** 2 < 36] = number
    return (labels > 0) * 100 + random.normal(20, 10, labels.shape), labels


def examples(seed: int = 0) -> list[Example]:
    return prepare(*disks(seed), CARD.preprocessing, TARGET)


def run(output: Path | None = None, config: TrainConfig = CONFIG, **options: object):
    start = untrained(CARD)
    return train(examples(0), examples(1), start, config, output=output, **options)


def weights_of(checkpoint: Checkpoint) -> torch.Tensor:
    return torch.cat([w.flatten().double() for _, w in sorted(checkpoint.weights.items())])


def test_loss_is_the_papers_equation_over_the_pixels_that_count():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 5, 5, generator=random)
    classes = torch.randint(0, 2, (2, 1, 5, 5), generator=random).float()
    weights = torch.rand(2, 1, 5, 5, generator=random) + 0.1
    weights[0, 0, :2] = 0
    loss = weighted_loss(logits, Batch(logits, classes, weights), Target())
    expected, count = 0.0, 0
    for b in range(2):
        for y in range(5):
            for x in range(5):
                if weights[b, 0, y, x] > 0:
                    scores = logits[b, :, y, x].softmax(0)
                    chosen = scores[int(classes[b, 0, y, x])]
                    expected -= float(weights[b, 0, y, x]) * math.log(chosen)
                    count += 1
    assert float(loss) == pytest.approx(expected / count, rel=1e-5)


def test_pixels_without_annotation_have_no_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    weights = torch.ones(1, 1, 4, 4)
    weights[..., :2] = 0
    target = torch.zeros(1, 2, 4, 4)
    weighted_loss(logits, Batch(logits, target, weights), TARGET).backward()
    assert logits.grad is not None
    assert (logits.grad[..., :2] == 0).all()
    assert (logits.grad[..., 2:] != 0).all()


def test_loss_of_an_unpadded_network_is_taken_in_the_middle():
    logits = torch.zeros(1, 2, 2, 2)
    logits[:, 1] = 9  # sure of class 1
    classes = torch.zeros(1, 1, 6, 6)
    classes[..., 2:4, 2:4] = 1
    loss = weighted_loss(logits, Batch(logits, classes, torch.ones_like(classes)), Target())
    assert float(loss) < 1e-3


def test_overfits_one_image():
    config = replace(CONFIG, iterations=90, validate_every=90, batch=4, learning_rate=1e-2)
    best = run_to_end(train(examples(), examples(), untrained(CARD), config))
    scores = validate(best.build(), best.card, examples(), torch.device("cpu"))
    assert scores["iou"] > 0.8
    assert scores["ap50"] > 0.6


def test_yields_each_step_and_validates_when_it_should():
    steps = list(run())
    assert [s.iteration for s in steps] == [1, 2, 3, 4, 5, 6]
    assert [bool(s.validation) for s in steps] == [False, False, True] * 2
    assert steps[-1].fraction == 1
    assert all(math.isfinite(s.loss) for s in steps)
    assert {"loss", "iou", "ap50", "ap"} == set(steps[2].validation)


def test_same_seed_same_network_and_another_seed_another():
    first, again = run_to_end(run()), run_to_end(run())
    assert torch.equal(weights_of(first), weights_of(again))
    other = run_to_end(run(config=replace(CONFIG, seed=1)))
    assert not torch.equal(weights_of(first), weights_of(other))


def test_training_leaves_the_global_random_state_alone():
    state = torch.random.get_rng_state()
    run_to_end(run())
    assert torch.equal(state, torch.random.get_rng_state())


def test_resumed_run_equals_a_straight_one_bitwise(tmp_path: Path):
    straight, broken = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    run_to_end(run(straight))
    steps = run(broken)
    for progress in steps:
        if progress.iteration == 4:  # killed, a step after the last save
            steps.close()
            break
    run_to_end(run(broken, resume=True))
    for a, b in zip(vars(Files(straight)).values(), vars(Files(broken)).values(), strict=True):
        if a.suffix == ".safetensors" and ".resume" in a.name:
            assert _tensors(a).keys() == _tensors(b).keys()
            assert all(torch.equal(v, _tensors(b)[k]) for k, v in _tensors(a).items())
    assert torch.equal(
        weights_of(Checkpoint.load(Files(straight).last)),
        weights_of(Checkpoint.load(Files(broken).last)),
    )


def test_a_resumed_run_rounds_as_it_did_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What the stopwatch says of bfloat16 may differ from one process to the next."""
    straight, broken = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    monkeypatch.setattr("napari_unet.training.state.prefers_bfloat16", lambda _: True)
    run_to_end(run(straight))
    steps = run(broken)
    next(step for step in steps if step.iteration == 3)
    steps.close()
    monkeypatch.setattr("napari_unet.training.state.prefers_bfloat16", lambda _: False)
    run_to_end(run(broken, resume=True))
    assert torch.equal(
        weights_of(Checkpoint.load(Files(straight).last)),
        weights_of(Checkpoint.load(Files(broken).last)),
    )


def test_state_is_saved_by_the_clock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    output = tmp_path / "m.safetensors"
    monkeypatch.setattr("napari_unet.training.session.SAVE_EVERY", 0.0)
    steps = run(output)
    next(steps)
    steps.close()  # long before the first validation
    assert not output.exists()
    resumed = run(output, resume=True)
    assert next(resumed).iteration == 2
    best = run_to_end(resumed)
    assert same_weights(best, Checkpoint.load(output))


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    return torch.equal(weights_of(one), weights_of(other))


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def test_stop_between_validations_leaves_complete_files(tmp_path: Path):
    output = tmp_path / "m.safetensors"
    steps = run(output)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    assert end.value.value.card.provenance["training"]["iteration"] == 1
    for path in (Files(output).best, Files(output).last):
        assert Checkpoint.load(path).build()(torch.zeros(1, 1, 32, 32)).shape == (1, 3, 32, 32)
    assert next(iter(run(output, resume=True))).iteration == 2


def test_log_has_a_line_a_validation(tmp_path: Path):
    output = tmp_path / "m.safetensors"
    run_to_end(run(output))
    with Files(output).log.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["iteration"]) for r in rows] == [3, 6]
    assert set(rows[0]) == {"iteration", "seconds", "train_loss", "loss", "iou", "ap50", "ap"}


def test_a_new_run_begins_a_new_log_and_leaves_tables_of_that_name(tmp_path: Path):
    output, table = tmp_path / "cells.safetensors", tmp_path / "cells.csv"
    table.write_text("cell,area\n")
    Files(output).log.write_text("of a run whose model was deleted\n")
    run_to_end(run(output))
    assert Files(output).log.read_text().startswith("iteration,seconds")
    assert table.read_text() == "cell,area\n"


def test_a_model_that_exists_is_not_written_over(tmp_path: Path):
    output = tmp_path / "m.safetensors"
    output.write_bytes(b"precious")
    with pytest.raises(ValueError, match="exists already"):
        next(run(output))
    assert output.read_bytes() == b"precious"


def test_a_stop_before_the_first_step_is_heard():
    trained = run_to_end(run())
    steps = train(examples(0), examples(1), trained, CONFIG)
    assert next(steps).iteration == 0
    with pytest.raises(StopIteration):
        steps.send(True)


def test_validation_leaves_the_network_where_it_is(monkeypatch: pytest.MonkeyPatch):
    """Short of memory, an engine takes its network to the CPU, where a step could not use it."""
    network = UNet(NETWORK)
    parameters = [id(p) for p in network.parameters()]
    taken: list[torch.nn.Module] = []
    build = TorchEngine.__init__

    def watched(self: TorchEngine, own: torch.nn.Module, *args, **options) -> None:
        taken.append(own)
        build(self, own, *args, **options)

    monkeypatch.setattr(TorchEngine, "__init__", watched)
    validate(network, CARD, examples(), torch.device("cpu"))
    assert not set(parameters) & {id(p) for p in taken[0].parameters()}


def test_small_objects_count_in_validation():
    labels = np.zeros((40, 40), np.int32)
    labels[5:8, 5:8], labels[20:23, 20:23] = 1, 2
    (example,) = prepare(labels.astype(float), labels, CARD.preprocessing, TARGET)
    perfect = np.stack([labels == 0, labels > 0, labels > 0]).astype(np.float32)
    for diameter in (None, 3.0):
        card = replace(CARD, preprocessing=replace(CARD.preprocessing, diameter=diameter))
        judged = judgement(perfect, example, card)
        assert (judged.iou, judged.matching.ap) == (1.0, 1.0)
        assert judged.found.tolist() == [True, True]


def test_specks_count_in_validation_no_more_than_in_what_users_get():
    """Unless they lie at the border of what is annotated: there the rest may be cut off."""
    labels = np.zeros((40, 40), np.int32)
    labels[10:30, 10:30], labels[:2, 20:22] = 1, 2
    card = replace(CARD, preprocessing=replace(CARD.preprocessing, diameter=20.0))
    (example,) = prepare(labels.astype(float), labels, card.preprocessing, TARGET)
    scored = labels > 0
    scored[3:6, 3:6] = True
    scores = np.stack([~scored, scored, scored]).astype(np.float32)
    assert smallest_object(card, SegmentConfig(), 1.0) > 9
    judged = judgement(scores, example, card)
    assert (judged.matching.tp, judged.matching.fp) == (2, 0)


def test_a_log_that_cannot_be_written_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # as of a file that is open in Excel

    monkeypatch.setattr(Files, "append", refuse)
    output = tmp_path / "m.safetensors"
    steps, told = run(output), []
    while True:
        try:
            told.append(next(steps).message)
        except StopIteration:
            break
    assert any("m.log.csv lacks a line (Permission denied)" in message for message in told)
    assert output.exists()


def test_resume_with_other_data_or_another_file_is_refused(tmp_path: Path):
    output = tmp_path / "m.safetensors"
    run_to_end(run(output))
    other = train(examples(2), examples(1), untrained(CARD), CONFIG, output=output, resume=True)
    with pytest.raises(ValueError, match="other images or annotations"):
        next(other)
    write_tensors(Files(output).state, {}, {"foreign": "yes"})
    with pytest.raises(ValueError, match="not the state of a training"):
        next(run(output, resume=True))


def test_resume_from_damaged_files_says_from_where_to_go_on(tmp_path: Path):
    output = tmp_path / "m.safetensors"
    run_to_end(run(output))
    state = Files(output).state
    state.write_bytes(state.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"damaged \(.*m\.resume.* from the best until then"):
        next(run(output, resume=True))


def test_resume_with_other_settings_names_them(tmp_path: Path):
    output = tmp_path / "m.safetensors"
    run_to_end(run(output))
    with pytest.raises(ValueError, match="begun with sigma = "):
        next(run(output, replace(CONFIG, sigma=2.0), resume=True))


def test_a_trained_start_is_kept_unless_something_better_comes():
    config = replace(CONFIG, iterations=90, validate_every=90, batch=4, learning_rate=1e-2)
    trained = run_to_end(train(examples(), examples(), untrained(CARD), config))
    ruin = replace(CONFIG, learning_rate=10.0)
    steps: list[TrainProgress] = []
    worse = train(examples(), examples(), trained, ruin)
    while True:
        try:
            steps.append(next(worse))
        except StopIteration as end:
            best = end.value
            break
    assert steps[0].iteration == 0
    assert steps[0].validation
    scores = validate(best.build(), best.card, examples(), torch.device("cpu"))
    assert scores["iou"] >= steps[0].validation["iou"] - 1e-6


def test_minutes_are_a_budget():
    config = replace(CONFIG, minutes=0.02, iterations=10**6)
    steps = list(run(config=config))
    assert steps[-1].fraction == 1
    assert 1.2 <= steps[-1].seconds < 30


def test_learning_rate_warms_up_and_decays():
    config = replace(CONFIG, learning_rate=0.1)
    rates = [learning_rate(config, f) for f in np.linspace(0, 1, 101)]
    assert max(rates) == pytest.approx(0.1, rel=0.001)
    assert rates[:6] == sorted(rates[:6])
    assert rates[0] < 0.02
    assert rates[-1] < 1e-4
    assert np.argmax(rates) <= 6


def test_paper_recipe_is_sgd_with_momentum(tmp_path: Path):
    recipe = find_recipe("paper")
    assert recipe.network == UNetConfig()
    assert recipe.training.optimizer == "sgd"
    network = UNetConfig(base_channels=4, depth=2)
    card = Card(network, Target(), Preprocessing())
    config = replace(recipe.training, patch=64, iterations=4, validate_every=2)
    steps = list(train(examples(0), examples(1), untrained(card), config))
    assert steps[-1].validation["loss"] > 0


def test_nothing_to_train_on_is_said():
    with pytest.raises(ValueError, match="no annotated image to train on"):
        next(train([], examples(), untrained(CARD), CONFIG))


def test_files_are_checked_before_the_start(tmp_path: Path):
    Files(tmp_path / "new.safetensors").check(resume=False)
    assert list(tmp_path.iterdir()) == []
    taken = tmp_path / "m.safetensors"
    untrained(CARD).save(taken)
    with pytest.raises(ValueError, match="exists already"):
        Files(taken).check(resume=False)
    with pytest.raises(ValueError, match="nothing to resume"):
        Files(taken).check(resume=True)
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        Files(tmp_path / "m.pt").check(resume=False)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((0.5, 0.5), 0.5), ((0.5, 0.502), 0.5), ((0.5, 0.25), None), ((0.5, None), None)],
)
def test_card_states_the_pixel_size_that_all_images_share(sizes, expected):
    groups = [prepare(*disks(), CARD.preprocessing, TARGET, pixel_size=size) for size in sizes]
    described = describe_data(untrained(CARD), groups)
    assert described.card.preprocessing.pixel_size == expected


def test_card_keeps_nothing_that_is_true_of_the_start_only():
    known = {"name": "old", "scores": {"ap": 1.0}, "command": "x", "training": {}, "data": "much"}
    start = untrained(replace(CARD, provenance=known))
    provenance = describe_data(start, [examples()], "napari-unet train").card.provenance
    assert provenance["started_from"] == {"name": "old", "data": "much"}
    assert provenance["command"] == "napari-unet train"
    assert not {"scores", "name", "training"} & set(provenance)


def test_a_model_that_is_taught_knows_one_size():
    start = untrained(CARD)
    start = start.seeing(replace(start.card.preprocessing, auto_size=True))
    assert not describe_data(start, [examples()]).card.preprocessing.auto_size


def test_card_states_the_objects_it_was_trained_on():
    card = describe_data(untrained(CARD), [examples(0), examples(1)]).card
    assert card.preprocessing.diameter == pytest.approx(12, abs=1.5)
    assert card.provenance["data"].startswith("2 annotated images, ")


def test_no_object_is_said():
    image, labels = disks()
    empty = prepare(image, labels * 0, CARD.preprocessing, TARGET)
    with pytest.raises(ValueError, match="No object is annotated"):
        describe_data(untrained(CARD), [empty])


def test_train_in_one_call_and_segment_with_it(tmp_path: Path):
    images, labels = zip(*(disks(seed) for seed in range(3)), strict=True)
    output = tmp_path / "mine.safetensors"
    best = napari_unet.train(
        images, labels, output, device="cpu", iterations=90, patch=32, batch=2, learning_rate=1e-2
    )
    assert torch.equal(weights_of(best), weights_of(Checkpoint.load(output)))
    found = napari_unet.segment(images[0], model=output, device="cpu")
    assert found.shape == images[0].shape
    # Threads add up in any order, so that so short a training ends elsewhere each time.
    assert iou(found, labels[0]) > 0.35


def test_unknown_recipe_lists_those_known():
    with pytest.raises(ValueError, match="standard, paper"):
        napari_unet.train([], [], recipe="new")
