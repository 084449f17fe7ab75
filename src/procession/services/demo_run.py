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


@dataclass(frozen=True, slots=True)
class _Action:
    """A case is started (no step), or a step of it is done."""

    at_us: int
    case: _Case
    step: ScriptedStep | None


async def run_cases(application: Application, cases: Sequence[CaseScript], progress: Callable[[int], None]) -> Ledger:
    """Start and complete everything in the order of its time. Each step is a durable request of its own, at its own time."""
    clock = VirtualClock(min(case.started_us for case in cases))
    async with open_host(application, Hosting(clock=clock)) as host:
        under_way = [_Case(case) for case in cases]
        done = 0
        for window in _windows(_in_order_of_time(under_way)):
            # They are begun in this order, each at its own time, before the engine's writer gets a turn: one commit.
            await asyncio.gather(*(_act(host, clock, action) for action in window))
            done += len(window)
            progress(done)
        return _checked(host.office.readers, under_way)


def count_actions(cases: Sequence[CaseScript]) -> int:
    """How many requests these cases are."""
    return sum(1 + len(case.steps) for case in cases)


def _in_order_of_time(cases: Sequence[_Case]) -> list[_Action]:
    actions: list[_Action] = []
    for case in cases:
        actions.append(_Action(case.script.started_us, case, None))
        actions.extend(_Action(step.at_us, case, step) for step in case.script.steps)
    actions.sort(key=lambda action: (action.at_us, action.step is not None))  # stable: within a case its own order
    return actions


def _windows(actions: Sequence[_Action]) -> Iterator[list[_Action]]:
    """Actions in a row that do not wait for each other: of different cases."""
    window: list[_Action] = []
    cases: set[int] = set()
    for action in actions:
        if id(action.case) in cases or len(window) == MOST_IN_FLIGHT:
            yield window
            window, cases = [], set()
        window.append(action)
        cases.add(id(action.case))
    if window:
        yield window


async def _act(host: Host, clock: VirtualClock, action: _Action) -> None:
    clock.advance_to(action.at_us)
    if action.step is None:
        await _start(host, action.case)
    else:
        await _complete(host, action.case, action.step)


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
