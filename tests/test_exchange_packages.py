"""bioimage.io packages: ours pass its own test and come back whole; those of others segment."""

from __future__ import annotations

import gc
import hashlib
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet import library
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import (
    Preprocessing,
    SegmentConfig,
    Target,
    UNetConfig,
    UNetPlusPlusConfig,
)
from napari_unet.exchange import export_model, import_model
from napari_unet.exchange.operations import write_operations
from napari_unet.library import Card
from napari_unet.prediction import run_to_end
from napari_unet.preprocessing import ScaledPlane, as_planes, measure
from napari_unet.segmentation import load_engine, segment_steps
from napari_unet.training import start_from, untrained

pytest.importorskip("onnx", reason="needs the extra exchange")
pytest.importorskip("onnxruntime", reason="needs the extra exchange")
pytest.importorskip("bioimageio.spec", reason="needs the extra exchange")


from bioimageio.spec import load_model_description

from _foreign import describe, make_graph, pack
from napari_unet.exchange.operations import read_operations
from napari_unet.exchange.package_reading import _validate

GRAPH = make_graph().SerializeToString()
PERCENTILES = {"axes": ["y", "x"], "min_percentile": 5.0, "max_percentile": 99.0}


pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(autouse=True)
def _what_bioimageio_leaves_open_is_closed_here() -> Iterator[None]:
    """Let files that its messages open be closed before warnings of that are errors again."""
    yield
    gc.collect()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def save(folder: Path, network: Any, target: Target, rule: Preprocessing, **told: Any) -> Card:
    card = Card(network, target, rule, {"description": "Cells", "training": {}, **told})
    untrained(card).save(folder / "mine.safetensors")
    return card


def run_core(code: str, *words: object) -> str:
    """Run bioimageio.core in a process of its own, where its warnings are no errors."""
    if not find_spec("bioimageio.core"):
        pytest.skip("needs bioimageio.core")
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


TEST = """
import sys
from bioimageio.core import test_description
summary = test_description(sys.argv[1], determinism="seed_only")
print(summary.status, summary.format())
"""
PREDICT = """
import sys
import numpy as np
from bioimageio.core import predict
path, image, scores = sys.argv[1:]
given = predict(model=path, inputs={"raw": np.load(image)})
np.save(scores, np.asarray(given.members["scores"].data))
"""


@pytest.mark.parametrize(
    ("network", "target", "rule"),
    [
        (UNetConfig(1, 2, 4, 2), Target(), Preprocessing(diameter=20)),
        (
            UNetPlusPlusConfig(2, 4, 4, 3),
            Target(extras=("distance", "extent")),
            Preprocessing(channels=2, low=3, high=97),
        ),
    ],
    ids=["valid", "unet++"],
)
def test_an_exported_package_passes_bioimageios_test_and_comes_back_whole(
    network: Any, target: Target, rule: Preprocessing, tmp_path: Path, folder: Path
) -> None:
    card = save(folder, network, target, rule, licence="CC0 (data), BSD-3-Clause (weights)")
    random = np.random.default_rng(0)
    image = random.integers(0, 999, (rule.channels, 90, 300), np.uint16)
    path = export_model("mine", tmp_path / "mine.zip", folder, False, image, "CYX", ["A. Person"])
    told = run_core(TEST, path)
    assert told.startswith("passed"), told
    described = load_model_description(path, perform_io_checks=False)
    assert described.license == "BSD-3-Clause"
    assert [author.name for author in described.authors] == ["A. Person"]
    assert [name for name, entry in described.weights if entry is not None] == ["onnx"]
    assert described.cite[0].doi == "10.1007/978-3-319-24574-4_28"
    assert described.covers
    assert import_model(path, None, folder) == "mine-2"
    again = Checkpoint.load(folder / "mine-2.safetensors")
    assert again.card == card
    assert set(again.weights) == set(Checkpoint.load(folder / "mine.safetensors").weights)
    start_from(folder / "mine-2.safetensors")


