"""The deferred choice: several things are offered, and what is begun, received or due first decides."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import CodeType, CoroutineType
from typing import Any, ParamSpec, TypeVar, overload

from procession import kernel
from procession.errors import OutsideProcess
from procession.kernel import CallState, WorkCall
from procession.language.combinators import refused
from procession.language.siblings import Siblings

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


class Arrival:
    """Marks, for the type checker, the coroutine of something that comes by itself: a moment, a message. `pick` takes it."""


Alternative = WorkCall[A] | Coroutine[Arrival, Any, A]
"""What can be picked: it is begun by somebody, or it arrives."""

_ARRIVALS: list[CodeType] = []


def arrival(function: Callable[P, Coroutine[Any, Any, A]]) -> Callable[P, Coroutine[Any, Any, A]]:
    """Declares the `async def` of something that comes by itself, so that `pick` knows its coroutines."""
    _ARRIVALS.append(function.__code__)
    return function


@overload
async def pick(several: Iterable[Alternative[A]], /) -> A: ...
@overload
async def pick(a: Alternative[A], b: Alternative[B], /) -> A | B: ...
@overload
async def pick(a: Alternative[A], b: Alternative[B], c: Alternative[C], /) -> A | B | C: ...
@overload
async def pick(a: Alternative[A], b: Alternative[B], c: Alternative[C], d: Alternative[D], /) -> A | B | C | D: ...
@overload
async def pick(
    a: Alternative[A], b: Alternative[B], c: Alternative[C], d: Alternative[D], e: Alternative[E], /
) -> A | B | C | D | E: ...
async def pick(*several: Any) -> Any:
    """Offers several things and gives the result of the one that is begun first: `pick(sign.request(x), after("2 days"))`.

    A task, or an operation of an outside system, is chosen when somebody starts it (to claim it is not enough), a timer
    or a message when it comes. The others are withdrawn in the same step. The choice stands: work that is put back is
    offered alone. An alternative that fails or is withdrawn before is out; if all are, an `ExceptionGroup` is raised.
    """
    if kernel.current() is None:
        raise OutsideProcess("pick() was used where no instance runs.", remedy="Use it in a process.")
    listed = len(several) == 1 and isinstance(several[0], Iterable) and not isinstance(several[0], WorkCall)
    alternatives = list(several[0] if listed else several)
    if not alternatives:
        raise refused("pick(): there is nothing to choose from.", [], remedy="Ask before whether the list is empty.")
    for place, each in enumerate(alternatives, 1):
        if not isinstance(each, WorkCall) and not _arrives(each):
            raise refused(
                f"pick(): nobody can begin alternative {place}, {_named(each)}.",
                alternatives,
                remedy="It takes tasks and operations of outside systems by `.request(…)`, `receive(…)`, `after(…)` and "
                "`until(…)`. For whatever ends first, use `first`.",
            )
    return await _Choice(alternatives).run()


def _arrives(given: object) -> bool:
    return isinstance(given, CoroutineType) and any(given.cr_code is code for code in _ARRIVALS)


def _named(given: object) -> str:
    if isinstance(given, kernel.Call):
        return f"the call of the service {given.operation}"
    return f"a coroutine of `{given.__name__}`" if isinstance(given, CoroutineType) else repr(given)


class _Choice:
    """Alternatives of which one is taken."""

    def __init__(self, alternatives: Sequence[Any]) -> None:
        self._alternatives = alternatives
        self._siblings: Siblings[object] = Siblings(self._ended)
        self._errors: list[Exception] = []
        self._taken: int | None = None
        self._value: object = None

    async def run(self) -> object:
        for number, each in enumerate(self._alternatives):
            if self._taken is None:
                self._siblings.begin(number, "pick()", _begun(each) if isinstance(each, WorkCall) else each)
            elif asyncio.iscoroutine(each):
                each.close()  # the choice is made: nobody is to wait for a moment or to take a message
        self._withdraw_others()
        await self._siblings.settled()
        if self._taken is None:
            errors, self._errors = self._errors, []
            raise ExceptionGroup("pick(): none of the alternatives can be begun any more", errors)
        chosen = self._alternatives[self._taken]
        return await chosen if isinstance(chosen, WorkCall) else self._value

    def _ended(self, number: int, value: object, error: Exception | None) -> None:
        if self._taken is not None:
            return
        if error is not None:
            self._errors.append(error)
            return
        self._taken, self._value = number, value
        self._withdraw_others()

    def _withdraw_others(self) -> None:
        if self._taken is None:
            return
        self._siblings.withdraw("something else was chosen")
        for each in self._alternatives:
            if isinstance(each, WorkCall) and each is not self._alternatives[self._taken]:
                each.withdraw("something else was chosen")


async def _begun(call: WorkCall[Any]) -> None:
    """Returns when somebody has begun it, and raises if it ended without that."""
    await call.started()
    if call.state not in (CallState.STARTED, CallState.COMPLETED):
        await call
