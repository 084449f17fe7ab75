"""How an instance is cancelled: law 9, against an oracle of its own, and by hand."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procession import kernel
from procession.errors import ProcessFailed
from procession.kernel import IllegalTransition, InstanceState
from procession.kernel.branch import Branch
from tests.kernel.drive import MADE, Driven, ask, op


def cancel(case: Driven, reason: str = "no longer wanted") -> kernel.Outcome:
    return case.feed(kernel.CancellationRequested(case.tick(), reason))


async def child(name: str) -> None:
    try:
        await op(name)
    finally:
        await op("undo " + name)


# By hand


def test_a_cancelled_instance_ends_when_its_clean_up_has_ended() -> None:
    case = Driven(child, "a")
    cancel(case)
    assert case.asked == ["-a", "+undo a"]
    assert case.instance.state is InstanceState.CANCELLING
    case.complete("undo a")
    assert case.instance.state is InstanceState.CANCELLED
    assert case.history[-1] == kernel.InstanceCancelled(case.now_us, "no longer wanted", by_program=True)


def test_one_that_has_nothing_to_clean_up_ends_at_once() -> None:
    case = Driven(op, "a")
    assert cancel(case).commands[-1] == kernel.CancelInstance("no longer wanted")
    assert case.instance.state is InstanceState.CANCELLED


def test_root_is_told_first_and_then_newest_first_each_branch_that_this_has_not_reached() -> None:
    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child("x"))
            group.create_task(child("y"))

    async def main() -> None:
        for name in "ab":
            asyncio.create_task(child(name))
        try:
            await grouped()
        finally:
            await op("undo root")

    case = Driven(main)
    cancel(case)
    assert case.asked == ["-x", "-y", "+undo x", "+undo y", "-b", "+undo b", "-a", "+undo a"]
    for name in ("x", "y"):
        case.complete("undo " + name)
    assert case.asked == ["+undo root"]
    for name in ("a", "root", "b"):
        assert case.instance.state is InstanceState.CANCELLING
        case.complete("undo " + name)
    assert case.instance.state is InstanceState.CANCELLED


def test_what_a_clean_up_makes_is_real_work_and_is_not_cancelled() -> None:
    async def main() -> None:
        try:
            await op("a")
        finally:
            await asyncio.gather(op("undo 1"), op("undo 2"))

    case = Driven(main)
    cancel(case)
    assert case.asked == ["-a", "+undo 1", "+undo 2"]
    case.complete("undo 2")
    case.complete("undo 1")
    assert case.instance.state is InstanceState.CANCELLED


def test_a_branch_that_took_an_earlier_cancellation_for_nothing_is_cancelled_too() -> None:
    async def stubborn() -> None:
        try:
            await op("a")
        except asyncio.CancelledError:
            await op("b")

    async def main() -> None:
        task = asyncio.create_task(stubborn())
        await op("start")
        task.cancel()
        await op("c")

    case = Driven(main)
    case.complete("start")
    cancel(case)
    assert case.asked == ["-c", "-b"]
    assert case.instance.state is InstanceState.CANCELLED


@pytest.mark.parametrize("ending", ["returns", "fails", "declines", "lets time out"])
def test_however_root_ends_then_the_instance_ends_cancelled(ending: str) -> None:
    async def main() -> str:
        try:
            await op("a")
        except asyncio.CancelledError:
            await op("last")
            if ending == "fails":
                raise ProcessFailed("anyway") from None
            if ending == "lets time out":
                raise TimeoutError from None
            if ending == "declines":
                await op("more")
        return "done"

    case = Driven(main)
    cancel(case)
    case.complete("last")
    if ending == "declines":
        case.fail("more")
    assert case.instance.state is InstanceState.CANCELLED


def test_a_bug_in_a_clean_up_halts_and_after_a_correction_the_cancellation_goes_on() -> None:
    async def main() -> None:
        try:
            await op("a")
        finally:
            await op("b")
            raise KeyError("typo")

    async def corrected() -> None:
        try:
            await op("a")
        finally:
            await op("b")
            await op("c")

    case = Driven(main)
    cancel(case)
    case.complete("b")
    assert case.halt is not None and case.halt.code == "bug"
    case.retry(corrected)
    assert case.instance.state is InstanceState.CANCELLING
    case.complete("c")
    assert case.instance.state is InstanceState.CANCELLED


def test_a_bug_that_the_cancellation_itself_brings_out_keeps_it_for_the_retry() -> None:
    async def main() -> None:
        try:
            await op("a")
        finally:
            raise KeyError("typo")

    case = Driven(main)
    cancel(case)
    assert case.halt is not None and case.halt.code == "bug"
    case.retry(child_of_a)
    assert case.asked == ["-a", "+undo a"]
    assert case.instance.state is InstanceState.CANCELLING


async def child_of_a() -> None:
    await child("a")


def test_cancelling_twice_is_for_the_host_to_hold_off_and_by_force_no_code_runs() -> None:
    case = Driven(child, "a")
    cancel(case)
    with pytest.raises(IllegalTransition):
        case.instance.advance(kernel.CancellationRequested(case.tick(), "again"))
    assert case.feed(kernel.InstanceCancelled(case.tick(), "now", by_program=False)).commands == ()
    assert case.instance.state is InstanceState.CANCELLED


def test_one_that_has_failed_and_still_cleans_up_ends_cancelled_and_its_clean_up_goes_on() -> None:
    async def main() -> None:
        asyncio.create_task(child("x"))
        await op("a")
        raise ProcessFailed("over")

    case = Driven(main)
    case.complete("a")
    cancel(case)
    assert case.asked == []
    case.complete("undo x")
    assert case.instance.state is InstanceState.CANCELLED


def test_a_result_that_root_has_returned_is_not_the_result_of_a_cancelled_instance() -> None:
    async def main() -> str:
        asyncio.create_task(child("x"))
        return "done"

    case = Driven(main)
    cancel(case)
    case.complete("undo x")
    assert case.instance.state is InstanceState.CANCELLED


def test_a_handle_ends_with_the_branch_that_asked_for_it() -> None:
    async def main() -> None:
        ask("left open")
        await op("a")

    case = Driven(main)
    cancel(case)
    assert sorted(case.asked) == ["-a", "-left open"]
    assert case.instance.state is InstanceState.CANCELLED


# Against an oracle


@dataclass
class Node:
    """A branch of a random program: one operation, children beside it, clean-up after it."""

    number: int
    creator: Node | None
    grouped: bool
    cleanups: int
    children: list[Node] = field(default_factory=list)
    # The oracle's own picture of where it stands.
    state: str = "working"
    undone: int = 0

    @property
    def name(self) -> str:
        return f"n{self.number}"


async def run(node: Node) -> None:
    try:
        if node.grouped:
            async with asyncio.TaskGroup() as group:
                for each in node.children:
                    group.create_task(run(each))
                await op(node.name)
        else:
            for each in node.children:
                asyncio.create_task(run(each))
            await op(node.name)
    finally:
        for n in range(node.cleanups):
            await op(f"undo {node.name} {n}")


def drawn(chance: random.Random) -> list[Node]:
    """The nodes of a program in the order in which its branches start: creators before what they create."""
    nodes: list[Node] = []

    def make(creator: Node | None, depth: int) -> Node:
        node = Node(len(nodes), creator, chance.random() < 0.5, chance.choice([0, 0, 1, 2]))
        nodes.append(node)
        if depth:
            for _ in range(chance.choice([0, 1, 2, 3])):
                node.children.append(make(node, depth - 1))
        return node

    make(None, 3)
    return nodes


class Oracle:
    """What law 9 says of such a program: told in states of nodes, without an event loop."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        # A group aborts its children all at once: in which order among themselves is asyncio's affair, and is taken over.
        self.seen: list[int] = []
        self.told: list[int] = []

    def settle(self) -> None:
        """Whoever waited for its children goes on when they are done."""
        for node in reversed(self.nodes):
            if node.state == "waiting" and all(each.state == "done" for each in node.children):
                self.clean(node)

    def clean(self, node: Node) -> None:
        node.state = "cleaning" if node.undone < node.cleanups else "done"

    def complete(self, operation: str) -> None:
        node = self.nodes[int(operation.split()[-1 if operation.startswith("n") else 1][1:])]
        if operation.startswith("undo"):
            node.undone += 1
            self.clean(node)
        elif node.grouped:
            node.state = "waiting"
        else:
            self.clean(node)
        self.settle()

    def tell(self, first: Node) -> None:
        queue = [first]
        for node in queue:
            self.told.append(node.number)
            if node.state == "cleaning":
                node.state = "done"
            elif node.grouped:
                node.state = "waiting"
                aborted = [each for each in node.children if each.state != "done"]
                queue += sorted(aborted, key=lambda each: self.seen.index(each.number))
            else:
                self.clean(node)
        self.settle()

    def cancel(self, seen: list[int]) -> list[int]:
        """The branches in the order in which they are cancelled."""
        self.seen = seen
        if self.nodes[0].state != "done":
            self.tell(self.nodes[0])
        while True:
            left = [each for each in self.nodes if each.state != "done" and each.number not in self.told]
            free = [each for each in left if each.creator not in left]
            if not free:
                return self.told
            self.tell(free[-1])