def test_a_package_stripped_of_ours_is_read_as_any_other(tmp_path: Path, folder: Path) -> None:
    rule = Preprocessing(low=3, high=97, invert_bright=False)
    save(folder, UNetConfig(1, 3, 2, 2, padding="same"), Target(extras=("distance",)), rule)
    path = export_model("mine", tmp_path / "mine.zip", folder)
    with zipfile.ZipFile(path) as file:
        files = {name: file.read(name) for name in file.namelist()}
    graph, text = files["weights.onnx"], files["rdf.yaml"].decode()
    import onnx

    model = onnx.load_model_from_string(graph)
    del model.metadata_props[:]
    stripped = model.SerializeToString()
    text = text.replace(hashlib.sha256(graph).hexdigest(), hashlib.sha256(stripped).hexdigest())
    attached = text[text.index("attachments:") : text.index("cite:")]
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("rdf.yaml", text.replace(attached, ""))
        file.writestr("weights.onnx", stripped)
    import_model(other, None, folder)
    card = library.read_card(folder / "other.safetensors")
    assert card.network.outputs == ("background", "object", "distance")
    assert card.preprocessing == rule
    assert card.network.halo == 24
    image = np.random.default_rng(0).random((60, 50), np.float32)
    scores = [_scores(folder / f"{name}.safetensors", image) for name in ("mine", "other")]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-2)  # ours may be in bfloat16


def _scores(path: Path, image: np.ndarray) -> np.ndarray:
    config = SegmentConfig(model=str(path), device="cpu", tile=32)
    engine, card = load_engine(config)
    steps = segment_steps(image, engine, card, config, keep_scores=True)
    return run_to_end(steps).scores[0]


def test_a_foreign_package_gives_the_scores_that_bioimageio_core_gives(
    tmp_path: Path, folder: Path
) -> None:
    preprocessing = [
        {"id": "scale_range", "kwargs": PERCENTILES},
        {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
        {"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": -1.0}},
    ]
    graph = make_graph(2, "Identity").SerializeToString()
    told = describe(graph, preprocessing=preprocessing, postprocessing=[{"id": "sigmoid"}])
    image = np.random.default_rng(0).integers(0, 4000, (96, 64)).astype(np.float32)
    arrays = {"i.npy": image[None, None], "o.npy": np.full((1, 2, 96, 64), 0.5, np.float32)}
    files = {}
    for name, array in arrays.items():
        np.save(tmp_path / name, array)
        files[name] = (tmp_path / name).read_bytes()
    path = pack(tmp_path / "other.zip", told, graph, **files, **{"README.md": b"# Validation"})
    assert import_model(path, None, folder) == "other"
    card = library.read_card(folder / "other.safetensors")
    assert card.target == Target(("background", "object"), ("distance",))
    assert card.provenance["licence"] == "MIT"
    scores = _scores(folder / "other.safetensors", image)
    run_core(PREDICT, path, tmp_path / "i.npy", tmp_path / "scores.npy")
    own, boundary = np.load(tmp_path / "scores.npy")[0]
    middle = (slice(16, -16), slice(16, -16))  # beyond the border an image is mirrored here
    np.testing.assert_allclose(scores[1][middle], own[middle], atol=5e-4)
    np.testing.assert_allclose(scores[2][middle], np.clip(own - boundary, 0, 1)[middle], atol=5e-4)


def test_packages_of_version_0_4_are_read(tmp_path: Path, folder: Path) -> None:
    graph = make_graph(1).SerializeToString()
    size = {"min": [1, 1, 32, 32], "step": [0, 0, 16, 16]}
    scaled = {"mode": "per_sample", "axes": "xy", "min_percentile": 1, "max_percentile": 99.8}
    told = {
        **describe(graph),
        "format_version": "0.4.10",
        "timestamp": "2023-01-01T00:00:00",
        "test_inputs": ["i.npy"],
        "test_outputs": ["o.npy"],
        "cite": [{"text": "a paper", "doi": "10.1234/5678"}],
        "tags": ["cells"],
        "covers": [],
        "weights": {"onnx": {"source": "net.onnx", "opset_version": 17}},
        "inputs": [
            {
                "name": "raw",
                "axes": "bcyx",
                "shape": size,
                "data_type": "float32",
                "preprocessing": [{"name": "scale_range", "kwargs": scaled}],
            }
        ],
        "outputs": [
            {
                "name": "scores",
                "axes": "bcyx",
                "data_type": "float32",
                "halo": [0, 0, 8, 8],
                "shape": {
                    "reference_tensor": "raw",
                    "scale": [1.0, 1.0, 1.0, 1.0],
                    "offset": [0.0, 0.0, 0.0, 0.0],
                },
            }
        ],
    }
    import_model(pack(tmp_path / "old.zip", told, graph), None, folder)
    card = library.read_card(folder / "old.safetensors")
    assert card.preprocessing == Preprocessing(low=1, high=99.8, invert_bright=False)
    assert (card.network.alignment, card.network.halo, card.network.least) == (16, 16, 32)
    assert card.target == Target()


RANGE = [{"id": "scale_range", "kwargs": PERCENTILES}]
MOMENTS = [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}]
FIXED = {"axis": "channel", "mean": [100.0, 200.0], "std": [10.0, 20.0]}


