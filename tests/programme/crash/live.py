"""What an instance is, as one text; and whether replay of a history gives the same as living through it.

I5 is looked at from both sides: the engine's own live instances against the store after each commit, and a twin that
applies the stored events one by one against a replay of every prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from procession.engine.embedded import EmbeddedEngine
from procession.kernel import Event, Instance, InstanceHalted, InstanceState, is_recorded
from procession.kernel.history import kept_facts
from procession.language.registry import Registry
from procession.store.event_rows import decode_event
from procession.store.instances import InstanceRow

_ADDRESS = re.compile(r"0x[0-9a-f]+")


def picture_of(instance: Instance) -> str:
    """Everything of an instance that can be seen: state, time, open calls, and each branch with its variables."""
    lines = [f"{instance.state} at {instance.now_us}, next call {instance.next_call}"]
    lines += [repr(call) for call in instance.open_calls.values()]
    for branch in instance.branches():
        lines.append(f"branch {branch.branch} waits for {branch.waits_for}")
        for frame in branch.frames:
            # Addresses differ from object to object; the frame's names and values do not.
            lines.append(f"  {frame.frame} {_ADDRESS.sub('', repr(dict(frame.variables)))}")
    return "\n".join(lines)


def compare_live(engine: EmbeddedEngine, registry: Registry) -> Iterator[str]:
    """How the engine's live instances differ from what a replay of the store gives."""
    with engine.store.readers.snapshot() as view:
        for number, live in list(engine._live._instances.items()):
            row = view.instances.find(number)
            if row is None or row.state in (InstanceState.HALTED, InstanceState.CANCELLED):
                continue  # it is spent, and evicted when the batch is answered
            events = [decode_event(event) for event in view.history(number)]
            difference = _difference(picture_of(live), _replayed(registry, row, events))
            if difference:
                yield f"the live {row.name} is not what its history says: {difference}"


def differs_from_replay(registry: Registry, row: InstanceRow, events: Sequence[Event]) -> str | None:
    """How replay of some prefix of a history differs from living through it event by event; None where it never does."""
    kept = kept_facts(events)
    twin = _fresh(registry, row)
    place = 0
    try:
        while place < len(events):
            event, end = events[place], _end_of_step(events, place)
            if isinstance(event, InstanceHalted):
                twin.close()
                twin = _fresh(registry, row)
                twin.replay(events[:end])
            elif place not in kept:
                outcome = twin.advance(event)
                if outcome.halt is not None:
                    return f"event {place + 1} halts it now: {outcome.halt.message}"
                if len(outcome.commands) != end - place - 1:
                    return f"event {place + 1} now has {len(outcome.commands)} commands, and had {end - place - 1}"
            difference = (
                None if place in kept else _difference(picture_of(twin), _replayed(registry, row, events[:end]))
            )
            if difference:
                return f"after event {end}: {difference}"
            place = end
    finally:
        twin.close()
    return None


def _end_of_step(events: Sequence[Event], place: int) -> int:
    end = place + 1
    while end < len(events) and is_recorded(events[end]):
        end += 1
    return end


def _fresh(registry: Registry, row: InstanceRow) -> Instance:
    assert row.secret is not None
    return Instance(registry.processes[row.process].program(row.secret), seed=row.secret)


def _replayed(registry: Registry, row: InstanceRow, events: Sequence[Event]) -> str:
    instance = _fresh(registry, row)
    try:
        instance.replay(events)
        return picture_of(instance)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        instance.close()


def _difference(live: str, replayed: str) -> str | None:
    if live == replayed:
        return None
    pairs = zip([*live.splitlines(), ""], [*replayed.splitlines(), ""], strict=False)
    return next((f"live {mine!r}, replay {other!r}" for mine, other in pairs if mine != other), "one is longer")
