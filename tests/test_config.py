"""Settings: what is accepted, what is refused and how, and the geometry of a network."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import (
    ARCHITECTURES,
    RECIPES,
    FCNConfig,
    NetworkConfig,
    ONNXConfig,
    Preprocessing,
    SegmentConfig,
    Target,
    TrainConfig,
    TrainProgress,
    UNetConfig,
    UNetPlusPlusConfig,
)

shapes = {
    "in_channels": st.integers(1, 5),
    "out_channels": st.integers(1, 5),
    "base_channels": st.integers(1, 128),
    "depth": st.integers(1, 8),
    "batch_norm": st.booleans(),
    "dropout": st.floats(0, 0.99),
}
paddings = st.sampled_from(["valid", "same"])
networks = st.one_of(
    st.builds(UNetConfig, **shapes, padding=paddings),
    st.builds(UNetPlusPlusConfig, **shapes, deep_supervision=st.booleans()),
    st.builds(FCNConfig, **shapes, padding=paddings),
)
foreign = st.builds(
    ONNXConfig,
    in_channels=st.integers(1, 5),
    outputs=st.sampled_from(
        [("object",), ("background", "a", "b"), ("unused", "cell", "boundary")]
    ),
    squash=st.sampled_from(["none", "sigmoid", "softmax"]),
    step=st.integers(1, 32),
    reach=st.integers(0, 200),
    least=st.integers(1, 300),
    peak=st.integers(1, 999),
)
rules = st.builds(
    Preprocessing,
    channels=st.integers(1, 4),
    low=st.floats(0, 49),
    high=st.floats(50, 100),
    invert_bright=st.booleans(),
    diameter=st.none() | st.floats(0.1, 1e4),
    pixel_size=st.none() | st.floats(1e-3, 1e3),
)
names = st.lists(st.text(max_size=5), min_size=2, max_size=4, unique=True).map(tuple)
extras = st.sampled_from([(), ("distance",), ("extent",), ("distance", "extent")])
targets = st.builds(Target, classes=names, extras=extras) | st.builds(
    Target, classes=names, instances=st.just(False)
)
trainings = st.builds(
    TrainConfig,
    iterations=st.integers(1, 10**6),
    minutes=st.none() | st.floats(0.1, 1e4),
    optimizer=st.sampled_from(["adamw", "sgd"]),
)
modest = settings(max_examples=40, deadline=None)


def passes(size: int, config: NetworkConfig) -> int | None:
    """Walk a length through figure 1, layer by layer; None where it does not pass."""
    lost = 4 if config.padding == "valid" else 0  # by two 3x3 convolutions
    for _ in range(config.depth):
        size -= lost
        if size < 2 or size % 2:
            return None
        size //= 2
    size -= lost
    if size < 1:
        return None
    for _ in range(config.depth):
        size = 2 * size - lost
    return size if size >= 1 else None


def test_defaults_are_the_paper() -> None:
    assert asdict(UNetConfig()) == {
        "in_channels": 1,
        "out_channels": 2,
        "base_channels": 64,
        "depth": 4,
        "padding": "valid",
        "batch_norm": False,
        "dropout": 0.5,
    }


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_takes_over_all_it_can_of_anothers_shape(name: str) -> None:
    kind = ARCHITECTURES[name]
    paper = kind.like(UNetConfig(3, 4, 5, 6, batch_norm=True, dropout=0.25))
    assert paper.architecture == name
    assert (paper.in_channels, paper.out_channels, paper.base_channels, paper.depth) == (3, 4, 5, 6)
    assert (paper.batch_norm, paper.dropout) == (True, 0.25)
    assert paper.padding == ("same" if name == "unet++" else "valid")
    assert UNetConfig.like(paper).padding == paper.padding
    assert kind.like(paper) == paper


def test_a_pruned_network_is_a_smaller_one() -> None:
    whole = UNetPlusPlusConfig(depth=4)
    assert whole.pruned(2) == UNetPlusPlusConfig(depth=2, deep_supervision=False)
    assert whole.pruned(4).pruned(4) == UNetPlusPlusConfig(depth=4, deep_supervision=False)
    for config, levels, known in ((whole, 5, "at 1, 2, 3, 4"), (whole.pruned(3), 2, "at 3")):
        with pytest.raises(ValueError, match=f"levels = {levels} is not possible: .* {known}"):
            config.pruned(levels)
    for kind in (UNetConfig, FCNConfig):
        with pytest.raises(ValueError, match=f"of kind {kind.architecture} needs all of it"):
            kind().pruned(2)


def test_572_pixels_become_388() -> None:
    paper = UNetConfig()
    assert (paper.output_size(572), paper.halo, paper.alignment) == (388, 92, 16)
    # A tile of 572 pixels writes the multiple of 16 in its 388.
    assert paper.input_size(384) == 572


def test_padded_network_keeps_the_size_and_aligns_its_halo() -> None:
    same = UNetConfig(padding="same")
    assert (same.output_size(576), same.halo, same.input_size(384)) == (576, 96, 576)


@modest
@given(networks.filter(lambda c: c.depth <= 6), st.integers(-10, 1200))
def test_sizes_are_those_of_a_walk_through_the_layers(config: NetworkConfig, size: int) -> None:
    expected = passes(size, config) if size > 0 else None
    assert config.is_valid_size(size) == (expected is not None)
    if expected is not None:
        assert config.output_size(size) == expected


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_smallest_size_is_the_first_that_passes(depth: int, padding: str) -> None:
    config = UNetConfig(depth=depth, padding=padding)  # type: ignore[arg-type]
    first = next(n for n in range(1, 1000) if passes(n, config) is not None)
    assert config.smallest_size == first


@modest
@given(networks.filter(lambda c: c.depth <= 4), st.integers(-10, 700))
def test_nearest_valid_sizes_are_the_nearest(config: NetworkConfig, size: int) -> None:
    below, above = config.nearest_valid_sizes(size)
    assert above == next(n for n in range(max(size, 1), 2000) if config.is_valid_size(n))
    lower = [n for n in range(1, size + 1) if config.is_valid_size(n)]
    assert below == max(lower, default=None)


@modest
@given(st.one_of(networks, foreign), st.integers(1, 40))
def test_input_size_gives_at_least_what_is_to_be_written(config: NetworkConfig, steps: int) -> None:
    write = steps * config.alignment
    output = config.output_size(config.input_size(write))
    assert output >= config.output_offset + write


@pytest.mark.parametrize(
    ("config", "size", "message"),
    [
        (
            UNetConfig(),
            570,
            "An input of 570 pixels does not fit this network: use 556 or 572 (the multiples of 16"
            " less 4, from 188 on).",
        ),
        (
            UNetConfig(),
            512,
            "An input of 512 pixels does not fit this network: use 508 or 524 (the multiples of 16"
            " less 4, from 188 on).",
        ),
        (
            UNetConfig(),
            100,
            "An input of 100 pixels does not fit this network: use 188 (the multiples of 16"
            " less 4, from 188 on).",
        ),
        (
            UNetConfig(padding="same", depth=3),
            1000 + 1,
            "An input of 1001 pixels does not fit this network: use 1000 or 1008 (the multiples"
            " of 8, from 8 on).",
        ),
    ],
)
def test_wrong_size_names_the_nearest_ones(config: UNetConfig, size: int, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        config.output_size(size)
    assert str(caught.value) == message


@modest
@given(st.one_of(networks, foreign, rules, targets, trainings))
def test_json_round_trip(record: NetworkConfig | Preprocessing | Target | TrainConfig) -> None:
    if isinstance(record, TrainConfig):  # only written, as a note and to compare
        assert TrainConfig(**json.loads(json.dumps(asdict(record)))) == record
    else:
        assert type(record).from_dict(json.loads(json.dumps(asdict(record)))) == record


def test_file_of_a_newer_version_is_told() -> None:
    with pytest.raises(ValueError) as caught:
        UNetConfig.from_dict({"depth": 4, "heads": 8})
    assert str(caught.value) == (
        "UNetConfig has no field heads: the file was written by a newer version of napari-unet;"
        " update it."
    )


def test_file_of_an_older_version_takes_the_defaults() -> None:
    assert UNetConfig.from_dict({"depth": 3}) == UNetConfig(depth=3)


nan = math.nan
REFUSED = [
    (UNetConfig, {"in_channels": 0}),
    (UNetConfig, {"out_channels": 0}),
    (UNetConfig, {"base_channels": -1}),
    (UNetConfig, {"depth": 0}),
    (UNetConfig, {"depth": 9}),
    (UNetConfig, {"padding": "mirror"}),
    (UNetConfig, {"dropout": 1.0}),
    (UNetConfig, {"dropout": -0.1}),
    (UNetConfig, {"dropout": nan}),
    (UNetPlusPlusConfig, {"depth": 0}),
    (FCNConfig, {"padding": "mirror"}),
    (ONNXConfig, {"in_channels": 0}),
    (ONNXConfig, {"step": 0}),
    (ONNXConfig, {"reach": -1}),
    (ONNXConfig, {"squash": "tanh"}),
    (ONNXConfig, {"outputs": ("background", "unused")}),
    (ONNXConfig, {"outputs": ("a", "a")}),
    (ONNXConfig, {"outputs": ("a", "b", "boundary")}),
    (ONNXConfig, {"outputs": ("a", "distance", "boundary")}),
    (Target, {"classes": ("background",)}),
    (Target, {"extras": ("border",)}),
    (Preprocessing, {"channels": 0}),
    (Preprocessing, {"statistic": "median"}),
    (Preprocessing, {"statistic": "moments"}),
    (Preprocessing, {"gain": (1.0, 2.0)}),
    (Preprocessing, {"gain": (0.0,)}),
    (Preprocessing, {"offset": (nan,)}),
    (Preprocessing, {"clip": (1.0, 0.0)}),
    (Preprocessing, {"low": 99.9}),
    (Preprocessing, {"high": 101.0}),
    (Preprocessing, {"low": nan}),
    (Preprocessing, {"diameter": 0.0}),
    (Preprocessing, {"pixel_size": -1.0}),
    (SegmentConfig, {"device": "tpu"}),
    (SegmentConfig, {"diameter": 0.0}),
    (SegmentConfig, {"diameter": math.inf}),
    (SegmentConfig, {"pixel_size": nan}),
    (SegmentConfig, {"diameter": 20.0, "pixel_size": 0.5}),
    (SegmentConfig, {"channel": ()}),
    (SegmentConfig, {"channel": 1}),
    (SegmentConfig, {"tile": 0}),
    (SegmentConfig, {"threshold": 0.0}),
    (SegmentConfig, {"threshold": 1.0}),
    (SegmentConfig, {"threshold": nan}),
    (SegmentConfig, {"min_size": -1}),
    (TrainConfig, {"iterations": 0}),
    (TrainConfig, {"minutes": 0.0}),
    (TrainConfig, {"optimizer": "lion"}),
    (TrainConfig, {"learning_rate": -1e-3}),
    (TrainConfig, {"batch": 0}),
    (TrainConfig, {"patch": 0}),
    (TrainConfig, {"w0": -1.0}),
    (TrainConfig, {"sigma": 0.0}),
    (TrainConfig, {"val_fraction": 0.0}),
    (TrainConfig, {"val_fraction": 1.0}),
    (TrainConfig, {"validate_every": 0}),
    (TrainConfig, {"average": 1.0}),
    (TrainConfig, {"invert": 1.1}),
    (TrainConfig, {"scale": 0.9}),
]


@pytest.mark.parametrize(("kind", "values"), REFUSED, ids=str)
def test_impossible_value_is_named_with_its_field_and_the_way_out(
    kind: type, values: dict[str, object]
) -> None:
    with pytest.raises(ValueError) as caught:
        kind(**values)
    message = str(caught.value)
    for name, value in values.items():
        assert name in message
        assert repr(value) in message
    assert " is not possible: " in message
    assert message.endswith(".")
    assert message.count(". ") == 0  # one sentence


@pytest.mark.parametrize(
    "kind",
    [*ARCHITECTURES.values(), Target, Preprocessing, SegmentConfig, TrainConfig, TrainProgress],
)
def test_settings_are_frozen(kind: type) -> None:
    record = kind(0, 0.0, 0.0, 0.0, 0.0) if kind is TrainProgress else kind()
    with pytest.raises(FrozenInstanceError):
        setattr(record, fields(kind)[0].name, None)


@pytest.mark.parametrize(
    "kind", [*ARCHITECTURES.values(), Target, Preprocessing, SegmentConfig, TrainConfig]
)
def test_every_field_is_described(kind: type) -> None:
    text = "\n".join(base.__doc__ or "" for base in kind.mro())
    described = [line.split(" :")[0].split(", ") for line in text.splitlines()]
    listed = {name.strip() for part in described for name in part}
    assert {f.name for f in fields(kind)} <= listed


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_fits_together(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.network.out_channels == len(recipe.target.outputs)
    assert recipe.network.is_valid_size(recipe.training.patch)


def test_paper_recipe_is_the_paper() -> None:
    recipe = RECIPES["paper"]
    assert (recipe.network, recipe.target) == (UNetConfig(), Target())
    training = recipe.training
    assert (training.optimizer, training.batch, training.patch) == ("sgd", 1, 572)
    assert (training.w0, training.sigma, training.elastic) == (10.0, 5.0, True)


def test_reading_settings_loads_neither_numpy_nor_torch() -> None:
    code = "import sys, napari_unet.config; print({'numpy', 'torch', 'qtpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "fields",
    [{"tile": 100.5}, {"threshold": "a"}, {"min_size": 10.5}, {"diameter": True}, {"tile": True}],
)
def test_numbers_are_of_the_kind_that_a_field_takes(fields: dict[str, object]):
    [name] = fields
    with pytest.raises(ValueError, match=f"{name} = .* is not possible"):
        SegmentConfig(**fields)
    for value in (1.5, True, None):
        with pytest.raises(ValueError, match=r"depth = .* is not possible: use a whole number"):
            UNetConfig(depth=value)
