"""Finds the run of a process that a recorded case was, or the first event at which no run goes on like the case.

A recorded case names activities; an activity is the title of an operation. Which answers were given is not recorded, so
all that could make a difference are tried. Cases that begin alike share the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from procession.simulation.rehearsal import Rehearsal, Script, Step


@dataclass(frozen=True, slots=True)
class Plan:
    """How to follow a recorded case: a step for each of its events, as far as it fits.

    `misfit` is the index of the first event that fits no run; the number of events where all fit but the case was closed
    and no run has ended there; None where the case fits.
    """

    steps: tuple[Step, ...]
    misfit: int | None

    @property
    def fits(self) -> bool:
        """Whether the whole case is a run of the process."""
        return self.misfit is None


@dataclass(frozen=True, slots=True)
class _Run:
    steps: tuple[Step, ...]
    has_ended: bool


class LogFollower:
    """Plans recorded cases on one process; remembers the runs of every beginning it has met."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._runs: dict[tuple[str, ...], tuple[_Run, ...]] = {(): (_Run((), has_ended=False),)}

    def plan(self, activities: Sequence[str], *, closed: bool) -> Plan:
        """Follow a case with these activities in order. A closed one has to be able to end after the last."""
        trace = tuple(activities)
        fitting = 0
        while fitting < len(trace) and self._runs_of(trace[: fitting + 1]):
            fitting += 1
        runs = self._runs_of(trace[:fitting])
        if fitting < len(trace):
            return Plan(runs[0].steps, fitting)
        ended = [run for run in runs if run.has_ended]
        if closed:
            return Plan(ended[0].steps, None) if ended else Plan(runs[0].steps, fitting)
        going_on = [run for run in runs if not run.has_ended]
        return Plan((going_on or runs)[0].steps, None)

    def _runs_of(self, trace: tuple[str, ...]) -> tuple[_Run, ...]:
        """All runs with these activities."""
        known = self._runs.get(trace)
        if known is None:
            known = self._runs[trace] = tuple(
                following
                for run in self._runs_of(trace[:-1])
                if not run.has_ended
                for following in self._continued(run, trace[-1])
            )
        return known

    def _continued(self, run: _Run, activity: str) -> list[_Run]:
        before = Rehearsal.after(self._script, run.steps)
        offers = [offer for offer in before.offers if offer.task.title == activity]
        before.close()
        found = []
        for offer in offers:
            for choices in self._script.choices(offer.task):
                steps = (*run.steps, Step(offer.call, choices))
                after = Rehearsal.after(self._script, steps)
                found.append(_Run(steps, after.has_ended))
                after.close()
        return found
