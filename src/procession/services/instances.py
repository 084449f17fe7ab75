"""Starting an instance: the same start twice gives the same instance."""

from collections.abc import Callable
from uuid import UUID

from procession.engine.contract import Decision, NewInstance, View
from procession.errors import PerformerError
from procession.language.filling_in import parsed
from procession.language.names import normal_name
from procession.language.process import Process, input_digest
from procession.services.commands import Order, StartInstance
from procession.services.desk import Answer, Desk
from procession.services.naming import get_process
from procession.services.scopes import require_process
from procession.store.instances import InstanceRow


class KeyTaken(PerformerError):
    """Another instance of the process has that business key, with another input."""

    code = "key-taken"


async def start(desk: Desk, order: Order, command: StartInstance) -> Answer:
    """Start a process. With a business key that an open instance has, the same input gives that instance, another is refused."""
    process = get_process(desk.registry, command.process)
    values = parsed(process.inputs, command.input, whole="input", subject=process.name)
    encoded = process.inputs.encode_values(values)
    key = normal_name(command.key, what="business key") if command.key is not None else process.key_for(values)
    new = NewInstance(process, encoded, process.title_for(values), order.actor, key)
    accepted = await desk.submit(order, starting(new))
    row = accepted.instance
    assert row is not None
    return {
        "instance": row.name,
        "uuid": str(UUID(bytes=row.uuid)),
        "title": row.title,
        "state": row.state,
        "repeated": accepted.repeated or bool(accepted.outcome.get("repeated")),
        "halted": accepted.halted,
    }


def starting(new: NewInstance) -> Callable[[View], Decision]:
    """The decision to start an instance; where an open one has its business key and the same input, that one is it.

    It refuses with `KeyTaken`, or `IsPaused`.
    """
    process, key, encoded = new.process, new.business_key, new.input

    def decide(view: View) -> Decision:
        holder = _holder(view, process, key) if key is not None else None
        if holder is None:
            require_process(view, process)
            return Decision(start=new)
        if holder.secret is not None and input_digest(holder.secret, encoded) == holder.input_digest:
            return Decision(outcome={"repeated": True}, about=holder.id)
        raise KeyTaken(
            f"{holder.name} has the business key {key!r} already, with another input.",
            subject=key or "",
            remedy=f"See `procession show {holder.name}`; or give this one another key.",
        )

    return decide


def _holder(view: View, process: Process[..., object], key: str) -> InstanceRow | None:
    """The instance that has this business key, started under the process's present name or a former one."""
    found = (view.open_instance(name, key) for name in (process.name, *process.was))
    return next((row for row in found if row is not None), None)
