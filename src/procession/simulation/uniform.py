"""Performers who know nothing: they take any offered task and give any answer, all alike likely."""

import random
from dataclasses import dataclass

from procession.simulation.answers import answer_by
from procession.simulation.rehearsal import MOST_STEPS, Offer, Rehearsal, Script, Step


@dataclass(frozen=True, slots=True)
class RandomRun:
    """A run by chance: its steps and their activities. `has_ended` is False where it was cut off after `MOST_STEPS`."""

    steps: tuple[Step, ...]
    activities: tuple[str, ...]
    has_ended: bool


def random_run(script: Script, chance: random.Random) -> RandomRun:
    """Run the process once: uniform among offered tasks, and at each enum, boolean and union uniform among its values."""
    rehearsal = Rehearsal(script)
    steps: list[Step] = []
    activities: list[str] = []
    while not rehearsal.has_ended and len(steps) < MOST_STEPS:
        offer = chance.choice(rehearsal.offers)
        step = Step(offer.call, random_choices(script, offer, chance))
        rehearsal.take(step)
        steps.append(step)
        activities.append(offer.task.title)
    has_ended = rehearsal.has_ended
    rehearsal.close()
    return RandomRun(tuple(steps), tuple(activities), has_ended)


def random_choices(script: Script, offer: Offer, chance: random.Random) -> tuple[int, ...]:
    """How a performer who knows nothing settles what is finite in an answer."""
    choices: list[int] = []

    def choose(size: int) -> int:
        choices.append(chance.randrange(size))
        return choices[-1]

    answer_by(script.fields(offer.task), choose)
    return tuple(choices)
