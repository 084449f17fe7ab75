"""The contract between use cases and any engine: a request in, a decision inside the transaction, an answer after the commit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from procession.engine.releases import Release
from procession.errors import OperatorError, PerformerError
from procession.kernel import Event
from procession.language.process import Process
from procession.store.deliveries import DeliveryRow
from procession.store.external_calls import ExternalCallRow
from procession.store.instances import InstanceRow
from procession.store.messages import MessageRow, NewMessage
from procession.store.receives import ReceiveRow
from procession.store.service_calls import ServiceCallRow
from procession.store.timers import TimerRow
from procession.store.worklist import WorkItemRow
from procession.work.worklist import ItemChange


class InstanceIsHalted(PerformerError):
    """The instance stands still because of a fault; the answer is kept as a draft where there is one."""

    code = "instance-halted"


class InstanceHasEnded(PerformerError):
    """The instance has ended; nothing can be done to it any more."""

    code = "instance-ended"

    @classmethod
    def of(cls, row: InstanceRow) -> "InstanceHasEnded":
        """The refusal of what is wanted of this instance."""
        return cls(f"{row.name} is already {row.state}.", subject=row.name, remedy="Nothing was changed.")


class EngineStopped(OperatorError):
    """The engine is shutting down, or gave up on its store; the request was not accepted and changed nothing."""

    code = "engine-stopped"


class View(Protocol):
    """What a decision may read: the state as it is inside the writer's transaction, at the time of the request."""

    now_us: int

    def instance(self, instance: int) -> InstanceRow | None: ...
    def open_instance(self, process: str, key: str) -> InstanceRow | None: ...
    def item(self, item: int) -> WorkItemRow | None: ...
    def item_of_call(self, instance: int, call: int) -> WorkItemRow | None: ...
    def service_call(self, instance: int, call: int) -> ServiceCallRow | None: ...
    def service_calls(self, instance: int) -> list[ServiceCallRow]: ...
    def due_service_calls(self, *, limit: int, without: frozenset[str] = frozenset()) -> list[ServiceCallRow]: ...
    def running_service_calls(self) -> list[ServiceCallRow]: ...
    def deliveries(self, *, after: int, limit: int) -> list[DeliveryRow]: ...
    def receives(self, instance: int) -> list[ReceiveRow]: ...
    def external_call(self, instance: int, call: int) -> ExternalCallRow | None: ...
    def offered_externals(self, operation: str, *, limit: int) -> list[ExternalCallRow]: ...
    def awaiting_message(self, message: NewMessage) -> int: ...
    def expired_messages(self, *, limit: int) -> list[MessageRow]: ...
    def has_deliveries(self, instance: int) -> bool: ...
    def instances_with_due_timers(self, *, limit: int, wanted: Callable[[int], bool]) -> list[int]: ...
    def timer(self, instance: int, call: int) -> TimerRow | None: ...
    def kept(self, key: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance that a decision starts; `input` is encoded. A child has a parent, and is that one's call."""

    process: Process[..., object]
    input: bytes
    title: str
    initiator: str
    business_key: str | None = None
    parent: int | None = None
    parent_call: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What becomes of one service call that is still open: it runs, is due again, or needs attention."""

    row: ServiceCallRow


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request does. `events` go into the history of the request's instance and advance it.

    `outcome` is recorded with the request; `about` names the instance the answer is about where it is not the request's;
    `fires` names instances whose due timers are to be applied, `delivers` what they do to others; `keeps` is what the store
    keeps about itself, by name, and no longer where it is None.
    `externals` are calls of outside systems as they are from here on; `publishes` is a message from outside,
    `expires` names messages whose time is over.
    `release` is a source to be kept; its number is in the answer's outcome. `forgets` names requests whose client's
    identifier is no longer kept. `stops_timers` goes with a suspension. `settles` is a call of the instance in `about`:
    a person has seen to what it did not undo.
    """

    outcome: Mapping[str, object] = field(default_factory=dict)
    about: int | None = None
    start: NewInstance | None = None
    events: tuple[Event, ...] = ()
    items: tuple[ItemChange, ...] = ()
    services: tuple[ServiceChange, ...] = ()
    fires: tuple[int, ...] = ()
    delivers: tuple[int, ...] = ()
    keeps: Mapping[str, str | None] = field(default_factory=dict)
    stops_timers: bool = False
    externals: tuple[ExternalCallRow, ...] = ()
    publishes: NewMessage | None = None
    expires: tuple[int, ...] = ()
    release: Release | None = None
    forgets: tuple[int, ...] = ()
    settles: int | None = None


@dataclass(slots=True)
class Request:
    """Something a person, a program, a timer or a service result asks of the engine.

    `decide` is pure: it reads the view and returns a decision, or raises a refusal, after which nothing has changed.
    A request with `recorded` becomes a row (who, when, why, what came of it): those of persons and outside programs do.
    """

    kind: str
    actor: str
    decide: Callable[[View], Decision]
    instance: int | None = None
    reason: str | None = None
    client_id: str | None = None
    input_digest: bytes = b""
    recorded: bool = True
    passes_halt: bool = False
    passes_suspension: bool = False
    at_us: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of a request: `outcome` is what the decision said; `halted` says why the instance stands still after it.

    `instance` and `items` are what the request was about, as they are after it; `halts` are all instances that halted by it,
    each with why.
    """

    number: int | None
    outcome: Mapping[str, object]
    instance: InstanceRow | None
    halted: str | None = None
    items: tuple[WorkItemRow, ...] = ()
    repeated: bool = False
    halts: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """What every host offers: embedded, on Temporal, or simulated."""

    async def submit(self, request: Request) -> Accepted:
        """Have a request decided and made durable. Raises the decision's refusal, or `EngineStopped`."""
        ...
