"""How far a job is, by its files and the record beside them: what there is left to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unet.batch.jobs import Job, Outcome, State, Wish
from napari_unet.batch.record import Entry, Records, essence
from napari_unet.files import stamp
from napari_unet.images import find_provenance
from napari_unet.provenance import Provenance


@dataclass(frozen=True)
class Standing:
    """How far a job is.

    Parameters
    ----------
    job : Job
        Which one.
    state : State
        WAITING, DONE, FAILED (it is tried again) or SKIPPED.
    entry : Entry or None
        What is known of the last time.
    reason : str
        Why it failed or is skipped, or why it waits though there are labels.
    missing : tuple of Path
        Of a job that waits, what is to be made of its labels, which are good; empty: all is.
    """

    job: Job
    state: State
    entry: Entry | None = None
    reason: str = ""
    missing: tuple[Path, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What there is to tell of it without doing anything."""
        if self.state is State.DONE and self.entry is not None:
            return self.entry.outcome
        return Outcome(self.job, error=self.reason, state=self.state, before=True)


def look(jobs: Sequence[Job], wish: Wish) -> list[Standing]:
    """Find out how far each of many jobs is."""
    records = Records()
    return [standing(job, wish, records.of(job).entry(job)) for job in jobs]


def standing(job: Job, wish: Wish, entry: Entry | None, force: bool = False) -> Standing:
    """Find out how far a job is.

    Parameters
    ----------
    job : Job
        Which one.
    wish : Wish
        What is to be made of it.
    entry : Entry or None
        What its folder's record says of it.
    force : bool
        Whether what is somebody else's may be written over.
    """
    asked = wish.beside(job)
    there = stamp(job.labels)
    is_ours = entry is not None and entry.owns(there)
    is_same = entry is not None and entry.is_of(job, wish.made(job))
    is_done = there is not None and entry is not None and is_same and not entry.outcome.error
    made = {path: find_provenance(path) for path in asked if path.exists()}
    missing = tuple(path for path in asked if not _is_of(made.get(path), wish.made(job)))
    if is_done and not missing:
        return Standing(job, State.DONE, entry)
    if is_done and missing == (job.rois,):  # tables need what the network said, too
        return Standing(
            job, State.WAITING, entry, "What goes beside its labels is missing.", missing
        )
    strange = [] if is_ours else _strange(job, entry, asked)
    if entry is not None and not entry.outcome.error:  # else a table may lack its record yet
        strange += [path for path, record in made.items() if record is None]
    strange = [] if force else strange
    if strange:
        reason = (
            f"{strange[0]} was there before, or was changed since: move it away to have it made"
            " anew."
        )
        return Standing(job, State.SKIPPED, entry, reason)
    if entry is not None and entry.outcome.error and is_same:
        return Standing(job, State.FAILED, entry, entry.outcome.error)
    reason = "It was segmented with other settings, or was another image." if is_ours else ""
    return Standing(job, State.WAITING, entry, reason)


def _strange(job: Job, entry: Entry | None, asked: Sequence[Path]) -> list[Path]:
    """Return the files in the way that no batch is known to have written."""
    found = [job.labels] if job.labels.exists() else []
    if entry is None:
        found += [path for path in asked if path.exists()]
    return found


def is_of_other(path: Path, made: Provenance) -> bool:
    """Say whether a file tells that it was made in another way than is asked for."""
    record = find_provenance(path) if path.exists() else None
    return record is not None and essence(record) != essence(made)


def _is_of(record: Provenance | None, made: Provenance) -> bool:
    """Say whether a file that tells how it was made belongs to what is asked for."""
    return record is not None and essence(record) == essence(made)
