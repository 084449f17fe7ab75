"""Random trees of processes with random ends: law 43 as a property.

Each tree lives twice through the same days: once where all that one instance does to another is applied in the transaction that
causes it, once where each of it is due work and engines crash in between. Both must write the same histories, and those must say
of every child what has become of it. After every step the store is sound and every history replays.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from procession import Function, ProcessFailed, after, deadline, process
from procession.errors import OperationFailed, PerformerError, Withdrawn
from procession.kernel import (
    CallCompleted,
    CallFailed,
    CallKind,
    CallRequested,
    CallStarted,
    CallWithdrawn,
    ChildEnded,
    Event,
    InstanceCancelled,
    InstanceCompleted,
    InstanceFailed,
)
from procession.services.commands import (
    CancelInstance,
    Command,
    CompleteItem,
    FailCall,
    ResumeInstance,
    SuspendInstance,
    WithdrawItem,
)
from procession.store import InstanceRow, WorkItemRow
from tests.conformance.subject import SUBJECTS
from tests.conformance.world import ENDED, Host, World


class Refused(ProcessFailed):
    pass


@dataclass(frozen=True)
class Step:
    kind: str
    name: str
    below: Node | None = None


@dataclass(frozen=True)
class Node:
    steps: tuple[Step, ...]


team = Function("Team", owner="ann@acme.example")


@team.task()
async def work(what: str) -> str: ...


async def outcome(of: Awaitable[list[str]]) -> str:
    try:
        return ", ".join(await of)
    except Withdrawn as error:
        return f"withdrawn ({error.message})"
    except OperationFailed as error:
        return f"failed ({error.message})"


@process(owner=team)
async def node(plan: Node) -> list[str]:
    told: list[str] = []
    calls = []
    for step in plan.steps:
        below = step.below or Node(())
        match step.kind:
            case "work":
                told.append(await work(step.name))
            case "child":
                told.append(await outcome(node(below)))
            case "side":
                calls.append(node.request(below))
            case "take back" if calls:
                calls.pop().withdraw("not needed")
            case "hurry":
                try:
                    async with deadline("1 day"):
                        told.append(await outcome(node(below)))
                except TimeoutError:
                    told.append("late")
            case "start":
                told.append(await node.start(below))
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(node(below))
                    group.create_task(work(step.name))
            case "clean":
                try:
                    await work(step.name)
                finally:
                    told.append(await work(f"{step.name} after all"))
            case "nap":
                await after("12 hours")
            case "finish":
                await node.finish([*told, "finished"])
            case "refuse":
                raise Refused(step.name)
            case _:
                pass
    told += [await outcome(call) for call in calls]
    return told


LEAVES = st.sampled_from(["work", "clean", "nap", "work", "refuse", "take back", "finish"])
INNER = st.sampled_from(["child", "side", "hurry", "start", "group"])


def steps_of(below: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    step = st.builds(Step, LEAVES, st.just("")) | st.builds(Step, INNER, st.just(""), below)
    return st.builds(Node, st.lists(step, max_size=4).map(tuple))


TREES = st.recursive(steps_of(st.just(Node(()))), steps_of, max_leaves=6)
MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["complete"] * 6
            + ["cancel", "cancel", "force", "fail", "withdraw", "day", "crash", "suspend", "stop", "resume"]
        ),
        st.integers(0, 20),
    ),
    max_size=14,
)


TO_INSTANCES: dict[str, Callable[[str], Command]] = {
    "cancel": lambda name: CancelInstance(name, force=False),
    "force": lambda name: CancelInstance(name, force=True),
    "suspend": lambda name: SuspendInstance(name, "run"),
    "stop": lambda name: SuspendInstance(name, "stop"),
    "resume": lambda name: ResumeInstance(name),
}


class Days:
    """One world in which a tree lives; the n-th open item or instance is the same in the other."""

    def __init__(self, world: World, *, in_step: bool) -> None:
        self.world = world
        self.in_step = in_step

    async def move(self, kind: str, number: int) -> None:
        items, instances = self.items(), [row for row in self.rows() if row.ended_us is None]
        try:
            if kind == "day":
                self.world.skip("1 day")
            elif kind in TO_INSTANCES and instances:
                name = instances[number % len(instances)].name
                await self.world.give(TO_INSTANCES[kind](name), reason=f"{kind} {number}")
            elif kind not in (*TO_INSTANCES, "crash") and items:
                await self.settle_item(kind, items[number % len(items)])
        except PerformerError as refusal:
            note(f"refused: {refusal}")
        if kind == "crash" or not self.in_step:  # what is still to be done to others is in the store alone
            await self.world.close(at_once=True)
            await self.world.restart()
        await self.world.running.apply_due()

    async def end(self) -> None:
        """All that stands still goes on, and every item is completed."""
        for _ in range(100):
            still = [row.name for row in self.rows() if row.state == "suspended"]
            if still:
                await self.world.give(ResumeInstance(still[0]))
                await self.world.running.apply_due()
            elif self.items():
                await self.move("complete", 0)
            elif any(row.ended_us is None for row in self.rows()):
                await self.move("day", 0)
            else:
                return

    async def settle_item(self, kind: str, item: WorkItemRow) -> None:
        match kind:
            case "withdraw":
                await self.world.give(WithdrawItem(item.id), reason="not needed")
            case "fail":
                name = next(row.name for row in self.rows() if row.id == item.instance)
                await self.world.give(FailCall(name, item.call, "nobody can"))
            case _:
                await self.world.give(CompleteItem(item.id, f'"{item.id}"'))

    def rows(self) -> list[InstanceRow]:
        with self.world.view() as view:
            return sorted(view.instances.list(limit=1_000), key=lambda row: row.id)

    def items(self) -> list[WorkItemRow]:
        with self.world.view() as view:
            return sorted(view.worklist.open(limit=1_000), key=lambda item: item.id)

    def histories(self) -> dict[str, list[Event]]:
        return {row.name: [same_everywhere(event) for event in self.world.history(row.name)] for row in self.rows()}

    def check(self) -> None:
        self.world.check()
        rows = {row.id: row for row in self.rows()}
        for row in rows.values():
            assert row.state != "halted", self.world.halt(row.name)
            check_calls(self.world, row, [each for each in rows.values() if each.parent == row.id])
            if row.parent is not None and rows[row.parent].state in ENDED:
                assert row.state in ENDED, f"{row.name} outlived its parent"


def same_everywhere(event: Event) -> Event:
    """An event without what differs from store to store: digests under the secret of an instance."""
    return replace(event, digest=b"") if isinstance(event, CallRequested) else event


def check_calls(world: World, row: InstanceRow, children: list[InstanceRow]) -> None:
    """The history of a parent says of each child what that one's own history says."""
    history = world.history(row.name)
    asked = [each.call for each in history if isinstance(each, CallRequested) and each.kind is CallKind.CHILD]
    begun = [child.parent_call for child in children]
    assert len(begun) == len(set(begun))
    # Only one that ends in the very step in which it asks leaves a child that never begins.
    assert set(begun) == set(asked) or (set(begun) < set(asked) and row.state == "completed")
    was_forced = any(isinstance(each, InstanceCancelled) and not each.by_program for each in history)
    for child in children:
        ends = [
            e for e in history if not isinstance(e, CallRequested) and getattr(e, "call", None) == child.parent_call
        ]
        if ends and isinstance(ends[0], CallStarted):
            del ends[0]
        else:  # nobody was there any more to be told that it has begun, or stands still
            assert was_forced or row.state == "suspended" or [type(end) for end in ends][:1] == [CallWithdrawn]
        assert not any(isinstance(end, CallStarted) for end in ends)
        if child.state not in ENDED:
            assert [type(end) for end in ends] in ([], [CallWithdrawn])
            continue
        last = world.history(child.name)[-1]
        match ends:
            case []:
                assert was_forced
            case [CallCompleted(value=value)]:
                assert isinstance(last, InstanceCompleted)
                assert value == last.value
            case [CallFailed(failure=failure)]:
                assert isinstance(last, InstanceFailed)
                assert failure == last.failure
            case [CallWithdrawn(by_program=False, reason=reason)]:
                assert isinstance(last, InstanceCancelled)
                assert reason == last.reason
            case [CallWithdrawn(by_program=True)]:
                has_finished = isinstance(last, InstanceCancelled) and last.reason == f"{row.name} has ended"
                assert was_forced or has_finished
            case [CallWithdrawn(by_program=True), ChildEnded()]:
                pass
            case _:
                raise AssertionError(f"{row.name}: {ends}")


