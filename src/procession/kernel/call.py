"""What process code asks of the instance it runs in: calls above all, and time, chance and attributes.

The instance is found by the running loop, so nothing is passed and nothing is global.
"""

from __future__ import annotations

import asyncio
import random as standard_random
import sys
from asyncio.events import _get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import replace
from typing import Any, Generic, Never, TypeVar, cast
from uuid import UUID

from procession.errors import NotRenewed, OutsideProcess, Withdrawn

from .commands import NO_TERMS, Final, PublishMessage, SetAttributes, Terms
from .events import CallKind, Compensation, Failure
from .instance import Instance
from .loop import Ending, Entry, Loop
from .site import site_from
from .transitions import CallState

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Call(Entry, Awaitable[R_co], Generic[R_co]):
    """A call that was asked for, by `call = operation.request(…)`: `await call` for its result, as often and wherever you like.

    Each awaiter gets a copy of its own. Cancelling an awaiter leaves the call open: it ends by `withdraw`, or with the branch that
    asked for it. `performer` is who began it, or None while nobody has.
    """

    __slots__ = ("_decode", "_ending", "_rebuild", "_starting", "performer")

    def __init__(
        self,
        home: Loop,
        kind: CallKind,
        operation: str,
        decode: Callable[[bytes], R_co],
        rebuild: Callable[[Failure], Exception],
        is_owned: bool,
    ) -> None:
        super().__init__(home, kind, operation, is_owned)
        self.performer: str | None = None
        self._decode = decode
        self._rebuild = rebuild
        self._ending: Ending = ""
        self._starting: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<call {self.number} {self.operation} {self.state.value}>"

    def __await__(self) -> Generator[Any, None, R_co]:
        # In a teardown nothing is waited for: the coroutine that comes here is being closed.
        if self.state is CallState.REQUESTED or self.state is CallState.STARTED or self.home.dead or self.home.final:
            yield self
        ending = self._ending
        if isinstance(ending, bytes):
            return self._decode(ending)
        if isinstance(ending, Failure):
            raise self._rebuild(ending)
        raise Withdrawn(self.operation, "Withdrawn", ending)

    async def started(self) -> None:
        """Returns when a performer has begun, or when the call has ended without that; raises if it was withdrawn."""
        if self.state is CallState.REQUESTED:
            if self._starting is None:
                self._starting = self.home.create_future()
            await asyncio.shield(self._starting)
        if self.state is CallState.WITHDRAWN:
            raise Withdrawn(self.operation, "Withdrawn", str(self._ending))

    def withdraw(self, reason: str = "") -> None:
        """Takes the call back, if it is open. Whoever still awaits it gets `Withdrawn`."""
        self.end_by_program(reason)

    def has_started(self, performer: str | None) -> None:
        self.performer = performer
        if self._starting is not None:
            self._starting.set_result(None)
            self._starting = None

    def has_ended(self, ending: Ending, performer: str | None) -> None:
        self._ending = ending
        if performer is not None or self._starting is not None:
            self.has_started(performer or self.performer)
        self.home.ready += self.waiters
        self.waiters.clear()


class WorkCall(Call[R_co]):
    """The call of a task, or of an operation that an outside system does: when it begins, its performer decides.

    `pick` takes such calls as alternatives, since it chooses the one that is begun first.
    """

    __slots__ = ()


_HANDLES: dict[CallKind, type[Call[Any]]] = {CallKind.TASK: WorkCall, CallKind.EXTERNAL: WorkCall}


def current() -> Instance | None:
    """The instance whose code is running on this thread, if any."""
    loop = _get_running_loop()
    return cast(Instance, loop.instance) if isinstance(loop, Loop) else None


def _home(what: str) -> Loop:
    loop = _get_running_loop()
    if not isinstance(loop, Loop):
        raise OutsideProcess(
            f"{what} was asked for where no instance runs.",
            subject=what,
            remedy="Start the process with `procession start`, or in a test with `world()`.",
        )
    return loop