def _expected(name: str, image: np.ndarray) -> np.ndarray:
    over = {"axis": (1, 2), "keepdims": True}
    low, high = np.percentile(image, (5, 99), **over)
    match name:
        case "range":
            return (image - low) / (high - low)
        case "moments":
            return (image - image.mean(**over)) / image.std(**over)
        case "fixed":
            mean, std = np.reshape([100, 200], (2, 1, 1)), np.reshape([10, 20], (2, 1, 1))
            return (image - mean) / std
        case _:
            return np.clip(-2 * ((image - low) / (high - low)) + 1, -1, 0.5)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("range", [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}, *RANGE]),
        ("moments", MOMENTS),
        ("fixed", [{"id": "fixed_zero_mean_unit_variance", "kwargs": FIXED}]),
        (
            "turned",
            [
                *RANGE,
                {"id": "scale_linear", "kwargs": {"gain": -2.0, "offset": 1.0}},
                {"id": "clip", "kwargs": {"min": -1.0, "max": 0.5}},
            ],
        ),
    ],
)
def test_operations_do_to_gray_values_what_they_say(name: str, steps: list[Any]) -> None:
    rule = read_operations(_steps(steps), 2)
    image = np.random.default_rng(0).integers(0, 4000, (2, 40, 30)).astype(np.float64)
    planes = as_planes(image, rule, "CYX")
    pixels = ScaledPlane(planes[0], measure(planes, rule), 1.0, 2)[(slice(None),) * 3]
    np.testing.assert_allclose(pixels, _expected(name, image), atol=1e-4, rtol=1e-4)
    assert read_operations(_steps(write_operations(rule)), 2) == rule


def _steps(steps: list[Any]) -> Any:
    told = describe(GRAPH, preprocessing=steps, channels=2)
    return _validate(told, Path("a.zip")).inputs[0].preprocessing


SIGMOID = {"id": "sigmoid"}
CLIP = {"id": "clip", "kwargs": {"min": 0.0, "max": 9.0}}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([SIGMOID], "prepares images by sigmoid, which"),
        ([{"id": "scale_range"}], "by scale_range of all channels together"),
        ([CLIP, *RANGE], "by scale_range after clip"),
        (
            [{"id": "scale_linear", "kwargs": {"gain": 0.5}}, *RANGE],
            "by scale_range after scale_linear",
        ),
        ([{"id": "binarize", "kwargs": {"threshold": 3.0}}], "by binarize, which"),
        ([{"id": "ensure_dtype", "kwargs": {"dtype": "uint8"}}], "by ensure_dtype, which"),
        ([{"id": "clip", "kwargs": {"min": 0.0}}], "by clip without a least and a largest"),
    ],
)
def test_operations_without_an_equal_are_named(steps: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_operations(_steps(steps), 2)


def _pickled(told: dict[str, Any]) -> None:
    weights = {"source": "net.pt", "pytorch_version": "2.0", "architecture": None}
    weights["architecture"] = {"callable": "Net", "source": "net.py", "kwargs": {}}
    told["weights"] = {"pytorch_state_dict": weights}


def _scripted(told: dict[str, Any]) -> None:
    told["weights"] = {"torchscript": {"source": "net.pt", "pytorch_version": "2.0"}}


def _missing(told: dict[str, Any]) -> None:
    told["weights"]["onnx"]["source"] = "other.onnx"


def _outside(told: dict[str, Any]) -> None:
    told["weights"]["onnx"]["source"] = "../net.onnx"


def _tampered(told: dict[str, Any]) -> None:
    told["weights"]["onnx"]["sha256"] = "0" * 64


def _volume(told: dict[str, Any]) -> None:
    for tensor in (*told["inputs"], *told["outputs"]):
        size = 5 if tensor["id"] == "raw" else {"tensor_id": "raw", "axis_id": "z"}
        tensor["axes"].insert(2, {"type": "space", "id": "z", "size": size})


def _fixed(told: dict[str, Any]) -> None:
    for axis in told["inputs"][0]["axes"][2:]:
        axis["size"] = 256


def _customised(told: dict[str, Any]) -> None:
    told["outputs"][0]["postprocessing"] = [{"id": "binarize", "kwargs": {"threshold": 0.5}}]


def _dataset(told: dict[str, Any]) -> None:
    told["type"] = "dataset"


def _of_number(told: dict[str, Any]) -> None:
    told["inputs"] = 5


def _versionless(told: dict[str, Any]) -> None:
    told["format_version"] = [5]


def _invalid(told: dict[str, Any]) -> None:
    del told["inputs"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_pickled, "only as pytorch_state_dict, by which a program of others would be run"),
        (_scripted, "only as torchscript, by which a program"),
        (_missing, "has no file 'other.onnx'"),
        (_outside, "has no file|has a description that"),
        (_tampered, "is not the file that was described: its SHA-256 differs"),
        (_volume, "has raw with the axes batch, channel, z, y, x: only networks for"),
        (_fixed, "takes images of 256 pixels along y only"),
        (_customised, "changes its output by binarize"),
        (_dataset, "describes a dataset: choose a package of a model"),
        (_invalid, "has a description that bioimage.io does not allow"),
        (_of_number, r"has a description that bioimage.io does not allow \(inputs: "),
        (_versionless, r"has a description of the version \[5\]: ask"),
    ],
)
def test_packages_that_cannot_be_trusted_or_used_are_told_in_a_sentence(
    change: Any, message: str, tmp_path: Path, folder: Path
) -> None:
    told = describe(GRAPH)
    change(told)
    path = pack(tmp_path / "bad.zip", told, GRAPH, **{"net.pt": b"\x80\x04c__main__\nrun\n."})
    with pytest.raises(ValueError, match=message) as failure:
        import_model(path, None, folder)
    assert "\n" not in str(failure.value)
    assert not folder.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.zip"]


