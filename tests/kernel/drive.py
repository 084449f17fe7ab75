"""A host in forty lines: feeds a kernel events, writes the history, and replays it from nothing after each of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from procession import kernel
from procession.errors import OperationFailed, ProcessFailed
from procession.kernel import CallKind, Event, Failure, Halt, Instance, InstanceState, Outcome, Program

SECOND = 1_000_000


class Declined(Exception):
    """An error that the operations of these tests declare."""


def rebuild(failure: Failure) -> Exception:
    return Declined(failure.message) if failure.declared else OperationFailed("?", failure.type_name, failure.message)


def ask(operation: str, value: object = None) -> kernel.Call[Any]:
    return kernel.request(CallKind.TASK, operation, json.dumps(value).encode(), decode=json.loads, rebuild=rebuild)


async def op(operation: str, value: object = None) -> Any:
    return await kernel.perform(
        CallKind.TASK, operation, json.dumps(value).encode(), decode=json.loads, rebuild=rebuild
    )


def failure_of(error: BaseException) -> Failure | None:
    if isinstance(error, BaseExceptionGroup):
        inner = [failure_of(each) for each in error.exceptions]
        return None if None in inner else Failure("ExceptionGroup", ", ".join(each.message for each in inner if each))
    if isinstance(error, ProcessFailed | Declined | OperationFailed):
        return Failure(type(error).__name__, str(error))
    return None


def program(main: Callable[..., Coroutine[Any, Any, object]]) -> Program:
    def begin(encoded: bytes) -> Coroutine[Any, Any, object]:
        return main(*json.loads(encoded))

    return Program(
        main=begin,
        encode_result=lambda value: json.dumps(value).encode(),
        failure_of=failure_of,
        same_input=lambda recorded, made: recorded.input.lower() == made.input.lower(),
    )


def standing(instance: Instance) -> object:
    """All that can be seen of an instance: equal for the live one and for each replay."""
    return (
        instance.state,
        instance.now_us,
        instance.next_call,
        list(instance.open_calls.values()),
        [(each.branch, each.waits_for, [at.frame for at in each.frames]) for each in instance.branches()],
    )


MADE: list[Driven] = []
"""All that a test made: closed after it, since nothing may be left to the collector."""


class Driven:
    """One instance under test. `history` is what a host would have written."""

    def __init__(self, main: Callable[..., Coroutine[Any, Any, object]], *input: object, replays: bool = True) -> None:
        self.program = program(main)
        self.history: list[Event] = []
        self.instance = Instance(self.program, seed=b"seed")
        self.replays = replays
        self.now_us = SECOND
        self.halt: Halt | None = None
        self.outcome = Outcome(())
        MADE.append(self)
        self.feed(kernel.InstanceStarted(self.now_us, json.dumps(input).encode()))

    def feed(self, event: Event) -> Outcome:
        self.outcome = self.instance.advance(event)
        self.history.append(event)
        self.history.extend(kernel.event_of(command, event.at_us) for command in self.outcome.commands)
        self.halt = self.outcome.halt
        if self.halt is not None:
            halted = kernel.InstanceHalted(event.at_us, self.halt.code, self.halt.message, b"", kept=1)
            self.history.append(halted)
        elif self.replays:
            again = self.replayed()
            assert standing(again) == standing(self.instance)
            again.close()
        return self.outcome

    def replayed(self, main: Callable[..., Coroutine[Any, Any, object]] | None = None) -> Instance:
        """A fresh instance at the end of the history, on the same source or on another."""
        again = Instance(self.program if main is None else program(main), seed=b"seed")
        again.replay(self.history)
        return again

    def retry(self, main: Callable[..., Coroutine[Any, Any, object]] | None = None) -> Outcome:
        """Goes on after a halt, on the same source or on another."""
        if main is not None:
            self.program = program(main)
        self.instance.close()
        self.instance = self.replayed()
        return self.feed(kernel.Retried(self.tick()))

    def tick(self) -> int:
        self.now_us += SECOND
        return self.now_us

    def number(self, operation: str | int) -> int:
        """The open call of this operation, the oldest first."""
        if isinstance(operation, int):
            return operation
        found = [each.number for each in self.instance.open_calls.values() if each.operation == operation]
        assert found, f"{operation} is not open: {dict(self.instance.open_calls)}"
        return found[0]

    def start(self, operation: str | int, performer: str | None = "ann") -> Outcome:
        return self.feed(kernel.CallStarted(self.tick(), self.number(operation), performer))

    def complete(self, operation: str | int, value: object = None, performer: str | None = "ann") -> Outcome:
        event = kernel.CallCompleted(self.tick(), self.number(operation), json.dumps(value).encode(), performer)
        return self.feed(event)

    def fail(self, operation: str | int, message: str = "no", *, declared: bool = True) -> Outcome:
        failure = Failure("Declined" if declared else "ValueError", message, declared=declared)
        return self.feed(kernel.CallFailed(self.tick(), self.number(operation), failure, None))

    def withdraw(self, operation: str | int, reason: str = "not needed") -> Outcome:
        return self.feed(kernel.CallWithdrawn(self.tick(), self.number(operation), reason, by_program=False))

    def fire(self, call: int | None = None) -> Outcome:
        """The next timer that is due."""
        timers = [each for each in self.instance.open_calls.values() if each.kind is CallKind.TIMER]
        due_us, number = min((each.due_us or 0, each.number) for each in timers if call in (None, each.number))
        self.now_us = max(self.now_us, due_us)
        return self.feed(kernel.TimerFired(self.now_us, number, due_us))

    @property
    def open(self) -> list[str]:
        return [each.operation for each in self.instance.open_calls.values()]

    @property
    def asked(self) -> list[str]:
        """What the last event made the program ask for: "+a" a request, "-a" a withdrawal."""
        names = {e.call: e.operation for e in self.history if isinstance(e, kernel.CallRequested)}
        said = []
        for command in self.outcome.commands:
            if isinstance(command, kernel.RequestCall):
                said.append("+" + command.operation)
            elif isinstance(command, kernel.WithdrawCall):
                said.append("-" + names[command.call])
        return said

    @property
    def result(self) -> Any:
        assert self.instance.state is InstanceState.COMPLETED, (self.instance.state, self.halt)
        last = self.history[-1]
        assert isinstance(last, kernel.InstanceCompleted)
        return json.loads(last.value)

    @property
    def failure(self) -> Failure:
        last = self.history[-1]
        assert isinstance(last, kernel.InstanceFailed)
        return last.failure


@contextmanager
def asyncio_replaced() -> Iterator[None]:
    """Installs what a host installs, and takes it out again."""
    kept = [(owner, name, vars(owner).get(name)) for owner, name, _ in kernel.replacements()]
    for owner, name, value in kernel.replacements():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in kept:
            if value is None:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The same source under plain asyncio: what an author expects."""
    return asyncio.run(main())
