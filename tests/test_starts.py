"""What a training starts from, before any weights are read."""

from pathlib import Path

import pytest

from napari_unet.config import ARCHITECTURES, RECIPES, Preprocessing, Target
from napari_unet.library import NewNetwork, card_of
from napari_unet.training import start_from, untrained


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_new_network_is_the_one_that_the_command_line_makes(architecture: str) -> None:
    target = Target(("background", "cytoplasm", "nucleus"), instances=False)
    made = start_from(None, "few-shot", 3, 0, architecture, target).card
    assert NewNetwork(architecture, target).card(3) == made
    assert NewNetwork(architecture).card().target == RECIPES["few-shot"].target


def test_a_kind_of_network_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="architecture = 'vit' is unknown: use one of unet, "):
        NewNetwork("vit")


def test_cards_of_starts(tmp_path: Path) -> None:
    new = NewNetwork("fcn", RECIPES["sigmoid"].target)
    path = untrained(new.card(2)).save(tmp_path / "mine.safetensors")
    assert card_of(new).preprocessing == Preprocessing(channels=1)
    assert card_of(str(path)).preprocessing.channels == 2
    assert card_of(None) == NewNetwork().card()
    with pytest.raises(FileNotFoundError, match="no model named 'nothing'"):
        card_of("nothing")
