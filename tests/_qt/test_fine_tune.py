"""The dock that teaches a network, as its users see it: real widgets and threads, tiny networks."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet import training
from napari_unet._qt.annotation_layers import PATH
from napari_unet._qt.fine_tune import plan
from napari_unet._qt.fine_tune import widget as fine_tune
from napari_unet._qt.fine_tune.lesson import Lesson, tune_steps
from napari_unet._qt.fine_tune.overlays import placed
from napari_unet._qt.fine_tune.pairs import ALL, NO_PAIR
from napari_unet._qt.fine_tune.plan import FIELDS, HIDDEN
from napari_unet._qt.fine_tune.sources import from_project
from napari_unet._qt.fine_tune.widget import LAYERS, PROJECT
from napari_unet.annotations import (
    Annotation,
    Project,
    State,
    default_project,
    write_annotation,
)
from napari_unet.checkpoint import Checkpoint
from napari_unet.config import (
    FINE_TUNE,
    Preprocessing,
    Target,
    TrainConfig,
    TrainProgress,
    UNetConfig,
)
from napari_unet.library import (
    Card,
    Hold,
    NewNetwork,
    is_aside,
    read_card,
    set_aside,
    user_folder,
)
from napari_unet.model import UNet
from napari_unet.training import (
    Comparison,
    Estimate,
    Overlay,
    Scores,
    Stage,
    Task,
    Tuned,
    TuneProgress,
)

PLUGIN = "napari-unet-segmentation"
SIZE = (64, 64)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch) -> str:
    """A network of the user's that learns in an instant."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    network = UNetConfig(base_channels=4, depth=2, padding="same", dropout=0.0)
    card = Card(network, Target(), Preprocessing(diameter=12.0), {"training": {}, "name": "tiny"})
    user_folder().mkdir(parents=True)
    Checkpoint.of(UNet(network), card).save(user_folder() / "tiny.safetensors")
    return "tiny"


@pytest.fixture
def open_dock(make_napari_viewer, qtbot, tiny):
    """Returns a viewer with the dock, opened as from the menu."""
    docks = []

    def open_in(images: int = 1, show: bool = False):
        viewer = make_napari_viewer(show=show)
        for number in range(images):
            add_pair(viewer, f"cells {number}")
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune")
        docks.append(dock)
        box = dock.plan.device.native
        qtbot.waitUntil(lambda: box.itemText(0).startswith("Automatic:"), timeout=30_000)
        dock.plan.start.value = tiny
        dock.plan.device.value = "cpu"
        for name, value in {"iterations": 3, "batch": 1, "patch": 32}.items():
            dock.plan.settings[name].value = value
        return viewer, dock

    yield open_in
    for dock in filter(isalive, docks):
        if dock._job is not None:
            dock._job.stop()
        wait(qtbot, dock)


def add_pair(viewer, name: str, **options) -> None:
    labels = np.zeros(SIZE, np.int32)
    for number, (row, column) in enumerate(np.ndindex(4, 4), start=1):
        labels[row * 16 + 2 : row * 16 + 13, column * 16 + 3 : column * 16 + 14] = number
    noise = np.random.default_rng(0).normal(0, 0.1, SIZE)
    viewer.add_image((labels > 0) + noise.astype(np.float32), name=name, **options)
    viewer.add_labels(labels, name=f"{name} annotation", **options)


def press(button) -> None:
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def wait(qtbot, dock) -> None:
    qtbot.waitUntil(lambda: not dock.is_running, timeout=60_000)


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def overlay(kind: str, pair: int = 0, side: int = 16) -> Overlay:
    return Overlay(pair, 0, 32.0, 0.0, 0.5, np.ones((side, 2 * side), np.int32), kind)


def comparison() -> Comparison:
    scores = Scores(0.6, 0.7, 20, 3)
    sides = (overlay("before"), overlay("after"))
    return Comparison(24, scores, scores, (-0.1, 0.1), sides, True)


