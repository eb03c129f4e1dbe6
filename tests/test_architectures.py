"""Every kind of network, end to end: layers, sizes, reach, learning, files, and pruning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import napari_unet
from napari_unet.checkpoint import Checkpoint, rehead
from napari_unet.config import (
    ARCHITECTURES,
    RECIPES,
    FCNConfig,
    NetworkConfig,
    Preprocessing,
    Target,
    UNetConfig,
    UNetPlusPlusConfig,
)
from napari_unet.library import Card, read_card
from napari_unet.model import FCN, NETWORKS, Network, UNetPlusPlus, build, layer_table
from napari_unet.prediction import run_to_end
from napari_unet.training import start_from, train, untrained, validate, weighted_loss
from napari_unet.training.session import Session
from test_training import CONFIG, examples

TARGET = Target(extras=("distance",))
KINDS: dict[str, Callable[..., NetworkConfig]] = {
    "unet": lambda **shape: UNetConfig(**shape, padding="same"),
    "unet, unpadded": UNetConfig,
    "unet++": UNetPlusPlusConfig,
    "unet++, one output": lambda **shape: UNetPlusPlusConfig(**shape, deep_supervision=False),
    "fcn": lambda **shape: FCNConfig(**shape, padding="same"),
    "fcn, unpadded": FCNConfig,
}
every = pytest.mark.parametrize("kind", KINDS)


def small(kind: str, **shape: object) -> NetworkConfig:
    return KINDS[kind](**{"base_channels": 2, "depth": 2, "out_channels": 3, **shape})


def card(kind: str, **shape: object) -> Card:
    return Card(small(kind, **shape), TARGET, Preprocessing(diameter=12.0))


def checkpoint(kind: str, **shape: object) -> Checkpoint:
    return untrained(card(kind, **shape))


def image_for(config: NetworkConfig, steps: int = 3, channels: int = 1) -> Tensor:
    size = config.input_size(steps * config.alignment)
    random = torch.Generator().manual_seed(1)
    return torch.randn(1, channels, size, size, generator=random)


def test_each_kind_has_a_name_a_config_and_a_class() -> None:
    assert set(ARCHITECTURES) == {"unet", "unet++", "fcn"}
    assert set(NETWORKS) == set(ARCHITECTURES.values())
    for name, kind in ARCHITECTURES.items():
        assert kind().architecture == name
        assert type(build(kind(base_channels=1))) is NETWORKS[kind]
    for public in ("UNet", "UNetPlusPlus", "FCN"):
        assert getattr(napari_unet, public) in NETWORKS.values()
        assert getattr(napari_unet, f"{public}Config") in ARCHITECTURES.values()


@every
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_shapes_are_those_that_the_config_foretells(
    kind: str, depth: int, batch_norm: bool
) -> None:
    config = small(kind, in_channels=2, out_channels=4, depth=depth, batch_norm=batch_norm)
    height, width = config.smallest_size, config.smallest_size + 2 * config.alignment
    with torch.device("meta"):
        network = build(config)
        images = torch.empty(2, 2, height, width)
        shape = (2, 4, config.output_size(height), config.output_size(width))
        assert network(images).shape == shape
        assert [p.shape for p in network.predictions(images)] == [shape] * len(
            network.output_layers
        )
        with pytest.raises(ValueError, match="does not fit this network"):
            network(torch.empty(1, 2, height, width + 1))


# One input channel, 2, 4 and 8 feature channels, 3 outputs: inputs x taps x outputs + biases.
CONTRACTING = (9 * 1 * 2 + 2) + (9 * 2 * 2 + 2) + (9 * 2 * 4 + 4) + (9 * 4 * 4 + 4)
CONTRACTING += (9 * 4 * 8 + 8) + (9 * 8 * 8 + 8)
UP_TO_1, UP_TO_0 = 4 * 8 * 4 + 4, 4 * 4 * 2 + 2
LAST_OF_1, LAST_OF_0 = 9 * 4 * 4 + 4, 9 * 2 * 2 + 2
OUTPUT = 2 * 3 + 3
COUNTS = {
    "unet": CONTRACTING
    + (UP_TO_1 + (9 * 8 * 4 + 4) + LAST_OF_1)
    + (UP_TO_0 + (9 * 4 * 2 + 2) + LAST_OF_0)
    + OUTPUT,
    "unet++": CONTRACTING
    + (UP_TO_0 + (9 * 4 * 2 + 2) + LAST_OF_0)  # X01 of X00 and X10
    + (UP_TO_1 + (9 * 8 * 4 + 4) + LAST_OF_1)  # X11 of X10 and X20
    + (UP_TO_0 + (9 * 6 * 2 + 2) + LAST_OF_0)  # X02 of X00, X01 and X11
    + 2 * OUTPUT,
    "fcn": CONTRACTING
    + (UP_TO_1 + 2 * LAST_OF_1)  # both convolutions see 4 channels
    + (UP_TO_0 + 2 * LAST_OF_0)
    + OUTPUT,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_as_many_as_by_hand(name: str) -> None:
    config = small(name)
    assert sum(p.numel() for p in build(config).parameters()) == COUNTS[name]
    rows = layer_table(config, config.input_size(config.alignment))
    assert sum(row.parameters for row in rows) == COUNTS[name]
    assert rows[0].name == Network.input_layer
    assert {row.name for row in rows} >= set(build(config).output_layers)


def test_published_networks_have_as_many_parameters_as_published() -> None:
    """Zhou et al. (2018), table 3: 9.04 million, and 7.76 million of a U-Net of that width."""
    with torch.device("meta"):
        networks = [build(UNetPlusPlusConfig(3, 1)), build(UNetConfig(3, 1, 32, padding="same"))]
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert [round(count / 1e6, 2) for count in counts] == [9.04, 7.76]


def by_hand(network: Network, x: Tensor) -> list[Tensor]:
    """Return the outputs of a U-Net++ by its definition: equation 1 of Zhou et al. (2018)."""
    state = network.state_dict()

    def twice(x: Tensor, name: str) -> Tensor:
        for i in (0, 2):
            kernels, bias = state[f"{name}.{i}.weight"], state[f"{name}.{i}.bias"]
            x = F.conv2d(x, kernels, bias, padding="same").clamp(min=0)
        return x

    @cache
    def node(i: int, j: int) -> Tensor:
        if j == 0:
            return twice(F.max_pool2d(node(i - 1, 0), 2) if i else x, f"contract.{i}")
        kernels, bias = (state[f"nodes.{i}{j}.up.{part}"] for part in ("weight", "bias"))
        up = F.conv_transpose2d(node(i + 1, j - 1), kernels, bias, stride=2)
        return twice(torch.cat([*(node(i, k) for k in range(j)), up], 1), f"nodes.{i}{j}.convs")

    levels = [name.split(".")[1] for name in state if name.endswith("weight") and "outp" in name]
    return [
        F.conv2d(node(0, int(n)), state[f"outputs.{n}.weight"], state[f"outputs.{n}.bias"])
        for n in levels
    ]


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("kind", ["unet++", "unet++, one output"])
def test_unet_plus_plus_is_its_definition(kind: str, depth: int) -> None:
    network = build(small(kind, depth=depth)).eval()
    images = torch.randn(2, 1, 32, 48)
    with torch.inference_mode():
        expected = by_hand(network, images)
        assert len(expected) == (depth if kind == "unet++" else 1)
        torch.testing.assert_close(network.predictions(images), expected)
        torch.testing.assert_close(network(images), torch.stack(expected).mean(0))


def test_fcn_is_a_unet_whose_skip_connections_bring_nothing() -> None:
    fcn = build(small("fcn, unpadded")).eval()
    unet = build(small("unet, unpadded")).eval()
    own = fcn.state_dict()
    copied = {name: value.zero_() for name, value in unet.state_dict().items()}
    for name in own:
        if not name.startswith("expand"):
            copied[name].copy_(own[name])
    for level, width in enumerate((4, 2)):
        for part in ("weight", "bias"):
            copied[f"expand.{level}.up.{part}"].copy_(own[f"expand.{2 * level}.{part}"])
            convs = f"expand.{2 * level + 1}"
            copied[f"expand.{level}.convs.2.{part}"].copy_(own[f"{convs}.2.{part}"])
        copied[f"expand.{level}.convs.0.weight"][:, width:].copy_(own[f"{convs}.0.weight"])
        copied[f"expand.{level}.convs.0.bias"].copy_(own[f"{convs}.0.bias"])
    images = image_for(fcn.config)
    with torch.inference_mode():
        torch.testing.assert_close(fcn(images), unet(images))


def reach(config: NetworkConfig, steps: int) -> tuple[int, int, int]:
    """Return the first and last input rows that the outputs of an aligned block depend on.

    Everything in the network is made positive and pooling an average, so that no dependence
    hides behind a zero or a smaller neighbour; the block is the second of `steps`.
    """
    network = build(config).double().eval()
    network.pool = nn.AvgPool2d(2)  # type: ignore[assignment]
    for name, parameter in network.named_parameters():
        parameter.detach().fill_(1.0 if name.endswith("weight") else 0.0)
    size = config.input_size(steps * config.alignment)
    x = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    start = config.output_offset + config.alignment
    network(x)[0, 0, start : start + config.alignment].sum().backward()
    assert x.grad is not None
    rows = x.grad[0, 0].any(dim=1).nonzero().flatten()
    return int(rows[0]), int(rows[-1]), size


@every
@pytest.mark.parametrize(
    ("depth", "valid", "same"), [(1, 8, 8), (2, 20, 22), (3, 44, 46), (4, 92, 94)]
)
def test_aligned_block_depends_on_no_more_than_its_halo(
    kind: str, depth: int, valid: int, same: int
) -> None:
    config = small(kind, depth=depth, base_channels=1, out_channels=1)
    first, last, size = reach(config, steps=3)
    start, stop = config.alignment, config.alignment + config.input_size(config.alignment)
    assert start <= first
    assert last < stop < size
    reached = valid if config.padding == "valid" else same
    assert start + config.halo - first == reached <= config.halo


@every
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_what_lies_beyond_the_halo_changes_nothing(kind: str, depth: int) -> None:
    network = build(small(kind, depth=depth, batch_norm=depth % 2 == 0)).eval()
    config = network.config
    step = config.alignment
    x = image_for(config)
    read = slice(step, step + config.input_size(step))
    block = slice(config.output_offset + step, config.output_offset + 2 * step)
    crop = slice(config.output_offset, config.output_offset + step)
    changed = 100 * torch.randn_like(x)
    changed[..., read, read] = x[..., read, read]
    with torch.inference_mode():
        whole, other, tile = network(x), network(changed), network(x[..., read, read])
    assert torch.equal(whole[..., block, block], other[..., block, block])
    assert not torch.equal(whole, other)
    scale = whole.abs().max()
    torch.testing.assert_close(
        tile[..., crop, crop] / scale, whole[..., block, block] / scale, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["unet++", "fcn"])  # as a U-Net in test_training
def test_it_learns_one_image(kind: str) -> None:
    start = checkpoint(kind, base_channels=8, batch_norm=True, dropout=0.0)
    config = replace(CONFIG, iterations=90, validate_every=90, batch=4, learning_rate=1e-2)
    best = run_to_end(train(examples(), examples(), start, config))
    assert best.card.architecture == kind
    scores = validate(best.build(), best.card, examples(), torch.device("cpu"))
    assert scores["iou"] > 0.8
    assert scores["ap50"] > 0.6


def test_the_loss_is_the_mean_over_all_outputs() -> None:
    start = checkpoint("unet++")
    session = Session(examples(0), examples(1), start, CONFIG, torch.device("cpu"), None)
    batch = session._draw()
    outputs = session.run.network.train().predictions(batch.image)
    assert len(outputs) == 2
    losses = [float(weighted_loss(logits, batch, TARGET).detach()) for logits in outputs]
    assert losses[0] != losses[1]
    assert session.learn(0.0) == pytest.approx(sum(losses) / 2, rel=1e-5)
    heads = session.run.network.outputs.parameters()
    assert all(p.grad is not None and p.grad.any() for p in heads)


@every
def test_checkpoint_round_trip_is_bit_for_bit(kind: str, tmp_path: Path) -> None:
    saved = checkpoint(kind, batch_norm=True)
    path = saved.save(tmp_path / "m.safetensors")
    loaded = Checkpoint.load(path)
    assert loaded.card == read_card(path) == saved.card
    assert loaded.card.architecture == kind.split(",")[0]
    images = image_for(saved.card.network)
    with torch.inference_mode():
        assert torch.equal(loaded.build()(images), saved.build()(images))


def test_a_card_names_what_its_network_is_and_nothing_else_can() -> None:
    told = card("unet").to_json()
    assert '"architecture": "unet"' in told
    with pytest.raises(ValueError, match="no field padding"):
        Card.from_json(told.replace('"architecture": "unet"', '"architecture": "unet++"'))


@every
def test_rehead_keeps_what_the_outputs_say(kind: str) -> None:
    old = checkpoint(kind, batch_norm=True)
    new = rehead(old, 3, Target(("background", "nucleus", "object"), ("distance",)))
    assert type(new.card.network) is type(old.card.network)
    images = image_for(old.card.network)
    with torch.inference_mode():
        before = old.build().predictions(images)
        after = new.build().predictions(images.expand(-1, 3, -1, -1))
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(other[:, [0, 2, 3]], one)
        assert other.shape[1] == 4


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_pruned_network_gives_the_output_of_its_level(levels: int, tmp_path: Path) -> None:
    whole = checkpoint("unet++", depth=3, batch_norm=True)
    part = Checkpoint.load(whole.pruned(levels).save(tmp_path / "m.safetensors"))
    assert part.card.network.depth == levels
    assert set(part.weights) <= set(whole.weights)
    assert len(part.weights) < len(whole.weights)
    images = torch.randn(1, 1, 24, 32)
    with torch.inference_mode():
        outputs = whole.build().predictions(images)
        assert torch.equal(part.build()(images), outputs[levels - 1])
    names = {row.name for row in layer_table(part.card.network, 32)}
    assert (f"contract.{levels + 1}.0" in names) is False
    assert {name for name in names if name.startswith("outputs")} == {f"outputs.{levels}"}


def test_pruning_forgets_scores_and_nothing_else() -> None:
    whole = checkpoint("unet++")
    told = {"data": "a dozen images", "scores": {"0.5": 0.8}, "validation": {"iou": 0.7}}
    whole = replace(whole, card=replace(whole.card, provenance=told))
    part = whole.pruned(1).card
    assert part.provenance == {"data": "a dozen images"}
    assert (part.target, part.preprocessing) == (whole.card.target, whole.card.preprocessing)


@pytest.mark.parametrize("name", ["unet++", "fcn"])
def test_a_recipe_serves_every_architecture(name: str) -> None:
    network = start_from(None, "few-shot", channels=2, architecture=name).card.network
    recipe = replace(RECIPES["few-shot"].network, in_channels=2)
    assert network == ARCHITECTURES[name].like(recipe)
    assert network.architecture == name


def test_an_architecture_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'vit' is unknown: use one of unet, unet"):
        start_from(None, architecture="vit")
    model = checkpoint("fcn").save(tmp_path / "m.safetensors")
    assert start_from(model, architecture="fcn").card.architecture == "fcn"
    with pytest.raises(ValueError, match=r"'unet' is not that of .*, which is 'fcn': leave"):
        start_from(model, architecture="unet")


def test_defaults_are_there_without_a_config() -> None:
    with torch.device("meta"):
        assert UNetPlusPlus().config == UNetPlusPlusConfig()
        assert FCN().config == FCNConfig()
