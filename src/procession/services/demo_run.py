"""Runs scripted cases through the real engine in virtual time, and checks afterwards that the store holds just that."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from procession.engine.clock import VirtualClock
from procession.errors import InternalError
from procession.services.application import Application
from procession.services.commands import CompleteItem, Order, StartInstance
from procession.services.demo_cases import PROCESS, CaseScript, ScriptedStep
from procession.services.hosting import Host, Hosting, open_host
from procession.store import LogEntry, Readers, View

MOST_IN_FLIGHT = 64
_PAGE = 5_000
REASON = "demo"

Done = tuple[str, int, str | None]
"""What is compared: activity, time, performer."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the store holds against what was done: completions, those that are missing and those that are there twice.

    `exact_cases` are the cases whose history gives back order, times and performers exactly; `lead_times_us` those of
    the cases that have ended; `open_instance` is the last started one that has not.
    """

    completions: int
    lost: int
    doubled: int
    open_cases: int
    exact_cases: frozenset[str]
    lead_times_us: tuple[int, ...]
    open_instance: str | None


class _Case:
    """A case under way: the name of its instance once it was started, and its row's number once that was looked up."""

    def __init__(self, script: CaseScript) -> None:
        self.script = script
        self.name = ""
        self.instance: int | None = None


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
        actions = _in_order_of_time(under_way)
        total = len(actions)
        while actions:
            window = _next_window(host.office.readers, actions)
            # They are begun in this order, each at its own time, before the engine's writer gets a turn: one commit.
            await asyncio.gather(*(_act(host, clock, action, item) for action, item in window))
            progress(total - len(actions))
        return _checked(host.office.readers, under_way)


def count_actions(cases: Sequence[CaseScript]) -> int:
    """How many requests these cases are."""
    return sum(1 + len(case.steps) for case in cases)


def _in_order_of_time(cases: Sequence[_Case]) -> deque[_Action]:
    actions: list[_Action] = []
    for case in cases:
        actions.append(_Action(case.script.started_us, case, None))
        actions.extend(_Action(step.at_us, case, step) for step in case.script.steps)
    # Stable: within a case its own order.
    return deque(sorted(actions, key=lambda action: (action.at_us, action.step is not None)))


def _next_window(readers: Readers, actions: deque[_Action]) -> list[tuple[_Action, int]]:
    """Takes the next actions that do not wait for one another, each with its work item (0 for a start).

    What an action needs must be in the store before the first of them: its item is looked up there.
    """
    window: list[tuple[_Action, int]] = []
    with readers.snapshot() as view:
        while actions and len(window) < MOST_IN_FLIGHT:
            action = actions[0]
            item = 0 if action.step is None else _find_item(view, action.case, action.step)
            if item is None:
                break
            window.append((actions.popleft(), item))
    if not window:
        action = actions[0]
        raise InternalError(f"{action.case.name} does not offer {action.step}.", subject=action.case.name)
    return window


def _find_item(view: View, case: _Case, step: ScriptedStep) -> int | None:
    if case.instance is None:
        row = view.instances.find_named(case.name) if case.name else None
        case.instance = row.id if row is not None else None
    if case.instance is None:
        return None
    return next((item.id for item in view.worklist.of_instance(case.instance) if item.call == step.call), None)


async def _act(host: Host, clock: VirtualClock, action: _Action, item: int) -> None:
    clock.advance_to(action.at_us)
    step, script = action.step, action.case.script
    if step is not None:
        await host.office.perform(Order(CompleteItem(item, step.answer), step.performer, REASON))
        return
    answer = await host.office.perform(Order(StartInstance(PROCESS, script.input), script.initiator, REASON))
    action.case.name = str(answer["instance"])


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
        rows = [row for case in cases if (row := view.instances.find_named(case.name)) is not None]
    lead_times = tuple(row.ended_us - row.started_us for row in rows if row.ended_us is not None)
    still_open = [row for row in rows if row.ended_us is None]
    last = max(still_open, key=lambda row: row.started_us).name if still_open else None
    return Ledger(completions, lost, doubled, len(still_open), frozenset(exact), lead_times, last)


def _entries(readers: Readers) -> Iterator[LogEntry]:
    after = 0
    while True:
        with readers.snapshot() as view:
            page = view.log.completed(after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].position
