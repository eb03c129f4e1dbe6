"""``napari-unet models`` as people type it: actions, questions, messages and exit codes."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.annotations import Project
from napari_unet.checkpoint import Checkpoint
from napari_unet.cli import main
from napari_unet.config import Preprocessing, Target, UNetPlusPlusConfig
from napari_unet.library import Card, export, find_model, read_card, user_folder
from napari_unet.training import untrained


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lend an empty home; returns the folder of the user's models, which is not made."""
    from napari_unet.library import folders

    monkeypatch.setattr(folders, "user_data_path", lambda name, appauthor: tmp_path / "home")
    return user_folder()


@pytest.fixture
def mine(home: Path) -> Path:
    return export("nuclei", home / "mine.safetensors")


def run(*arguments: object) -> int:
    try:
        return main(["models", *map(str, arguments)])
    except SystemExit as end:  # argparse
        return int(end.code or 0)


Capture = pytest.CaptureFixture[str]


def test_list_and_no_word_are_the_same(mine: Path, capsys: Capture) -> None:
    (mine.parent / "mine.last.safetensors").touch()
    assert run() == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == ["nuclei", "cells", "mine"]
    assert run("list") == 0
    assert capsys.readouterr().out == listed


@pytest.mark.parametrize("words", [("paper", "--layers"), ("--layers", "paper"), ("show", "paper")])
def test_a_name_is_described_with_or_without_show(words: tuple[str, ...], capsys: Capture) -> None:
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert '"network"' in out
    assert ("31,030,658 parameters" in out) == ("--layers" in words)


def test_broken_model_is_told_and_the_others_listed(mine: Path, capsys: Capture) -> None:
    (mine.parent / "broken.safetensors").write_bytes(b"no model")
    assert run("list") == 1
    out, err = capsys.readouterr()
    assert "mine" in out
    assert "broken.safetensors is no complete" in err


def test_rename_export_import_delete(mine: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run("rename", "mine", "내 세포") == 0
    assert "mine is now 내 세포" in capsys.readouterr().out
    assert run("export", "내 세포", tmp_path / "a.safetensors") == 0
    assert run("export", "내 세포", tmp_path / "a.safetensors") == 2
    assert "exists already. To write over it, add --force." in capsys.readouterr().err
    assert run("export", "--force", "내 세포", tmp_path / "a.safetensors") == 0
    assert run("import", tmp_path / "a.safetensors") == 0
    assert "segment with --model a" in capsys.readouterr().out
    assert run("import", "--name", "b c", tmp_path / "a.safetensors") == 0
    assert '--model "b c"' in capsys.readouterr().out
    assert run("delete", "--yes", "내 세포") == 0
    assert run("delete", "a", "-y") == 0
    assert sorted(path.name for path in mine.parent.iterdir()) == ["b c.safetensors"]


def test_prune_makes_a_smaller_model(mine: Path, capsys: Capture) -> None:
    network = UNetPlusPlusConfig(base_channels=2, depth=3)
    whole = untrained(Card(network, Target(), Preprocessing()))
    whole.save(mine.parent / "nested.safetensors")
    assert run("prune", "nested", 2, "small") == 0
    assert "nested -> " in capsys.readouterr().out
    part = Checkpoint.load(mine.parent / "small.safetensors")
    assert part.card.network == network.pruned(2)
    part.build()
    assert run("prune", "nested", 2, "small") == 2
    assert "a model named 'small' already" in capsys.readouterr().err
    assert run("prune", "nested", 4, "other") == 2
    assert "this U-Net++ has outputs at 1, 2, 3." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("prune", "mine", "2", "new"), "of kind unet needs all of it; leave it whole."),
        (("delete", "nuclei", "--yes"), "nuclei comes with napari-unet and stays as it is"),
        (("rename", "nuclei", "x"), "nuclei comes with napari-unet and stays as it is"),
        (("rename", "mine", "nuclei"), "a model that comes with napari-unet has it"),
        (("rename", "mine", "a/b"), "leave out '/'"),
        (("delete", "gone"), "You have no model named 'gone'. Your own models: mine."),
        (("export", "gone", "x"), "There is no model named 'gone'"),
        (("import", "gone.safetensors"), "does not exist"),
        (("import", "net.pt"), "pickles"),
        (("delete", "mine"), "mine is deleted for good: confirm it with --yes."),
    ],
)
def test_what_is_not_possible_is_one_sentence(
    mine: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))  # no terminal
    assert run(*words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert mine.is_file()


@pytest.mark.parametrize(
    "words",
    [("rename", "mine"), ("list", "--yes"), ("mine", "other"), ("delete", "mine", "--force")],
)
def test_surplus_and_missing_words_show_the_usage(
    mine: Path, capsys: Capture, words: tuple[str, ...]
) -> None:
    assert run(*words) == 2
    assert "usage: napari-unet models" in capsys.readouterr().err
    assert mine.is_file()


@pytest.mark.parametrize(
    "words", [(), ("rename",), ("delete",), ("export",), ("import",), ("prune",)]
)
def test_each_action_has_help(words: tuple[str, ...], capsys: Capture) -> None:
    assert run(*words, "--help") == 0
    assert "usage: napari-unet models" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("Yes\n", 0), ("\n", 1), ("", 1)])
