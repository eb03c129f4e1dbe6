"""What a training starts from, before any weights are read."""

from dataclasses import replace
from pathlib import Path

import pytest

from napari_unet.config import ARCHITECTURES, RECIPES, Preprocessing, Target, UNetConfig
from napari_unet.library import NewNetwork, card_of, closest_recipe
from napari_unet.training import start_from, untrained


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all recipes make networks with few weights."""
    for name, recipe in RECIPES.items():
        network = replace(recipe.network, base_channels=2)
        monkeypatch.setitem(RECIPES, name, replace(recipe, network=network))


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("architecture", [None, *ARCHITECTURES])
def test_a_new_network_is_the_one_that_the_command_line_makes(
    recipe: str, architecture: str | None
) -> None:
    areas = Target(("background", "cytoplasm", "nucleus"), instances=False)
    for target in (None, areas):
        made = start_from(None, recipe, 3, 0, architecture, target).card
        assert NewNetwork.by(recipe, architecture, target).card(3) == made
    assert NewNetwork() == NewNetwork.by("few-shot")


def test_what_there_is_not() -> None:
    with pytest.raises(ValueError, match="architecture = 'vit' is unknown: use one of unet, "):
        NewNetwork("vit")
    with pytest.raises(ValueError, match="recipe = 'cake' is unknown: use one of standard, "):
        NewNetwork.by("cake")


def test_a_recipe_is_known_by_its_network_and_settings() -> None:
    for name, recipe in RECIPES.items():
        for architecture in ARCHITECTURES:
            card = NewNetwork.by(name, architecture).card(3)
            changed = replace(recipe.training, seed=5, iterations=7, patch=64, minutes=1.0)
            assert closest_recipe(card, changed) == name
    other = replace(card, network=UNetConfig(3, card.network.out_channels, base_channels=5))
    assert closest_recipe(other, RECIPES["paper"].training) == "paper"


def test_cards_of_starts(tmp_path: Path) -> None:
    new = NewNetwork("fcn", RECIPES["sigmoid"].target)
    path = untrained(new.card(2)).save(tmp_path / "mine.safetensors")
    assert card_of(new).preprocessing == Preprocessing(channels=1)
    assert card_of(str(path)).preprocessing.channels == 2
    assert card_of(None) == NewNetwork().card()
    with pytest.raises(FileNotFoundError, match="no model named 'nothing'"):
        card_of("nothing")
