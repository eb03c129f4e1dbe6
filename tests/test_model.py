"""The U-Net: figure 1 of the paper to the letter, and its options."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_unet.config import UNetConfig
from napari_unet.model import UNet, crop_to, layer_table

GEOMETRIES = [(depth, padding) for depth in (1, 2, 3, 4) for padding in ("valid", "same")]


@pytest.fixture(scope="module")
def paper() -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet().eval()


def small(**options: object) -> UNet:
    torch.manual_seed(0)
    return UNet(UNetConfig(**{"base_channels": 2, "depth": 1, **options})).eval()  # type: ignore[arg-type]


def test_paper_has_23_convolutional_layers_and_31030658_parameters(paper: UNet) -> None:
    kinds = [type(m) for m in paper.modules()]
    assert kinds.count(nn.Conv2d) + kinds.count(nn.ConvTranspose2d) == 23
    assert sum(p.numel() for p in paper.parameters()) == 31_030_658


def test_paper_maps_572_to_388() -> None:
    with torch.device("meta"):
        scores = UNet()(torch.empty(1, 1, 572, 572))
    assert scores.shape == (1, 2, 388, 388)


def test_layer_table_is_figure_1() -> None:
    rows = layer_table(UNetConfig(), 572)
    shapes = [r.shape for r in rows if r.kind not in ("ReLU", "Dropout2d")]
    contracting = [
        [(64, 570), (64, 568), (64, 284)],
        [(128, 282), (128, 280), (128, 140)],
        [(256, 138), (256, 136), (256, 68)],
        [(512, 66), (512, 64), (512, 32)],
        [(1024, 30), (1024, 28)],
    ]
    expanding = [  # up-convolution, with the skip connection beside it, two convolutions
        [(512, 56), (1024, 56), (512, 54), (512, 52)],
        [(256, 104), (512, 104), (256, 102), (256, 100)],
        [(128, 200), (256, 200), (128, 198), (128, 196)],
        [(64, 392), (128, 392), (64, 390), (64, 388)],
        [(2, 388)],
    ]
    figure = [(c, n, n) for level in contracting + expanding for c, n in level]
    assert shapes == figure
    assert sum(r.parameters for r in rows) == 31_030_658
    assert sum("Conv" in r.kind for r in rows) == 23


def test_layer_table_computes_nothing_and_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    rows = layer_table(UNetConfig(padding="same", batch_norm=True, in_channels=3), 2**20)
    assert torch.equal(before, torch.get_rng_state())
    assert rows[0].shape == (64, 2**20, 2**20)
    assert [r.kind for r in rows[:3]] == ["Conv2d", "BatchNorm2d", "ReLU"]


def test_layer_table_refuses_a_size_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="use 556 or 572"):
        layer_table(UNetConfig(), 571)


def test_weights_are_drawn_with_std_sqrt_2_over_n(paper: UNet) -> None:
    for name, module in paper.named_modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            continue
        # Incoming nodes: a window of all channels; one pixel of them for the 2x2 up-convolution.
        window = 1 if isinstance(module, nn.ConvTranspose2d) else math.prod(module.kernel_size)
        expected = math.sqrt(2 / (module.in_channels * window))
        count = module.weight.numel()
        error = expected / math.sqrt(2 * count)
        assert abs(float(module.weight.detach().std()) - expected) < 4 * error, name
        assert abs(float(module.weight.detach().mean())) < 4 * expected / math.sqrt(count), name
        assert module.bias is not None
        assert not module.bias.any(), name


def test_initialisation_keeps_the_variance_through_the_contracting_path(paper: UNet) -> None:
    x = torch.randn(1, 1, 188, 188, generator=torch.Generator().manual_seed(1))
    first = paper.contract[0]
    assert isinstance(first, nn.Sequential)
    with torch.inference_mode():
        before = first[2](first[1](first[0](x)))
    # He et al.: the mean square of what comes out is twice that of what went in, halved by ReLU.
    assert 0.5 < float(before.square().mean()) / 2 < 2


def by_hand(network: UNet, x: Tensor) -> Tensor:
    """Figure 1 written out with the bare functions of torch."""
    state, config = network.state_dict(), network.config

    def twice(x: Tensor, name: str) -> Tensor:
        for i in (0, 2):
            x = functional.conv2d(
                x, state[f"{name}.{i}.weight"], state[f"{name}.{i}.bias"], padding=config.padding
            )
            x = x.clamp(min=0)
        return x

    skips = []
    for level in range(config.depth):
        x = twice(x, f"contract.{level}")
        skips.append(x)
        x = functional.max_pool2d(x, 2)
    x = twice(x, f"contract.{config.depth}")
    for level in range(config.depth):
        up = f"expand.{level}.up"
        x = functional.conv_transpose2d(x, state[f"{up}.weight"], state[f"{up}.bias"], stride=2)
        skip = skips.pop()
        edge = (skip.shape[-1] - x.shape[-1]) // 2
        skip = functional.pad(skip, (-edge,) * 4)
        x = twice(torch.cat((skip, x), dim=1), f"expand.{level}.convs")
    return functional.conv2d(x, state["output.weight"], state["output.bias"])


@pytest.mark.parametrize(("depth", "padding"), GEOMETRIES)
def test_forward_is_figure_1_by_hand(depth: int, padding: str) -> None:
    network = small(depth=depth, padding=padding, in_channels=2, out_channels=3)
    size = network.config.smallest_size + network.config.alignment
    x = torch.randn(2, 2, size, size)
    with torch.inference_mode():
        assert torch.equal(network(x), by_hand(network, x))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_options_give_the_shapes_that_the_config_foretells(
    depth: int, padding: str, batch_norm: bool
) -> None:
    config = UNetConfig(
        in_channels=3,
        out_channels=4,
        base_channels=5,
        depth=depth,
        padding=padding,  # type: ignore[arg-type]
        batch_norm=batch_norm,
    )
    height = config.smallest_size
    width = height + 2 * config.alignment
    with torch.device("meta"):
        network = UNet(config)
        scores = network(torch.empty(2, 3, height, width))
    assert scores.shape == (2, 4, config.output_size(height), config.output_size(width))
    kinds = [type(m) for m in network.modules()]
    assert kinds.count(nn.BatchNorm2d) == batch_norm * (4 * depth + 2)
    assert kinds.count(nn.MaxPool2d) == 1


def test_no_bias_before_batch_normalisation() -> None:
    names = set(small(batch_norm=True).state_dict())
    assert "contract.0.0.bias" not in names
    assert {"contract.0.1.running_mean", "expand.0.up.bias", "output.bias"} <= names


@pytest.mark.parametrize(
    ("shape", "nearest"),
    [((571, 572), "556 or 572"), ((572, 573), "572 or 588"), ((187, 572), "use 188")],
)
def test_wrong_size_names_the_nearest_ones(shape: tuple[int, int], nearest: str) -> None:
    with torch.device("meta"):
        network = UNet()
        with pytest.raises(ValueError, match=nearest):
            network(torch.empty(1, 1, *shape))


def test_dropout_acts_once_at_the_end_of_the_contracting_path() -> None:
    kinds = [r.kind for r in layer_table(UNetConfig(), 572)]
    assert kinds.count("Dropout2d") == 1
    at = kinds.index("Dropout2d")
    assert kinds[at - 3 : at + 2] == ["ReLU", "Conv2d", "ReLU", "Dropout2d", "ConvTranspose2d"]
    assert UNet(UNetConfig(base_channels=2, depth=1)).dropout.p == 0.5


def test_dropout_drops_whole_feature_maps_in_training_only() -> None:
    network = small(base_channels=64)
    seen: list[tuple[Tensor, Tensor]] = []
    network.dropout.register_forward_hook(lambda m, x, y: seen.append((x[0], y)))
    x = torch.randn(1, 1, 20, 20)
    with torch.inference_mode():
        first, second = network(x), network(x)
        assert torch.equal(first, second)
        network.train()(x)
    (_, _), (_, _), (before, after) = seen
    dropped = (after == 0).flatten(2).all(dim=2)
    assert 0.3 < float(dropped.float().mean()) < 0.7
    assert torch.equal(after[~dropped], 2 * before[~dropped])


def test_crop_to_takes_the_middle() -> None:
    x = torch.arange(8 * 6).reshape(1, 1, 8, 6)
    assert torch.equal(crop_to(x, torch.empty(1, 9, 4, 4)), x[..., 2:6, 1:5])
    assert torch.equal(crop_to(x, x), x)


def test_same_seed_same_network() -> None:
    assert all(
        torch.equal(a, b) for a, b in zip(small().parameters(), small().parameters(), strict=True)
    )
