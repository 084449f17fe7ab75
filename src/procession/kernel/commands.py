"""What an advance answers: commands for the host to carry out, or a halt. Nothing else comes out of the kernel."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .events import (
    AttributesSet,
    CallKind,
    CallRequested,
    CallWithdrawn,
    Compensation,
    Event,
    Failure,
    FailureRecorded,
    InstanceCancelled,
    InstanceCompleted,
    InstanceFailed,
    MessagePublished,
    NotUndone,
    Renewed,
    ResultRecorded,
)
from .site import BranchStack, Site


class Terms(NamedTuple):
    """What is asked beside the input: when a timer is due, or work should be done, and to whom it is offered. Never compared."""

    due_us: int | None = None
    offered_to: str | None = None
    undo: Callable[[bytes], Compensation] | None = None
    """What its result will be undone by, where that comes to be necessary."""


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Final:
    """The last word of a program: its result, or the input with which it begins anew."""

    value: bytes
    renews: bool


@dataclass(frozen=True, slots=True)
class RequestCall:
    """Have the operation done, or the timer set, and tell the instance how it ended under this number."""

    call: int
    kind: CallKind
    operation: str
    input: bytes
    due_us: int | None
    site: Site
    offered_to: str | None = None


@dataclass(frozen=True, slots=True)
class WithdrawCall:
    """The program no longer wants this call: no event of it may come any more."""

    call: int
    reason: str


@dataclass(frozen=True, slots=True)
class SetAttributes:
    """Set business data by which the instance is found: a canonical JSON object."""

    values: bytes


@dataclass(frozen=True, slots=True)
class PublishMessage:
    """Give a message to whoever waits for this type and key; where nobody does, keep it until it expires."""

    message: str
    key: str
    value: bytes
    expires_us: int


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """The instance fails once all has ended that is open still."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RecordResult:
    """Root has returned this value; branches are still open."""

    value: bytes


@dataclass(frozen=True, slots=True)
class CompleteInstance:
    """The instance is over, with this result."""

    value: bytes


@dataclass(frozen=True, slots=True)
class FailInstance:
    """The instance is over: it failed, on purpose."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class RecordNotUndone:
    """A compensation ended with an error, or was withdrawn: what it should undo stands, and a person has to look."""

    call: int
    operation: str
    why: str


@dataclass(frozen=True, slots=True)
class RenewInstance:
    """The instance begins anew with this input: a replay begins here. What is to be undone carries over, and so do its numbers."""

    input: bytes
    next_call: int
    compensations: tuple[Compensation, ...]


@dataclass(frozen=True, slots=True)
class CancelInstance:
    """The instance is over: it was to be cancelled, and its clean-up has ended."""

    reason: str


Command = (
    RequestCall
    | WithdrawCall
    | SetAttributes
    | PublishMessage
    | RecordResult
    | RecordFailure
    | CompleteInstance
    | FailInstance
    | CancelInstance
    | RecordNotUndone
    | RenewInstance
)


@dataclass(frozen=True, slots=True)
class Halt:
    """Why the instance cannot go on: a bug, a divergence, a fence … Nothing of the halting advance may be carried out.

    `stack` begins with the branch that caused it, then what waits. `asked_meanwhile` is the first call that was asked for (in a
    `finally`, say) while the error was already on its way up: the point to rewind to lies before it.
    """

    code: str
    message: str
    exception: BaseException | None
    stack: tuple[BranchStack, ...]
    asked_meanwhile: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one event. With a halt there are no commands."""

    commands: tuple[Command, ...]
    halt: Halt | None = None


NOTHING_TO_DO = Outcome(())


class HaltingLoop(asyncio.AbstractEventLoop):
    """An event loop whose instance can be told to halt."""

    __slots__ = ()

    def halt(self, reason: HaltInstance) -> None:
        """Ends the advance; the first reason counts."""
        raise NotImplementedError


class HaltInstance(BaseException):
    """Raised inside process code by a fence or a watchdog. It halts the instance, even if the code swallows it.

    To be made is enough: an instance that is running on this thread is told at once. So it may be raised from outside as a bare
    class, as `PyThreadState_SetAsyncExc` does; a subclass then brings its own `code` and `message`.
    """

    code = "halt"
    message = "The instance was halted from outside."

    def __init__(self, code: str = "", message: str = "") -> None:
        self.code = code or type(self).code
        self.message = message or type(self).message
        super().__init__(self.message)
        loop = _get_running_loop()
        if isinstance(loop, HaltingLoop):
            loop.halt(self)


class RefusedInProcess(HaltInstance):
    """Process code did something that only an operation may do: threads, sockets, subprocesses, executors."""

    code = "fence"
    message = "Process code does no input or output: move this into a service."


def event_of(command: Command, at_us: int, *, digest: bytes = b"", site: int = 0) -> Event:
    """The fact that the host records for a command of this kernel, at the time of the event that caused it."""
    match command:
        case RequestCall():
            asked = (at_us, command.call, command.kind, command.operation, command.input)
            return CallRequested(*asked, digest, command.due_us, site, command.offered_to)
        case WithdrawCall():
            return CallWithdrawn(at_us, command.call, command.reason, by_program=True)
        case SetAttributes():
            return AttributesSet(at_us, command.values)
        case PublishMessage():
            return MessagePublished(at_us, command.message, command.key, command.value, command.expires_us)
        case RecordFailure():
            return FailureRecorded(at_us, command.failure)
        case RecordResult():
            return ResultRecorded(at_us, command.value)
        case CompleteInstance():
            return InstanceCompleted(at_us, command.value)
        case FailInstance():
            return InstanceFailed(at_us, command.failure)
        case CancelInstance():
            return InstanceCancelled(at_us, command.reason, by_program=True)
        case RecordNotUndone():
            return NotUndone(at_us, command.call, command.operation, command.why)
        case RenewInstance():
            return Renewed(at_us, command.input, command.next_call, command.compensations)
