"""What a training does in trouble: too little memory, a loss that is no number, no progress."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_unet.augmentation import Batch
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import TrainConfig, UNetConfig
from napari_unet.engines import OutOfMemory
from napari_unet.library import can_go_on, is_held
from napari_unet.model import UNet
from napari_unet.patches import Example
from napari_unet.prediction import run_to_end
from napari_unet.training import Diverged, Files, train, untrained
from napari_unet.training import session as module
from napari_unet.training.session import Session, split
from test_training import CARD, CONFIG, NETWORK, examples, weights_of

PLAIN = replace(CARD, network=replace(NETWORK, batch_norm=False, dropout=0.0))
"""Without what makes patches of one batch depend on each other, or on chance."""
FOUR = replace(CONFIG, batch=4)


def session(config: TrainConfig = FOUR, card=PLAIN, device: str = "cpu") -> Session:
    return Session(examples(0), examples(1), untrained(card), config, torch.device(device), None)


def gradients(of: Session) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in of.run.network.parameters()])


def test_passing_a_batch_in_parts_is_the_same_step():
    whole, parted = session(), session()
    parted.run.pass_together(1)
    assert whole.learn(0.0) == pytest.approx(parted.learn(0.0), rel=1e-5)
    torch.testing.assert_close(gradients(whole), gradients(parted), rtol=1e-3, atol=1e-6)


def test_parts_count_by_what_is_annotated_in_them():
    """Else the few annotated pixels of a sparse patch would weigh as much as a full one."""
    sparse = [replace(e, weights=e.weights * (np.arange(64) < 20)) for e in examples(0)]
    pair = []
    for together in (4, 1):
        one = Session(
            [*sparse, *examples(2)], examples(1), untrained(PLAIN), FOUR, torch.device("cpu"), None
        )
        one.run.pass_together(together)
        pair.append((one.learn(0.0), gradients(one)))
    assert pair[0][0] == pytest.approx(pair[1][0], rel=1e-5)
    torch.testing.assert_close(pair[0][1], pair[1][1], rtol=1e-3, atol=1e-6)


def test_a_gpu_without_room_for_the_network_is_left_for_the_cpu(monkeypatch):
    begin = module.Run.begin

    def full(checkpoint, config, device):
        if device.type == "cuda":
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return begin(checkpoint, config, device)

    monkeypatch.setattr(module.Run, "begin", full)
    one = session(device="cuda")
    assert one.device.type == "cpu"
    progress = next(one.advance())
    assert "the CPU goes on" in progress.message
    assert np.isfinite(progress.loss)


def test_batch_statistics_of_few_patches_count_less():
    few = session(card=CARD)
    momentum = {m.momentum for m in few.run.network.modules() if hasattr(m, "momentum")}
    assert momentum == {0.1}
    few.run.pass_together(1)
    momentum = {m.momentum for m in few.run.network.modules() if hasattr(m, "momentum")}
    assert momentum == {0.025}


class Short:
    """A memory in which only so many pixels of patches fit at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
        self.pixels = pixels
        loss = Session._loss

        def limited(this: Session, batch: Batch, number: int):
            if batch.weights.numel() > self.pixels:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return loss(this, batch, number)

        monkeypatch.setattr(Session, "_loss", limited)


def test_short_of_memory_fewer_patches_pass_at_a_time(monkeypatch, tmp_path: Path):
    Short(monkeypatch, 2 * 32 * 32)
    output = tmp_path / "m.safetensors"
    steps = train(examples(0), examples(1), untrained(CARD), FOUR, output=output)
    told = [p.message for p in steps if p.message]
    assert told == ["Memory ran out: going on with 2 patches at a time."]
    # A resumed run knows it already.
    (tmp_path / "m.safetensors").unlink()
    longer = replace(FOUR, iterations=9)
    steps = train(examples(0), examples(1), untrained(CARD), longer, output=output)
    next(p for p in steps if p.iteration == 3)
    steps.close()
    again = train(examples(0), examples(1), untrained(CARD), longer, output=output, resume=True)
    assert not [p.message for p in again if p.message]