class Script:
    """A training that does what a test says, step by step."""

    def __init__(self, monkeypatch) -> None:
        self.tasks: list[Task] = []
        self.stopped = False
        self._steps: list[TuneProgress | Exception | None] = []
        monkeypatch.setattr(training, "fine_tune", self._run)

    def say(self, **options) -> None:
        step = TrainProgress(1, 0.1, 0.5, 1e-3, 1.0, options.pop("validation", {}))
        self.add(TuneProgress(Stage.TRAINING, step, 0.1, 240.0, 2 * 2**30, "cpu", **options))

    def add(self, step: TuneProgress | Exception | None) -> None:
        """Let it yield that, raise it, or end."""
        self._steps.append(step)

    def end(self) -> None:
        self.add(None)

    def _run(self, task: Task):
        self.tasks.append(task)
        done = 0
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            step = None
            if done < len(self._steps):
                step = self._steps[done]
                done += 1
                if step is None:
                    return Tuned(task.output, False, comparison())
                if isinstance(step, Exception):
                    raise step
            else:
                time.sleep(0.02)
            if (yield step or TuneProgress(Stage.TRAINING, None, 0.1, None, None, "cpu")):
                self.stopped = True
                return Tuned(task.output, True, None)
        raise AssertionError("nobody ended this training")


@pytest.fixture
def script(monkeypatch) -> Script:
    return Script(monkeypatch)


def test_one_press_teaches_a_network_and_the_better_one_is_kept(open_dock, qtbot) -> None:
    viewer, dock = open_dock()
    _, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    assert dock.pairs.text.text() == "Learns from cells 0 with cells 0 annotation."
    assert dock.plan.name.currentText() == "my-tiny"
    viewer.layers.selection.active = viewer.layers["cells 0 annotation"]
    press(dock.tune_button)
    assert not dock.tune_button.isEnabled()
    assert not dock.plan.isEnabled()
    wait(qtbot, dock)
    assert dock.message.text() == "my-tiny is ready."
    path = user_folder() / "my-tiny.safetensors"
    assert path.exists()
    steps, losses = dock.curves.drawn("Loss")
    assert steps == [1, 2, 3]
    assert np.isfinite(losses).all()
    assert dock.curves.drawn("IoU")[0] == [0, 3]
    assert "held-out object" in dock.verdict.text.text()
    qtbot.waitUntil(lambda: "cells 0 before" in names(viewer))
    before, after = viewer.layers["cells 0 before"], viewer.layers["cells 0 after"]
    assert len(viewer.layers) == 4
    assert (before.visible, after.visible) == (False, True)
    assert viewer.layers.selection.active is viewer.layers["cells 0 annotation"]
    press(dock.verdict.flip_button)
    assert (before.visible, after.visible) == (True, False)
    assert dock.verdict.side.text() == "The image shows: before"
    press(dock.verdict.new_button)
    assert names(viewer) == ["cells 0", "cells 0 annotation"]
    assert segment.inputs.model.value == "my-tiny"
    assert dock.verdict.isHidden()
    assert dock.plan.name.currentText() == "my-tiny-2"
    assert not dock.resume_button.isEnabled()  # it has nothing left to do
    assert "my-tiny" in dock.plan.start.choices


def test_the_old_one_is_kept(open_dock, qtbot) -> None:
    _, dock = open_dock(images=2)
    press(dock.tune_button)
    wait(qtbot, dock)
    assert dock.plan.name.currentText() == "my-tiny-2"
    press(dock.verdict.old_button)
    assert dock.message.text() == "my-tiny is deleted."
    assert [path.name for path in user_folder().iterdir()] == ["tiny.safetensors"]
    assert dock.plan.start.value == "tiny"
    assert dock.plan.name.currentText() == "my-tiny"


