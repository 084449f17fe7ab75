"""What the tests of this example share: the application loaded once, and a case that people work on in memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procession.kernel import (
    CallCompleted,
    CompleteInstance,
    Event,
    Instance,
    InstanceStarted,
    InstanceState,
    RequestCall,
)
from procession.language.operations import Operation
from procession.language.process import Process
from procession.language.registry import Registry
from procession.services.application import open_application

# Loading the application puts its folder on the path: the tests import its documents by name.
REGISTRY = open_application(Path(__file__).parent.parent).load_registry()
KEY = bytes(32)


class CaseAtWork:
    """One case: what is offered to people now, and what happens when one of them answers."""

    def __init__(self, process: Process[Any, Any], registry: Registry) -> None:
        self._process = process
        self._registry = registry
        self._instance = Instance(process.program(KEY), seed=KEY)
        self._asked: dict[int, bytes] = {}
        self._result: bytes | None = None
        application = {"case": "17", "channel": "Desk", "department": "General", "responsible": "Ann"}
        self._apply(InstanceStarted(0, process.inputs.canonical(_json({"application": application}))))

    @property
    def offered(self) -> set[str]:
        """The short titles of what waits for somebody: "T02", and "C" for the confirmation of receipt."""
        return {self._short(call.operation) for call in self._instance.open_calls.values()}

    @property
    def result(self) -> Any:
        """What the process gave at its end."""
        assert self._instance.state is InstanceState.COMPLETED
        assert self._result is not None
        return self._process.result.decode(self._result)

    def inputs(self, short: str) -> dict[str, Any]:
        """What the performer of an offered task is shown."""
        _, operation, raw = self._find(short)
        return operation.inputs.decode(raw)

    def does(self, short: str, answer: object) -> "CaseAtWork":
        """Somebody hands in the answer to an offered task."""
        number, operation, _ = self._find(short)
        self._apply(CallCompleted(self._instance.now_us + 1, number, operation.result.encode(answer), "Ann"))
        return self

    def close(self) -> None:
        """Takes the case apart."""
        self._instance.close()

    def _find(self, short: str) -> tuple[int, Operation[Any, Any], bytes]:
        for number, call in self._instance.open_calls.items():
            if self._short(call.operation) == short:
                return number, self._registry.operations[call.operation], self._asked[number]
        raise AssertionError(f"{short} is not offered; offered are {', '.join(sorted(self.offered))}")

    def _short(self, operation_id: str) -> str:
        title = self._registry.operations[operation_id].title
        return title.split()[0] if title.startswith("T") else "C"

    def _apply(self, event: Event) -> None:
        outcome = self._instance.advance(event)
        assert outcome.halt is None, outcome.halt
        for command in outcome.commands:
            match command:
                case RequestCall():
                    self._asked[command.call] = command.input
                case CompleteInstance():
                    self._result = command.value
                case _:
                    pass


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Everything that the application declares."""
    return REGISTRY


@pytest.fixture(scope="session")
def process(registry: Registry) -> Process[Any, Any]:
    """The receipt phase."""
    return registry.processes["receive_application"]


@pytest.fixture
def case(process: Process[Any, Any], registry: Registry) -> Iterator[CaseAtWork]:
    """A case that has just come in."""
    at_work = CaseAtWork(process, registry)
    yield at_work
    at_work.close()
