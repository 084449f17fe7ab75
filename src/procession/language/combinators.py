"""Several things at once: all of them, the first of them, the first so many."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

from procession import kernel
from procession.errors import AuthorError, OutsideProcess
from procession.language.log import log
from procession.language.siblings import Siblings
from procession.language.signed import Signed

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
G = TypeVar("G")
H = TypeVar("H")
J = TypeVar("J")

Rest = Literal["withdraw", "continue"]
"""What becomes of the alternatives that were not needed."""


@overload
async def together(several: Iterable[Awaitable[A]], /) -> list[A]: ...
@overload
async def together(a: Awaitable[A], b: Awaitable[B], /) -> tuple[A, B]: ...
@overload
async def together(a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /) -> tuple[A, B, C]: ...
@overload
async def together(a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], /) -> tuple[A, B, C, D]: ...
@overload
async def together(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], /
) -> tuple[A, B, C, D, E]: ...
@overload
async def together(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], g: Awaitable[G], /
) -> tuple[A, B, C, D, E, G]: ...
@overload
async def together(
    a: Awaitable[A],
    b: Awaitable[B],
    c: Awaitable[C],
    d: Awaitable[D],
    e: Awaitable[E],
    g: Awaitable[G],
    h: Awaitable[H],
    /,
) -> tuple[A, B, C, D, E, G, H]: ...
@overload
async def together(
    a: Awaitable[A],
    b: Awaitable[B],
    c: Awaitable[C],
    d: Awaitable[D],
    e: Awaitable[E],
    g: Awaitable[G],
    h: Awaitable[H],
    j: Awaitable[J],
    /,
) -> tuple[A, B, C, D, E, G, H, J]: ...
def together(*several: Any) -> Any:
    """Does all of them at once and gives all their results: a tuple in the order given, of an iterable a list.

    Each begins at once, in the order given. The first error is raised as it is, and the others are withdrawn; an
    `asyncio.TaskGroup` would raise a group of errors, and `gather` would leave the others running.
    """
    return kernel.to_be_awaited(_together(several), "together")


async def _together(several: tuple[Any, ...]) -> Any:
    if kernel.current() is None:
        raise OutsideProcess("together() was used where no instance runs.", remedy="Use asyncio.gather there.")
    listed = len(several) == 1 and isinstance(several[0], Iterable) and not isinstance(several[0], Awaitable)
    awaitables = list(several[0]) if listed else list(several)
    _check_can_be_awaited("together", awaitables)
    try:
        async with asyncio.TaskGroup() as group:
            branches = [group.create_task(_awaited(awaitable)) for awaitable in awaitables]
    except BaseExceptionGroup as failed:
        # In the order in which they failed; what else failed did so while it was being withdrawn.
        raise failed.exceptions[0] from None
    results = [branch.result() for branch in branches]
    return results if listed else tuple(results)


async def _awaited(awaitable: Awaitable[A]) -> A:
    return await awaitable


@overload
async def first(several: Iterable[Awaitable[A]], /, *, rest: Rest = "withdraw") -> A: ...
@overload
async def first(a: Awaitable[A], b: Awaitable[B], /, *, rest: Rest = "withdraw") -> A | B: ...
@overload
async def first(a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /, *, rest: Rest = "withdraw") -> A | B | C: ...
@overload
async def first(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], /, *, rest: Rest = "withdraw"
) -> A | B | C | D: ...
@overload
async def first(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], /, *, rest: Rest = "withdraw"
) -> A | B | C | D | E: ...
async def first(*several: Any, rest: Rest = "withdraw") -> Any:
    """Begins all of them at once and gives the value of the first to have one; tell them apart by class, with `match`.

    The others are withdrawn; with `rest="continue"` they go on and keep the instance open, and how they end is nobody's
    concern. An alternative that ends with an error is out of the race. If all do, an `ExceptionGroup` of them is raised.
    """
    alternatives = _alternatives("first", several)
    return (await _Race("first()", 1, alternatives, rest).run())[0][1]


async def n_of(k: int, several: Iterable[Awaitable[A]], /, *, rest: Rest = "withdraw") -> list[tuple[int, A]]:
    """Begins all of them at once and gives the first `k` to have a value, in that order: which it is, and its value.

    The others are withdrawn; with `rest="continue"` they go on and keep the instance open, and how they end is nobody's
    concern. Errors do not count. When `k` can no longer be reached, an `ExceptionGroup` is raised and the rest withdrawn.
    """
    alternatives = _alternatives("n_of", (several,))
    return await _Race(f"n_of({k!r}, …)", k, alternatives, rest).run()


def _alternatives(what: str, several: tuple[Any, ...]) -> list[Awaitable[Any]]:
    """What was given, as a list. Raises `AuthorError` for what cannot be waited for."""
    if kernel.current() is None:
        raise OutsideProcess(f"{what}() was used where no instance runs.", remedy="Use asyncio.wait there.")
    listed = len(several) == 1 and isinstance(several[0], Iterable) and not isinstance(several[0], Awaitable)
    alternatives = list(several[0]) if listed else list(several)
    if listed and isinstance(several[0], set | frozenset):
        raise refused(f"{what}(): the order of a set is left to chance.", alternatives, remedy="Give a list.")
    _check_can_be_awaited(what, alternatives)
    return alternatives


def _check_can_be_awaited(what: str, given: Sequence[object]) -> None:
    for place, each in enumerate(given, 1):
        if isinstance(each, Signed) or not isinstance(each, Awaitable):
            raise refused(
                f"Number {place} of what {what}() was given cannot be waited for: {each!r}.",
                given,
                remedy="Call it: write approve(days), not approve. Several come one by one, or as one list.",
            )


def refused(message: str, alternatives: Sequence[object], *, remedy: str) -> AuthorError:
    """The error for what cannot be; what was given is never run, and Python is not to complain of that too."""
    for each in alternatives:
        if asyncio.iscoroutine(each):
            each.close()
    return AuthorError(message, remedy=remedy)


class _Race(Generic[A]):
    """Some of several, by the order in which they end."""

    def __init__(self, what: str, k: int, alternatives: Sequence[Awaitable[A]], rest: Rest) -> None:
        self._what = what
        self._k = k
        self._alternatives = alternatives
        self._rest = rest
        self._siblings: Siblings[A] = Siblings(self._ended)
        self._values: list[tuple[int, A]] = []
        self._errors: list[Exception] = []
        self._is_running = False
        self._check()

    def _check(self) -> None:
        count = len(self._alternatives)
        wrong = remedy = ""
        if self._rest not in ("withdraw", "continue"):
            wrong, remedy = f"rest={self._rest!r}", 'Write rest="withdraw" or rest="continue".'
        elif not count:
            wrong, remedy = "there is nothing to wait for", "Ask before whether the list is empty."
        elif type(self._k) is not int or not 1 <= self._k <= count:
            wrong = f"{self._k!r} of {count} cannot be had"
            remedy = f"Ask for a number from 1 to {count}, the number of alternatives."
        if wrong:
            raise refused(f"{self._what}: {wrong}.", self._alternatives, remedy=remedy)

    async def run(self) -> list[tuple[int, A]]:
        for number, each in enumerate(self._alternatives):
            self._siblings.begin(number, self._what, each)
        self._is_running = True
        self._decide()
        await self._siblings.settled()
        if len(self._values) == self._k:
            return self._values
        errors, self._errors = self._errors, []
        raise ExceptionGroup(f"{self._what}: too few of {len(self._alternatives)} gave a value", errors)

    def _ended(self, number: int, value: Any, error: Exception | None) -> None:
        if self._is_decided:
            if error is not None and self._rest == "continue":
                log.info("%s: an alternative that went on ended with %s: %s", self._what, type(error).__name__, error)
            return
        if error is None:
            self._values.append((number, value))
        else:
            self._errors.append(error)
        self._decide()

    @property
    def _is_decided(self) -> bool:
        return len(self._values) == self._k or len(self._errors) > len(self._alternatives) - self._k

    def _decide(self) -> None:
        """Once all have begun: the moment at which it is clear how it ends is the moment at which the rest is withdrawn."""
        if not self._is_running or not self._is_decided:
            return
        if len(self._values) == self._k and self._rest == "continue":
            self._siblings.release()
        else:
            self._siblings.withdraw("not needed any more")