def test_stop_keeps_the_best_and_resume_goes_on_another_day(open_dock, qtbot, monkeypatch) -> None:
    tune = training.fine_tune

    def tune_slowly(task: Task):
        steps, stop = tune(task), None
        while True:
            time.sleep(0.1)
            try:
                stop = yield steps.send(stop)
            except StopIteration as end:
                return end.value

    monkeypatch.setattr(plan, "FINE_TUNE", replace(FINE_TUNE, validate_every=7))  # not typed
    viewer, dock = open_dock()
    dock.plan.settings["iterations"].value = 15
    config = dock.plan.config
    assert config.validate_every == 7
    with monkeypatch.context() as patch:
        patch.setattr(training, "fine_tune", tune_slowly)
        press(dock.tune_button)
        qtbot.waitUntil(lambda: len(dock.curves.drawn("Loss")[0]) > 2, timeout=30_000)
        press(dock.stop_button)
        assert dock.status.text() == "Stopping…"
        assert not dock.stop_button.isEnabled()
        wait(qtbot, dock)
    assert dock.message.text().startswith("Stopped: my-tiny")
    last = dock.curves.drawn("Loss")[0][-1]
    assert last < 15
    labels = viewer.layers["cells 0 annotation"]
    labels.data = np.flip(labels.data, axis=1)  # it would not be the same run any more
    press(dock.resume_button)
    wait(qtbot, dock)
    assert "other images or annotations" in dock.message.text()
    assert dock.resume_button.isEnabled()
    labels.data = np.flip(labels.data, axis=1)
    monkeypatch.setattr(plan, "FINE_TUNE", FINE_TUNE)

    viewer.window.remove_dock_widget(dock)
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune")
    again.plan.device.value = "cpu"
    assert again.plan.start.value != "tiny"
    assert not again.resume_button.isEnabled()
    assert again.plan.name.findText("my-tiny") == 0
    again.plan.name.setCurrentIndex(0)
    assert again.plan.start.value == "tiny"
    assert again.plan.settings["iterations"].value == 15
    assert again.plan.config == config
    kept = {path: path.read_bytes() for path in user_folder().glob("my-tiny*")}
    press(again.resume_button)
    wait(qtbot, again)
    assert again.message.text() == "my-tiny is ready."
    assert again.curves.drawn("Loss")[0] == list(range(int(last) + 1, 16))
    assert "held-out" in again.verdict.text.text()
    state = user_folder() / "my-tiny.resume.safetensors"
    assert state.read_bytes() != kept[state]
    press(again.verdict.old_button)
    assert again.message.text() == "my-tiny is again as it was before Resume."
    assert {path: path.read_bytes() for path in user_folder().glob("*my-tiny*")} == kept


def test_how_it_goes_is_told_and_what_matters_stays(open_dock, qtbot, script, monkeypatch) -> None:
    viewer, dock = open_dock()
    for layer in viewer.layers:
        layer.scale = (0.5, 0.5)
    press(dock.tune_button)
    start = TrainProgress(0, 0, nan, 0, 0, {"iou": 0.1, "ap50": 0.2})
    script.add(TuneProgress(Stage.MEASURING, start, device="cpu"))
    script.say(message="Memory ran out: going on with patches of 96 pixels.")
    script.say(preview=overlay("preview"), validation={"iou": 0.5, "ap50": 0.4, "loss": 1.0})
    layer = viewer.layers["cells 0 preview"]
    assert not layer.data.any()
    qtbot.waitUntil(lambda: bool(layer.data.any()), timeout=20_000)
    assert "patches of 96 pixels" in dock.message.text()
    at = viewer.layers["cells 0"].data_to_world((32.5, 0.5))
    np.testing.assert_allclose(layer.data_to_world((0, 0)), at)
    told, show = [], dock.status.setText
    monkeypatch.setattr(dock.status, "setText", lambda text: (told.append(text), show(text)))
    script.say()
    qtbot.waitUntil(lambda: any("about 4 min left" in t and "2.0 GB" in t for t in told))
    script.say(preview=overlay("preview", side=8))
    qtbot.waitUntil(lambda: layer.data.shape == (8, 16))
    assert viewer.layers["cells 0 preview"] is layer
    assert "patches of 96 pixels" in dock.message.text()
    press(dock.stop_button)
    wait(qtbot, dock)
    assert script.stopped
    assert "cells 0 preview" not in names(viewer)
    assert dock.verdict.isHidden()
    assert dock.curves.drawn("IoU") == ([0, 1], [0.1, 0.5])
    assert np.isfinite(dock.curves.drawn("Loss")[1]).all()


