"""Checkpoints: bit for bit back from their file, written whole or not at all, never a pickle."""

from __future__ import annotations

import errno
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from napari_unet import checkpoint as module
from napari_unet.checkpoint import Checkpoint, read_tensors, rehead, write_tensors
from napari_unet.config import Preprocessing, Target, UNetConfig
from napari_unet.library import KEY, Card, read_card, read_metadata
from napari_unet.model import UNet

CARD = Card(
    UNetConfig(out_channels=2, base_channels=4, depth=2, padding="same", batch_norm=True),
    Target(),
    Preprocessing(diameter=12.0),
    {"data": "세포 사진", "licence": "CC0"},
)


def trained(card: Card = CARD, seed: int = 0) -> UNet:
    """Return a network whose weights and running statistics are all random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = UNet(card.network)
        for parameter in network.parameters():
            parameter.detach().normal_()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert layer.running_mean is not None
                assert layer.running_var is not None
                assert layer.num_batches_tracked is not None
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
                layer.num_batches_tracked.fill_(1234)
    return network.eval()


def checkpoint(card: Card = CARD) -> Checkpoint:
    return Checkpoint.of(trained(card), card)


def same(a: Checkpoint, b: Checkpoint) -> bool:
    return (
        a.card == b.card
        and list(a.weights) == list(b.weights)
        and all(
            v.dtype == b.weights[k].dtype and torch.equal(v, b.weights[k])
            for k, v in a.weights.items()
        )
    )


def sorted_by_name(saved: Checkpoint) -> Checkpoint:
    return replace(saved, weights=dict(sorted(saved.weights.items())))


@pytest.mark.parametrize("name", ["m.safetensors", "내 폴더/세포 핵.SAFETENSORS"])
def test_round_trip_is_bit_for_bit(tmp_path: Path, name: str) -> None:
    saved = checkpoint()
    path = saved.save(tmp_path / name)
    assert path == tmp_path / name
    loaded = Checkpoint.load(path)
    assert same(sorted_by_name(saved), sorted_by_name(loaded))
    assert loaded.card == read_card(path) == CARD
    state = loaded.build().state_dict()
    assert all(torch.equal(v, state[k]) for k, v in trained().state_dict().items())


def test_loaded_network_gives_the_very_scores(tmp_path: Path) -> None:
    path = checkpoint().save(tmp_path / "m.safetensors")
    x = torch.randn(1, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(Checkpoint.load(path).build()(x), trained()(x))


def test_file_is_plain_safetensors_with_the_card_in_its_metadata(tmp_path: Path) -> None:
    path = checkpoint().save(tmp_path / "m.safetensors")
    assert list(read_metadata(path)) == [KEY]
    assert Card.from_json(read_metadata(path)[KEY]) == CARD
    assert set(load_file(path)) == set(trained().state_dict())


def test_checkpoint_is_a_copy_of_the_network() -> None:
    network = trained()
    saved = Checkpoint.of(network, CARD)
    before = {k: v.clone() for k, v in saved.weights.items()}
    network.output.weight.detach().fill_(7)
    built = saved.build()
    built.output.weight.detach().fill_(8)
    assert all(torch.equal(v, before[k]) for k, v in saved.weights.items())


def test_checkpoint_states_the_networks_own_shape() -> None:
    other = replace(CARD, network=replace(CARD.network, depth=3))
    assert Checkpoint.of(trained(), other).card == CARD


def test_channels_last_network_is_saved(tmp_path: Path) -> None:
    network = trained().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    path = Checkpoint.of(network, CARD).save(tmp_path / "m.safetensors")
    state = trained().state_dict()
    assert all(torch.equal(v, state[k]) for k, v in Checkpoint.load(path).weights.items())


def test_build_draws_no_random_numbers_and_is_trainable() -> None:
    saved = checkpoint()
    before = torch.get_rng_state()
    network = saved.build()
    assert torch.equal(before, torch.get_rng_state())
    assert not network.training
    assert all(p.requires_grad and p.device.type == "cpu" for p in network.parameters())


def test_half_is_half_the_size_and_close(tmp_path: Path) -> None:
    card = replace(CARD, network=replace(CARD.network, base_channels=16))
    full = checkpoint(card)
    sizes = [c.save(tmp_path / "m.safetensors").stat().st_size for c in (full, full.half())]
    assert 0.5 <= sizes[1] / sizes[0] < 0.55
    loaded = Checkpoint.load(tmp_path / "m.safetensors")
    for name, value in loaded.weights.items():
        exact = full.weights[name]
        assert value.dtype == exact.dtype
        expected = exact.half().float() if exact.ndim > 1 else exact
        assert torch.equal(value, expected), name


def test_half_keeps_a_variance_that_half_precision_cannot_hold() -> None:
    saved = checkpoint()
    name = "contract.0.1.running_var"
    large = replace(saved, weights={**saved.weights, name: torch.full((4,), 1e6)})
    network = large.half().build()
    assert all(v.dtype in (torch.float32, torch.int64) for v in network.state_dict().values())
    assert torch.equal(network.state_dict()[name], torch.full((4,), 1e6))


def test_weights_of_another_network_are_told_in_one_sentence(tmp_path: Path) -> None:
    wider = replace(CARD, network=replace(CARD.network, base_channels=8))
    with pytest.raises(ValueError) as caught:
        Checkpoint(wider, checkpoint().weights).build()
    assert str(caught.value) == (
        "The weights do not fit the network that the file describes: contract.0.0.weight is"
        " (4, 1, 3, 3) and should be (8, 1, 3, 3); copy or download the file again."
    )


def test_missing_and_surplus_weights_are_told() -> None:
    weights = dict(checkpoint().weights)
    surplus = {**weights, "head.weight": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"head\.weight is \(3,\) and should be absent"):
        Checkpoint(CARD, surplus).build()
    del weights["contract.0.1.num_batches_tracked"]
    with pytest.raises(ValueError, match=r"num_batches_tracked is missing and should be \(\)"):
        Checkpoint(CARD, weights).build()


def test_name_of_a_pickle_is_refused(tmp_path: Path) -> None:
    for suffix in (".pt", ".pth", ".pkl"):
        path = tmp_path / f"m{suffix}"
        with pytest.raises(ValueError, match=r"cannot be a model's name: let it end in \.safe"):
            checkpoint().save(path)
        torch.save({}, path)
        with pytest.raises(ValueError, match=r"is refused: .* can run any program"):
            Checkpoint.load(path)
        with pytest.raises(ValueError, match="is refused"):
            read_tensors(path)


def test_bad_files_are_told(tmp_path: Path) -> None:
    path = checkpoint().save(tmp_path / "m.safetensors")
    whole = path.read_bytes()
    for kept in (0, 4, 200, len(whole) - 1):
        path.write_bytes(whole[:kept])
        for read in (Checkpoint.load, read_tensors):
            with pytest.raises(ValueError, match=r"m\.safetensors is no complete"):
                read(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="holds no napari-unet model"):
        Checkpoint.load(path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Checkpoint.load(tmp_path / "gone.safetensors")
    with pytest.raises(FileNotFoundError, match="There is no model named 'gone'"):
        Checkpoint.load("gone")


class Killed(BaseException):
    """Stands for what no one catches, as Ctrl-C."""


FAULTS = [
    (OSError(errno.ENOSPC, "No space left on device"), OSError, "the disk is full"),
    (SafetensorError("os error 28"), OSError, "the disk is full"),
    (Killed(), Killed, "^$"),
]


@pytest.mark.parametrize(("fault", "raised", "message"), FAULTS, ids=["disk", "rust", "kill"])
def test_failed_save_leaves_the_old_file_and_no_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
    raised: type[BaseException],
    message: str,
) -> None:
    path = checkpoint().save(tmp_path / "m.safetensors")
    before = path.read_bytes()

    def half_written(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half of it")
        raise fault

    monkeypatch.setattr(module, "save_file", half_written)
    with pytest.raises(raised, match=message):
        checkpoint(replace(CARD, provenance={})).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_old_file_stands_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint().save(tmp_path / "m.safetensors")
    before = path.read_bytes()
    seen: list[Path] = []

    def watched(tensors: dict[str, torch.Tensor], file: Path, metadata: dict[str, str]) -> None:
        assert path.read_bytes() == before
        seen.append(file)
        save_file(tensors, file, metadata)

    monkeypatch.setattr(module, "save_file", watched)
    checkpoint(replace(CARD, provenance={})).save(path)
    (temporary,) = seen
    assert temporary.parent == path.parent
    assert temporary.name.startswith(".")
    assert Checkpoint.load(path).card.provenance == {}
    assert list(tmp_path.iterdir()) == [path]


def test_loaded_file_can_be_written_over_and_taken_away(tmp_path: Path) -> None:
    saved = checkpoint()
    path = saved.save(tmp_path / "m.safetensors")
    loaded = Checkpoint.load(path)
    # Nothing stays mapped: a file overwritten in place, as over a network, leaves it alone.
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    path.unlink()
    assert same(sorted_by_name(loaded), sorted_by_name(saved))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    path = checkpoint().save(tmp_path / "m.safetensors")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_folder_is_made(tmp_path: Path) -> None:
    assert checkpoint().save(tmp_path / "a" / "b" / "m.safetensors").is_file()


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Nothing can be written into .*file: "):
        checkpoint().save(tmp_path / "file" / "m.safetensors")


def test_tensors_of_any_kind_come_back(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(5), "b": torch.tensor(1.5), "c": torch.zeros(0, 3)}
    write_tensors(tmp_path / "t.safetensors", tensors, {"가": "나"})
    read = read_tensors(tmp_path / "t.safetensors")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(v, read[k]) and v.dtype == read[k].dtype for k, v in tensors.items())
    assert read_metadata(tmp_path / "t.safetensors") == {"가": "나"}


def scores(saved: Checkpoint, image: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = saved.build()(image)
    return found


IMAGE = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 5), (3, 1), (3, 2), (2, 3), (5, 2)])
def test_rehead_for_other_channels_says_the_same_of_channels_that_are_alike(
    before: int, after: int
) -> None:
    network = replace(CARD.network, in_channels=before)
    rule = replace(CARD.preprocessing, channels=before)
    old = checkpoint(replace(CARD, network=network, preprocessing=rule))
    new = rehead(old, after, CARD.target)
    assert new.card.network == replace(network, in_channels=after)
    assert new.card.preprocessing == replace(rule, channels=after)
    expected = scores(old, IMAGE.expand(-1, before, -1, -1))
    found = scores(new, IMAGE.expand(-1, after, -1, -1))
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    changed = {k for k, v in old.weights.items() if not torch.equal(v, new.weights[k])}
    assert changed == {"contract.0.0.weight"}


def test_rehead_shares_the_kernels_of_gray_among_channels() -> None:
    old = checkpoint()
    kernels = rehead(old, 3, CARD.target).weights["contract.0.0.weight"]
    for channel in range(3):
        torch.testing.assert_close(
            kernels[:, channel], old.weights["contract.0.0.weight"][:, 0] / 3
        )


def test_rehead_keeps_the_outputs_that_are_still_wanted() -> None:
    target = Target(extras=("distance",))
    old = checkpoint(replace(CARD, network=replace(CARD.network, out_channels=3), target=target))
    wanted = Target(("background", "nucleus", "object"), ("distance",))
    new = rehead(old, 1, wanted)
    assert new.card.target == wanted
    assert new.card.network.out_channels == 4
    before, after = scores(old, IMAGE), scores(new, IMAGE)
    rounding = 1e-4 * float(before.abs().max())
    torch.testing.assert_close(after[:, [0, 2, 3]], before, rtol=0, atol=rounding)
    weights = new.weights["output.weight"][1]
    assert 0 < weights.abs().max() < 0.1
    assert new.weights["output.bias"][1] == 0
    again = scores(rehead(new, 1, target), IMAGE)
    torch.testing.assert_close(again, before, rtol=0, atol=rounding)


def test_rehead_draws_by_its_seed_and_no_other() -> None:
    old, target = checkpoint(), Target(("background", "a", "b"))
    state = torch.get_rng_state()
    one, same_one, other = (rehead(old, 1, target, seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert same(one, same_one)
    assert not same(one, other)
    rows = one.weights["output.weight"]
    assert torch.equal(rows[0], old.weights["output.weight"][0])
    assert not torch.equal(rows[1], rows[2])


def test_rehead_drops_scores_that_are_not_its_own_and_leaves_the_old_one_alone() -> None:
    told = {**CARD.provenance, "scores": {"0.5": 0.8}, "validation": {"iou": 0.7}}
    old = checkpoint(replace(CARD, provenance=told))
    before = {k: v.clone() for k, v in old.weights.items()}
    assert rehead(old, 1, CARD.target) is old
    assert rehead(old, 2, CARD.target).card.provenance == CARD.provenance
    assert all(torch.equal(v, before[k]) for k, v in old.weights.items())
    assert old.card.provenance == told


@pytest.mark.parametrize("half", [False, True])
def test_reheaded_checkpoint_is_saved_and_can_be_trained(tmp_path: Path, half: bool) -> None:
    old = checkpoint().half() if half else checkpoint()
    new = rehead(old, 2, Target(("background", "a", "b"), ("distance",)))
    assert {k: v.dtype for k, v in new.weights.items()} == {
        k: v.dtype for k, v in old.weights.items()
    }
    loaded = Checkpoint.load(new.save(tmp_path / "m.safetensors"))
    assert loaded.card == new.card
    network = loaded.build().train()
    network(torch.zeros(1, 2, 16, 16)).sum().backward()
    assert network.output.weight.grad is not None


def test_rehead_for_no_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="in_channels = 0 is not possible"):
        rehead(checkpoint(), 0, CARD.target)