def request(
    kind: CallKind,
    operation: str,
    input: bytes,  # noqa: A002 - the word of the events
    *,
    decode: Callable[[bytes], R],
    rebuild: Callable[[Failure], Exception],
    terms: Terms = NO_TERMS,
) -> Call[R]:
    """Asks for an operation or a timer at once, and gives the handle. It ends with the branch that asked, if it is open then."""
    home = _home(operation)
    call: Call[R] = _HANDLES.get(kind, Call)(home, kind, operation, decode, rebuild, False)
    call.ask(input, terms)
    if home.current is not None and call.number:
        call.belong_to(home.current)
    return call


async def perform(
    kind: CallKind,
    operation: str,
    input: bytes,  # noqa: A002 - the word of the events
    *,
    decode: Callable[[bytes], R],
    rebuild: Callable[[Failure], Exception],
    terms: Terms = NO_TERMS,
) -> R:
    """Asks for an operation or a timer and waits for its end. Cancelling the wait withdraws the call, at once."""
    call = Call(_home(operation), kind, operation, decode, rebuild, True)
    call.ask(input, terms)
    return await call


def to_be_awaited(coroutine: Coroutine[Any, Any, R], name: str) -> Coroutine[Any, Any, R]:
    """The same coroutine, for the caller of whoever made it: the instance halts if nobody ever awaits it."""
    loop = _get_running_loop()
    if type(loop) is Loop:
        frame = sys._getframe(2)
        loop.unbegun.append((coroutine, name, frame.f_code, frame.f_lasti))
    return coroutine


def set_attributes(values: bytes) -> None:
    """Sets business data by which the instance is found: a canonical JSON object."""
    home = _home("attribute()")
    if not home.dead and home.final is None:
        home.history.ask(SetAttributes(values))


def publish(message: str, key: str, value: bytes, *, expires_us: int) -> None:
    """Gives a message to whoever waits for this type and key, or to the first who will."""
    home = _home("publish()")
    if not home.dead and home.final is None:
        home.history.ask(PublishMessage(message, key, value, expires_us))


def compensate(undone: Compensation) -> None:
    """Has this done if the instance is cancelled or fails, before all that was said so far."""
    home = _home("compensate()")
    if home.dead or home.final is not None:
        return
    branch = home.current
    site = site_from(sys._getframe(1), () if branch is None else branch.created_at)
    home.compensations.append(replace(undone, site=site))


def runs(main: Callable[[bytes], Coroutine[Any, Any, object]]) -> bool:
    """Whether the instance whose code is running is one of this program."""
    loop = _get_running_loop()
    return isinstance(loop, Loop) and loop.program.main == main


async def finish(value: object) -> Never:
    """Ends the instance with this result, whatever else is open: it is withdrawn, and no clean-up does anything any more.

    While the instance is cancelled or fails, the branch that calls this ends, and no more.
    """
    home = _home("finish()")
    _refuse_in_unwinding(home)
    home.final = Final(home.program.encode_result(value), renews=False)
    await home.create_future()
    raise AssertionError("a finished instance goes on")


async def renew(input: bytes) -> Never:  # noqa: A002 - the word of the events
    """Has the instance begin anew with this input, and a history that begins here. Raises `NotRenewed` while anything else is open."""
    home = _home("renew()")
    _refuse_in_unwinding(home)
    while home.late:
        home.settled = home.create_future()
        await home.settled
    others = len(home.branches) - 1 + sum(each._log_traceback for each in home.failed)
    if others or home.open or home.ending or home.current is not home.root:
        raise NotRenewed(
            f"renew() while {others} other branches and {len(home.open) + len(home.ending)} calls are open, or failed unseen.",
            remedy="Await or withdraw them first; a deadline around renew() is a call too.",
        )
    home.final = Final(input, renews=True)
    await home.create_future()
    raise AssertionError("a renewed instance goes on")


def _refuse_in_unwinding(home: Loop) -> None:
    if home.is_cancelling or home.failure is not None:
        raise asyncio.CancelledError("The instance is cancelled, or fails: it cannot end otherwise any more.")


def now_us() -> int:
    """The time of the event that is being applied; it never goes back."""
    return _home("now()").now_us


def random() -> standard_random.Random:
    """The source of randomness of the branch that is running, the same in every replay."""
    return _instance("random").chance()


def uuid4() -> UUID:
    """A fresh identifier, the same in every replay."""
    return _instance("uuid4()").chance().uuid4()


def _instance(what: str) -> Instance:
    return cast(Instance, _home(what).instance)
