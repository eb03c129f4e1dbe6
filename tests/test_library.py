"""Models by name, and what a file says of itself: read without torch, refused in one sentence."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_unet import library
from napari_unet.config import Preprocessing, Target, UNetConfig
from napari_unet.library import (
    FORMAT,
    KEY,
    SUFFIX,
    Card,
    check_path,
    drop_aside,
    find_model,
    is_aside,
    list_models,
    put_back,
    read_card,
    read_metadata,
    set_aside,
    user_folder,
)
from napari_unet.library import folders as folders_module

CARD = Card(
    UNetConfig(out_channels=4, depth=3, padding="same", batch_norm=True),
    Target(("background", "핵", "nucleolus"), ("distance",)),
    Preprocessing(diameter=17.5, pixel_size=0.65),
    {"data": "a dozen images", "licence": "CC0", "scores": {"ap50": 0.8}, "date": "2025-01-31"},
)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Lend an empty folder of bundled models and one of the user's; the latter is not made."""
    bundled, own = tmp_path / "weights", tmp_path / "home" / "models"
    bundled.mkdir()
    monkeypatch.setattr(folders_module, "BUNDLED", bundled)
    monkeypatch.setattr(folders_module, "user_data_path", lambda name, appauthor: own.parent)
    return bundled, own


def write(path: Path, card: str | None = None, key: str = KEY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = CARD.to_json() if card is None else card
    save_file({"a": np.zeros((2, 3), np.float32)}, path, {key: text})
    return path


def test_card_round_trip_through_a_file(tmp_path: Path) -> None:
    assert read_card(write(tmp_path / "m.safetensors")) == CARD


def test_card_is_json_that_others_can_read(tmp_path: Path) -> None:
    values = json.loads(read_metadata(write(tmp_path / "m.safetensors"))[KEY])
    assert values["format"] == FORMAT == 1
    assert values["architecture"] == "unet"
    assert values["network"] == asdict(CARD.network)
    assert values["target"]["classes"] == ["background", "핵", "nucleolus"]
    assert values["preprocessing"]["diameter"] == 17.5
    assert values["provenance"] == CARD.provenance


@pytest.mark.parametrize(
    ("target", "channels", "message"),
    [
        (Target(extras=("distance",)), 1, r"outputs \(2\) do not fit its target \(3\)"),
        (Target(), 2, r"inputs \(1\) do not fit its preprocessing \(2\)"),
    ],
)
def test_card_whose_parts_disagree_is_refused(target: Target, channels: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Card(UNetConfig(), target, Preprocessing(channels=channels))


def test_card_of_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    newer = json.dumps({**json.loads(CARD.to_json()), "format": 2})
    path = write(tmp_path / "m.safetensors", newer)
    with pytest.raises(ValueError) as caught:
        read_card(path)
    assert str(caught.value) == (
        f"{path} cannot be used as a model. Its format 2 (architecture 'unet') is not known here:"
        " update napari-unet."
    )


def test_card_of_another_architecture_asks_for_an_update() -> None:
    other = json.dumps({**json.loads(CARD.to_json()), "architecture": "transformer"})
    with pytest.raises(ValueError, match=r"architecture 'transformer'\) is not known here: update"):
        Card.from_json(other)


def test_card_with_an_unknown_field_asks_for_an_update() -> None:
    values = json.loads(CARD.to_json())
    values["network"]["attention"] = True
    with pytest.raises(ValueError, match="no field attention: the file was written by a newer"):
        Card.from_json(json.dumps(values))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        json.dumps({"format": 1, "architecture": "unet"}),
        json.dumps({**json.loads(CARD.to_json()), "network": None}),
        json.dumps({**json.loads(CARD.to_json()), "network": {"dropout": "half"}}),
        json.dumps({**json.loads(CARD.to_json()), "provenance": 3}),
    ],
)
def test_damaged_card_is_told(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "m.safetensors", text)
    with pytest.raises(ValueError) as caught:
        read_card(path)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be used as a model. Its description is damaged")
    assert message.endswith("copy or download the file again.")


def test_foreign_safetensors_file_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", "x", key="format")
    with pytest.raises(ValueError) as caught:
        read_card(path)
    assert str(caught.value) == (
        f"{path} holds no napari-unet model: choose a file that napari-unet wrote."
    )


def test_safetensors_file_without_metadata_is_told(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3)}, tmp_path / "m.safetensors")
    assert read_metadata(tmp_path / "m.safetensors") == {}
    with pytest.raises(ValueError, match="holds no napari-unet model"):
        read_card(tmp_path / "m.safetensors")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".PT", ".pickle", ".ckpt", ".bin"])
def test_pickle_is_refused_with_the_reason_and_never_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps({"weights": 1}))
    for read in (read_card, read_metadata, find_model, check_path):
        with pytest.raises(ValueError) as caught:
            read(path)
        assert str(caught.value) == (
            f"{path} is refused: {suffix} files are pickles, which can run any program when they"
            " are opened. Use a .safetensors file written by napari-unet."
        )


