"""Groups: one piece of work for each of several things, of which there may come to be more while it is done."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, overload

from procession import kernel
from procession.errors import AuthorError, OutsideProcess, Withdrawn
from procession.language.boxes import item_codec, listen
from procession.language.codec import ValueCodec
from procession.language.names import normal_name
from procession.language.siblings import Siblings

T = TypeVar("T")
R = TypeVar("R")

Errors = Literal["raise", "collect"]
"""What becomes of the errors in a group."""


@overload
def each(
    body: Callable[[T], Awaitable[R]],
    items: Iterable[T] = ...,
    *,
    name: str | None = None,
    growing: bool = False,
    until: Callable[[list[R]], bool] | None = None,
    errors: Literal["raise"] = "raise",
) -> "Group[T, R]": ...
@overload
def each(
    body: Callable[[T], Awaitable[R]],
    items: Iterable[T] = ...,
    *,
    name: str | None = None,
    growing: bool = False,
    until: Callable[[list[R | Exception]], bool] | None = None,
    errors: Literal["collect"],
) -> "Group[T, R | Exception]": ...
def each(
    body: Callable[[T], Awaitable[Any]],
    items: Iterable[T] = (),
    *,
    name: str | None = None,
    growing: bool = False,
    until: Callable[[list[Any]], bool] | None = None,
    errors: Errors = "raise",
) -> "Group[T, Any]":
    """Begins `body` for each of the items, at once and in their order: `opinions = await each(review, documents)`.

    `body` is an operation with one argument, or an `async def`. Awaiting the group gives the results in the order of the
    items. With `growing=True` more may be added until it is closed; a block is closed when nothing is left at work.
    `until` looks at the results so far whenever one has come, and says when they are enough: the rest is withdrawn. The
    first error withdraws the rest and is raised; with `errors="collect"` it stands among the results instead. `name` is
    what the group is called where it is spoken of; while it grows, items can be added under it from outside.
    """
    if kernel.current() is None:
        raise OutsideProcess("each() was used where no instance runs.", remedy="Use asyncio.gather there.")
    called = f"the group {normal_name(name, what='group')}" if name is not None else "a group"
    _check(body, items, until, errors, called)
    group: Group[T, Any] = Group(body, called, until=until, collects=errors == "collect")
    for item in items:
        if not group.is_open:
            break
        group.add(item)
    if not growing:
        group.close()
    elif name is not None and group.is_open and (codec := item_codec(body, called)) is not None:
        group.listen(normal_name(name, what="group"), codec)
    return group


def _check(body: object, items: object, until: object, errors: str, called: str) -> None:
    wrong = remedy = ""
    if not callable(body):
        wrong, remedy = f"its body is {body!r}", "Write each(review, documents), not each(review(…), documents)."
        if asyncio.iscoroutine(body):
            body.close()
    elif type(items) in (set, frozenset):
        wrong, remedy = "its items are a set, whose order is left to chance", "Write sorted(…)."
    elif asyncio.iscoroutinefunction(until):
        wrong, remedy = "until= is an `async def`", "It looks at results and waits for nothing: write `def`."
    elif errors not in ("raise", "collect"):
        wrong, remedy = f"errors={errors!r}", 'Write errors="raise" or errors="collect".'
    if wrong:
        raise AuthorError(f"each(): {wrong}.", subject=called, remedy=remedy)


class Group(Awaitable[list[R]], Generic[T, R]):
    """The work that `each` began. `await group` gives all results, in the order in which the items were added.

    Cancelling whoever awaits it withdraws the group, as with a task. As a block, `async with each(…) as group:`, it is
    over when the block and all of its work are; an error on either side withdraws the rest.
    """

    def __init__(
        self,
        body: Callable[[T], Awaitable[R]],
        called: str,
        *,
        until: Callable[[list[R]], bool] | None,
        collects: bool,
    ) -> None:
        self._body = body
        self._called = called
        self._until = until
        self._collects = collects
        self._siblings: Siblings[R] = Siblings(self._ended, sees_errors=collects)
        self._added = 0
        self._results: dict[int, Any] = {}
        self._is_closed = False
        self._failure: Exception | None = None
        self._withdrawn: str | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._listener: asyncio.Task[None] | None = None
        self._block: asyncio.Task[Any] | None = None
        self._has_cancelled_block = False

    def __repr__(self) -> str:
        return f"<{self._called}: {self._added} added, {len(self._results)} results, {'open' if self.is_open else 'closed'}>"

    @property
    def is_open(self) -> bool:
        """Whether more may be added."""
        return not self._is_closed

    @property
    def results(self) -> list[R]:
        """The results so far, in the order in which their items were added."""
        return [self._results[number] for number in sorted(self._results)]

    def add(self, item: T) -> None:
        """Begins the work for one more item. Raises `AuthorError` if the group is closed."""
        if self._is_closed:
            raise AuthorError(
                f"{item!r} was added to {self._called}, which is closed.",
                subject=self._called,
                remedy="Make it with growing=True; add before it is closed, complete or withdrawn, which `is_open` tells.",
            )
        number = self._added
        self._added += 1
        self._siblings.begin(number, self._called, self._work_on(item))

    def listen(self, name: str, codec: ValueCodec[T]) -> None:
        """Takes items from outside under this name, until it is closed."""
        self._listener = asyncio.create_task(listen(self, name, codec))

    def close(self) -> None:
        """There is no more to come: the group is over when all of its work has ended."""
        self._is_closed = True
        listener, self._listener = self._listener, None
        if listener is not None and listener is not asyncio.current_task():
            listener.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def complete(self) -> None:
        """The results so far are enough: what is still open is withdrawn. Work whose own code says so goes on to its end."""
        self.close()
        self._siblings.withdraw("enough of the group is done")

    def withdraw(self, reason: str = "") -> None:
        """None of it is wanted: all is withdrawn, and whoever awaits the group outside of its block gets `Withdrawn`."""
        if self._withdrawn is None:
            self._withdrawn = reason
        self.close()
        self._siblings.withdraw(reason)

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self._all_results().__await__()

    async def __aenter__(self) -> "Group[T, R]":
        self._block = asyncio.current_task()
        if self._failure is not None:
            self._cancel_block()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        block, self._block = self._block, None
        if self._has_cancelled_block and block is not None:
            self._has_cancelled_block = False
            if block.uncancel() == 0 and (error is None or isinstance(error, asyncio.CancelledError)):
                error = None
        if error is not None:
            self.withdraw(f"the block of the group ended with {type(error).__name__}")
        # What is at work may still add to it.
        await self._siblings.settled()
        self.close()
        self._siblings.see_errors()
        if error is None and self._failure is not None:
            raise self._failure from None

    async def _all_results(self) -> list[R]:
        self._siblings.see_errors()
        try:
            while not self._is_closed:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter
            await self._siblings.settled()
        except asyncio.CancelledError as cancelled:
            self.withdraw(str(cancelled))
            await self._siblings.settled()
            raise
        if self._failure is not None:
            raise self._failure
        if self._withdrawn is not None:
            raise Withdrawn(self._called, "Withdrawn", self._withdrawn)
        return self.results

    async def _work_on(self, item: T) -> R:
        work = self._body(item)
        if not isinstance(work, Awaitable):
            raise AuthorError(
                f"each(): the body gives {work!r}, which cannot be waited for.",
                subject=self._called,
                remedy="Give an operation, or an `async def`.",
            )
        return await work

    def _ended(self, number: int, value: R | None, error: Exception | None) -> None:
        if self._failure is not None or self._withdrawn is not None or not self._siblings.is_wanted(number):
            return
        if error is not None and not self._collects:
            self._fail(error)
            return
        self._results[number] = value if error is None else error
        if self._until is None:
            return
        try:
            is_enough = self._until(self.results)
        except Exception as failing:
            self._fail(failing)
            raise
        if is_enough:
            self.complete()

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.close()
        self._siblings.withdraw("other work of the group failed")
        if self._block is not None:
            self._cancel_block()

    def _cancel_block(self) -> None:
        """The block is to go no further: its group has failed."""
        assert self._block is not None
        if not self._has_cancelled_block:
            self._has_cancelled_block = True
            self._block.cancel()
