"""Fine-tuning to be watched: what it sees, what it says, and before and after."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_unet.checkpoint import Checkpoint
from napari_unet.config import RECIPES, Preprocessing, SegmentConfig, Target, TrainConfig
from napari_unet.library import RUN_KEY, NewNetwork, read_metadata
from napari_unet.metrics import Matching, class_ious, match, mean_iou
from napari_unet.model import UNet
from napari_unet.patches import Example, Origin, limited, prepare
from napari_unet.prediction import run_to_end
from napari_unet.segmentation import load_engine, segment_steps
from napari_unet.training import (
    Comparison,
    Estimate,
    Files,
    Overlay,
    Pair,
    Stage,
    Task,
    estimate,
    fine_tune,
    prepare_pairs,
    preparing,
    session,
    sizes_to_try,
    typical_diameter,
    untrained,
)
from napari_unet.training.comparison import compare, gain_interval
from napari_unet.training.scoring import Judgement, doubt
from napari_unet.training.settling import settle_polarity
from test_training import CARD, CONFIG, NETWORK, TARGET, disks

QUICK = replace(CONFIG, validate_every=2)


def pairs(count: int = 3, enlarged: int = 1) -> tuple[Pair, ...]:
    """Annotated disks, 12 pixels across or a multiple of it."""
    drawn = [disks(seed) for seed in range(count)]
    grow = np.ones((enlarged, enlarged), int)
    return tuple(
        Pair(np.kron(image, grow), np.kron(labels, grow), name=f"image {number}")
        for number, (image, labels) in enumerate(drawn)
    )


@pytest.fixture
def start(tmp_path: Path) -> str:
    """A model that has learnt something, as its card says: objects of 12 pixels."""
    card = replace(CARD, provenance={"training": {}, "name": "old"})
    return str(untrained(card).save(tmp_path / "start.safetensors"))


def task(tmp_path: Path, start: str | None, config: TrainConfig = QUICK, **changed) -> Task:
    fields = {"pairs": pairs(), "device": "cpu"} | changed
    return Task(fields.pop("pairs"), start, tmp_path / "new.safetensors", config, **fields)


def follow(steps):
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return seen, end.value


def test_it_prepares_measures_trains_and_compares(tmp_path: Path, start: str):
    seen, tuned = follow(fine_tune(task(tmp_path, start)))
    stages = list(dict.fromkeys(p.stage for p in seen))
    assert stages == [Stage.PREPARING, Stage.MEASURING, Stage.TRAINING]
    assert [p.progress.iteration for p in seen if p.progress] == [0, 1, 2, 3, 4, 5, 6]
    assert all(p.memory > 0 and p.device == "cpu" for p in seen if p.progress)
    assert seen[-1].share == 1
    assert not tuned.stopped
    assert Checkpoint.load(tuned.path).card.provenance["data"] == "3 annotated images, 27 objects"
    comparison = tuned.comparison
    assert comparison.objects == 9
    assert {o.kind for o in comparison.overlays} == {"before", "after"}
    assert all(o.labels.shape == (64, 64) for o in comparison.overlays)


def test_a_new_network_has_no_before(tmp_path: Path):
    _, tuned = follow(fine_tune(task(tmp_path, None)))
    assert tuned.comparison.before is None
    assert {o.kind for o in tuned.comparison.overlays} == {"after"}
    assert "too few to tell how good it is" in tuned.comparison.sentence()


def test_a_new_network_for_areas_is_judged_by_the_mean_iou_of_its_classes(tmp_path, monkeypatch):
    small = replace(RECIPES["few-shot"], network=NETWORK)
    monkeypatch.setitem(RECIPES, "few-shot", small)
    areas = tuple(replace(p, labels=np.where(p.labels > 0, 1 + p.labels % 2, 0)) for p in pairs())
    new = NewNetwork("fcn", Target(("background", "cell", "nucleus"), (), False))
    asked = replace(task(tmp_path, None, pairs=areas), start=new)
    _, tuned = follow(fine_tune(asked))
    card = Checkpoint.load(tuned.path).card
    assert (card.architecture, card.target) == ("fcn", new.target)
    (scores,) = tuned.comparison.areas
    assert tuned.comparison.sentence() == f"On what is held out: {scores.in_words()}."
    assert set(scores.classes) == {"cell", "nucleus"}
    found = run_to_end(estimate(replace(asked, output=tmp_path / "other.safetensors")))
    assert found.objects is None
    assert "a part of what is annotated is held out" in found.sentence()


def test_area_scores_are_pooled_and_told_before_and_after(region):
    (example,) = region
    names = ("background", "cell", "nucleus")
    truth = np.where(example.labels > 0, 1 + example.labels % 2, 0)
    half = np.where(np.arange(truth.shape[0])[:, None] < truth.shape[0] // 2, truth, 0)
    examples = [replace(example, labels=truth)] * 2
    before, after = (
        [replace(judged([True]), labels=labels.astype(np.int32))] * 2 for labels in (half, truth)
    )
    told = compare(examples, before, after, target=Target(names, (), False)).sentence()
    expected = mean_iou(class_ious(half, truth))
    assert told.startswith(f"Before: mean IoU {expected:.2f} (cell ")
    assert "After: mean IoU 1.00 (cell 1.00, nucleus 1.00)." in told
    same = compare(examples, after, after, False, Target(names, (), False)).sentence()
    assert same.startswith(
        "Nothing better than the start model was found on what is held out (mean"
    )


def test_the_first_preview_comes_at_once_and_lies_on_its_image(tmp_path: Path, start: str):
    seen, _ = follow(fine_tune(task(tmp_path, start)))
    previews = [p.preview for p in seen if p.preview]
    assert previews
    first = next(p for p in seen if p.progress)
    assert first.preview
    assert (previews[0].row, previews[0].column, previews[0].zoom) == (0, 0, 1)


def run_state(model: Path) -> dict:
    return json.loads(read_metadata(Files(model).state)[RUN_KEY])


def test_a_stop_keeps_the_best_and_resume_goes_on_exactly(tmp_path: Path, start: str):
    whole = tmp_path / "whole" / "new.safetensors"
    follow(fine_tune(replace(task(tmp_path, start), output=whole)))
    steps = fine_tune(task(tmp_path, start))
    while (progress := next(steps)).progress is None or progress.progress.iteration < 3:
        pass
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    assert end.value.value.stopped
    assert end.value.value.comparison.before is not None
    assert Checkpoint.load(tmp_path / "new.safetensors").card.network == NETWORK
    # Whatever is chosen then to start from, or nothing: the run knows what it started from.
    _, straight = follow(
        fine_tune(replace(task(tmp_path, start), output=tmp_path / "2.safetensors"))
    )
    seen, tuned = follow(fine_tune(task(tmp_path, None, resume=True)))
    assert [p.progress.iteration for p in seen if p.progress] == [4, 5, 6]
    assert not tuned.stopped
    assert tuned.comparison.before == straight.comparison.before
    assert run_state(tuned.path)["start"] == start
    for one, other in zip(tuned.comparison.overlays, straight.comparison.overlays, strict=True):
        assert one.kind == other.kind
        np.testing.assert_array_equal(one.labels, other.labels)
    a, b = (Checkpoint.load(Files(p).last).weights for p in (whole, tuned.path))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_stop_before_there_is_a_network_keeps_none(tmp_path: Path, start: str, monkeypatch):
    monkeypatch.setattr(session, "PATIENCE", 0.0)
    steps = fine_tune(task(tmp_path, start))
    while next(steps).stage is not Stage.MEASURING:
        pass
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    assert end.value.value is None
    assert not (tmp_path / "new.safetensors").exists()


def test_resume_after_the_annotation_changed_is_refused(tmp_path: Path, start: str):
    follow(fine_tune(task(tmp_path, start)))
    changed = [replace(pairs()[0], labels=disks(9)[1]), *pairs()[1:]]
    with pytest.raises(ValueError, match="other images or annotations"):
        follow(fine_tune(task(tmp_path, start, pairs=tuple(changed), resume=True)))


def test_a_pair_that_does_not_fit_is_named_and_nothing_is_written(tmp_path: Path):
    wrong = replace(pairs()[1], labels=np.zeros((3, 3), int))
    with pytest.raises(ValueError, match="image 1: The labels' shape"):
        follow(fine_tune(task(tmp_path, None, pairs=(pairs()[0], wrong))))
    assert not list(tmp_path.iterdir())


def test_a_model_of_that_name_is_not_written_over(tmp_path: Path, start: str):
    (tmp_path / "new.safetensors").write_bytes(b"precious")
    with pytest.raises(ValueError, match="exists already"):
        next(fine_tune(task(tmp_path, start)))


def at_home(monkeypatch: pytest.MonkeyPatch, *widths: int) -> None:
    """Let every network find all objects in planes so wide, and none in others."""

    def look(network: UNet, target: Target, examples: Sequence[Example], device: torch.device):
        yield 0.0
        found = [e.labels if e.labels.shape[1] in widths else 0 * e.labels for e in examples]
        return [
            Judgement(0.0, 1.0, match(one, e.labels, 0.5), np.zeros(0, bool), one, 1.0)
            for one, e in zip(found, examples, strict=True)
        ]

    monkeypatch.setattr(preparing, "judge", look)


@pytest.mark.parametrize(
    ("widths", "zoom"),
    [
        ((), 3**-0.5),  # nowhere: half-way
        ((64,), 1 / 3),  # at the size it knows
        ((192,), 1.0),
        ((64, 192), 1.0),  # as well as they are: no need to resize
    ],
)
def test_a_network_learns_at_the_size_at_which_it_is_at_home(
    tmp_path, start, monkeypatch, widths, zoom
):
    at_home(monkeypatch, *widths)
    steps = prepare_pairs(pairs(enlarged=3), Checkpoint.load(start), CONFIG)
    seen, (groups, prepared) = follow(steps)
    assert prepared.card.preprocessing.zoom == pytest.approx(zoom, rel=0.1)
    assert [e.labels.shape[0] for (e,) in groups] == pytest.approx([192 * zoom] * 3, rel=0.1)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_a_stop_while_sizes_are_tried_is_heard(tmp_path, start):
    steps = fine_tune(task(tmp_path, start, pairs=pairs(enlarged=3)))
    while not 1 / 3 < next(steps).share < 2 / 3:
        pass
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    assert end.value.value is None
    assert not (tmp_path / "new.safetensors").exists()


def test_images_keep_their_size_if_that_is_asked_for(start):
    steps = prepare_pairs(pairs(enlarged=3), Checkpoint.load(start), replace(CONFIG, resize=False))
    groups, prepared = run_to_end(steps)
    assert prepared.card.preprocessing.zoom == 1
    assert groups[0][0].labels.shape == (192, 192)


def test_what_is_learnt_at_another_size_holds_for_later_images(tmp_path, start, monkeypatch):
    at_home(monkeypatch, 64)
    large = task(tmp_path, start, pairs=pairs(enlarged=3))
    _, tuned = follow(fine_tune(large))
    card = Checkpoint.load(tuned.path).card
    assert card.preprocessing.zoom == pytest.approx(1 / 3, rel=0.1)
    assert card.preprocessing.diameter == pytest.approx(12, rel=0.1)
    assert card.preprocessing.expected_diameter() == pytest.approx(36, rel=0.1)
    overlay = tuned.comparison.overlays[0]
    assert overlay.labels.shape == pytest.approx((64, 64), rel=0.1)
    assert overlay.zoom == card.preprocessing.zoom
    # Segmenting such an image needs nothing typed: it is seen as in training.
    engine, card = load_engine(SegmentConfig(model=str(tuned.path), device="cpu"))
    image = large.pairs[0].image
    found = run_to_end(segment_steps(image, engine, card, SegmentConfig(), keep_scores=True))
    assert found.scores[0].shape[1:] == overlay.labels.shape
    assert found.labels.shape == image.shape


@pytest.mark.parametrize(
    ("known", "zoom", "diameter", "trained", "expected"),
    [
        (20.0, 1.0, 80.0, True, (1.0, 0.5, 0.25)),
        (20.0, 1.0, 22.0, True, (1.0,)),  # augmentation covers it
        (20.0, 0.5, 42.0, True, (0.5,)),  # images as those it was tuned on
        (20.0, 0.25, 20.0, True, (0.25, 0.5, 1.0)),
        (None, 1.0, 50.0, True, (1.0,)),
        (None, 1.0, 64.0, False, (0.5,)),
        (None, 1.0, 12.0, False, (1.0,)),
        (20.0, 0.7, None, True, (0.7,)),
    ],
)
def test_sizes_to_try(known, zoom, diameter, trained, expected):
    rule = Preprocessing(diameter=known, zoom=zoom)
    assert sizes_to_try(rule, diameter, trained) == pytest.approx(expected)


def test_typical_diameter_counts_objects_plane_by_plane():
    labels = np.zeros((2, 20, 20), int)
    labels[0, :4, :4] = labels[1, :4, :4] = 1  # one number, two planes
    labels[1, 10:20, 10:20] = 2
    assert typical_diameter([labels, -labels]) == pytest.approx(2 * 4 / np.pi**0.5, abs=0.1)
    assert typical_diameter([np.full((3, 3), -1)]) is None


def test_strokes_and_objects_that_a_region_cuts_off_tell_no_diameter():
    labels = np.full((40, 80), -1)
    labels[:, :50] = 0
    labels[10:20, 10:20] = 1
    labels[5:35, 40:50] = 2  # up to where nothing is annotated
    assert typical_diameter([labels]) == pytest.approx(20 / np.pi**0.5, abs=0.1)
    stroke = np.full((40, 80), -1)
    stroke[10:14, 10:40] = 1
    assert typical_diameter([stroke]) is None


def test_a_background_that_is_neither_dark_nor_bright_is_never_inverted():
    image, labels = disks()
    gray = image + np.linspace(0, 60, 64)
    gray[:6] = 300
    gray[6:9] = -100
    shown = (image, gray, 255 - image)
    rules = [settle_polarity(Preprocessing(), [Pair(one, labels)]) for one in shown]
    assert [rule.invert_bright for rule in rules] == [True, False, True]


def test_the_estimate_writes_nothing_and_says_where(tmp_path: Path, start: str):
    steps = estimate(task(tmp_path, start, pairs=pairs(enlarged=2)))
    found: Estimate = run_to_end(steps)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["start.safetensors"]
    assert found.step_seconds > 0
    assert found.seconds > 6 * found.step_seconds
    assert (found.images, found.objects, found.held_out) == (3, 27, 9)
    assert found.zoom == pytest.approx(2**-0.5, rel=0.1)  # at home nowhere: half-way
    sentence = replace(found, seconds=350).sentence()
    assert sentence.startswith("About 6 min on this CPU. 3 images, 27 objects; 9 of them")


def test_what_is_held_out_is_limited_to_the_richest_part():
    labels = np.zeros((100, 100), np.int32)
    labels[80:90, 80:90] = 1
    labels[5:8, 5:8] = 2
    image = labels.astype(float)
    (example,) = prepare(image, labels, Preprocessing(), TARGET)
    (part,) = limited([example], 40 * 40)
    assert part.labels.shape == (40, 40)
    assert (part.labels == 1).sum() == 100
    assert (part.origin.row, part.origin.column) == (60, 60)
    small = example.part((slice(0, 10), slice(0, 10)))
    assert [e.origin for e in limited([small, small], 150)] == [small.origin]


def test_an_overlay_knows_where_it_is():
    (example,) = prepare(*disks(), Preprocessing(zoom=0.5), TARGET, number=4)
    part = example.part((slice(8, 20), slice(4, 20)))
    assert part.origin == Origin(4, 0, 8, 4, 0.5)
    overlay = Overlay.of(part, part.labels, "after")
    assert (overlay.pair, overlay.row, overlay.column, overlay.zoom) == (4, 16, 8, 0.5)


def judged(found: list[bool], invented: int = 0, iou: float = 0.5) -> Judgement:
    hits = np.array(found)
    tp = int(hits.sum())
    matching = Matching(0.5, tp, invented, hits.size - tp)
    return Judgement(0.0, iou, matching, hits, np.zeros((4, 4), np.int32), 0.0)


@pytest.fixture
def region() -> list[Example]:
    return prepare(*disks(), CARD.preprocessing, TARGET)


def test_doubt_is_half_the_standard_error_of_merit(rng: np.random.Generator):
    objects = [judged([True] * 5), judged([False] * 11)]
    share = 0.3
    merits = (rng.random((20_000, 16)) < share).mean(axis=1) / 2
    assert doubt(share, objects, TARGET) == pytest.approx(merits.std() / 2, rel=0.03)
    areas = Target(classes=("background", "wood", "meadow"), instances=False)
    assert doubt(share, objects, areas) == doubt(share, [], TARGET) == 0
    assert doubt(0.0, objects, TARGET) == doubt(1.0, objects, TARGET) == 0


def test_interval_of_the_gain_is_that_of_a_paired_bootstrap(rng: np.random.Generator):
    then, now = rng.random(60) < 0.4, rng.random(60) < 0.8
    low, high = gain_interval([judged(then, 5)], [judged(now, 10)])
    gains = []
    for _ in range(4000):
        pick = rng.integers(0, 60, 60)
        gains.append(
            now[pick].sum() / (60 + rng.poisson(10)) - then[pick].sum() / (60 + rng.poisson(5))
        )
    assert (low, high) == pytest.approx(np.percentile(gains, (2.5, 97.5)).tolist(), abs=0.02)


def test_networks_that_find_the_same_differ_in_what_they_invent_only():
    same = [True, False] * 20
    assert gain_interval([judged(same)], [judged(same)]) == (0, 0)
    low, high = gain_interval([judged(same, 40)], [judged(same, 0)])
    assert 0 < low < high


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (judged([False] * 30), judged([True] * 30), "30 held-out objects: better. Before: AP@0.5"),
        (judged([True] * 30), judged([False] * 30), ": worse."),
        (judged([True, False] * 15), judged([False, True] * 15), ": no clear difference."),
        (judged([False] * 5), judged([True] * 5), "5 held-out objects: too few to tell."),
    ],
)
def test_the_verdict(region, before, after, said):
    assert said in compare(region, [before], [after]).sentence()


def test_nothing_better_is_said(region):
    same = [judged([True] * 30)]
    comparison: Comparison = compare(region, same, same, is_new=False)
    assert comparison.sentence().startswith("Nothing better than the start model was found on 30")
