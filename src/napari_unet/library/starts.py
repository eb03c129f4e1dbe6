"""What a training starts from: a model by its name, or a network that knows nothing yet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from napari_unet.config import ARCHITECTURES, RECIPES, Preprocessing, Target, TrainConfig
from napari_unet.library.cards import Card, read_card
from napari_unet.library.folders import find_model

FEW_SHOT = "few-shot"


@dataclass(frozen=True)
class NewNetwork:
    """A network to be taught from scratch, as wide and deep as that of a recipe.

    Parameters
    ----------
    architecture : str
        A name in :data:`napari_unet.config.ARCHITECTURES`.
    target : Target
        What it is to predict.
    recipe : str
        A name in :data:`napari_unet.config.RECIPES`.

    Raises
    ------
    ValueError
        If there is no such architecture or recipe.
    """

    architecture: str = RECIPES[FEW_SHOT].network.architecture
    target: Target = RECIPES[FEW_SHOT].target
    recipe: str = FEW_SHOT

    def __post_init__(self) -> None:
        _require_known("architecture", self.architecture, ARCHITECTURES)
        _require_known("recipe", self.recipe, RECIPES)

    @classmethod
    def by(
        cls, recipe: str, architecture: str | None = None, target: Target | None = None
    ) -> NewNetwork:
        """Return the network of a recipe, but for what is given besides.

        Raises
        ------
        ValueError
            If there is no such recipe or architecture.
        """
        _require_known("recipe", recipe, RECIPES)
        chosen = RECIPES[recipe]
        return cls(architecture or chosen.network.architecture, target or chosen.target, recipe)

    def card(self, channels: int = 1) -> Card:
        """Return what it says of itself, for images of so many channels."""
        shape = ARCHITECTURES[self.architecture].like(RECIPES[self.recipe].network)
        outputs = len(self.target.outputs)
        network = replace(shape, in_channels=channels, out_channels=outputs)
        return Card(network, self.target, Preprocessing(channels=channels))


Start = str | NewNetwork | None
"""Name or path of a model, or a new network; None: that of the recipe "few-shot"."""


def card_of(start: Start) -> Card:
    """Return what a network says of itself before a training; its weights are not read.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or it cannot be read.
    """
    if isinstance(start, str):
        return read_card(find_model(start))
    return (start or NewNetwork()).card()


def closest_recipe(card: Card, config: TrainConfig) -> str:
    """Return the recipe that a network of one's own was begun by, as far as that can be told.

    Of the recipes whose network has its shape (of all, if none has), it is the one with the most
    settings in common.

    Parameters
    ----------
    card : Card
        What the network says of itself.
    config : TrainConfig
        How it is trained.
    """
    settings = asdict(config).items()

    def closeness(recipe: str) -> tuple[bool, int]:
        new = NewNetwork(card.architecture, card.target, recipe)
        fits = new.card(card.network.in_channels).network == card.network
        return fits, len(settings & asdict(RECIPES[recipe].training).items())

    return max(RECIPES, key=closeness)


def _require_known(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} = {value!r} is unknown: use one of {', '.join(known)}.")
