"""Runs one instance of a process on the kernel alone: the tests say which call ends how, and every run is replayed."""

from collections.abc import Mapping
from typing import Any

from procession.kernel import (
    CallCompleted,
    CallFailed,
    CallKind,
    CallRequested,
    CallStarted,
    CallWithdrawn,
    Command,
    CompleteInstance,
    Event,
    FailInstance,
    Failure,
    Halt,
    Instance,
    InstanceHalted,
    InstanceStarted,
    RequestCall,
    SetAttributes,
    TimerFired,
    event_of,
)
from procession.language.operations import Operation
from procession.language.process import Process, input_digest

SECRET = bytes(range(32))
START_US = 1_772_355_600_000_000  # 2026-03-01T09:00Z
DAY_US = 86_400_000_000


class Run:
    """A running instance and what it has done."""

    def __init__(
        self, process: Process[Any, Any], operations: Mapping[str, Operation[Any, Any]], **values: Any
    ) -> None:
        self.process = process
        self.operations = operations
        process.loaded_with(operations)
        self.at_us = START_US
        self.history: list[Event] = []
        self.commands: list[Command] = []
        self.halt: Halt | None = None
        self.instance = Instance(process.program(SECRET), seed=SECRET)
        self._apply(InstanceStarted(self.at_us, process.inputs.encode_values(values)))

    def _apply(self, event: Event) -> None:
        outcome = self.instance.advance(event)
        self.history.append(event)
        if outcome.halt is not None:
            self.halt = outcome.halt
            self.history.append(InstanceHalted(self.at_us, outcome.halt.code, outcome.halt.message, b"", 1))
            return
        self.commands.extend(outcome.commands)
        for command in outcome.commands:
            digest = input_digest(SECRET, command.input) if isinstance(command, RequestCall) else b""
            self.history.append(event_of(command, self.at_us, digest=digest))

    def open(self, operation: Operation[Any, Any] | str) -> int:
        """The number of the only open call of an operation (or "timer")."""
        name = operation if isinstance(operation, str) else operation.id
        (number,) = (n for n, call in self.instance.open_calls.items() if call.operation == name)
        return number

    @property
    def waits_for(self) -> list[str]:
        """The operations of the open calls, in the order of their requests."""
        return [call.operation for call in self.instance.open_calls.values()]

    def complete(self, operation: Operation[Any, Any], value: Any) -> None:
        """Ends the open call of this operation with a result."""
        self._apply(CallCompleted(self.at_us, self.open(operation), operation.result.encode(value), "ann"))

    def start(self, operation: Operation[Any, Any]) -> None:
        """A performer begins."""
        self._apply(CallStarted(self.at_us, self.open(operation), "ann"))

    def fail(self, operation: Operation[Any, Any], failure: Failure) -> None:
        """Ends the open call of this operation with an error."""
        self._apply(CallFailed(self.at_us, self.open(operation), failure, None))

    def withdraw(self, operation: Operation[Any, Any], reason: str = "not needed") -> None:
        """A person withdraws the open call of this operation."""
        self._apply(CallWithdrawn(self.at_us, self.open(operation), reason, by_program=False))

    def wait(self, days: float) -> None:
        """Lets time pass, and fires what is due by then, in order."""
        until_us = self.at_us + int(days * DAY_US)
        while due := sorted(
            (call.due_us, number)
            for number, call in self.instance.open_calls.items()
            if call.kind is CallKind.TIMER and call.due_us is not None and call.due_us <= until_us
        ):
            due_us, number = due[0]
            self.at_us = max(self.at_us, due_us)
            self._apply(TimerFired(self.at_us, number, due_us))
        self.at_us = until_us

    @property
    def result(self) -> Any:
        """What the instance completed with."""
        (completed,) = (c for c in self.commands if isinstance(c, CompleteInstance))
        return self.process.result.decode(completed.value)

    @property
    def failure(self) -> Failure:
        """What the instance failed with."""
        (failed,) = (c for c in self.commands if isinstance(c, FailInstance))
        return failed.failure

    @property
    def attributes(self) -> list[bytes]:
        """What the instance noted about itself."""
        return [c.values for c in self.commands if isinstance(c, SetAttributes)]

    @property
    def requested(self) -> list[CallRequested]:
        """The calls asked for so far."""
        return [event for event in self.history if isinstance(event, CallRequested)]

    def replay(self, process: Process[Any, Any] | None = None) -> Instance:
        """The same history on the present source: raises `Divergence` if it does not fit."""
        source = process or self.process
        source.loaded_with(self.operations)
        again = Instance(source.program(SECRET), seed=SECRET)
        again.replay(self.history)
        return again
