"""Branches that one combinator has made and answers for: begun in order, their ends noted in order, withdrawn together."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar, cast

from procession.errors import Withdrawn

R = TypeVar("R")


class Siblings(Generic[R]):
    """The branches of one combinator.

    `ended` is told how each ended, in its last step and not a turn later: with its number, its value, and the error if it
    has none. Errors count as seen from the start, or, with `sees_errors=False`, only from `see_errors` on: one that
    nobody has seen decides about the instance in the end.
    """

    def __init__(self, ended: Callable[[int, R | None, Exception | None], None], *, sees_errors: bool = True) -> None:
        self._ended = ended
        self._open: dict[int, asyncio.Task[R]] = {}
        self._wanted: dict[int, asyncio.Task[R]] = {}
        self._is_withdrawn = False
        self._unseen: list[asyncio.Task[R]] = []
        self._sees_errors = sees_errors
        self._waiters: list[asyncio.Future[None]] = []

    def is_wanted(self, number: int) -> bool:
        """Whether it is open and has not been withdrawn."""
        return number in self._wanted

    def begin(self, number: int, label: str, awaitable: Awaitable[R]) -> None:
        """Makes a branch of this, which runs to its first wait at once."""
        branch = asyncio.get_running_loop().create_task(self._run(number, label, awaitable))
        if number not in self._open:
            self._open[number] = self._wanted[number] = branch
        branch.add_done_callback(partial(self._left, number, awaitable))

    def withdraw(self, reason: str) -> None:
        """Withdraws all that are open, in the order in which they began; but for the one whose code says so.

        Each is withdrawn once: to do it again would end its clean-up.
        """
        self._is_withdrawn = True
        running = asyncio.current_task()
        for number, branch in tuple(self._wanted.items()):
            if branch is not running:
                del self._wanted[number]
                branch.cancel(reason)

    def release(self) -> None:
        """Answers for them no longer: who waits here goes on, and so do they, on their own. Nothing if they are withdrawn."""
        if not self._is_withdrawn:
            self._open.clear()
            self._wake()

    def see_errors(self) -> None:
        """Somebody deals with the errors that came and those to come."""
        self._sees_errors = True
        for branch in self._unseen:
            if not branch.cancelled():
                branch.exception()
        self._unseen.clear()

    async def settled(self) -> None:
        """Returns when all have ended. Cancelling it withdraws them, and is raised when they have ended."""
        cancelled: asyncio.CancelledError | None = None
        while self._open:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError as error:
                cancelled = error
                self.withdraw(str(error))
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                cancelled = None  # an error that its own frame holds would be left to the collector

    async def _run(self, number: int, label: str, awaitable: Awaitable[R]) -> R:
        # Known before it runs: what it begins may withdraw it, while `begin` waits for its first step to be over.
        self._open[number] = self._wanted[number] = cast("asyncio.Task[R]", asyncio.current_task())
        try:
            value = await awaitable
        except asyncio.CancelledError as error:
            self._ended(number, None, Withdrawn(label, "Withdrawn", str(error)))
            raise
        except Exception as error:
            self._ended(number, None, error)
            raise
        self._ended(number, value, None)
        return value

    def _left(self, number: int, awaitable: Awaitable[R], branch: "asyncio.Task[R]") -> None:
        if asyncio.iscoroutine(awaitable):
            awaitable.close()  # it never ran if its branch was withdrawn before its first step
        if self._sees_errors:
            if not branch.cancelled():
                branch.exception()  # asking for it is to have seen it
        else:
            self._unseen.append(branch)
        self._open.pop(number, None)
        self._wanted.pop(number, None)
        if not self._open:
            self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