def test_layers_may_change_while_it_runs(open_dock, qtbot, script) -> None:
    """The run works on a copy."""
    viewer, dock = open_dock(images=2)
    press(dock.tune_button)
    script.say(preview=overlay("preview"))
    layer = viewer.layers["cells 0 preview"]
    qtbot.waitUntil(lambda: bool(layer.data.any()), timeout=20_000)
    (task,) = script.tasks
    taught = task.pairs[0].labels.copy()
    viewer.layers["cells 0 annotation"].data[:] = 7
    viewer.layers["cells 0"].name = "renamed"
    viewer.layers.remove("cells 0 preview")
    script.say(preview=overlay("preview"))
    qtbot.waitUntil(lambda: "renamed preview" in names(viewer))
    viewer.layers["renamed"].data = np.zeros((32, 32), np.float32)
    script.say(preview=overlay("preview"))
    qtbot.waitUntil(lambda: "renamed preview" not in names(viewer))
    assert "its preview is not shown" in dock.message.text()
    viewer.layers.clear()
    script.say(preview=overlay("preview", pair=1))
    script.end()
    wait(qtbot, dock)
    np.testing.assert_array_equal(task.pairs[0].labels, taught)
    assert names(viewer) == []
    assert "24 held-out objects" in dock.verdict.text.text()
    assert not dock.verdict.flip_button.isEnabled()
    assert not dock.tune_button.isEnabled()


def test_a_failure_is_a_sentence_and_the_dock_goes_on(open_dock, qtbot, script) -> None:
    _, dock = open_dock()
    script.add(OSError("The disk is full: make room, and try again."))
    press(dock.tune_button)
    wait(qtbot, dock)
    assert dock.message.text() == "The disk is full: make room, and try again."
    assert dock.tune_button.isEnabled()
    assert not dock.stop_button.isEnabled()


def test_regions_say_where_an_annotation_counts(open_dock, qtbot, script) -> None:
    viewer, dock = open_dock()
    drawn = viewer.layers["cells 0 annotation"]
    drawn.metadata = {PATH: "there.tif"}
    corners = np.array([(-0.5, -0.5), (-0.5, 31.5), (15.5, 31.5), (15.5, -0.5)])
    viewer.add_shapes([corners], shape_type="rectangle", metadata={PATH: "there.tif"})
    press(dock.tune_button)
    script.end()
    wait(qtbot, dock)
    ((pair,),) = (task.pairs for task in script.tasks)
    np.testing.assert_array_equal(pair.labels[:16, :32], drawn.data[:16, :32])
    assert (pair.labels[16:] == -1).all()
    assert (pair.labels[:, 32:] == -1).all()


def test_of_several_pairs_some_are_learnt_from(open_dock, qtbot, script) -> None:
    _, dock = open_dock(images=3)
    table = dock.pairs.table
    table.topLevelItem(1).setCheckState(0, Qt.CheckState.Unchecked)
    press(dock.tune_button)
    script.end()
    wait(qtbot, dock)
    (task,) = script.tasks
    assert [pair.name for pair in task.pairs] == ["cells 0", "cells 2"]
    assert (task.start, task.output.stem, task.device) == ("tiny", "my-tiny", "cpu")
    assert task.config.iterations == 3


def test_a_gray_model_learns_to_take_all_channels(open_dock, qtbot) -> None:
    viewer, dock = open_dock()
    assert dock.pairs.channels.native.parent().isHidden()
    gray = viewer.layers["cells 0"].data
    viewer.layers.remove("cells 0")
    viewer.add_image(np.stack([gray, 1 - gray]), name="cells 0", axis_labels=("c", "y", "x"))
    assert not dock.pairs.channels.native.parent().isHidden()
    dock.pairs.channels.value = ALL
    press(dock.tune_button)
    wait(qtbot, dock)
    assert dock.message.text() == "my-tiny is ready."
    assert read_card(user_folder() / "my-tiny.safetensors").preprocessing.channels == 2