def test_pickle_under_another_name_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps({"weights": list(range(100))}))
    with pytest.raises(ValueError, match=r"is no complete \.safetensors file"):
        read_card(path)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, -1])
def test_truncated_file_is_told(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"is no complete \.safetensors file .*: copy or download"):
        read_card(path)


def test_file_with_bytes_behind_its_end_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="is no complete"):
        read_card(path)


def test_missing_file_folder_and_other_kind_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors does not exist: check its"):
        check_path(tmp_path / "gone.safetensors")
    folder = tmp_path / "m.safetensors"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="is a folder"):
        check_path(folder)
    (tmp_path / "cells.tif").touch()
    with pytest.raises(ValueError, match=r"cells\.tif is not a model: .* end in \.safetensors"):
        check_path(tmp_path / "cells.tif")


def test_path_with_spaces_and_korean_letters(tmp_path: Path) -> None:
    path = write(tmp_path / "내 모델 폴더" / "세포 핵.safetensors")
    assert read_card(path) == CARD
    assert find_model(str(path)) == path


def test_models_are_listed_by_name(folders: tuple[Path, Path]) -> None:
    bundled, own = folders
    assert list_models() == {}
    a = write(bundled / "nuclei.safetensors")
    b = write(own / "가 나.safetensors")
    (bundled / "nuclei.md").touch()
    (own / ".가 나-12345678.safetensors").touch()
    for ending in (".resume.safetensors", ".last.safetensors", ".log.csv"):
        (own / f"가 나{ending}").touch()  # of its training
    assert list_models() == {"nuclei": a, "가 나": b}
    assert find_model("가 나") == b
    assert find_model(own / "가 나.last.safetensors").is_file()


def test_models_of_a_projects_folder_stand_beside_the_bundled_ones(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    a, b = write(folders[0] / "nuclei.safetensors"), write(tmp_path / "p" / "cells.safetensors")
    write(folders[1] / "own.safetensors")
    assert list_models(tmp_path / "p") == {"nuclei": a, "cells": b}
    assert find_model("cells", tmp_path / "p") == b


def test_own_model_hides_a_bundled_one(folders: tuple[Path, Path]) -> None:
    bundled, own = folders
    write(bundled / "nuclei.safetensors")
    write(bundled / "cells.safetensors")
    mine = write(own / "nuclei.safetensors")
    assert find_model("nuclei") == mine
    assert list(list_models()) == ["nuclei", "cells"]


def test_name_and_path_are_told_apart(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = write(folders[0] / "nuclei.safetensors")
    here = write(tmp_path / "here" / "nuclei.safetensors")
    monkeypatch.chdir(here.parent)
    assert find_model("nuclei") == named
    assert find_model("nuclei.safetensors").resolve() == here
    assert find_model(Path("nuclei.safetensors")).resolve() == here
    assert find_model(here) == here


def test_unknown_name_lists_those_that_exist(folders: tuple[Path, Path]) -> None:
    with pytest.raises(FileNotFoundError, match="Known models: none"):
        find_model("nuclei")
    write(folders[0] / "nuclei.safetensors")
    write(folders[1] / "own.safetensors")
    with pytest.raises(FileNotFoundError) as caught:
        find_model("nucleus")
    assert str(caught.value) == (
        "There is no model named 'nucleus'. Known models: nuclei, own. A file of your own is given"
        " by its path, ending in .safetensors."
    )


def test_user_folder_is_the_platforms_and_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from platformdirs import user_data_path

    assert user_folder() == user_data_path("napari-unet", appauthor=False) / "models"
    monkeypatch.setattr(
        folders_module, "user_data_path", lambda name, appauthor: Path("/nowhere") / name
    )
    assert user_folder() == Path("/nowhere/napari-unet/models")
    assert not user_folder().exists()


def test_bundled_models_can_be_read() -> None:
    for path in library.BUNDLED.glob(f"*{SUFFIX}"):
        card = read_card(path)
        assert {"data", "licence"} <= set(card.provenance)


def test_listing_and_reading_models_loads_no_torch(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors")
    code = (
        "import sys; from napari_unet.library import list_models, read_card; list_models();"
        f" read_card({str(path)!r}); print({{'torch', 'qtpy', 'napari'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_model_is_again_as_it_was_set_aside(tmp_path) -> None:
    model, state = tmp_path / "mine.safetensors", tmp_path / "mine.resume.safetensors"
    set_aside(model)
    assert not is_aside(model)  # there is none yet
    model.write_bytes(b"old")
    state.write_bytes(b"step 7")
    set_aside(model)
    model.write_bytes(b"new")
    state.unlink()
    assert list_models(tmp_path).get("mine") == model
    put_back(model)
    assert (model.read_bytes(), state.read_bytes()) == (b"old", b"step 7")
    set_aside(model)
    drop_aside(model)
    assert not is_aside(model)
    assert sorted(tmp_path.iterdir()) == [state, model]
