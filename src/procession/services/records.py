"""What reading gives: one frozen record per thing shown, the same for a terminal, a page and `--format json`.

Times are aware and in UTC; values that crossed a hand-off are JSON as it was recorded.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(at_us: int) -> datetime:
    """Microseconds since the epoch as an aware moment."""
    return _EPOCH + timedelta(microseconds=at_us)


def maybe_moment(at_us: int | None) -> datetime | None:
    """The same of a time that may not be there."""
    return None if at_us is None else moment(at_us)


@dataclass(frozen=True, slots=True)
class PauseShown:
    """What is paused, since when, by whom and why; `timers` says whether timers run on meanwhile: run or stop."""

    scope: str
    name: str
    since: datetime
    by: str
    reason: str
    timers: str

    @property
    def command(self) -> str:
        """The command that has it go on."""
        return f'procession unpause {self.scope} "{self.name}"'

    def sentence(self, zone: tzinfo) -> str:
        """In words, for people of this zone, without a full stop."""
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        return f"the {self.scope} {self.name} is paused since {self.since.astimezone(zone):%Y-%m-%d %H:%M} by {self.by}{why}"


@dataclass(frozen=True, slots=True)
class SuspensionShown:
    """Since when an instance is suspended, by whom and why; `command` has it go on.

    `within` is the instance with which it was suspended, as its child.
    """

    since: datetime
    by: str
    reason: str
    timers: str
    within: str | None
    command: str

    def sentence(self, zone: tzinfo) -> str:
        """In words, for people of this zone, without a full stop."""
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        within = f" with {self.within}" if self.within is not None else ""
        return f"suspended{within} since {self.since.astimezone(zone):%Y-%m-%d %H:%M} by {self.by}{why}"


@dataclass(frozen=True, slots=True)
class LimitShown:
    """What is limited: a service or an outside system, by how much, and where that was said."""

    name: str
    at_once: int | None
    per_minute: int | None
    origin: str

    @property
    def spoken(self) -> str:
        """By how much, in words."""
        parts = [f"{self.at_once} at once"] if self.at_once is not None else []
        parts += [f"{self.per_minute} a minute"] if self.per_minute is not None else []
        return ", ".join(parts) or "no limit"


@dataclass(frozen=True, slots=True)
class InstanceSummary:
    """One line in a list of instances."""

    instance: str
    uuid: str
    process: str
    title: str
    business_key: str | None
    state: str
    initiator: str
    started: datetime
    ended: datetime | None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ChildShown:
    """An instance below another in the tree: a child, or the child of one; `depth` is 1 for a child.

    `call` is the call of `parent` that it is, `halt` why it stands still where it does.
    """

    instance: str
    title: str
    state: str
    parent: str
    call: int
    depth: int
    halt: str | None


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """One line in a worklist."""

    item: int
    uuid: str
    instance: str
    instance_title: str
    call: int
    operation: str
    function: str
    title: str
    role: str
    state: str
    holder: str | None
    version: int
    requested: datetime
    due: datetime | None
    is_overdue: bool
    started: datetime | None
    ended: datetime | None
    performer: str | None
    pause: PauseShown | None = None


@dataclass(frozen=True, slots=True)
class MessageKept:
    """A message that nobody has taken yet."""

    message: str
    type: str
    key: str
    sent_by: str
    published: datetime
    expires: datetime
    content: object


@dataclass(frozen=True, slots=True)
class MessageList:
    """The messages that nobody has taken yet, oldest first."""

    messages: tuple[MessageKept, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """Something that was done with a work item."""

    at: datetime
    kind: str
    actor: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of what is to be handed in; `path` is its place in the JSON, with `*` for each element of a list.

    `nullable` says that it may be nothing; `alternatives` are the types of which it is one.
    """

    path: str
    label: str
    type: str
    required: bool
    help: str = ""
    options: tuple[str, ...] = ()
    nullable: bool = False
    alternatives: "tuple[FormAlternative, ...]" = ()


@dataclass(frozen=True, slots=True)
class FormAlternative:
    """One of the types that a field may have: its fields, and how it is given as `field=value` and as JSON, by an example."""

    label: str
    tag: str | None
    fields: tuple[FormField, ...]
    given_as: tuple[str, ...]
    example: object


