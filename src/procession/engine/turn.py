"""One request's turn in a batch."""

from dataclasses import dataclass, field, replace

from procession.engine.dispatcher import AttemptToRun
from procession.store.batch import Batch
from procession.store.deliveries import DeliveryKind, NewDelivery


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to an instance, in words, for whoever watches the engine."""

    at_us: int
    instance: str
    text: str
    halted: str | None = None
    """Why the instance halted, if it did."""
    alarms: bool = False
    """Whether it waits for a person now."""


@dataclass(slots=True)
class Effects:
    """What follows a commit: collected while a batch is decided, carried out once it is durable, dropped with it otherwise.

    `room` is how many more attempts may begin; `spent` are instances that are no longer run. Without `delivers`, what
    instances do to others is left to due work; `has_delivered` tells whether any of it was applied.
    """

    room: int = 0
    delivers: bool = True
    has_delivered: bool = False
    attempts: list[AttemptToRun] = field(default_factory=list)
    stopped: list[tuple[int, int]] = field(default_factory=list)
    spent: list[int] = field(default_factory=list)
    due_us: int | None = None
    notices: list[Notice] = field(default_factory=list)

    def expect(self, due_us: int) -> None:
        """Something is due then."""
        if self.due_us is None or due_us < self.due_us:
            self.due_us = due_us


@dataclass(frozen=True, slots=True)
class Cause:
    """Why things change: the number of the request that brought it, who gave it, and why.

    Timers that are due by `at_us` go before what an instance does to another for this cause. `chain` is that of the
    delivery that is being applied.
    """

    request: int | None
    actor: str
    reason: str | None = None
    at_us: int = 0
    chain: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a request may change (the batch's rows), what will follow it, and who is behind it."""

    batch: Batch
    effects: Effects
    cause: Cause

    def caused_by(self, actor: str, *, at_us: int | None = None) -> "Turn":
        """The same turn, for what a part of the engine does in it, or another instance."""
        at_us = self.cause.at_us if at_us is None else at_us
        return replace(self, cause=Cause(None, actor, at_us=at_us, chain=self.cause.chain))

    def in_chain(self, chain: int) -> "Turn":
        """The same turn, so far after what came from outside."""
        return replace(self, cause=replace(self.cause, chain=chain))

    def deliver(self, kind: DeliveryKind, origin: int, position: int, *, to: tuple[int | None, int | None]) -> None:
        """Note what an instance does to another, a target or the child of a call; `position` is the event that does it."""
        target, call = to
        self.batch.deliveries.add(NewDelivery(kind, origin, target, call, position, self.cause.at_us, self.cause.chain))

    def notice(self, at_us: int, instance: str, text: str, *, halted: str | None = None, alarms: bool = False) -> None:
        """Tell watchers, once it is durable."""
        self.effects.notices.append(Notice(at_us, instance, text, halted, alarms))
