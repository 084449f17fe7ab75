"""What the tests of this example share: the application loaded once, and a case that somebody with every role works on."""

from pathlib import Path
from typing import Any

import pytest

from procession.language.operations import Operation, Task
from procession.language.process import Process
from procession.language.registry import Registry
from procession.services.application import open_application
from procession.testing import World

# Loading the application puts its folder on the path: the tests import its documents by name.
REGISTRY = open_application(Path(__file__).parent.parent).load_registry()
TASKS = {operation.id: operation for operation in REGISTRY.operations.values() if isinstance(operation, Task)}


class CaseAtWork:
    """One case: what is offered to people now, and what happens when one of them answers."""

    def __init__(self, world: World, process: Process[..., Any]) -> None:
        from permits.documents import Application

        self._ann = world.person("ann", roles=[task.by for task in TASKS.values()])
        self._case = self._ann.start(process, Application("17", "Desk", "General", "Ann"))

    @property
    def offered(self) -> set[str]:
        """The short titles of what waits for somebody: "T02", and "C" for the confirmation of receipt."""
        return {_short(operation) for operation in self._case.waits_for if isinstance(operation, Operation)}

    @property
    def result(self) -> Any:
        """What the process gave at its end."""
        return self._case.result()

    def inputs(self, short: str) -> Any:
        """What the performer of an offered task is shown."""
        return self._ann.item(_task(short)).inputs

    def does(self, short: str, answer: object) -> "CaseAtWork":
        """Somebody hands in the answer to an offered task."""
        self._ann.complete(_task(short), answer)
        return self


def _task(short: str) -> Task[..., Any, Any]:
    return next(task for task in TASKS.values() if _short(task) == short)


def _short(operation: Operation[..., Any]) -> str:
    return operation.title.split()[0] if operation.title.startswith("T") else "C"


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Everything that the application declares."""
    return REGISTRY


@pytest.fixture(scope="session")
def process(registry: Registry) -> Process[Any, Any]:
    """The receipt phase."""
    return registry.processes["receive_application"]


@pytest.fixture
def case(world: World, process: Process[Any, Any]) -> CaseAtWork:
    """A case that has just come in."""
    return CaseAtWork(world, process)
