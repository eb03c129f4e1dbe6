"""What became of each image: a line for each, in a file beside the labels.

By it a batch goes on where it stopped, in the window as on the command line, and a table of it can
be shown again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_unet.batch.jobs import Job, Outcome, State
from napari_unet.files import Stamp, stamp
from napari_unet.images import find_provenance
from napari_unet.provenance import Provenance

NAME = "napari-unet.jsonl"
INTERRUPTED = "It was interrupted before all of its files were written."


@dataclass(frozen=True)
class Entry:
    """What became of an image, and of which files that is true.

    Parameters
    ----------
    outcome : Outcome
        DONE or FAILED.
    made : Provenance
        By which model and settings.
    image : Stamp or None
        The image, as it was then; None if it was not there.
    labels : Stamp or None
        The labels that are ours, if there are any: of a job that failed, those of an earlier one.
    """

    outcome: Outcome
    made: Provenance
    image: Stamp | None
    labels: Stamp | None

    def is_of(self, job: Job, made: Provenance) -> bool:
        """Say whether the same was done that is asked for now."""
        return essence(self.made) == essence(made) and self.image == stamp(job.source)

    def owns(self, there: Stamp | None) -> bool:
        """Say whether the labels that are there are ours.

        Those that a program has written just before it was killed are, too: by the record in them.
        """
        if there is not None and self.labels == there:
            return True
        if there is None or self.outcome.error != INTERRUPTED:
            return False
        found = find_provenance(self.outcome.job.labels)
        return (
            found is not None
            and found.image == self.made.image
            and essence(found) == essence(self.made)
        )


def essence(made: Provenance) -> Provenance:
    """Return what decides on the labels: neither names, nor the device or tile, do."""
    config = replace(made.config, model="", device="auto", tile=None)
    return Provenance(config, made.sha256, version="")


class Record:
    """What became of the images of one folder of labels; the last line of an image counts.

    A line is written at once, at the end of the file: what is there already is not put at risk, a
    line that a crash has cut off is passed over, and two programs can write into one folder.

    Parameters
    ----------
    folder : Path
        Where the labels are; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._lines: dict[str, dict[str, Any]] = {}
        self._lines |= {line["labels"]: line for line in self._read()}

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            text = self.path.read_bytes().decode("utf-8", "replace")
        except OSError:  # none yet
            return
        for line in text.split("\n"):  # not at the other ends of lines that a name may hold
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(values, dict) and isinstance(values.get("labels"), str):
                yield values

    def entry(self, job: Job) -> Entry | None:
        """Return what is known of a job; None if nothing is."""
        values = self._lines.get(job.labels.name)
        if values is None:
            return None
        try:
            outcome = Outcome(
                job,
                int(values["objects"]),
                str(values["found"]),
                tuple(int(n) for n in values["shape"]),
                float(values["seconds"]),
                str(values["error"]),
                State.FAILED if values["error"] else State.DONE,
                before=True,
            )
            image, labels = (s and (int(s[0]), int(s[1])) for s in values["stamps"])
            return Entry(outcome, Provenance.from_dict(values["made"]), image, labels)
        except (ValueError, KeyError, TypeError, IndexError):
            return None

    def begin(self, job: Job, made: Provenance) -> None:
        """Note that labels are about to be written: that is what is known if no more follows.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        self.add(Outcome(job, error=INTERRUPTED, state=State.FAILED), made)

    def add(self, outcome: Outcome, made: Provenance) -> Entry:
        """Note what became of a job just now.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        job = outcome.job
        before = self.entry(job)
        labels = stamp(job.labels)
        is_ours = outcome.written or (before is not None and before.owns(labels))
        if outcome.error and not is_ours:
            labels = None  # what is there is somebody else's
        values = {
            "labels": job.labels.name,
            "image": str(job.source),
            "objects": outcome.objects,
            "found": outcome.found,
            "shape": list(outcome.shape),
            "seconds": round(outcome.seconds, 3),
            "error": outcome.error,
            "made": made.to_dict(),
            "stamps": [stamp(job.source), labels],
        }
        self._append(json.dumps(values))  # in ASCII: a name may hold what is no letter at all
        self._lines[job.labels.name] = values
        entry = self.entry(job)
        assert entry is not None
        return entry

    def _append(self, line: str) -> None:
        with self.path.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else f"\n{line}"  # one that was cut off
            file.write(f"{line}\n".encode())


class Records:
    """The records of all folders, each read once."""

    def __init__(self) -> None:
        self._records: dict[Path, Record] = {}

    def of(self, job: Job) -> Record:
        """Return the record of the folder that a job's labels go to."""
        folder = job.labels.parent
        if folder not in self._records:
            self._records[folder] = Record(folder)
        return self._records[folder]
