"""ONNX files: ours give torch's scores and come back whole; those of others segment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_unet import library
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import (
    FCNConfig,
    NetworkConfig,
    Preprocessing,
    SegmentConfig,
    Target,
    UNetConfig,
    UNetPlusPlusConfig,
)
from napari_unet.engines import TorchEngine
from napari_unet.exchange import export_model, import_model
from napari_unet.library import Card
from napari_unet.prediction import predict_scores, run_to_end
from napari_unet.segmentation import load_engine
from napari_unet.training import start_from, untrained

onnx = pytest.importorskip("onnx", reason="needs the extra exchange")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra exchange")

from _foreign import make_graph  # noqa: E402

DISTANCE = Target(extras=("distance",))
KINDS: list[tuple[NetworkConfig, Target]] = [
    (UNetConfig(1, 2, 4, 3), Target()),
    (UNetConfig(2, 3, 4, 2, padding="same", batch_norm=True), DISTANCE),
    (UNetConfig(1, 1, 4, 2, padding="same"), Target(activation="sigmoid")),
    (UNetPlusPlusConfig(1, 3, 4, 3, batch_norm=True), DISTANCE),
    (FCNConfig(1, 4, 4, 2), Target(("background", "a", "b", "c"), instances=False)),
]


def make(network: NetworkConfig, target: Target = DISTANCE) -> Checkpoint:
    rule = Preprocessing(channels=network.in_channels, diameter=20)
    checkpoint = untrained(Card(network, target, rule, {"description": "cells", "licence": "MIT"}))
    built = checkpoint.build()
    for module in built.modules():  # statistics as of a training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return Checkpoint.of(built, checkpoint.card)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def write(tmp_path: Path, graph: onnx.ModelProto, name: str = "net") -> Path:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.mark.parametrize(("network", "target"), KINDS, ids=lambda part: type(part).__name__)
def test_an_exported_graph_gives_torchs_scores_and_comes_back_whole(
    network: NetworkConfig, target: Target, tmp_path: Path, folder: Path
) -> None:
    checkpoint = make(network, target)
    checkpoint.save(folder / "mine.safetensors")
    path = export_model("mine", tmp_path / "mine.onnx", folder)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    engine = TorchEngine(checkpoint.build(), network, target, precision="float32")
    for steps in ((1, 2), (4, 3)):
        sides = [network.input_size(n * network.alignment) for n in steps]
        images = np.random.default_rng(0).random((2, network.in_channels, *sides), np.float32)
        (scores,) = session.run(["scores"], {"images": images})
        np.testing.assert_allclose(scores, engine(images), atol=1e-5)
    assert import_model(path, "again", folder) == "again"
    again = Checkpoint.load(folder / "again.safetensors")
    assert again.card == checkpoint.card
    for name, weights in checkpoint.weights.items():
        torch.testing.assert_close(again.weights[name], weights, rtol=0, atol=0)
    start_from(folder / "again.safetensors")


def test_an_export_is_not_written_over_and_is_whole_or_nothing(
    tmp_path: Path, folder: Path
) -> None:
    make(UNetConfig(1, 3, 2, 1, padding="same")).save(folder / "mine.safetensors")
    path = export_model("mine", tmp_path / "a.onnx", folder)
    with pytest.raises(FileExistsError, match="exists already"):
        export_model("mine", path, folder)
    export_model("mine", path, folder, overwrite=True)
    with pytest.raises(ValueError, match=r"let it end in one of \.safetensors .*\.onnx .*\.zip"):
        export_model("mine", tmp_path / "a.pt", folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "models"]


def engine_of(path: Path) -> TorchEngine:
    return load_engine(SegmentConfig(model=str(path), device="cpu"))[0]


@pytest.mark.parametrize("shape", [(70, 45), (16, 130)])
def test_tiles_of_a_foreign_network_are_those_of_one_pass(
    shape: tuple[int, int], tmp_path: Path, folder: Path
) -> None:
    path = write(tmp_path, make_graph())
    import_model(path, "other", folder, ["foreground", "boundary"])
    engine = engine_of(folder / "other.safetensors")
    image = np.random.default_rng(0).random((1, *shape), np.float32)
    whole, tiled = (run_to_end(predict_scores(engine, image, tile)) for tile in (999, 16))
    np.testing.assert_allclose(tiled, whole, atol=1e-6)
    # The one pass is the graph's own, on the image mirrored by the halo.
    halo = engine.config.halo
    after = [-side % engine.config.alignment + halo for side in shape]
    padded = np.pad(image, [(0, 0), *((halo, more) for more in after)], "reflect")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    own, boundary = session.run(None, {"image": padded[None]})[0][0]
    part = tuple(slice(halo, halo + side) for side in shape)
    expected = np.stack([1 - own, own, np.clip(own - boundary, 0, 1)])[(slice(None), *part)]
    np.testing.assert_allclose(whole, expected, atol=1e-5)


def test_how_far_a_foreign_network_sees_is_found_out(tmp_path: Path, folder: Path) -> None:
    import_model(write(tmp_path, make_graph(1)), "plain", folder)
    card = library.read_card(folder / "plain.safetensors")
    # Two 3x3 convolutions, one of them on pixels twice as large, and the interpolation of those.
    assert (card.network.step, card.network.reach) == (2, 1 + 2 + 2)
    assert card.target == Target()
    assert "normalised by their percentiles" in card.provenance["failures"]
    import_model(write(tmp_path, make_graph(1, middle="InstanceNormalization")), "norm", folder)
    card = library.read_card(folder / "norm.safetensors")
    assert "scores differ a little from one pass" in card.provenance["failures"]
    for own in (UNetConfig(1, 3, 2, 4, padding="same"), UNetPlusPlusConfig(1, 3, 2, 3)):
        graph = _stripped(make(own))
        outputs = ["background", "object", "distance"]
        name = import_model(write(tmp_path, graph, "own"), None, folder, outputs)
        network = library.read_card(folder / f"{name}.safetensors").network
        assert (network.alignment, network.halo) == (own.alignment, own.halo)
        assert network.reach == own.halo - 4


def _stripped(checkpoint: Checkpoint) -> onnx.ModelProto:
    """Return our graph as anybody's."""
    from napari_unet.exchange.onnx_writing import write_onnx

    graph = write_onnx(checkpoint)
    del graph.metadata_props[:]
    return graph


