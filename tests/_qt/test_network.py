"""A new network of the user's choice, and classes: from the dock Fine-tune to Segment."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet import training
from napari_unet._qt.fine_tune.network import (
    BY_RECIPE,
    OUTPUTS,
    WORDS,
    Meaning,
    NetworkForm,
    in_words,
)
from napari_unet._qt.fine_tune.pairs import ALL
from napari_unet._qt.fine_tune.plan import Plan
from napari_unet._qt.fine_tune.sources import names_in_layers
from napari_unet._qt.fine_tune.widget import PROJECT
from napari_unet._qt.object_classes import kinds_in, show_kinds
from napari_unet.annotations import Annotation, Project, write_annotation
from napari_unet.config import ARCHITECTURES, FINE_TUNE, RECIPES, Target
from napari_unet.library import NewNetwork, read_card, user_folder
from napari_unet.training import Pair, Task, untrained

PLUGIN = "napari-unet-segmentation"
FRUIT = Target(("background", "apple", "pear"), extras=("distance",))


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New networks that learn in an instant, and a place for them."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name, recipe in RECIPES.items():
        network = replace(recipe.network, base_channels=4, depth=2)
        monkeypatch.setitem(RECIPES, name, replace(recipe, network=network))
    user_folder().mkdir(parents=True)


@pytest.fixture
def open_dock(make_napari_viewer, qtbot):
    """Returns a viewer with sixteen cells, and the dock, from scratch."""
    docks = []

    def open_in():
        viewer = make_napari_viewer()
        labels = np.zeros((64, 64), np.int32)
        for number, (row, column) in enumerate(np.ndindex(4, 4), start=1):
            labels[row * 16 + 2 : row * 16 + 13, column * 16 + 3 : column * 16 + 14] = number
        noise = np.random.default_rng(0).normal(0, 0.1, labels.shape)
        viewer.add_image((labels > 0) + noise.astype(np.float32), name="cells")
        viewer.add_labels(labels, name="cells annotation")
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune")
        docks.append(dock)
        box = dock.plan.device.native
        qtbot.waitUntil(lambda: box.itemText(0).startswith("Automatic:"), timeout=30_000)
        dock.plan.start.value = ""
        dock.plan.device.value = "cpu"
        for name, value in {"iterations": 3, "batch": 1, "patch": 32}.items():
            dock.plan.settings[name].value = value
        return viewer, dock

    yield open_in
    for dock in filter(isalive, docks):
        qtbot.waitUntil(lambda dock=dock: not dock.is_running, timeout=60_000)


@pytest.fixture
def tasks(monkeypatch) -> list[Task]:
    """What would have been trained."""
    begun: list[Task] = []

    def tune(task: Task):
        begun.append(task)
        yield from ()

    monkeypatch.setattr(training, "fine_tune", tune)
    return begun


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def run(qtbot, dock) -> None:
    press(dock.tune_button)
    qtbot.waitUntil(lambda: not dock.is_running, timeout=60_000)


def save(target: Target, name: str) -> None:
    """Save a trained network of the user's."""
    card = replace(NewNetwork("unet", target).card(), provenance={"training": {}})
    untrained(card).save(user_folder() / f"{name}.safetensors")


def test_a_new_network_is_chosen_and_a_trained_one_says_what_it_knows(open_dock) -> None:
    assert WORDS.keys() == ARCHITECTURES.keys()
    save(FRUIT, "fruit")
    save(replace(FRUIT, instances=False, extras=()), "areas")
    save(Target(), "plain")
    _, dock = open_dock()
    form = dock.plan.network
    assert not form.isHidden()
    assert (form._classes_row.isHidden(), form._output_row.isHidden()) == (True, False)
    form.meaning.value = Meaning.AREAS
    assert (form._classes_row.isHidden(), form._output_row.isHidden()) == (False, True)
    for name, told in (
        ("plain", ""),
        ("fruit", "It tells objects apart: apple, pear."),
        ("areas", "It labels areas: apple, pear."),
    ):
        dock.plan.start.value = name
        assert form.isHidden()
        assert dock.plan.known.text().startswith(told)
        assert dock.plan.known.isHidden() == (not told)


def test_a_form_is_a_network_and_a_network_a_form(qapp) -> None:
    form = NetworkForm()
    assert form.config() == NewNetwork()
    for target in (
        *OUTPUTS.values(),
        FRUIT,
        Target(("background", "road"), (), False),
    ):
        new = NewNetwork("unet++", target)
        form.show_begun(new.card(), FINE_TUNE)
        assert form.config() == new
    for name in RECIPES:
        new = NewNetwork.by(name, "fcn")
        form.show_begun(new.card(), RECIPES[name].training)
        assert form.config() == new
    assert in_words(Target()) == ""