def test_delete_asks_on_a_terminal(
    mine: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert run("delete", "mine") == code
    assert "Delete mine and what its training left, for good? [y/N]" in capsys.readouterr().out
    assert mine.exists() == bool(code)


@pytest.mark.skipif(os.name == "nt", reason="messages of Windows differ")
def test_folder_in_the_way_is_told(home: Path, tmp_path: Path, capsys: Capture) -> None:
    source = export("nuclei", tmp_path / "a.safetensors")
    home.parent.mkdir()
    home.touch()
    assert run("import", source) == 2
    assert "Nothing can be written into" in capsys.readouterr().err
    assert run() == 0


def test_models_of_a_project(mine: Path, tmp_path: Path, capsys: Capture) -> None:
    project = Project.create(tmp_path / "work")
    export("nuclei", project.models / "taught.safetensors")
    where = ("--project", project.folder)
    for words in ((*where,), ("list", *where)):
        assert run(*words) == 0
        listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
        assert listed == ["nuclei", "cells", "taught"]
    assert run("rename", "taught", "better", *where) == 0
    assert run("import", mine, "--name", "mine", *where) == 0
    assert sorted(p.stem for p in project.models.iterdir()) == ["better", "mine"]
    assert run("delete", "better", "--yes", *where) == 0
    assert mine.exists()
    assert run("list", "--project", tmp_path) == 2


def test_models_of_others_out_and_in(mine: Path, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("onnx", reason="needs the extra exchange")
    pytest.importorskip("onnxruntime", reason="needs the extra exchange")
    from _foreign import make_graph

    assert run("export", "mine", tmp_path / "a.onnx") == 0
    assert run("import", tmp_path / "a.onnx", "--name", "again") == 0
    assert read_card(find_model("again")) == read_card(mine)
    (tmp_path / "other.onnx").write_bytes(make_graph().SerializeToString())
    capsys.readouterr()
    assert run("import", tmp_path / "other.onnx") == 2
    assert "does not say what its 2 outputs are" in capsys.readouterr().err
    assert run("import", tmp_path / "other.onnx", "--outputs", "foreground,boundary") == 0
    assert run("other") == 0
    assert '"architecture": "onnx"' in capsys.readouterr().out
    assert run("other", "--layers") == 2
    assert "has no table of layers" in capsys.readouterr().err
    image = tmp_path / "image.tif"
    tifffile.imwrite(image, np.random.default_rng(0).random((64, 48)).astype(np.float32))
    assert main(["segment", str(image), "--model", "other", "--device", "cpu"]) == 0
    assert tifffile.imread(tmp_path / "image_labels.tif").shape == (64, 48)
