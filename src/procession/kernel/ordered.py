"""Order where the standard library leaves it to chance: `wait_for`, `as_completed`, randomness, and hashes by number.

The kernel patches nothing. `replacements()` says what a host puts into asyncio, and when: at its first engine. Each replacement falls
through to the original unless an instance is running.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import random
import uuid
from asyncio.events import _get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

from .branch import BranchLoop

R = TypeVar("R")


async def wait_for(awaitable: Awaitable[R], timeout: float | None) -> R:  # noqa: ASYNC109 - asyncio's signature
    """As `asyncio.wait_for` since 3.12; before, it takes another number of turns."""
    if timeout is not None and timeout <= 0:
        future = asyncio.ensure_future(awaitable)
        if not future.done():
            future.cancel()
            await asyncio.wait([future])
        try:
            return future.result()
        except asyncio.CancelledError as error:
            raise TimeoutError from error
    async with asyncio.timeout(timeout):
        return await awaitable


class _AsCompleted(AsyncIterator["asyncio.Future[R]"], Iterator[Coroutine[Any, Any, R]]):
    """Gives what is done as it gets done; the branches are made in the order of the arguments, not of a set."""

    def __init__(self, awaitables: Iterable[Awaitable[R]], timeout: float | None) -> None:
        self._done: asyncio.Queue[asyncio.Future[R] | None] = asyncio.Queue()
        self._open = [asyncio.ensure_future(each) for each in dict.fromkeys(awaitables)]
        self._left = len(self._open)
        self._timer: asyncio.TimerHandle | None = None
        for future in self._open:
            future.add_done_callback(self._has_ended)
        if self._open and timeout is not None:
            self._timer = asyncio.get_running_loop().call_later(timeout, self._is_late)

    def __iter__(self) -> Iterator[Coroutine[Any, Any, R]]:
        return self

    def __aiter__(self) -> AsyncIterator[asyncio.Future[R]]:
        return self

    def __next__(self) -> Coroutine[Any, Any, R]:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return self._next_result()

    async def __anext__(self) -> asyncio.Future[R]:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return await self._next_done()

    async def _next_result(self) -> R:
        return (await self._next_done()).result()

    async def _next_done(self) -> asyncio.Future[R]:
        done = await self._done.get()
        if done is None:
            raise TimeoutError
        return done

    def _has_ended(self, future: asyncio.Future[R]) -> None:
        if future not in self._open:
            return  # too late
        self._open.remove(future)
        self._done.put_nowait(future)
        if not self._open and self._timer is not None:
            self._timer.cancel()

    def _is_late(self) -> None:
        for future in self._open:
            future.remove_done_callback(self._has_ended)
            self._done.put_nowait(None)
        self._open.clear()


def as_completed(awaitables: Iterable[Awaitable[R]], *, timeout: float | None = None) -> _AsCompleted[R]:
    """As `asyncio.as_completed`, which starts coroutines in the order of their addresses. Both kinds of iteration, on all versions."""
    if isinstance(awaitables, Awaitable):
        raise TypeError(f"expected an iterable of awaitables, not {type(awaitables).__name__}")
    return _AsCompleted(awaitables, timeout)


def _is_ours() -> bool:
    return isinstance(_get_running_loop(), BranchLoop)


def wrapped_wait_for(original: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """What stands in for `asyncio.wait_for`."""

    @functools.wraps(original)
    async def dispatched(fut: Awaitable[Any], timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncio's signature
        if _is_ours():
            return await wait_for(fut, timeout)
        return await original(fut, timeout)

    return dispatched


def wrapped_as_completed(original: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in for `asyncio.as_completed`."""

    @functools.wraps(original)
    def dispatched(fs: Iterable[Awaitable[Any]], *, timeout: float | None = None) -> Any:
        if _is_ours():
            return as_completed(fs, timeout=timeout)
        return original(fs, timeout=timeout)

    return dispatched