def test_what_it_will_take_is_told_before(open_dock, qtbot, monkeypatch) -> None:
    asked = []

    def estimate(task: Task):
        yield
        asked.append(task)
        if not (task.pairs[0].labels > 0).any():
            raise ValueError("No object is annotated.")
        return Estimate(360, 0.5, "cpu", len(task.pairs), 16, 4, 0.5)

    monkeypatch.setattr(training, "estimate", estimate)
    monkeypatch.setattr(fine_tune, "AGAIN", 300)
    viewer, dock = open_dock(show=True)
    dock._forecast._timer.setInterval(300)  # from now on: how long opening takes, nobody knows
    _, weights = viewer.window.add_plugin_dock_widget(PLUGIN, "Weight Map")
    qtbot.waitUntil(lambda: "About 6 min on this CPU" in dock.status.text(), timeout=20_000)
    assert [task.start for task in asked] == ["tiny"]  # the choices before have been given up
    assert weights.look().zoom == 0.5
    labels = viewer.layers["cells 0 annotation"]
    labels.data = np.zeros(SIZE, np.int32)
    dock.plan.settings["w0"].value = 9.0
    assert weights.look().w0 == 9.0
    qtbot.waitUntil(lambda: dock.status.text() == "No object is annotated.", timeout=20_000)
    labels.paint((20, 20), 1)
    qtbot.waitUntil(lambda: "About 6 min" in dock.status.text(), timeout=20_000)
    viewer.layers.clear()
    assert dock.status.text() == ""
    assert dock.pairs.text.text() == NO_PAIR
    assert not dock.tune_button.isEnabled()


def test_a_dock_or_a_window_that_closes_lets_the_run_save(open_dock, qtbot, script) -> None:
    viewer, dock = open_dock()
    press(dock.tune_button)
    qtbot.waitUntil(lambda: bool(script.tasks), timeout=20_000)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: script.stopped)
    wait(qtbot, dock)
    script.stopped = False
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, "Fine-tune")
    again.plan.start.value = "tiny"
    press(again.tune_button)
    qtbot.waitUntil(lambda: len(script.tasks) == 2, timeout=20_000)
    viewer.close()
    qtbot.waitUntil(lambda: script.stopped)


def test_a_name_that_cannot_be_is_told_at_once(open_dock, script) -> None:
    _, dock = open_dock()
    dock.plan.name.setEditText("nuclei")
    press(dock.tune_button)
    assert "comes with napari-unet" in dock.message.text()
    assert not script.tasks
    dock.plan.start.value = ""  # a name that was typed is no proposal
    assert dock.plan.name.currentText() == "nuclei"


@pytest.mark.parametrize("own", [False, True])
def test_a_project_is_learnt_from(open_dock, qtbot, script, tmp_path, own: bool) -> None:
    viewer, dock = open_dock(images=0)
    assert not dock.tune_button.isEnabled()
    project = Project.create(tmp_path / "mine") if own else default_project()
    if own:
        _, annotate = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate")
        annotate.open_project(project.folder)
        qtbot.waitUntil(lambda: annotate.folder.project is not None, timeout=20_000)
    add_pair(viewer, "cells")
    image, labels = viewer.layers
    entry = project.add_array("cells", image.data)
    write_annotation(project.annotation_path(entry), Annotation(labels.data))
    project.mark(entry, State.DONE)
    viewer.layers.clear()
    dock.source.value = PROJECT
    press(dock.tune_button)
    script.say(preview=overlay("preview"))
    qtbot.waitUntil(lambda: "cells is not open" in dock.message.text(), timeout=20_000)
    script.end()
    wait(qtbot, dock)
    ((pair,),) = (task.pairs for task in script.tasks)
    (task,) = script.tasks
    assert task.output.parent == (project.models if own else user_folder())
    np.testing.assert_array_equal(pair.labels, labels.data)
    np.testing.assert_array_equal(np.squeeze(pair.image), image.data)
    dock.source.value = LAYERS
    assert not dock.tune_button.isEnabled()


def test_a_project_that_is_opened_later_gets_the_model(open_dock, qtbot, script, tmp_path) -> None:
    viewer, dock = open_dock()
    image, labels = viewer.layers
    dock.source.value = PROJECT
    project = Project.create(tmp_path / "mine")
    entry = project.add_array("cells", image.data)
    write_annotation(project.annotation_path(entry), Annotation(labels.data))
    _, annotate = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate")
    annotate.open_project(project.folder)
    qtbot.waitUntil(lambda: annotate.folder.project is not None, timeout=20_000)
    press(dock.tune_button)
    script.end()
    wait(qtbot, dock)
    (task,) = script.tasks
    assert task.output.parent == project.models