def test_logits_become_scores(tmp_path: Path, folder: Path) -> None:
    import_model(write(tmp_path, make_graph(3, "Identity")), "three", folder, ["bg", "a", "b"])
    network = library.read_card(folder / "three.safetensors").network
    assert (network.outputs, network.squash) == (("background", "a", "b"), "softmax")
    import_model(write(tmp_path, make_graph(1, "Identity")), "one", folder)
    assert library.read_card(folder / "one.safetensors").network.squash == "sigmoid"
    import_model(write(tmp_path, make_graph(2, "Softmax")), "two", folder)
    card = library.read_card(folder / "two.safetensors")
    assert (card.network.outputs, card.network.squash) == (("background", "object"), "none")
    outputs = ["background", "interior", "cell border"]
    import_model(write(tmp_path, make_graph(3, "Softmax")), "borders", folder, outputs)
    engine = engine_of(folder / "borders.safetensors")
    image = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
    scores = engine(image)[0]
    (given,) = engine._pass(image)
    np.testing.assert_allclose(scores[1], 1 - given[0], atol=1e-6)
    np.testing.assert_allclose(scores[2], np.clip(given[1] - given[2], 0, 1), atol=1e-6)


def test_a_foreign_model_cannot_be_trained_but_passed_on(tmp_path: Path, folder: Path) -> None:
    path = write(tmp_path, make_graph(1))
    import_model(path, "other", folder)
    with pytest.raises(ValueError, match="can segment, but not be trained or fine-tuned: start"):
        start_from(folder / "other.safetensors")
    with pytest.raises(ValueError, match="not be trained"):
        Checkpoint.load(folder / "other.safetensors").build()
    again = export_model("other", tmp_path / "again.onnx", folder)
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(ValueError, match=r"other is from elsewhere.*pass that on"):
        export_model("other", tmp_path / "again.zip", folder)