def wrapped_all_tasks(original: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in for `asyncio.all_tasks`: asyncio keeps no record of the branches of an instance."""

    @functools.wraps(original)
    def dispatched(loop: Any = None) -> Any:
        asked = _get_running_loop() if loop is None else loop
        if isinstance(asked, BranchLoop):
            return {each for each in asked.branches.values() if not each.done()}
        return original(loop)

    return dispatched


def numbered_hash(future: asyncio.Future[Any]) -> int:
    """The hash of a future that asyncio makes itself: by a number it gets when it is first asked, on our loops."""
    loop = future.get_loop()
    if not isinstance(loop, BranchLoop):
        return object.__hash__(future)
    try:
        number: int = future._procession_number  # type: ignore[attr-defined]
    except AttributeError:  # it shows no `__dict__`, and yet takes an attribute
        number = next(loop.future_numbers)
        future._procession_number = number  # type: ignore[attr-defined]
    return number


def replacements() -> tuple[tuple[object, str, object], ...]:
    """What the host sets: owner, name of the attribute, new value."""
    wait = wrapped_wait_for(asyncio.tasks.wait_for)
    completed = wrapped_as_completed(asyncio.tasks.as_completed)
    gathering = asyncio.tasks._GatheringFuture  # type: ignore[attr-defined]
    every = wrapped_all_tasks(asyncio.tasks.all_tasks)
    return (
        (asyncio, "all_tasks", every),
        (asyncio.tasks, "all_tasks", every),
        (asyncio, "wait_for", wait),
        (asyncio.tasks, "wait_for", wait),
        (asyncio, "as_completed", completed),
        (asyncio.tasks, "as_completed", completed),
        (gathering, "__hash__", numbered_hash),
    )


_WORD = (1 << 64) - 1


class Chance(random.Random):
    """The randomness of one branch: SplitMix64, seeded by the instance and the path of the branch.

    A generator of our own, since of the standard one only `random()` is promised to give the same on every Python.
    """

    def __new__(cls, seed: bytes, path: str) -> Chance:
        return super().__new__(cls, 0)  # type: ignore[call-arg]  # with a number, so that no entropy of the machine is read

    def __init__(self, seed: bytes, path: str) -> None:
        self._origin = hashlib.sha256(seed + b"\0" + path.encode()).digest()
        self._state = 0
        self._uuids = 0
        super().__init__(0)
        self._state = int.from_bytes(self._origin[:8])

    def seed(self, a: object = None, version: int = 2) -> None:
        """Begins again, from a number or a text; without one, from the beginning."""
        if a is not None and not isinstance(a, int | float | str | bytes):
            raise TypeError(f"a seed is a number or a text, not {type(a).__name__}")
        origin = self._origin if a is None else hashlib.sha256(self._origin + repr(a).encode()).digest()
        self._state = int.from_bytes(origin[:8])
        self.gauss_next = None

    def getstate(self) -> tuple[Any, ...]:
        return (self._state, self.gauss_next)

    def setstate(self, state: tuple[Any, ...]) -> None:
        self._state, self.gauss_next = state

    def random(self) -> float:
        return (self._next() >> 11) / (1 << 53)

    def getrandbits(self, k: int, /) -> int:
        if k < 0:
            raise ValueError("number of bits must be non-negative")
        words = (k + 63) // 64
        value = 0
        for _ in range(words):
            value = value << 64 | self._next()
        return value >> (words * 64 - k)

    def uuid4(self) -> uuid.UUID:
        """A stream of its own, with all of a digest's bits: numbers drawn in between change no identifier."""
        self._uuids += 1
        digest = hashlib.sha256(self._origin + b"uuid4" + self._uuids.to_bytes(8)).digest()
        return uuid.UUID(bytes=digest[:16], version=4)

    def _next(self) -> int:
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _WORD
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _WORD
        return mixed ^ mixed >> 31