def _link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("net.onnx")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.onnx", r"its entry '\.\./evil\.onnx' leads out of the archive"),
        ("a/../../evil", "leads out of the archive"),
        ("/etc/evil", "leads out of the archive"),
        ("C:/evil", "leads out of the archive"),
        (_link(), "is a link to another file"),
    ],
)
def test_zips_that_reach_out_are_refused(
    name: str | zipfile.ZipInfo, message: str, tmp_path: Path, folder: Path
) -> None:
    path = pack(tmp_path / "bad.zip", describe(GRAPH))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, b"/etc/passwd")
    with pytest.raises(ValueError, match=f"is refused.*{message}"):
        import_model(path, None, folder)
    assert not folder.exists()


def test_zips_that_are_bombs_damaged_or_none_are_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_unet.exchange import archive, package_reading

    path = pack(tmp_path / "bomb.zip", describe(GRAPH), GRAPH, big=bytes(2**20))
    monkeypatch.setattr(archive, "SMALL", 2**18)
    with pytest.raises(ValueError, match=r"'big' would unpack from [\d,]+ bytes to 1,048,576"):
        import_model(path, None, folder)
    monkeypatch.setattr(archive, "SMALL", 2**30)
    monkeypatch.setattr(archive, "LARGEST", 2**19)
    with pytest.raises(ValueError, match="would unpack to 3 files of"):
        import_model(path, None, folder)
    monkeypatch.setattr(archive, "LARGEST", 2**30)
    monkeypatch.setattr(package_reading, "LONGEST", 99)
    with pytest.raises(ValueError, match="has a description that cannot be read"):
        import_model(path, None, folder)
    path.write_bytes(path.read_bytes()[:-99])
    with pytest.raises(ValueError, match="is no complete zip file"):
        import_model(path, None, folder)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "")
    with pytest.raises(ValueError, match=r"is no bioimage\.io package: it has no rdf\.yaml"):
        import_model(path, None, folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 2]\nb: [*a, *a]",
        "!!python/object/apply:os.system ['touch evil']",
        "just words",
        "[",
    ],
)
def test_descriptions_that_are_programs_or_riddles_are_refused(
    text: str, tmp_path: Path, folder: Path
) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("rdf.yaml", text)
    with pytest.raises(ValueError, match="has a description that cannot be read"):
        import_model(path, None, folder)
    assert not Path("evil").exists()


def test_what_is_attached_is_ours_only_if_it_is_complete(tmp_path: Path, folder: Path) -> None:
    save(folder, UNetConfig(1, 2, 2, 1, padding="same"), Target(), Preprocessing())
    own = (folder / "mine.safetensors").read_bytes()
    told = describe(GRAPH)
    told["attachments"] = [{"source": "own.safetensors", "sha256": hashlib.sha256(own).hexdigest()}]
    files = {"own.safetensors": own[:-8]}
    with pytest.raises(
        ValueError, match=r"own\.safetensors in .* is not the file that was described"
    ):
        import_model(pack(tmp_path / "a.zip", told, GRAPH, **files), None, folder)
    files = {"own.safetensors": own}
    import_model(pack(tmp_path / "a.zip", told, GRAPH, **files), None, folder)
    card = library.read_card(folder / "a.safetensors")
    assert replace(card, provenance={}).network == UNetConfig(1, 2, 2, 1, padding="same")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "models"]