def test_without_a_library_to_run_it_one_sentence_says_what_to_install(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_model(write(tmp_path, make_graph(1)), "other", folder)
    from napari_unet.engines import onnx_engine

    monkeypatch.setattr(onnx_engine, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs ONNX Runtime: install it by pip install"):
        engine_of(folder / "other.safetensors")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"Exporting a model as \.onnx needs onnx, which is not"):
        export_model("nuclei", tmp_path / "n.onnx")


def test_openvino_runs_it_where_onnx_runtime_is_not_installed(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_unet.engines import onnx_engine

    if not onnx_engine.find_spec("openvino"):
        pytest.skip("needs OpenVINO")
    import_model(write(tmp_path, make_graph(1)), "other", folder)
    image = np.random.default_rng(0).random((2, 1, 32, 48), np.float32)
    scores = engine_of(folder / "other.safetensors")(image)
    find_spec = onnx_engine.find_spec
    monkeypatch.setattr(
        onnx_engine, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name)
    )
    engine = engine_of(folder / "other.safetensors")
    assert "OpenVINO" in engine.description
    np.testing.assert_allclose(engine(image), scores, atol=1e-5)


def _external(graph: onnx.ModelProto) -> None:
    tensor = graph.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _custom(graph: onnx.ModelProto) -> None:
    graph.graph.node[1].domain = "com.somebody"


def _control(graph: onnx.ModelProto) -> None:
    inner = onnx.helper.make_graph([], "inner", [], [])
    graph.graph.node[1].attribute.append(onnx.helper.make_attribute("then_branch", inner))


def _unknown(graph: onnx.ModelProto) -> None:
    graph.graph.node[1].op_type = "Relu6"


def _smaller(graph: onnx.ModelProto) -> None:
    graph.graph.node[-2].attribute.append(onnx.helper.make_attribute("strides", [2, 2]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external, "keeps the weights 'first' in another file"),
        (_custom, "has the operation Relu of com.somebody, which is not ONNX's own"),
        (_control, "has the operation Relu, which chooses what to compute"),
        (_unknown, "cannot be run by ONNX Runtime"),
        (_smaller, "only networks whose outputs are as high and wide as the image"),
    ],
)
def test_graphs_that_cannot_be_trusted_or_used_are_refused(
    change: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path, folder: Path
) -> None:
    graph = make_graph(1)
    change(graph)
    path = write(tmp_path, graph)
    with pytest.raises(ValueError, match=message):
        import_model(path, None, folder)
    assert not folder.exists()


def test_files_that_are_no_such_network_are_told(tmp_path: Path, folder: Path) -> None:
    path = write(tmp_path, make_graph(1, sizes=(64, 64)))
    with pytest.raises(ValueError, match="takes images of 64x64 pixels only"):
        import_model(path, None, folder)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"net\.onnx is no (complete )?ONNX file"):
        import_model(path, None, folder)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"net\.onnx is no ONNX file of a network"):
        import_model(path, None, folder)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        import_model(tmp_path / "none.onnx", None, folder)
    write(tmp_path, make_graph(2))
    with pytest.raises(ValueError, match=r"what its 2 outputs are.*--outputs object,boundary"):
        import_model(path, None, folder)
    with pytest.raises(ValueError, match="has 2 outputs, not 1: name each of them"):
        import_model(path, None, folder, ["cell"])
    with pytest.raises(ValueError, match="name one that is the score of objects"):
        import_model(path, None, folder, ["background", "unused"])
    assert not folder.exists()
