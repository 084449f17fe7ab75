"""The facts of an instance's history, past tense, in the order in which they were applied.

Two kinds, told apart by `is_recorded` and nowhere else:

- *incoming* facts happen to the instance; applying one runs its code (`INCOMING`);
- *recorded* facts are what that code asked for: each was a command first, and a replay compares it (`RECORDED`).

`at_us` is the time at which the fact was applied, in microseconds since the epoch, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import get_args

from .site import Site


class CallKind(StrEnum):
    """Who ends a call: a person, a program, the clock, another instance (a child, or one started on its own), or a message."""

    TASK = "task"
    SERVICE = "service"
    TIMER = "timer"
    CHILD = "child"
    START = "start"
    MESSAGE = "message"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it crosses a hand-off: a type name and a text, never a traceback or an address."""

    type_name: str
    message: str
    payload: bytes | None = None
    attempts: int = 0
    declared: bool = False


@dataclass(frozen=True, slots=True)
class InstanceStarted:
    """The instance began, with the encoded input of the process."""

    at_us: int
    input: bytes


@dataclass(frozen=True, slots=True)
class CallRequested:
    """The program asked for an operation or a timer. `digest` and `site` are the host's; replay compares no site.

    `due_us` is when a timer is due, or when work should be done if the program says so; `offered_to` whom it says may do it.
    """

    at_us: int
    call: int
    kind: CallKind
    operation: str
    input: bytes
    digest: bytes
    due_us: int | None
    site: int
    offered_to: str | None = None


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A performer began; again after a put-back, so it may come more than once."""

    at_us: int
    call: int
    performer: str | None


@dataclass(frozen=True, slots=True)
class CallCompleted:
    """A performer, a program or an operator gave the result."""

    at_us: int
    call: int
    value: bytes
    performer: str | None


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The call ended with a declared error, or an operator failed it."""

    at_us: int
    call: int
    failure: Failure
    performer: str | None


@dataclass(frozen=True, slots=True)
class CallWithdrawn:
    """By the program (a recorded fact) or by a person (an incoming one)."""

    at_us: int
    call: int
    reason: str
    by_program: bool


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer was due at `due_us` and applied at `at_us`."""

    at_us: int
    call: int
    due_us: int


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """The child of a call that the program had withdrawn has ended: the instance need not wait for it any more."""

    at_us: int
    call: int


@dataclass(frozen=True, slots=True)
class LateResult:
    """What came of the attempt at a call with an undo that the program had withdrawn: a value, which is undone, or nothing.

    `why` is what an attempt broke with: nobody knows what it did.
    """

    at_us: int
    call: int
    value: bytes | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class AttributesSet:
    """`values` is a canonical JSON object."""

    at_us: int
    values: bytes


@dataclass(frozen=True, slots=True)
class MessagePublished:
    """The program published a message: `message` is the name of its type, by which and `key` it finds who waits for it."""

    at_us: int
    message: str
    key: str
    value: bytes
    expires_us: int


@dataclass(frozen=True, slots=True)
class ResultRecorded:
    """Root returned while branches were still open; the instance ends when they have."""

    at_us: int
    value: bytes


@dataclass(frozen=True, slots=True)
class FailureRecorded:
    """The instance fails, and has still to clean up, or to undo what it did."""

    at_us: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class InstanceCompleted:
    """Root returned and every branch has ended."""

    at_us: int
    value: bytes


@dataclass(frozen=True, slots=True)
class InstanceFailed:
    """An error that the author raised on purpose reached the end, and every branch has ended."""

    at_us: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class InstanceHalted:
    """Written by the host. The `kept` incoming facts right before it stand unapplied until `Retried`."""

    at_us: int
    code: str
    message: str
    detail: bytes
    kept: int


@dataclass(frozen=True, slots=True)
class Retried:
    """Applies the kept facts, at its own place in the history and with its own time."""

    at_us: int


@dataclass(frozen=True, slots=True)
class CancellationRequested:
    """A person wants the instance to end: its code is told, cleans up, and what has to be undone is undone."""

    at_us: int
    reason: str


@dataclass(frozen=True, slots=True)
class NotUndone:
    """A compensation, under this call, did not undo what it should; the other ones go on."""

    at_us: int
    call: int
    operation: str
    why: str


@dataclass(frozen=True, slots=True)
class Compensation:
    """An operation that undoes something; `site` is where that was said, and is not carried over a renewal.

    Work is offered to `offered_to`, and due at `due_us` or so long after it is asked for, if anything was said of that.
    """

    kind: CallKind
    operation: str
    input: bytes
    offered_to: str | None = None
    due_us: int | None = None
    within_us: int | None = None
    site: Site = ()


@dataclass(frozen=True, slots=True)
class Renewed:
    """The instance began anew with this input. A replay may begin here: `next_call` is the number of its first call."""

    at_us: int
    input: bytes
    next_call: int
    compensations: tuple[Compensation, ...]


@dataclass(frozen=True, slots=True)
class InstanceSuspended:
    """A person has the instance stand still: nothing happens in it until `InstanceResumed`."""

    at_us: int
    reason: str


@dataclass(frozen=True, slots=True)
class InstanceResumed:
    """It goes on. By `moved_us` every open timer is due later: the length of the pause, where timers stood still too; else 0."""

    at_us: int
    moved_us: int


@dataclass(frozen=True, slots=True)
class InstanceCancelled:
    """The clean-up of a cancelled instance has ended (a recorded fact); or it was ended by force, and no code ran (incoming)."""

    at_us: int
    reason: str
    by_program: bool


Event = (
    InstanceStarted
    | CallRequested
    | CallStarted
    | CallCompleted
    | CallFailed
    | CallWithdrawn
    | TimerFired
    | ChildEnded
    | LateResult
    | AttributesSet
    | MessagePublished
    | ResultRecorded
    | FailureRecorded
    | InstanceCompleted
    | InstanceFailed
    | InstanceHalted
    | Retried
    | CancellationRequested
    | NotUndone
    | Renewed
    | InstanceSuspended
    | InstanceResumed
    | InstanceCancelled
)

CallEvent = CallStarted | CallCompleted | CallFailed | CallWithdrawn | TimerFired

RECORDED: frozenset[type[Event]] = frozenset(
    {
        CallRequested,
        CallWithdrawn,
        AttributesSet,
        MessagePublished,
        ResultRecorded,
        FailureRecorded,
        InstanceCompleted,
        InstanceFailed,
        InstanceCancelled,
        NotUndone,
        Renewed,
    }
)
# A withdrawal and a cancellation are of both kinds, by who made them.
INCOMING: frozenset[type[Event]] = frozenset(get_args(Event)) - RECORDED | {CallWithdrawn, InstanceCancelled}


def late_result(event: Event) -> LateResult | None:
    """What an event of a call is where the program has withdrawn it; None where that leaves open what will come of it."""
    match event:
        case CallCompleted(at_us, call, value):
            return LateResult(at_us, call, value)
        case CallFailed(at_us, call) | CallWithdrawn(at_us, call):
            return LateResult(at_us, call, None)
        case LateResult():
            return event
        case _:
            return None


def is_recorded(event: Event) -> bool:
    """Whether the program asked for this fact; else it happened to the instance."""
    if isinstance(event, CallWithdrawn | InstanceCancelled):
        return event.by_program
    return type(event) in RECORDED
