"""Several things at once, as one typed value."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar, overload

from procession import kernel
from procession.errors import OutsideProcess

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
G = TypeVar("G")
H = TypeVar("H")
J = TypeVar("J")


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
async def together(*several: Any) -> Any:
    """Does all of them at once and gives all their results: a tuple in the order given, of an iterable a list.

    Each begins at once, in the order given. The first error is raised as it is, and the others are withdrawn; an
    `asyncio.TaskGroup` would raise a group of errors, and `gather` would leave the others running.
    """
    if kernel.current() is None:
        raise OutsideProcess("together() was used where no instance runs.", remedy="Use asyncio.gather there.")
    listed = len(several) == 1 and isinstance(several[0], Iterable) and not isinstance(several[0], Awaitable)
    awaitables = list(several[0]) if listed else several
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
