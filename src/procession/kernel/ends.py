"""How an instance ends otherwise than by its root, and what is undone when it is cancelled or fails."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .branch import Branch
from .commands import RecordNotUndone, Terms
from .events import Compensation, Failure
from .loop import Ending, Entry, Loop

UNDOING = "undo"
"""The path of a branch that undoes."""


def begin_unwinding(loop: Loop) -> dict[int, Branch]:
    """What is to be cancelled, as it was when this was first asked: branches that the clean-up makes from there on are real work."""
    if loop.to_unwind is None:
        loop.to_unwind = {number: each for number, each in loop.branches.items() if each.path != UNDOING}
        loop.unwound = set()
    return loop.to_unwind


def unwind(loop: Loop) -> None:
    """When root has failed, or was cancelled: cancels what is still open, newest first.

    What the unwinding of another branch has cancelled already is left alone, and a branch whose creator is still to be
    cancelled waits for it: the abort of a parent's scope would otherwise kill the clean-up of its children.
    """
    waiting = begin_unwinding(loop)
    while waiting and loop.fault is None:
        assert loop.unwound is not None
        for number in [each.number for each in waiting.values() if each.done() or each.number in loop.unwound]:
            del waiting[number]
        found = next((each for each in reversed(waiting.values()) if each.parent not in waiting), None)
        if found is not None:
            loop.unwound.add(found.number)
            found.cancel()
            loop.run_dry()


class Undoing(Entry):
    """A call that undoes: whoever waits for it goes on however it ends."""

    __slots__ = ("ended",)
    ended: Ending

    def __await__(self) -> Generator[Any, None, Ending]:
        yield self
        return self.ended

    def has_ended(self, ending: Ending, performer: str | None) -> None:
        self.ended = ending
        self.home.ready += self.waiters
        self.waiters.clear()


async def undo_all(loop: Loop, todo: list[Compensation]) -> None:
    """Newest first, one after the other; what cannot be undone is recorded, and the rest goes on."""
    branch = loop.current
    while todo and branch is not None:
        each = todo.pop()
        branch.created_at = each.site
        call = Undoing(loop, each.kind, each.operation, True)
        due_us = each.due_us if each.within_us is None else loop.now_us + each.within_us
        call.ask(each.input, Terms(due_us, each.offered_to))
        ended = await call
        if not isinstance(ended, bytes):
            why = (
                f"{ended.type_name}: {ended.message}"
                if isinstance(ended, Failure)
                else f"withdrawn: {ended}"
                if ended
                else "withdrawn"
            )
            loop.history.ask(RecordNotUndone(call.number, each.operation, why))


async def undo_late(loop: Loop, call: int, undone: Compensation) -> None:
    """Undoes what came of a call that was withdrawn: nobody has that result."""
    await undo_all(loop, [undone])
    settle_late(loop, call)


def settle_late(loop: Loop, call: int) -> None:
    """Nothing that has to be undone comes of this call any more."""
    del loop.late[call]
    if not loop.late and loop.settled is not None and not loop.settled.done():
        loop.settled.set_result(None)


def begin_to_undo(loop: Loop, branch: Branch) -> None:
    """Sets the branch going, which nothing cancels."""
    branch.path = UNDOING
    if loop.unwound is not None:
        loop.unwound.add(branch.number)
    branch.turn()


def discard_all(loop: Loop) -> None:
    """Drops all that an instance has in memory, so that it may begin anew: its clean-ups are silenced."""
    loop.dead = True
    for branch in reversed(tuple(loop.branches.values())):
        if branch.get_coro() is not None:
            branch.discard()
    loop.dead = False
    for each in loop.unbegun:
        each[0].close()
    for rest in (loop.unbegun, loop.branches, loop.ready, loop.failed):
        rest.clear()
    loop.root = loop.result = loop.final = None
    loop.number_anew()