def test_a_recipe_fills_the_form(qapp) -> None:
    assert BY_RECIPE.keys() == RECIPES.keys()
    plan = Plan()
    plan.start.value = ""
    assert (plan.network.recipe.value, plan.config) == ("few-shot", FINE_TUNE)
    for name in reversed(BY_RECIPE):
        plan.network.architecture.value = "unet++"
        plan.network.recipe.value = name
        assert plan.begin == NewNetwork.by(name)
        assert plan.config == RECIPES[name].training
    plan.network.recipe.value = "paper"
    plan.settings["patch"].value = 60
    plan.settings["minutes"].value = 2
    plan.network.meaning.value = Meaning.AREAS
    plan.network.classes.value = "cell, nucleus"
    assert plan.begin == NewNetwork.by(
        "paper", target=Target().telling(("background", "cell", "nucleus"), instances=False)
    )
    assert plan.config == replace(RECIPES["paper"].training, patch=60, minutes=2.0)
    plan.start.value = "nuclei"  # which no recipe of a new network is for
    assert plan.config == FINE_TUNE
    plan.settings["batch"].value = 2
    plan.start.value = "cells"
    assert plan.config == replace(FINE_TUNE, batch=2)
    plan.start.value = ""
    assert plan.config == RECIPES["paper"].training


def test_the_network_of_the_paper_is_taught(open_dock, qtbot) -> None:
    viewer, dock = open_dock()
    _, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    dock.plan.network.recipe.value = "paper"
    assert dock.plan.settings["patch"].value == 572
    short = {"iterations": 3, "patch": 60}
    for name, value in short.items():
        dock.plan.settings[name].value = value
    run(qtbot, dock)
    assert dock.message.text() == "my-model is ready."
    card = read_card(user_folder() / "my-model.safetensors")
    assert card.network == RECIPES["paper"].network
    assert (card.network.padding, card.target) == ("valid", Target())
    training = asdict(replace(RECIPES["paper"].training, **short))
    assert card.provenance["training"].items() >= training.items()
    assert training["optimizer"] == "sgd"
    press(dock.verdict.new_button)
    segment.inputs.image.value = viewer.layers["cells"]
    press(segment.segment_button)
    qtbot.waitUntil(lambda: not segment.is_running, timeout=60_000)
    assert "cells [my-model]" in viewer.layers, segment.message.text()


def test_a_nested_network_is_taught_and_segments(open_dock, qtbot) -> None:
    viewer, dock = open_dock()
    _, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    dock.plan.network.architecture.value = "unet++"
    dock.plan.network.output.value = "Sigmoid"
    run(qtbot, dock)
    assert dock.message.text() == "my-model is ready."
    card = read_card(user_folder() / "my-model.safetensors")
    assert (card.architecture, card.target) == ("unet++", OUTPUTS["Sigmoid"])
    press(dock.verdict.new_button)
    segment.inputs.image.value = viewer.layers["cells"]
    press(segment.segment_button)
    qtbot.waitUntil(lambda: not segment.is_running, timeout=60_000)
    assert "cells [my-model]" in viewer.layers, segment.message.text()


def test_areas_of_a_picture_in_colours_are_taught_and_have_their_names(open_dock, qtbot) -> None:
    viewer, dock = open_dock()
    _, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    labels = viewer.layers["cells annotation"]
    labels.data = np.where(labels.data > 0, 1 + labels.data % 2, 0)
    gray = (100 * viewer.layers["cells"].data).clip(0, 255).astype(np.uint8)
    viewer.layers.remove("cells")
    viewer.add_image(np.stack([gray, gray, 255 - gray], axis=-1), name="cells")
    dock.pairs.channels.value = ALL
    form = dock.plan.network
    form.meaning.value = Meaning.AREAS
    assert form.classes.native.placeholderText() == ""
    dock._suggest_classes()
    assert form.classes.native.placeholderText() == "class 1, class 2"
    form.classes.value = "cytoplasm, nucleus"
    run(qtbot, dock)
    assert "mean IoU" in dock.verdict.text.text(), dock.message.text()
    assert "AP@0.5" not in dock.verdict.text.text() + dock.curves.legend.text()
    press(dock.verdict.new_button)
    assert read_card(user_folder() / "my-model.safetensors").preprocessing.channels == 3
    segment.inputs.image.value = viewer.layers["cells"]
    press(segment.segment_button)
    qtbot.waitUntil(lambda: not segment.is_running, timeout=60_000)
    found = viewer.layers["cells [my-model]"]
    assert found.features["class"].tolist() == ["background", "cytoplasm", "nucleus"]


