"""What a person or an outside program may ask for: one dataclass per use case, the same from the command line, a socket or Python.

Values (`input`, `answer`, `value`) are JSON texts, as they come from outside; they are read strictly against the types
of the process. `item` is the number of a work item; `instance` is a name (`leave-17`), a UUID, or `process:business key`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Start a process. With a business key (given, or from the process's `key=`) a repeated start gives the same instance."""

    process: str
    input: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimItem:
    """Take an item, so that nobody else does."""

    item: int
    version: int | None = None


@dataclass(frozen=True, slots=True)
class StartItem:
    """Begin work on an item."""

    item: int
    version: int | None = None


@dataclass(frozen=True, slots=True)
class SaveDraft:
    """Keep a half-filled answer; it need not be valid yet."""

    item: int
    draft: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class CompleteItem:
    """Hand in the answer."""

    item: int
    answer: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class PutBackItem:
    """Give an item back to those it was offered to."""

    item: int
    version: int | None = None


@dataclass(frozen=True, slots=True)
class WithdrawItem:
    """Take an item away from everybody: the process sees `Withdrawn`."""

    item: int


@dataclass(frozen=True, slots=True)
class RetryInstance:
    """Go on with a halted instance on the present source."""

    instance: str


@dataclass(frozen=True, slots=True)
class RetryCall:
    """Give a service call that needs attention a new round of attempts, under the same idempotency key."""

    instance: str
    call: int


@dataclass(frozen=True, slots=True)
class CompleteCall:
    """End an open call by hand, with a result."""

    instance: str
    call: int
    value: str


@dataclass(frozen=True, slots=True)
class SkipCall:
    """End an open call by hand, with a result, for a reason; a timer fires now. One that could not undo is seen to."""

    instance: str
    call: int
    value: str = "null"


@dataclass(frozen=True, slots=True)
class FailCall:
    """End an open call by hand, as failed: the process sees `OperationFailed`."""

    instance: str
    call: int
    message: str


@dataclass(frozen=True, slots=True)
class CancelInstance:
    """Cancel an instance: its code cleans up, what has to be undone is undone, and then it has ended.

    With `force` at once: everything it asked for is withdrawn and none of its code runs. Cancelling twice is cancelling once.
    """

    instance: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class PauseSchedule:
    """Start nothing by a schedule until it is resumed; times that pass meanwhile are let go."""

    schedule: str


@dataclass(frozen=True, slots=True)
class ResumeSchedule:
    """Go on with a schedule at its next time."""

    schedule: str


@dataclass(frozen=True, slots=True)
class AddToGroup:
    """Add an item to a named group of an instance: its work begins."""

    instance: str
    group: str
    input: str


@dataclass(frozen=True, slots=True)
class CloseGroup:
    """Say that nothing more is added to a named group of an instance."""

    instance: str
    group: str


@dataclass(frozen=True, slots=True)
class FetchExternal:
    """Take calls of an outside system's operation, so many at most; a worker has each for the length of the lease.

    Given again under the same identifier, the same calls are given.
    """

    operation: str
    worker: str
    limit: int = 1
    lease: str | None = None


@dataclass(frozen=True, slots=True)
class HeartbeatExternal:
    """Renew the lease of a call that was fetched."""

    token: str
    lease: str | None = None


@dataclass(frozen=True, slots=True)
class CompleteExternal:
    """Hand in the result of a call that was fetched. Given again, it is answered as the first time."""

    token: str
    result: str


@dataclass(frozen=True, slots=True)
class FailExternal:
    """Give a call back that could not be done, to be handed out again; or, with a declared error, end it with that."""

    token: str
    error: str
    declared: str | None = None


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a message: every instance that waits for this class and key gets it; else the first that asks, until it expires."""

    message: str
    key: str
    input: str
    expires: str = "30 days"


@dataclass(frozen=True, slots=True)
class SuspendInstance:
    """Have an instance stand still. `timers`: "run", and those due meanwhile are applied when it is resumed; or "stop"."""

    instance: str
    timers: str = "run"


@dataclass(frozen=True, slots=True)
class ResumeInstance:
    """Have a suspended instance go on."""

    instance: str


@dataclass(frozen=True, slots=True)
class SetLimit:
    """Limit how many attempts at a service, or at those of an outside system, run at once and begin in a minute.

    None is no limit; `from_settings` is what `procession.toml` says.
    """

    name: str
    at_once: int | None = None
    per_minute: int | None = None
    from_settings: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Pause a process, an operation or an outside system, by its scope and name."""

    scope: str
    name: str
    timers: str = "run"


@dataclass(frozen=True, slots=True)
class Unpause:
    """Have what was paused go on."""

    scope: str
    name: str


@dataclass(frozen=True, slots=True)
class RecordBulk:
    """Note that something is going to be done to many: what, to whom by which filter, to how many."""

    verb: str
    chosen: str
    number: int


@dataclass(frozen=True, slots=True)
class AcceptClock:
    """Trust the wall clock again after it jumped."""


Command = (
    StartInstance
    | ClaimItem
    | StartItem
    | SaveDraft
    | CompleteItem
    | PutBackItem
    | WithdrawItem
    | RetryInstance
    | RetryCall
    | CompleteCall
    | SkipCall
    | FailCall
    | CancelInstance
    | SuspendInstance
    | ResumeInstance
    | PauseSchedule
    | ResumeSchedule
    | AddToGroup
    | CloseGroup
    | FetchExternal
    | HeartbeatExternal
    | CompleteExternal
    | FailExternal
    | SendMessage
    | SetLimit
    | RecordBulk
    | Pause
    | Unpause
    | AcceptClock
)


def runs_no_code(command: Command) -> bool:
    """Whether none of the process's code runs for a command: then source that does not load is no hindrance to it."""
    return isinstance(command, SuspendInstance | RecordBulk) or (isinstance(command, CancelInstance) and command.force)


@dataclass(frozen=True, slots=True)
class Order:
    """A command with who gives it and why. `client_id` makes a repeated order harmless: the first one's answer is given again."""

    command: Command
    actor: str
    reason: str | None = None
    client_id: str | None = None
