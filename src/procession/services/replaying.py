"""Whether running instances replay on the source that is on disk: those that do not will halt after the next restart."""

from collections.abc import Sequence
from dataclasses import dataclass

from procession.errors import ProcessionError
from procession.kernel import Divergence, Event, HaltInstance, Instance, InstanceState
from procession.language.failures import clean_text, message_of
from procession.language.registry import Registry
from procession.services.guarding import AtWork, close, events_to_replay, guarded
from procession.store import InstanceFilter, InstanceRow, Readers

MOST_REPLAYED = 200
MOST_EVENTS = 20_000
_MOST_CHOSEN_FROM = 2_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many of the running instances were replayed, and why which of them do not replay."""

    number: int
    running: int
    differences: tuple[tuple[InstanceRow, str], ...]


@dataclass(frozen=True, slots=True)
class ToReplay:
    """The running instances to be replayed, each with its history, of how many there are."""

    running: int
    chosen: tuple[tuple[InstanceRow, tuple[Event, ...]], ...]


def running_to_replay(readers: Readers, registry: Registry, present: int | None) -> ToReplay:
    """Those of other releases than the present one first, then the newest; not all of many."""
    with readers.snapshot() as view:
        running = view.counts().instances.get(InstanceState.RUNNING, 0)
        found = view.instances.list(InstanceFilter(states=(InstanceState.RUNNING,)), limit=_MOST_CHOSEN_FROM)
        chosen = _few_of(sorted(found, key=lambda row: row.release == present))
        return ToReplay(running, tuple((row, tuple(events_to_replay(view, row, registry))) for row in chosen))


def replay_running(readers: Readers, registry: Registry, present: int | None) -> Replayed:
    """Replay running instances where no engine runs in this Python."""
    candidates = running_to_replay(readers, registry, present)
    with guarded() as at_work:
        found = [(row, difference_of(registry, row, history, at_work)) for row, history in candidates.chosen]
    differences = tuple((row, difference) for row, difference in found if difference is not None)
    return Replayed(len(candidates.chosen), candidates.running, differences)


def _few_of(rows: Sequence[InstanceRow]) -> list[InstanceRow]:
    chosen: list[InstanceRow] = []
    events = 0
    for row in rows[:MOST_REPLAYED]:
        events += row.seq - row.renewed_seq
        if chosen and events > MOST_EVENTS:
            break
        chosen.append(row)
    return chosen


def difference_of(registry: Registry, row: InstanceRow, events: Sequence[Event], at_work: AtWork) -> str | None:
    """Why an instance would halt on this source; None where its history replays."""
    process = registry.find_process(row.process)
    if process is None or row.secret is None:
        return f"Its process {row.process} is not in the application any more."
    instance = Instance(process.program(row.secret), seed=row.secret)
    try:
        at_work(row.name, lambda: instance.replay(events))
        return None
    except (Divergence, HaltInstance) as fault:
        return clean_text(fault.message)
    except ProcessionError as error:
        return message_of(error)
    finally:
        close(instance, row.name, at_work)