def test_an_image_of_a_project_that_has_no_file_is_known_by_its_pixels(
    open_dock, qtbot, script
) -> None:
    viewer, dock = open_dock(images=2)
    image, labels = viewer.layers[2:]
    image.data = image.data + 1
    project = default_project()
    entry = project.add_array("other", image.data)
    write_annotation(project.annotation_path(entry), Annotation(labels.data))
    dock.source.value = PROJECT
    press(dock.tune_button)
    script.say(preview=overlay("preview"))
    qtbot.waitUntil(lambda: "cells 1 preview" in names(viewer), timeout=20_000)
    script.end()
    wait(qtbot, dock)


def test_a_stop_is_heard_between_the_images_of_a_project(tmp_path) -> None:
    project = Project.create(tmp_path / "mine")
    for number in range(2):
        entry = project.add_array("cells", np.full(SIZE, number, np.float32))
        write_annotation(project.annotation_path(entry), Annotation(np.ones(SIZE, np.int32)))
    entry.image.write_bytes(b"")  # it would fail if it were read
    steps = from_project(ViewerModel(), project, NewNetwork().card())()
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    assert end.value.value is None


def test_the_preview_shows_what_this_training_draws(open_dock, qtbot) -> None:
    viewer, _ = open_dock()
    _, weights = viewer.window.add_plugin_dock_widget(PLUGIN, "Weight Map")
    press(weights.preview.button)
    qtbot.waitUntil(lambda: not weights.is_running, timeout=20_000)
    assert viewer.layers["augmented image"].data.shape == (2 * 40 - 8, 4 * 40 - 8)


def test_every_field_is_typed_or_left_out_for_a_reason() -> None:
    assert {f.name for f in fields(TrainConfig)} == FIELDS.keys() | HIDDEN.keys()
    assert not FIELDS.keys() & HIDDEN.keys()


@pytest.mark.parametrize(
    ("shape", "options", "index"),
    [
        (SIZE, {"scale": (0.5, 2.0), "translate": (10, -3), "rotate": 30}, (40.5, 8.5)),
        ((3, *SIZE), {"scale": (4, 0.5, 0.5), "translate": (1, 2, 3)}, (2, 40.5, 8.5)),
        ((2, *SIZE), {"axis_labels": ("c", "y", "x"), "scale": (1, 0.5, 0.5)}, (0, 40.5, 8.5)),
    ],
)
def test_an_overlay_lies_on_its_region(shape, options, index) -> None:
    """Pixel (2, 1) of one that begins at (32, 4) at half the size covers rows 36 to 38."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(shape, np.float32), **options)
    channels = "axis_labels" in options
    seen = shape[1:] if channels else shape
    found = Overlay(
        0, len(index) - 1 if not channels else 0, 36.0, 6.0, 0.5, np.ones((8, 8)), "preview"
    )
    layer = Labels(np.ones((1,) * (len(seen) - 2) + (8, 8), int), **placed(found, image, seen))
    at = (0,) * (len(seen) - 2) + (2, 1)
    expected = np.array(image.data_to_world(index))[channels:]
    np.testing.assert_allclose(layer.scale[-2:], 2 * image.scale[-2:])
    np.testing.assert_allclose(layer.data_to_world(at), expected)
    assert tuple(layer.units) == tuple(image.units[channels:])


def test_a_model_that_another_window_trains_is_left_alone(open_dock, qtbot, monkeypatch) -> None:
    """With what that window has set aside, which it may be about to go back to."""
    _, dock = open_dock()
    press(dock.tune_button)
    wait(qtbot, dock)
    press(dock.verdict.new_button)
    model = user_folder() / "my-tiny.safetensors"
    set_aside(model)
    lesson = Lesson(lambda: iter(()), None, model, dock.plan.config, "cpu", Target(), resume=True)
    monkeypatch.setattr(Lesson, "prepare", prepared)
    with Hold(model):
        with pytest.raises(OSError, match="is being trained just now"):
            list(tune_steps(lesson))
        dock._path = model
        dock._let_go()
        assert is_aside(model)
    dock._let_go()
    assert not is_aside(model)


def prepared(_):
    return (None, ())
    yield
