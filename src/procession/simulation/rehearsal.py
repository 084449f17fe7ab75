"""A process run in memory, without engine and store: what would be offered after these answers?

Time stands still in it. A run is told by its steps alone, so it can be repeated and continued in another way.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from procession.errors import AuthorError
from procession.kernel import CallCompleted, CallKind, CallStarted, Instance, InstanceStarted, InstanceState
from procession.language.fields import Field, FieldKind
from procession.language.operations import Task
from procession.language.process import Process
from procession.language.registry import Registry
from procession.simulation.answers import FIXED_VALUES, all_choices, answer_by, following

MOST_STEPS = 1_000
"""After so many a run that was generated is cut off."""

_SEED = b"rehearsal".ljust(32, b"\0")


class CannotRehearse(AuthorError):
    """A process cannot be run in memory: it waits for a program or a moment, or it stopped with a fault."""

    code = "cannot-rehearse"


@dataclass(frozen=True, slots=True)
class Step:
    """One answer: to which call, and how what is finite in it was settled."""

    call: int
    choices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A task that is offered: its call and its operation."""

    call: int
    task: Task[..., Any, Any]


class Script:
    """The process that is rehearsed, its encoded inputs, and the answers each of its tasks takes.

    `values` is what answers say wherever nothing is chosen.
    """

    def __init__(
        self,
        registry: Registry,
        process: Process[..., Any],
        inputs: bytes,
        *,
        values: Mapping[FieldKind, object] = FIXED_VALUES,
    ) -> None:
        self.registry = registry
        self.process = process
        self.inputs = inputs
        self._values = values
        self._fields: dict[str, tuple[Field, ...]] = {}
        self._choices: dict[str, tuple[tuple[int, ...], ...]] = {}
        self._results: dict[tuple[str, tuple[int, ...]], bytes] = {}

    @cached_property
    def tasks(self) -> Mapping[str, Task[..., Any, Any]]:
        """All tasks of the application by id."""
        return {name: each for name, each in self.registry.operations.items() if isinstance(each, Task)}

    def fields(self, task: Task[..., Any, Any]) -> tuple[Field, ...]:
        """What a performer of the task is asked."""
        found = self._fields.get(task.id)
        if found is None:
            if task.derives:
                raise CannotRehearse(
                    f"{task.id} derives its result by its body, which a rehearsal does not run.", subject=task.id
                )
            found = self._fields[task.id] = task.form.fields()
        return found

    def choices(self, task: Task[..., Any, Any]) -> tuple[tuple[int, ...], ...]:
        """All ways to answer the task that could make a difference."""
        found = self._choices.get(task.id)
        if found is None:
            found = self._choices[task.id] = tuple(all_choices(self.fields(task)))
        return found

    def encoded(self, task: Task[..., Any, Any], choices: tuple[int, ...]) -> bytes:
        """The result of a call that is answered so."""
        found = self._results.get((task.id, choices))
        if found is None:
            answer = answer_by(self.fields(task), following(choices), values=self._values)
            found = self._results[task.id, choices] = task.result.encode(task.form.parse(to_json(answer)))
        return found


class Rehearsal:
    """One run, begun and at its first offers. Close it when it is no longer needed."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._instance = Instance(script.process.program(_SEED), seed=_SEED)
        self._advance(InstanceStarted(0, script.inputs))

    @classmethod
    def after(cls, script: Script, steps: Sequence[Step]) -> "Rehearsal":
        """The run in which these steps were taken."""
        rehearsal = cls(script)
        for step in steps:
            rehearsal.take(step)
        return rehearsal

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The tasks that are offered now, in the order of their calls. Raises `CannotRehearse` where anything else is waited for."""
        offers = []
        for number, call in sorted(self._instance.open_calls.items()):
            if call.kind is not CallKind.TASK:
                raise CannotRehearse(
                    f"{self._script.process.name} waits for {call.operation}: a rehearsal has people only.",
                    subject=call.operation,
                )
            offers.append(Offer(number, self._script.tasks[call.operation]))
        return tuple(offers)

    @property
    def has_ended(self) -> bool:
        """Whether the process came to its end."""
        return self._instance.state is InstanceState.COMPLETED

    def take(self, step: Step) -> None:
        """Start and complete an offered task."""
        task = self._script.tasks[self._instance.open_calls[step.call].operation]
        self._advance(CallStarted(0, step.call, None))
        self._advance(CallCompleted(0, step.call, self._script.encoded(task, step.choices), None))

    def close(self) -> None:
        """Take the run out of memory."""
        self._instance.close()

    def _advance(self, event: InstanceStarted | CallStarted | CallCompleted) -> None:
        outcome = self._instance.advance(event)
        if outcome.halt is not None:
            raise CannotRehearse(
                f"{self._script.process.name} halted: {outcome.halt.message}", subject=self._script.process.name
            ) from outcome.halt.exception


def to_json(answer: object) -> bytes:
    """An answer as it comes from outside."""
    return json.dumps(answer, ensure_ascii=False).encode()
