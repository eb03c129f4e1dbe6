"""How far a batch is, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from napari_unet.batch.jobs import Outcome, State
from napari_unet.wording import counted


@dataclass(frozen=True)
class Tally:
    """What there is of a batch.

    Parameters
    ----------
    states : mapping of State to int
        How many jobs are in each.
    objects : int
        Of all that is done.
    """

    states: Mapping[State, int]
    objects: int

    @classmethod
    def of(cls, outcomes: Iterable[Outcome], waiting: int = 0) -> Tally:
        """Count outcomes, one for each job, and jobs that have none yet."""
        outcomes = list(outcomes)
        objects = sum(outcome.objects for outcome in outcomes if outcome.state is State.DONE)
        states = Counter(outcome.state for outcome in outcomes)
        return cls(states + Counter({State.WAITING: waiting}), objects)

    @property
    def in_words(self) -> str:
        """Say it: "12 of 14 done, 1 failed, 3,412 objects"."""
        done, total = self.states.get(State.DONE, 0), sum(self.states.values())
        parts = [f"{done:,} of {total:,} done"]
        for state in (State.FAILED, State.SKIPPED):
            if self.states.get(state):
                parts.append(f"{self.states[state]:,} {state}")
        if done:
            parts.append(counted(self.objects))
        return ", ".join(parts)
