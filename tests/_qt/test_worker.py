"""Generators in threads: what they yield, return and raise arrives, and nothing is left running."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_unet._qt.worker import Job, sentence


class Heard:
    """All that a job says."""

    def __init__(self, job: Job) -> None:
        self.said: list[object] = []
        self.over = False
        self.main = threading.get_ident()
        for signal, name in (
            (job.progressed, "progressed"),
            (job.returned, "returned"),
            (job.failed, "failed"),
        ):
            signal.connect(lambda value, name=name: self._hear((name, value)))
        job.ended.connect(self._end)

    def _hear(self, said: object) -> None:
        assert threading.get_ident() == self.main
        self.said.append(said)

    def _end(self) -> None:
        assert not self.over
        self.over = True


def run(qtbot, make_steps, act=lambda job: None) -> list[object]:
    parent = QObject()
    job = Job(make_steps, parent)
    heard = Heard(job)
    job.start()
    act(job)
    qtbot.waitUntil(lambda: heard.over, timeout=5000)
    return heard.said


def test_what_is_yielded_and_returned_arrives_in_order(qtbot) -> None:
    def steps():
        yield 1
        yield 2
        return "done"

    said = run(qtbot, steps)
    assert said == [("progressed", 1), ("progressed", 2), ("returned", "done")]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("tile = 0 is not possible."), "tile = 0 is not possible."),
        (RuntimeError("no kernel image"), "no kernel image"),
        (OSError("The GPU failed."), "The GPU failed."),
        (MemoryError(), "Something failed that should not have (MemoryError: )."),
        (KeyError("oops"), "Something failed that should not have (KeyError: 'oops')."),
    ],
)
def test_an_error_is_a_sentence(qtbot, caplog, error: Exception, message: str) -> None:
    def steps():
        yield 1
        raise error

    said = run(qtbot, steps)
    assert said[0] == ("progressed", 1)
    ((name, text),) = said[1:]
    assert name == "failed"
    assert text.startswith(message)
    unexpected = "should not have" in message
    assert bool(caplog.records) == unexpected  # with its traceback, for the report


def test_memory_that_cannot_be_had_is_told_with_a_way_out() -> None:
    text = sentence(MemoryError("Unable to allocate 9.00 TiB for an array"))
    assert "9.00 TiB" in text
    assert "segment the current view" in text


@pytest.mark.parametrize("wait", [False, True])
def test_a_stop_lets_the_generator_return_what_it_has(qtbot, wait: bool) -> None:
    def steps():
        done = 0
        while True:
            done += 1
            if (yield done):
                return done
            time.sleep(0.01)

    def act(job: Job) -> None:
        if wait:
            time.sleep(0.1)
        job.stop()

    *_, (last, done) = run(qtbot, steps, act)
    assert last == "returned"
    assert done < 50


def test_of_an_abandoned_job_only_the_end_is_heard(qtbot) -> None:
    entered = threading.Event()

    def steps():
        while True:
            entered.set()
            time.sleep(0.01)
            yield 0

    def act(job: Job) -> None:
        assert entered.wait(5)
        job.abandon()

    assert run(qtbot, steps, act) == []


@pytest.mark.parametrize("keeps_window", [False, True])
def test_a_job_ends_with_the_widget_that_owns_it(qtbot, keeps_window: bool) -> None:
    ran = []

    def steps():
        while True:
            ran.append(threading.current_thread())
            yield
            time.sleep(0.005)

    parent = QWidget()
    job = Job(steps, parent, keeps_window)
    job.start()
    qtbot.waitUntil(lambda: len(ran) > 3)
    parent.deleteLater()
    del job, parent
    qtbot.wait(200)
    count = len(ran)
    qtbot.wait(100)
    assert len(ran) == count


@pytest.mark.parametrize("ending", ["abandon", "close"])
@pytest.mark.parametrize("keeps_window", [False, True])
def test_a_job_that_has_something_to_save_saves_it(qtbot, keeps_window: bool, ending: str) -> None:
    saved, ran = [], []

    def steps():
        while not (yield):
            ran.append(1)
            time.sleep(0.005)
        yield  # whatever it says then, nobody need listen
        saved.append(len(ran))

    parent = QWidget()
    job = Job(steps, parent, keeps_window, saves=True)
    heard = Heard(job)
    job.start()
    qtbot.waitUntil(lambda: len(ran) > 3)
    if ending == "abandon":
        job.abandon()
        qtbot.waitUntil(lambda: heard.over)
    else:
        parent.deleteLater()
        del job, parent
    qtbot.waitUntil(lambda: bool(saved))


SCRIPT = """
import sys, time
from pathlib import Path
from qtpy.QtWidgets import QApplication, QWidget
from napari_unet._qt.worker import Job

def steps():
    while not (yield):
        time.sleep(0.5)
    time.sleep(0.2)
    Path(sys.argv[1]).touch()

application, owner = QApplication([]), QWidget()
job = Job(steps, owner, saves=sys.argv[2] != "drops")
job.start()
end = time.monotonic() + 0.3
while time.monotonic() < end:
    application.processEvents()
if sys.argv[2] == "fails":
    raise SystemExit(3)
owner.deleteLater()
application.processEvents()
"""


@pytest.mark.parametrize("ending", ["closes", "fails", "drops"])
def test_a_program_that_ends_waits_until_it_is_saved(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "saved"
    command = [sys.executable, "-c", SCRIPT, str(path), ending]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
    assert done.returncode == (3 if ending == "fails" else 0), done.stderr
    assert "Error" not in done.stderr
    assert path.exists() == (ending != "drops")


def test_long_jobs_do_not_keep_others_from_beginning(qtbot) -> None:
    """As when a network learns while a folder is segmented, on a machine of two cores."""
    end, parent = threading.Event(), QObject()

    def long():
        while not end.is_set():
            time.sleep(0.01)
            yield

    jobs = [Job(long, parent) for _ in range(6)]
    heard = [Heard(job) for job in jobs]
    for job in jobs:
        job.start()

    def short():
        yield "begun"

    try:
        assert ("progressed", "begun") in run(qtbot, short)
    finally:
        end.set()
        qtbot.waitUntil(lambda: all(one.over for one in heard), timeout=5000)