def test_a_stopped_run_brings_its_network_back(qapp) -> None:
    areas = Target(("background", "cell", "nucleus"), (), False)
    new = NewNetwork.by("paper", "fcn", areas)
    labels = np.kron(np.array([[0, 1], [2, 1]], np.int32), np.ones((32, 32), np.int32))
    pair = Pair(labels.astype(np.float32), labels)
    config = replace(RECIPES["paper"].training, iterations=5, batch=1, patch=32)
    steps = training.fine_tune(
        Task((pair,), new, user_folder() / "mine.safetensors", config, "cpu")
    )
    for step in steps:
        if step.progress is not None and step.progress.iteration == 2:
            break
    with pytest.raises(StopIteration):
        steps.send(True)
    plan = Plan()
    plan.start.value = "nuclei"
    plan.name.setEditText("mine")
    assert plan.can_resume
    assert (plan.start.value, plan.begin) == ("", new)
    assert plan.card(resume=True).target == new.target
    assert plan.config == config
    assert not plan.network.isHidden()
    plan.name.setEditText("another")
    assert (plan.begin, plan.config) == (new, config)
    plan.network.recipe.value = "few-shot"
    assert plan.config == FINE_TUNE


@pytest.mark.parametrize(
    ("meaning", "names", "told"),
    [
        (Meaning.KINDS, "", "name them"),
        (Meaning.KINDS, "apple", "name a second one"),
        (Meaning.KINDS, "apple, pear, apple", "two classes apple"),
        (Meaning.AREAS, "background, cell", "Background is no class"),
        (Meaning.KINDS, "apple, pear", "No object of cells annotation has a class"),
        (Meaning.KINDS, "apple, plum", "of the class pear, which is none of apple, plum"),
    ],
)
def test_classes_that_cannot_be_are_told_and_nothing_begins(
    open_dock, tasks, meaning: Meaning, names: str, told: str
) -> None:
    viewer, dock = open_dock()
    if "plum" in names:
        show_kinds(viewer.layers["cells annotation"], {1: "apple", 2: "pear"})
    dock.plan.network.meaning.value = meaning
    dock.plan.network.classes.value = names
    press(dock.tune_button)
    assert told in dock.message.text()
    assert not dock.is_running
    assert not tasks


def test_objects_of_classes_are_learnt_from_layers_and_from_a_project(
    open_dock, qtbot, tasks, tmp_path
) -> None:
    viewer, dock = open_dock()
    image, labels = viewer.layers
    kinds = {number: ("apple", "pear")[number % 2] for number in range(1, 17)}
    show_kinds(labels, kinds)
    dock.plan.network.meaning.value = Meaning.KINDS
    run(qtbot, dock)
    project = Project.create(tmp_path / "mine")
    entry = project.add_array("cells", image.data)
    _, annotate = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate")
    annotate.open_project(project.folder)
    qtbot.waitUntil(lambda: annotate.folder.project is not None, timeout=20_000)
    path = write_annotation(project.annotation_path(entry), Annotation(labels.data))
    dock.source.value = PROJECT
    dock.plan.network.classes.value = "apple, pear"
    run(qtbot, dock)
    assert "No object of cells has a class" in dock.message.text()
    write_annotation(path, Annotation(labels.data, classes=kinds))
    dock.plan.network.classes.value = ""
    run(qtbot, dock)
    assert [task.start for task in tasks] == [NewNetwork("unet", FRUIT)] * 2
    assert [task.pairs[0].classes for task in tasks] == [{n: 1 + n % 2 for n in kinds}] * 2
    save(FRUIT, "fruit")
    dock.plan.reset_choices()
    dock.plan.start.value = "fruit"
    run(qtbot, dock)
    assert tasks[-1].start == "fruit"
    assert tasks[-1].pairs[0].classes[2] == 1


def test_the_preview_of_patches_is_that_of_the_chosen_network(open_dock, qtbot) -> None:
    viewer, dock = open_dock()
    _, weights = viewer.window.add_plugin_dock_widget(PLUGIN, "Weight Map")
    form = dock.plan.network
    form.meaning.value = Meaning.KINDS
    form.classes.value = "apple, pear"
    press(weights.preview.button)
    assert "No object of cells annotation has a class" in weights.message.text()
    show_kinds(viewer.layers["cells annotation"], dict.fromkeys(range(1, 17), "pear"))
    press(weights.preview.button)
    qtbot.waitUntil(lambda: not weights.is_running, timeout=20_000)
    assert set(np.unique(viewer.layers["augmented target"].data)) == {0, 2}


def test_names_are_found_in_labels(make_napari_viewer) -> None:
    viewer = make_napari_viewer()
    labels = viewer.add_labels(np.array([[0, 1, 2], [0, 3, 3]]))
    assert names_in_layers([labels], Meaning.AREAS) == ["class 1", "class 2", "class 3"]
    assert names_in_layers([labels], Meaning.KINDS) == []
    labels.features = {"index": [1, 2], "area": [1.0, 2.0]}
    show_kinds(labels, {2: "pear", 3: "apple"})
    assert kinds_in(labels) == {2: "pear", 3: "apple"}
    assert labels.features["area"].tolist()[:2] == [1, 2]
    assert names_in_layers([labels], Meaning.KINDS) == ["apple", "pear"]
    assert names_in_layers([labels], Meaning.AREAS) == ["class 1", "pear", "apple"]
    labels.data = labels.data * 100
    assert names_in_layers([labels], Meaning.AREAS) == []
