"""An instance in a test: how far it is, whom it waits for, and what came of it."""

import json
from datetime import timedelta
from typing import Any, Generic, TypeVar

from procession.errors import AuthorError
from procession.kernel import InstanceState
from procession.language.operations import Operation
from procession.language.process import Process
from procession.services.call_stacks import open_requests
from procession.store import EventRow, InstanceRow
from procession.testing.machine import Machine
from procession.testing.telling import Telling

R = TypeVar("R")


class StillWaiting(AuthorError):
    """In a test the result of an instance was asked for, and the instance still waits; the text says where and for whom."""

    code = "still-waiting"


class HasNoResult(AuthorError):
    """In a test the result of an instance was asked for that failed or was cancelled."""

    code = "has-no-result"


class Running(Generic[R]):
    """An instance that the test has started."""

    def __init__(self, machine: Machine, telling: Telling, process: Process[..., R], name: str) -> None:
        self._machine = machine
        self._telling = telling
        self._process = process
        self.name = name
        """Its name for people, like leave-1."""

    @property
    def state(self) -> InstanceState:
        """How it stands: "running", "completed", "failed", "halted" …"""
        return InstanceState(self._row().state)

    def result(self) -> R:
        """What the process returned. Raises `StillWaiting` with the line, the operation and its holder; `HasNoResult`."""
        state = self.state
        if state is InstanceState.COMPLETED:
            payload = next(each.payload for each in self._history() if each.kind == "InstanceCompleted")
            assert payload is not None
            return self._process.result.decode(payload)
        if self._row().ended_us is not None:
            why = self.failure or "nobody wanted it any more"
            raise HasNoResult(
                f"{self.name} is {state}, so it has no result: {why}.",
                subject=self.name,
                remedy="To expect that, look at .state and .failure.",
            )
        raise StillWaiting(
            f"{self.name} has no result yet, it is {state}.\n{self._telling.instance(self.name)}\n",
            subject=self.name,
            remedy="Have somebody do it before the result is asked for, or let time pass with world.advance(…).",
        )

    @property
    def failure(self) -> str | None:
        """The error that it failed with, as text: "PaymentDeclined: the card has expired"."""
        for event in reversed(self._history()):
            if event.kind == "InstanceFailed":
                message = "" if event.payload is None else str(json.loads(event.payload.partition(b"\n")[0]))
                type_name = str(json.loads(event.header)["type"]).rpartition(".")[2]
                return f"{type_name}: {message}" if message else type_name
        return None

    @property
    def attributes(self) -> dict[str, Any]:
        """The business data that it can be found by."""
        with self._machine.view() as view:
            texts = view.instances.attributes(self._row().id)
        return {name: json.loads(text) for name, text in texts.items() if text != "null"}

    @property
    def waits_for(self) -> tuple[Operation[..., Any] | Process[..., Any], ...]:
        """The operations (and processes) that it has asked for and that have not ended. Moments are not among them."""
        found = (self._find(str(header.get("operation"))) for header in open_requests(self._history()).values())
        return tuple(each for each in found if each is not None)

    @property
    def lead_time(self) -> timedelta:
        """How long it took from its start to its end, or has taken so far."""
        row = self._row()
        until_us = row.ended_us if row.ended_us is not None else self._machine.clock.wall_us()
        return timedelta(microseconds=until_us - row.started_us)

    def count(self, operation: Operation[..., Any]) -> int:
        """How many times it has asked for an operation."""
        headers = (json.loads(each.header) for each in self._history() if each.kind == "CallRequested")
        return sum(self._names(header["operation"], operation) for header in headers)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.state}>"

    def _names(self, recorded: str, operation: Operation[..., Any]) -> bool:
        return self._machine.registry.former_names.get(recorded, recorded) == operation.id

    def _find(self, name: str) -> Operation[..., Any] | Process[..., Any] | None:
        registry = self._machine.registry
        found = registry.find_operation(name)
        if found is None:
            return registry.find_process(name)
        return found.function.operations[found.name]  # the author's own, not what stands in for it

    def _row(self) -> InstanceRow:
        with self._machine.view() as view:
            row = view.instances.find_named(self.name)
        assert row is not None
        return row

    def _history(self) -> list[EventRow]:
        with self._machine.view() as view:
            return view.history(self._row().id)
