"""Runs scripted cases through the real engine in virtual time, and checks afterwards that the store holds just that."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from procession.engine.clock import VirtualClock
from procession.errors import InternalError
from procession.services.application import Application
from procession.services.commands import CompleteItem, Order, StartInstance
from procession.services.demo_cases import CaseScript, ScriptedStep
from procession.services.hosting import Host, Hosting, open_host
from procession.store import LogEntry, Readers

MOST_IN_FLIGHT = 64
_PAGE = 5_000
REASON = "demo"

Done = tuple[str, int, str | None]
"""What is compared: activity, time, performer."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the store holds against what was done: completions, those that are missing and those that are there twice.

    `exact_cases` are the cases whose history gives back order, times and performers exactly; `lead_times_us` those of
    the cases that have ended.
    """

    completions: int
    lost: int
    doubled: int
    open_cases: int
    exact_cases: frozenset[str]
    lead_times_us: tuple[int, ...]


class _Case:
    """A case under way."""

    def __init__(self, script: CaseScript) -> None:
        self.script = script
        self.name = ""
        self.instance = 0
        self.last: asyncio.Task[None] | None = None


async def run_cases(application: Application, cases: Sequence[CaseScript], progress: Callable[[int], None]) -> Ledger:
    """Start and complete everything in the order of its time. Each step is a durable request of its own, at its own time."""
    clock = VirtualClock(min(case.started_us for case in cases))
    async with open_host(application, Hosting(clock=clock)) as host:
        under_way = [_Case(case) for case in cases]
        flights: set[asyncio.Task[None]] = set()
        for done, (at_us, case, step) in enumerate(_in_order_of_time(under_way), start=1):
            if case.last is not None:
                await case.last
            while len(flights) >= MOST_IN_FLIGHT:
                _, flights = await asyncio.wait(flights, return_when=asyncio.FIRST_COMPLETED)
            clock.advance_to(at_us)
            work = _start(host, case) if step is None else _complete(host, case, step)
            case.last = asyncio.get_running_loop().create_task(work)
            flights.add(case.last)
            await asyncio.sleep(0)  # the request is taken in now, at this time of the clock
            progress(done)
        await asyncio.gather(*(case.last for case in under_way if case.last is not None))
        return _checked(host.office.readers, under_way)


def count_actions(cases: Sequence[CaseScript]) -> int:
    """How many requests these cases are."""
    return sum(1 + len(case.steps) for case in cases)


def _in_order_of_time(cases: Sequence[_Case]) -> Iterator[tuple[int, _Case, ScriptedStep | None]]:
    actions: list[tuple[int, int, _Case, ScriptedStep | None]] = []
    for case in cases:
        actions.append((case.script.started_us, 0, case, None))
        actions.extend((step.at_us, place, case, step) for place, step in enumerate(case.script.steps, start=1))
    actions.sort(key=lambda action: (action[0], action[1] > 0))  # stable: within a case its own order
    return ((at_us, case, step) for at_us, _, case, step in actions)


async def _start(host: Host, case: _Case) -> None:
    script = case.script
    order = Order(StartInstance("receive_application", script.input), script.initiator, REASON)
    answer = await host.office.perform(order)
    case.name = str(answer["instance"])
    case.instance = host.office.get_instance(case.name).id


async def _complete(host: Host, case: _Case, step: ScriptedStep) -> None:
    with host.office.readers.snapshot() as view:
        items = view.worklist.of_instance(case.instance)
    item = next((item for item in items if item.call == step.call), None)
    if item is None:
        raise InternalError(
            f"{case.name} offers no work item for call {step.call} ({step.activity}).", subject=case.name
        )
    await host.office.perform(Order(CompleteItem(item.id, step.answer), step.performer, REASON))


def _checked(readers: Readers, cases: Sequence[_Case]) -> Ledger:
    found: defaultdict[str, list[Done]] = defaultdict(list)
    completions = 0
    for entry in _entries(readers):
        completions += 1
        found[entry.instance].append((entry.title, entry.completed_us, entry.performer))
    lost = doubled = 0
    exact = set()
    for case in cases:
        expected: list[Done] = [(step.activity, step.at_us, step.performer) for step in case.script.steps]
        present = found[case.name]
        lost += (Counter(expected) - Counter(present)).total()
        doubled += (Counter(present) - Counter(expected)).total()
        if present == expected:
            exact.add(case.script.case)
    with readers.snapshot() as view:
        rows = [row for case in cases if (row := view.instances.find(case.instance)) is not None]
    lead_times = tuple(row.ended_us - row.started_us for row in rows if row.ended_us is not None)
    return Ledger(completions, lost, doubled, len(rows) - len(lead_times), frozenset(exact), lead_times)


def _entries(readers: Readers) -> Iterator[LogEntry]:
    after = 0
    while True:
        with readers.snapshot() as view:
            page = view.log.completed(after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].position