def test_then_patches_shrink(monkeypatch: pytest.MonkeyPatch):
    Short(monkeypatch, 100 * 100)
    large = replace(CONFIG, batch=2, patch=128, iterations=1)
    steps = train(examples(0), examples(1), untrained(CARD), large)
    assert [p.message for p in steps] == ["Memory ran out: going on with patches of 84 pixels."]


def test_then_a_gpu_gives_way_to_the_cpu(monkeypatch: pytest.MonkeyPatch):
    """ "meta" stands for the GPU: it computes nothing, so nothing but memory can fail there."""
    on_gpu = session(card=CARD)
    on_gpu.device = torch.device("meta")
    on_gpu._draw = lambda: None  # type: ignore[method-assign]

    def step(batch: Batch | None, rate: float) -> float:
        if on_gpu.device.type != "cpu":
            raise RuntimeError("CUDA out of memory.")
        return 1.0

    on_gpu._step = step  # type: ignore[method-assign]
    assert on_gpu.learn(0.0) == 1.0
    progress = on_gpu._progress(1.0, 0.0)
    assert progress.message == "GPU memory ran out: going on on the CPU, which is slower."
    assert on_gpu.run.patch == FOUR.patch


def test_no_memory_at_all_names_the_way_out(monkeypatch: pytest.MonkeyPatch):
    Short(monkeypatch, 0)
    with pytest.raises(OutOfMemory, match=r"one patch of 32 pixels .* smaller network"):
        run_to_end(train(examples(0), examples(1), untrained(CARD), FOUR))


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch):
    """Let the loss be no number in the given calls."""

    def arm(*calls: int) -> None:
        loss, count = Session._loss, iter(range(10**6))

        def poisoned(this: Session, batch: Batch, number: int):
            return loss(this, batch, number) * (float("nan") if next(count) in calls else 1.0)

        monkeypatch.setattr(Session, "_loss", poisoned)

    return arm


def test_after_a_divergence_the_last_good_state_goes_on_more_slowly(poison):
    poison(4)  # in the fifth step, two after a validation
    steps = list(train(examples(0), examples(1), untrained(CARD), CONFIG))
    assert [p.iteration for p in steps] == [1, 2, 3, 4, 3, 4, 5, 6]
    told = [p.message for p in steps if p.message]
    assert told == ["The loss became infinite: going on from step 3 at a lower learning rate."]
    assert steps[5].learning_rate == pytest.approx(0.2 * steps[3].learning_rate)


def test_a_loss_that_stays_infinite_ends_the_run_and_keeps_the_best(poison, tmp_path: Path):
    poison(*range(4, 100))
    output = tmp_path / "m.safetensors"
    with pytest.raises(Diverged, match="infinite 3 times"):
        run_to_end(train(examples(0), examples(1), untrained(CARD), CONFIG, output=output))
    best = Checkpoint.load(output)
    assert best.card.provenance["training"]["iteration"] == 3
    assert weights_of(best).isfinite().all()


def test_infinite_gradients_do_not_reach_the_weights(monkeypatch: pytest.MonkeyPatch):
    bad = session()
    before = weights_of(Checkpoint.of(bad.run.network, PLAIN))
    hook = next(bad.run.network.parameters()).register_hook(lambda g: g * float("inf"))
    assert np.isnan(bad.learn(1e-3))
    hook.remove()
    assert torch.equal(before, weights_of(Checkpoint.of(bad.run.network, PLAIN)))


@pytest.fixture
def merits(monkeypatch: pytest.MonkeyPatch):
    """Let validations come to given merits."""

    def follow(*values: float) -> None:
        coming, of = iter(values), {}
        summarise = module.summarise

        def noted(judgements):
            scores = summarise(judgements)
            if id(judgements) not in of:
                of[id(judgements)] = (next(coming), judgements)  # not freed, so that ids are unique
            scores["merit"] = of[id(judgements)][0]
            return scores

        monkeypatch.setattr(module, "summarise", noted)
        monkeypatch.setattr(module, "merit", lambda scores: scores["merit"])

    return follow


