"""What an instance writes while it lives, and is compared with while it is replayed.

`History` takes every command in the order in which the program makes it. Live, it collects them for the host. In replay it lays
each beside the recorded fact at the same place: the first difference is a `Divergence`.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from .commands import (
    CancelInstance,
    Command,
    CompleteInstance,
    FailInstance,
    Halt,
    HaltInstance,
    PublishMessage,
    RecordFailure,
    RecordNotUndone,
    RecordResult,
    RenewInstance,
    RequestCall,
    SetAttributes,
    Terms,
    WithdrawCall,
)
from .events import (
    AttributesSet,
    CallKind,
    CallRequested,
    CallWithdrawn,
    Event,
    Failure,
    FailureRecorded,
    InstanceCancelled,
    InstanceCompleted,
    InstanceFailed,
    InstanceHalted,
    MessagePublished,
    NotUndone,
    Renewed,
    ResultRecorded,
    is_recorded,
)
from .site import Frame, Site, site_from, stack_of_error


@dataclass(frozen=True, slots=True)
class Program:
    """The process as the kernel sees it; the language builds it.

    `failure_of` says what an error that reaches the end of a branch means: a failure that may end the instance, or `None`: a bug.
    `same_input` is asked in replay where the bytes of an input differ: whether it is still the same by digest, else by value;
    `same_message` where those of a message do.
    """

    main: Callable[[bytes], Coroutine[Any, Any, object]]
    encode_result: Callable[[object], bytes]
    failure_of: Callable[[BaseException], Failure | None]
    same_input: Callable[[CallRequested, RequestCall], bool]
    same_message: Callable[[MessagePublished, PublishMessage], bool] = lambda recorded, made: False


class Divergence(Exception):
    """The source no longer does what the history says: `recorded` beside `made`, and where the latter was made.

    `call` is the number of the call that differs (the next one, where no call is concerned). `halt` is what the host records.
    `meanwhile` is a bug that was on its way up: then it may be no more than what a clean-up asked for that differs.
    """

    def __init__(
        self,
        message: str,
        *,
        call: int,
        recorded: Event | None = None,
        made: Command | None = None,
        made_site: Site | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.call = call
        self.recorded = recorded
        self.made = made
        self.made_site = made_site
        self.halt = Halt("divergence", message, self, ())
        self.meanwhile: BaseException | None = None
        self.meanwhile_site: Site = ()

    def keep_bug(self, error: BaseException | None, failure_of: Callable[[BaseException], Failure | None]) -> None:
        """Of what was in flight when it differed, only a bug is told; anything else is what processes live with."""
        while isinstance(error, CancelledError | HaltInstance):
            error = error.__context__
        if error is not None and failure_of(error) is None:
            self.meanwhile = error
            self.meanwhile_site = tuple(each.frame for each in stack_of_error(error.__traceback__, ()))


def _said(fact: Event | Command | None) -> str:
    match fact:
        case CallRequested() | RequestCall():
            return f"{fact.kind.value} {fact.operation!r} as call {fact.call}"
        case CallWithdrawn() | WithdrawCall():
            return f"the withdrawal of call {fact.call}"
        case AttributesSet() | SetAttributes():
            return f"attributes {fact.values.decode(errors='replace')}"
        case MessagePublished() | PublishMessage():
            return f"the message {fact.message} with key {fact.key!r}"
        case ResultRecorded() | RecordResult():
            return "the result of the process, with branches still open"
        case FailureRecorded() | RecordFailure():
            return "the failure of the process, with branches still open"
        case InstanceCompleted() | CompleteInstance():
            return "the completion of the instance"
        case InstanceFailed() | FailInstance():
            return "the failure of the instance"
        case NotUndone() | RecordNotUndone():
            return f"the note that call {fact.call} did not undo"
        case Renewed() | RenewInstance():
            return f"the renewal with {fact.input.decode(errors='replace')}"
        case InstanceCancelled(by_program=True) | CancelInstance():
            return "the end of the clean-up"
        case None:
            return "nothing more"
        case _:
            return f"{type(fact).__name__} from outside"


def _at(site: Site | None) -> str:
    if not site:
        return ""
    frame: Frame = site[-1]
    return f" (in {frame.function}, {frame.module} line {frame.line})"


def kept_facts(history: Sequence[Event]) -> frozenset[int]:
    """The places of the incoming facts that halts left unapplied."""
    return frozenset(
        kept
        for place, event in enumerate(history)
        if type(event) is InstanceHalted
        for kept in range(place - event.kept, place)
    )


class History:
    """Takes the commands of one instance. `recorded` is the history under replay, `None` while the instance lives."""

    __slots__ = (
        "_failure_of",
        "_same_input",
        "_same_message",
        "commands",
        "divergence",
        "next_call",
        "place",
        "recorded",
    )

    def __init__(self, program: Program) -> None:
        self._failure_of = program.failure_of
        self._same_input = program.same_input
        self._same_message = program.same_message
        self.recorded: Sequence[Event] | None = None
        self.commands: list[Command] = []
        self.next_call = 1
        self.place = 0
        self.divergence: Divergence | None = None

    def request(
        self, kind: CallKind, operation: str, payload: bytes, *, terms: Terms, created_at: Site
    ) -> tuple[int, int | None]:
        """Asks for a call. Gives its number, and its due time: in replay the recorded one, which is never computed again."""
        number = self.next_call
        self.next_call = number + 1
        if self.recorded is None:
            site = site_from(sys._getframe(2), created_at)
            self.commands.append(RequestCall(number, kind, operation, payload, terms.due_us, site, terms.offered_to))
            return number, terms.due_us
        recorded = self._next_recorded()
        if (
            type(recorded) is CallRequested
            and recorded.call == number
            and recorded.kind == kind
            and recorded.operation == operation
        ):
            if recorded.input == payload:
                return number, recorded.due_us
            # The digest differs: equal by value, perhaps.
            if self._same_input(recorded, RequestCall(number, kind, operation, payload, recorded.due_us, ())):
                return number, recorded.due_us
        made = RequestCall(number, kind, operation, payload, terms.due_us, site_from(sys._getframe(1), created_at))
        raise self._diverged(recorded, made, number)

    def ask(self, command: Command) -> None:
        """Asks for anything but a call."""
        if self.recorded is None:
            self.commands.append(command)
            return
        recorded = self._next_recorded()
        match command, recorded:
            case WithdrawCall(), CallWithdrawn():
                same = command.call == recorded.call
            case SetAttributes(), AttributesSet():
                same = command.values == recorded.values
            case PublishMessage(), MessagePublished():
                same = (command.message, command.key) == (recorded.message, recorded.key) and (
                    command.value == recorded.value or self._same_message(recorded, command)
                )
            # What was recorded stays as it is: a new field with a default in the result moves no instance.
            case (RecordResult(), ResultRecorded()) | (CompleteInstance(), InstanceCompleted()):
                same = True
            case (FailInstance(), InstanceFailed()) | (CancelInstance(), InstanceCancelled()):
                same = True
            case RecordFailure(), FailureRecorded():
                same = True
            case RecordNotUndone(), NotUndone():
                same = command.call == recorded.call
            case RenewInstance(), Renewed():
                same = command.input == recorded.input
            case _:
                same = False
        if not same:
            number = command.call if isinstance(command, WithdrawCall) else self.next_call
            raise self._diverged(recorded, command, number)

    def next_incoming(self) -> Event | None:
        """The next fact to apply in replay, `None` at the end; a recorded one here was not made by the program."""
        assert self.recorded is not None
        if self.place >= len(self.recorded):
            return None
        event = self.recorded[self.place]
        if is_recorded(event):
            raise self._diverged(event, None, getattr(event, "call", self.next_call))
        self.place += 1
        return event

    def diverge(self, message: str, *, call: int, recorded: Event | None) -> Divergence:
        """Notes a difference that is not one of commands."""
        self.divergence = Divergence(message, call=call, recorded=recorded)
        return self.divergence

    def _next_recorded(self) -> Event | None:
        assert self.recorded is not None
        if self.place >= len(self.recorded):
            return None
        event = self.recorded[self.place]
        if not is_recorded(event):
            return None
        self.place += 1
        return event

    def _diverged(self, recorded: Event | None, made: Command | None, call: int) -> HaltInstance:
        site: Site | None = None
        if isinstance(made, RequestCall):
            site = made.site
        elif made is not None:
            site = site_from(sys._getframe(2), ())
        message = f"The history has {_said(recorded)}; the source now asks for {_said(made)}{_at(site)}."
        if (
            isinstance(recorded, CallRequested)
            and isinstance(made, RequestCall)
            and (recorded.kind, recorded.operation) == (made.kind, made.operation)
        ):
            message = f"Call {call}, {made.kind.value} {made.operation!r}, now has another input{_at(site)}."
        if self.divergence is None:
            self.divergence = Divergence(message, call=call, recorded=recorded, made=made, made_site=site)
            self.divergence.keep_bug(sys.exc_info()[1], self._failure_of)
        return HaltInstance("divergence", message)