@given(st.integers(0, 2**32))
@settings(max_examples=150)
def test_random_programs_are_cancelled_at_random_moments_in_the_order_of_law_nine(seed: int) -> None:
    chance = random.Random(seed)
    nodes = drawn(chance)
    oracle = Oracle(nodes)

    async def main() -> None:
        await run(nodes[0])

    case = Driven(main)
    for _ in range(chance.randrange(len(nodes) + 2)):
        if case.instance.state is not InstanceState.RUNNING or not case.open:
            break
        operation = chance.choice(case.open)
        oracle.complete(operation)
        case.complete(operation)
    if case.instance.state is not InstanceState.RUNNING:
        assert all(each.state == "done" for each in nodes)
        close_all()
        return
    case.replays = False  # the branches cancelled are counted: a replay would count its own
    told: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Branch, "cancel", noting(told, Branch.cancel))
        cancel(case)
    case.replays = True
    case.replayed().close()

    assert told == oracle.cancel(told)
    undoing = {each.name: each.undone for each in nodes if each.state == "cleaning"}
    assert sorted(case.open) == sorted(f"undo {name} {undone}" for name, undone in undoing.items())
    while case.open:  # what was asked since is real work: it ends by being done, and by nothing else
        assert case.instance.state is InstanceState.CANCELLING
        operation = chance.choice(case.open)
        oracle.complete(operation)
        case.complete(operation)
        assert not any(each.startswith("-") for each in case.asked)
    assert case.instance.state is InstanceState.CANCELLED
    assert all(each.state == "done" for each in nodes)
    close_all()


def noting(told: list[int], real: Any) -> Any:
    def cancel_noted(self: Branch, msg: Any = None) -> bool:
        is_cancelled = real(self, msg)
        if is_cancelled and self.number not in told:
            told.append(self.number)
        return bool(is_cancelled)

    return cancel_noted


def close_all() -> None:
    """Hypothesis runs many examples in one test: none is left for its end."""
    while MADE:
        MADE.pop().instance.close()