def kept(config: TrainConfig, start: Checkpoint) -> list[bool]:
    config = replace(config, iterations=10, validate_every=1)
    return [p.best for p in train(examples(0), examples(1), start, config)]


def test_patience_ends_a_run_that_gets_no_better(merits):
    merits(0.5, 0.6, 0.55, 0.5, 0.4, 0.3, 0.2, 0.9)
    flags = kept(replace(CONFIG, patience=2), untrained(CARD))
    assert flags == [True, True, *[False] * 4], "2 of them in the second half"


def test_of_checkpoints_that_so_few_objects_cannot_rank_the_latest_is_kept(merits, monkeypatch):
    monkeypatch.setattr(module, "doubt", lambda *_: 0.1)
    merits(0.4, 0.6, 0.52, 0.49, 0.52, 0.45, 0.7, 0.65, 0.61, 0.55)
    flags = kept(CONFIG, untrained(CARD))
    assert flags == [True, True, True, False, True, False, True, True, True, False]


def test_what_training_began_from_is_replaced_by_what_scores_better_only(merits, monkeypatch):
    monkeypatch.setattr(module, "doubt", lambda *_: 0.1)
    start = run_to_end(train(examples(0), examples(1), untrained(CARD), CONFIG))
    merits(0.5, 0.45, 0.5, 0.54, 0.49, 0.53, *[0.2] * 5)
    assert kept(CONFIG, start) == [True, False, False, True, False, True, *[False] * 5]


def test_a_stop_in_a_validation_is_made_up_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    many: list[Example] = examples(1) * 3

    def steps(name: str, **options: bool):
        output = tmp_path / name / "m.safetensors"
        return train(examples(0), many, untrained(CARD), CONFIG, output=output, **options)

    for at in (3, 6):  # in the midst of the first validation, and of the last
        straight = list(steps(f"straight {at}"))
        monkeypatch.setattr(module, "PATIENCE", 0.0)
        broken = steps(f"broken {at}")
        seen = next(p for p in broken if p.iteration == at)
        assert not seen.validation
        with pytest.raises(StopIteration):
            broken.send(True)
        monkeypatch.undo()
        files = Files(tmp_path / f"broken {at}" / "m.safetensors")
        assert can_go_on(files.state)
        rest = list(steps(f"broken {at}", resume=True))
        told = {p.iteration: p.validation for p in [*rest] if p.validation}
        assert told == {p.iteration: p.validation for p in straight if p.iteration in told}
        assert set(told) == ({3, 6} if at == 3 else {6})
        assert not can_go_on(files.state)
        logs = [Files(tmp_path / f"{n} {at}" / "m.safetensors").log for n in ("straight", "broken")]
        first, second = (
            [row.split(",")[0::2] for row in log.read_text().splitlines()] for log in logs
        )
        assert first == second  # but for the seconds


def test_two_runs_do_not_write_one_model(tmp_path: Path):
    output = tmp_path / "m.safetensors"
    first = train(examples(0), examples(1), untrained(CARD), CONFIG, output=output)
    next(first)
    second = train(examples(0), examples(1), untrained(CARD), CONFIG, output=output)
    with pytest.raises(OSError, match="m is being trained just now"):
        next(second)
    run_to_end(first)
    assert not is_held(output)


def test_split_keeps_order_and_leaves_the_rest_last():
    batch = Batch(*(torch.arange(5.0).view(5, 1, 1, 1) for _ in range(3)))
    assert [p.image.flatten().tolist() for p in split(batch, 2)] == [[0, 1], [2, 3], [4]]


def test_an_unpadded_patch_shrinks_only_while_something_comes_out():
    card = replace(PLAIN, network=UNetConfig(out_channels=3, base_channels=2, depth=2))
    one = session(replace(FOUR, patch=200), card)
    sizes = []
    while (smaller := one._smaller_patch()) is not None:
        one.run.patch = smaller
        sizes.append(smaller)
        assert UNet(card.network)(torch.zeros(1, 1, smaller, smaller)).shape[-1] >= 64
    assert sizes