@dataclass(frozen=True, slots=True)
class ItemDetail:
    """A work item as whoever does it sees it: what is asked, with which inputs, and what to hand in."""

    item: ItemSummary
    process: str
    business_key: str | None
    instructions: str
    inputs: object
    form: tuple[FormField, ...]
    draft: object
    events: tuple[ItemEntry, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class ErrorShown:
    """What the last attempt at a service ended with."""

    type: str
    message: str
    at: datetime
    attempt: int

    def sentence(self, zone: tzinfo) -> str:
        """In words, for people of this zone."""
        told = f"{self.type}: {self.message}" if self.message else self.type
        return f"{told} (attempt {self.attempt}, {self.at.astimezone(zone):%Y-%m-%d %H:%M})"


@dataclass(frozen=True, slots=True)
class Wait:
    """A call that an instance waits for: what, whom (a holder or a role; nobody for a timer), since when, due when.

    For a child that is its `instance`, with the reason why that stands still, if it is halted. `pause` is what keeps it from
    being done, or `suspension` where that is a child; `limits` are those by which the attempts at a service may have to wait
    for their turn.
    """

    call: int
    kind: str
    operation: str
    title: str
    state: str
    since: datetime
    due: datetime | None
    is_overdue: bool
    item: int | None = None
    role: str | None = None
    holder: str | None = None
    attempts: int | None = None
    attempts_allowed: int | None = None
    last_error: ErrorShown | None = None
    instance: str | None = None
    halt: str | None = None
    pause: PauseShown | None = None
    suspension: SuspensionShown | None = None
    limits: tuple[LimitShown, ...] = ()


@dataclass(frozen=True, slots=True)
class FrameShown:
    """One line of a business call stack. Columns count characters from 0; `source` is the line, empty where it is not known."""

    function: str
    module: str
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    source: str
    variables: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class BranchShown:
    """The business call stack of one branch that waits, outermost frame first, and the call it waits for."""

    branch: str
    frames: tuple[FrameShown, ...]
    call: int | None


@dataclass(frozen=True, slots=True)
class HaltShown:
    """Why an instance stands still, and what to do about it.

    Where a call has another input than its history, that is `recorded_input`, and what the source gives now `made_input`;
    both are cut around what differs.
    """

    code: str
    message: str
    at: datetime
    remedy: str
    branches: tuple[BranchShown, ...]
    traceback: str
    kept_waiting: int
    recorded_input: str | None = None
    made_input: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One fact of a history. `value` is the JSON that came with it; `actor` and `reason` are of the request that caused it."""

    seq: int
    at: datetime
    kind: str
    call: int | None
    operation: str | None
    performer: str | None
    actor: str | None
    reason: str | None
    text: str
    value: object


@dataclass(frozen=True, slots=True)
class InstanceDetail:
    """An instance: where it is, whom it waits for, and what came of it.

    `branches_from` says where the call stacks come from: "replay" (the process as it stands now), "record" (the places
    that were recorded when the calls were asked for; `note` says why), or "none" for an instance that has ended.
    `engine_note` says so where the engine that runs has not taken the source on disk; without `engine_runs` none does.
    """

    instance: InstanceSummary
    attributes: dict[str, object]
    input: object
    result: object
    failure: str | None
    halt: HaltShown | None
    waits: tuple[Wait, ...]
    branches: tuple[BranchShown, ...]
    branches_from: str
    note: str
    items: tuple[ItemSummary, ...]
    children: tuple[ChildShown, ...] = ()
    history: tuple[HistoryEntry, ...] = field(default=())
    engine_note: str = ""
    engine_runs: bool = False
    suspension: SuspensionShown | None = None


@dataclass(frozen=True, slots=True)
class InstanceList:
    """A page of instances, newest first; `more` says that there are older ones.

    `engine_note` says so where the engine that runs has not taken the source on disk. `pauses` are all those in force.
    """

    instances: tuple[InstanceSummary, ...]
    more: bool
    engine_note: str = ""
    pauses: tuple[PauseShown, ...] = ()


@dataclass(frozen=True, slots=True)
class Worklist:
    """A page of work items: those held first, then those offered, the longest waiting first."""

    performer: str | None
    items: tuple[ItemSummary, ...]
    more: bool

    @property
    def pauses(self) -> tuple[PauseShown, ...]:
        """The pauses that hold one of them."""
        return tuple(dict.fromkeys(item.pause for item in self.items if item.pause is not None))
