"""What belongs to a process is found by following the names in its code."""

import functools
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from procession import Function, process
from procession.language.operations import Task
from procession.language.process import Process
from procession.testing.reach import Reach
from procession.testing.stubs import ServicesAtWork

team = Function("Team", owner="ann@acme.example")
others: dict[str, Function] = {}


def task_of(name: str) -> "Task[[], bool, bool]":
    function = others.setdefault(name, Function(name, owner="ann@acme.example"))

    async def ask() -> bool: ...

    return function.task()(ask)


in_a_list = [task_of("In a list")]
requested = task_of("Requested").request
partial = functools.partial(task_of("Partial"))
in_a_class = task_of("In a class")
in_a_default = task_of("In a default")
in_an_object = task_of("In an object")
wrapped_one = task_of("Wrapped")


class Steps:
    """Steps of a process in a class."""

    @staticmethod
    async def first() -> bool:
        return await in_a_class()


class Configured:
    """Steps of a process in an object."""

    def __init__(self) -> None:
        self.step = in_an_object


configured = Configured()


def wrapping(body: Callable[[], object]) -> Callable[[], object]:
    @functools.wraps(body)
    def wrapper() -> object:
        return body()

    return wrapper


@wrapping
def wrapped() -> object:
    return wrapped_one()


async def defaulted(step: "Task[[], bool, bool]" = in_a_default) -> bool:
    return await step()


@process(owner=team)
async def everything() -> None:
    local = task_of.__name__
    await in_a_list[0]()
    await requested()
    await partial()
    await Steps.first()
    await configured.step()
    await defaulted()
    wrapped()
    inner = lambda: defaulted  # noqa: E731
    print(local, inner)


def found_by(started: "Process[[], None]") -> set[str]:
    reach = Reach()
    assert reach.add(started)
    assert not reach.add(started)
    registry = reach.registry(ServicesAtWork(lambda _: None, may_go_outside=False))
    assert sys.modules[__name__].__name__ in reach.release().sources
    return set(registry.functions) - {"Team"}


def test_operations_are_found_wherever_the_code_keeps_them() -> None:
    assert found_by(everything) == set(others)


def test_what_is_imported_inside_a_function_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tests_of_reach")
    vars(module)["late"] = late = task_of("Late")
    monkeypatch.setitem(sys.modules, "tests_of_reach", module)

    @process(owner=team)
    async def imports_late() -> None:
        from tests_of_reach import late as imported  # type: ignore[import-not-found]

        await imported()

    reach = Reach()
    reach._packages.add("tests_of_reach")
    reach.add(imports_late)
    registry = reach.registry(ServicesAtWork(lambda _: None, may_go_outside=False))
    assert late.id in registry.operations
    del others["Late"]


def test_the_code_of_libraries_is_not_followed() -> None:
    reach = Reach()
    reach.add(everything)
    assert {name.partition(".")[0] for name in reach.release().sources} == {__name__.partition(".")[0]}
