"""The office: an application with an engine at work. It takes orders, one use case each, and answers in JSON-able terms."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import assert_never

from procession.engine.contract import Accepted, Decision, Engine, Request, View
from procession.errors import PerformerError
from procession.language.registry import Registry
from procession.services.commands import (
    AcceptClock,
    CancelInstance,
    ClaimItem,
    CompleteCall,
    CompleteItem,
    FailCall,
    Order,
    PutBackItem,
    RetryCall,
    RetryInstance,
    SaveDraft,
    StartInstance,
    StartItem,
    WithdrawItem,
)
from procession.store.instances import InstanceRow
from procession.store.readers import Readers
from procession.work.performers import Organisation

Answer = dict[str, object]


class NoSuchInstance(PerformerError):
    """There is no instance of that name, UUID or business key in the store."""

    code = "no-such-instance"


class NoActor(PerformerError):
    """A command came without the name of whoever gives it."""

    code = "no-actor"


@dataclass(frozen=True, slots=True)
class Office:
    """What every use case works with."""

    registry: Registry
    organisation: Organisation
    engine: Engine
    readers: Readers
    accept_clock: Callable[[], None]

    async def perform(self, order: Order) -> Answer:
        """Do what is ordered. Raises the refusal, a `ProcessionError` that says what to do."""
        from procession.services import instances, repairs, worklist

        if not order.actor.strip():
            raise NoActor("The command names nobody who gives it.", remedy="Name a person or a program with --as.")
        match order.command:
            case StartInstance():
                return await instances.start(self, order, order.command)
            case ClaimItem() | StartItem() | SaveDraft() | PutBackItem():
                return await worklist.change(self, order, order.command)
            case CompleteItem():
                return await worklist.complete(self, order, order.command)
            case WithdrawItem():
                return await worklist.withdraw(self, order, order.command)
            case RetryInstance() | RetryCall() | CompleteCall() | FailCall() | CancelInstance():
                return await repairs.repair(self, order, order.command)
            case AcceptClock():
                self.accept_clock()
                return {"accepted": True}
            case _:
                assert_never(order.command)

    async def submit(
        self,
        order: Order,
        decide: Callable[[View], Decision],
        *,
        instance: int | None = None,
        passes_halt: bool = False,
    ) -> Accepted:
        """Hand a decision to the engine as the request that this order is."""
        kind = type(order.command).__name__
        content = json.dumps([kind, asdict(order.command)], sort_keys=True).encode()
        return await self.engine.submit(
            Request(
                kind=kind,
                actor=order.actor,
                decide=decide,
                instance=instance,
                reason=order.reason,
                client_id=order.client_id,
                input_digest=hashlib.sha256(content).digest()[:16],
                passes_halt=passes_halt,
            )
        )

    def get_instance(self, reference: str) -> InstanceRow:
        """The instance of that name, UUID, or `process:business key`. Raises `NoSuchInstance`."""
        with self.readers.snapshot() as view:
            row = view.instances.find_named(reference)
        if row is None:
            raise NoSuchInstance(
                f"There is no instance {reference!r}.",
                subject=reference,
                remedy="Name it like leave-17, by its UUID, or as process:business key; `procession list` shows what there is.",
            )
        return row
