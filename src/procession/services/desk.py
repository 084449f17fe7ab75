"""The desk of an application: what every use case works with."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from procession.engine.contract import Accepted, Decision, Engine, Request, View
from procession.engine.limits import Limit
from procession.errors import PerformerError
from procession.language.registry import Registry
from procession.services.commands import Order
from procession.services.former_roles import with_former_roles
from procession.services.naming import find_instance
from procession.services.scheduling import Schedule
from procession.store.instances import InstanceRow
from procession.store.readers import Readers
from procession.work.performers import Organisation, Performer

Answer = dict[str, object]


class NoSuchInstance(PerformerError):
    """There is no instance of that name, UUID or business key in the store."""

    code = "no-such-instance"


@dataclass(frozen=True, slots=True)
class Desk:
    """An application with an engine at work, its people, and a way to read its store."""

    registry: Registry
    organisation: Organisation
    engine: Engine
    readers: Readers
    accept_clock: Callable[[], int]
    schedules: tuple[Schedule, ...] = ()
    limits: Mapping[str, Limit] = field(default_factory=dict)

    async def submit(
        self,
        order: Order,
        decide: Callable[[View], Decision],
        *,
        instance: int | None = None,
        passes_halt: bool = False,
        passes_suspension: bool = False,
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
                passes_suspension=passes_suspension,
            )
        )

    def get_performer(self, name: str) -> Performer:
        """The person of that name, with the roles under all the names they ever had. Raises `UnknownPerformer`."""
        performer = self.organisation.get_performer(name)
        return Performer(performer.name, with_former_roles(performer.roles, self.registry))

    def get_instance(self, reference: str) -> InstanceRow:
        """The instance of that name, UUID, or `process:business key`. Raises `NoSuchInstance`."""
        with self.readers.snapshot() as view:
            row = find_instance(view, reference, lambda: self.registry)
        if row is None:
            raise no_instance(reference)
        return row


def no_instance(reference: str) -> NoSuchInstance:
    """The refusal of what names no instance."""
    return NoSuchInstance(
        f"There is no instance {reference!r}.",
        subject=reference,
        remedy="Name it like leave-17, by its UUID, or as process:business key; `procession list` shows what there is.",
    )
