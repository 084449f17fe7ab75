"""Adding to a named group of an instance from outside, or closing it: checked before the instance sees it."""

from typing import Any

from procession.engine.contract import Decision, InstanceHasEnded, View
from procession.errors import PerformerError
from procession.kernel import CallCompleted, Divergence, HaltInstance
from procession.language.boxes import BOX, adding, box_codec, closing
from procession.language.codec import ValueCodec
from procession.language.filling_in import parsed
from procession.language.names import normal_name
from procession.language.registry import Registry
from procession.services.commands import AddToGroup, CloseGroup, Order
from procession.services.desk import Answer, Desk
from procession.services.guarding import events_to_replay, replayed
from procession.store import InstanceRow
from procession.store import View as StoreView


class NoSuchGroup(PerformerError):
    """The instance has no open group of that name that takes items from outside."""

    code = "no-such-group"


async def change(desk: Desk, order: Order, command: AddToGroup | CloseGroup) -> Answer:
    """Add an item, or say that no more will come. Raises `NoSuchGroup`, or `InvalidValue` for an item that does not fit."""
    row = desk.get_instance(command.instance)
    name = normal_name(command.group, what="group")
    value = closing()
    if isinstance(command, AddToGroup):
        with desk.readers.snapshot() as reading:
            codec = codec_of_group(reading, desk.registry, row, name)
        value = adding(codec.encode(parsed(codec, command.input, whole="input", subject=name)))

    def decide(view: View) -> Decision:
        boxes = {each.key: each.call for each in view.receives(row.id) if each.type == BOX}
        if name not in boxes:
            raise _no_group(row, name, sorted(boxes))
        return Decision(events=(CallCompleted(view.now_us, boxes[name], value, order.actor),))

    accepted = await desk.submit(order, decide, instance=row.id)
    assert accepted.instance is not None
    return {
        "instance": accepted.instance.name,
        "group": name,
        "state": accepted.instance.state,
        "halted": accepted.halted,
    }


def codec_of_group(view: StoreView, registry: Registry, row: InstanceRow, name: str) -> ValueCodec[Any]:
    """How items of a group cross: by a replay in memory, of which nothing stays. Raises `NoSuchGroup`, `InstanceHasEnded`."""
    if row.ended_us is not None:
        raise InstanceHasEnded.of(row)
    open_ones = sorted(each.key for each in view.waits(row.id).receives if each.type == BOX)
    process = registry.find_process(row.process)
    if name not in open_ones or process is None or row.secret is None:
        raise _no_group(row, name, open_ones)
    history = events_to_replay(view, row, registry)
    try:
        with replayed(process.program(row.secret), row.secret, history, name=row.name) as (copy, _):
            found = box_codec(copy, name)
    except (Divergence, HaltInstance) as fault:
        raise NoSuchGroup(
            f"{row.name} cannot be replayed here: {fault}", subject=row.name, remedy="`procession doctor` says more."
        ) from fault
    if found is None:
        raise _no_group(row, name, open_ones)
    return found


def _no_group(row: InstanceRow, name: str, known: list[str]) -> NoSuchGroup:
    told = ", ".join(known) or "none"
    return NoSuchGroup(
        f"{row.name} has no open group {name!r} that takes items from outside.",
        subject=name,
        remedy=f"It has: {told}. A group listens where it has name=…, growing=True, and a body that names the type of its item.",
    )
