"""Brings messages to whoever waits for them: each waiting instance gets one, and where none waits the first to ask takes it.

What is on its way to an instance is promised to its receive and stands as a delivery; both go when the instance has it. A
receive that is withdrawn before gives its message back.
"""

import logging
from collections.abc import Iterable

from procession.engine.turn import Turn
from procession.kernel import CallRequested
from procession.language.messages import decode_wish, has_values
from procession.language.registry import Registry
from procession.store.batch import Batch
from procession.store.deliveries import DeliveryKind
from procession.store.instances import InstanceRow
from procession.store.messages import MessageRow, MessageState, NewMessage
from procession.store.receives import ReceiveRow

log = logging.getLogger("procession.engine")


def publish(turn: Turn, registry: Registry, new: NewMessage) -> None:
    """Store a message and have it delivered to each instance that waits for it."""
    row = turn.batch.messages.add(new, MessageState.KEPT)
    awaited = _offer(turn, registry, row)
    told = f"for {awaited}" if awaited else "kept, since nobody waits for it"
    turn.notice(new.published_us, new.sent_by, f"message {told_of(row)}: {told}")


def ask(turn: Turn, registry: Registry, row: InstanceRow, event: CallRequested, position: int) -> None:
    """An instance waits for a message from here on; the oldest that is kept and fits is on its way to it at once."""
    key, wanted = decode_wish(event.input)
    place = (row.id, event.call, position)
    receive = turn.batch.receives.add(place, event.operation, key, wanted=wanted, since_us=event.at_us)
    kept = turn.batch.messages.kept_for(
        event.operation, key, now_us=event.at_us, fits=lambda message: _fits(registry, receive, message.payload)
    )
    if kept is not None:
        _send(turn, kept, [receive])


def taken(turn: Turn, instance: int, call: int) -> None:
    """The call of a receive has ended: its instance has the message."""
    batch = turn.batch
    receive = batch.receives.find_open(instance, call)
    if receive is None:
        return
    batch.receives.remove(receive.id)
    if receive.message is None:
        return
    if batch.receives.awaiting(receive.message):
        batch.messages.count_taken(receive.message)
    else:
        batch.messages.remove(receive.message)


def drop(turn: Turn, registry: Registry, receive: ReceiveRow) -> None:
    """A receive is withdrawn; a message that was on its way to it is for the same instance still, else for others."""
    batch = turn.batch
    batch.receives.remove(receive.id)
    if receive.message is None:
        return
    message = batch.messages.get(receive.message)
    again = [each for each in waiting_for(turn.batch, registry, message) if each.instance == receive.instance]
    if again:
        _send(turn, message, again[:1])
    elif batch.receives.awaiting(message.id):
        pass
    elif message.taken:
        batch.messages.remove(message.id)
    else:
        _offer(turn, registry, batch.messages.mark(message.id, MessageState.KEPT))


def expire(turn: Turn, messages: Iterable[int], now_us: int) -> None:
    """Remove messages that nobody took in their time; the log keeps that there was one."""
    for number in messages:
        row = turn.batch.messages.find(number)
        if row is None or row.state != MessageState.KEPT or row.expires_us > now_us:
            continue
        turn.batch.messages.remove(number)
        log.warning("The message %s from %s expired: nobody took it.", told_of(row), row.sent_by)
        turn.notice(now_us, row.sent_by, f"message {told_of(row)}: expired, nobody took it")


def told_of(row: MessageRow) -> str:
    """A message in words."""
    return f"{row.type} with key {row.key}"


def _offer(turn: Turn, registry: Registry, row: MessageRow) -> int:
    """Send a kept message to each instance that waits for it; gives how many those are."""
    one_each = list(
        {receive.instance: receive for receive in reversed(waiting_for(turn.batch, registry, row))}.values()
    )
    if one_each:
        _send(turn, row, sorted(one_each, key=lambda receive: receive.id))
    return len(one_each)


def waiting_for(batch: Batch, registry: Registry, message: MessageRow | NewMessage) -> list[ReceiveRow]:
    """The receives that wait for a message and that nothing is on its way to, the oldest first."""
    found = batch.receives.waiting_for(message.type, message.key)
    return [each for each in found if _fits(registry, each, message.payload)]


def _fits(registry: Registry, receive: ReceiveRow, payload: bytes) -> bool:
    known = registry.messages.get(receive.type, ())
    return receive.wanted is None or has_values(known, payload, receive.wanted)


def _send(turn: Turn, row: MessageRow, receives: list[ReceiveRow]) -> None:
    if row.state != MessageState.ON_ITS_WAY:
        turn.batch.messages.mark(row.id, MessageState.ON_ITS_WAY)
    # A deadline that was due before it was published goes before it, also where an earlier one has just passed it on.
    sending = turn.caused_by(turn.cause.actor, at_us=max(turn.cause.at_us, row.published_us)).in_chain(row.chain)
    for receive in receives:
        turn.batch.receives.promise(receive.id, row.id)
        to = (receive.instance, receive.call)
        sending.deliver(DeliveryKind.MESSAGE, receive.instance, receive.requested_position, to=to)