async def live(folder: Path, plan: Node, moves: list[tuple[str, int]], *, in_step: bool) -> dict[str, list[Event]]:
    host = Host(SUBJECTS["embedded"], folder)
    world = await host.open(team, node)
    try:
        days = Days(world, in_step=in_step)
        await world.start(node, plan=plain(plan))
        await days.move("crash", 0)
        days.check()
        for kind, number in moves:
            await days.move(kind, number)
            days.check()
        await days.end()
        days.check()
        assert all(row.state in ENDED for row in days.rows()), [(row.name, row.state) for row in days.rows()]
        return days.histories()
    finally:
        await host.close()


def plain(value: object) -> object:
    """A plan as JSON."""
    if isinstance(value, Node | Step):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def named(plan: Node, path: str = "") -> Node:
    """The plan with each step named by its place in the tree."""
    return Node(
        tuple(
            Step(step.kind, f"{path}{number}", None if step.below is None else named(step.below, f"{path}{number}."))
            for number, step in enumerate(plan.steps, 1)
        )
    )


@given(TREES.map(named), MOVES)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_a_tree_ends_alike_in_one_transaction_and_step_by_step_through_crashes(
    plan: Node, moves: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").mkdir()
        (Path(folder) / "b").mkdir()
        at_once = asyncio.run(live(Path(folder) / "a", plan, moves, in_step=True))
        with patch("procession.engine.delivering.MOST_AT_ONCE", 0):
            in_steps = asyncio.run(live(Path(folder) / "b", plan, moves, in_step=False))
    assert at_once == in_steps
