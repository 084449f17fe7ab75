"""The event loop of one instance: a queue, a clock that history moves, and nothing that waits.

`asyncio` asks of a loop only `call_soon`, `call_at`, `create_future` and `create_task`; these are here. Timers are calls: they are
asked for, recorded, and fired by an event. Whatever would reach outside is refused by name.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from asyncio import futures, tasks
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable, Iterator, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Never

from .branch import EAGER_DEPTH, WAKING, Branch, BranchLoop, Waitable, enter_task, leave_task
from .closing import drop_unbegun
from .commands import HaltInstance, RefusedInProcess, Terms, WithdrawCall
from .events import CallKind, CallWithdrawn, Compensation, Failure
from .history import Program
from .site import end_of_path
from .transitions import CALL, TIMER, CallState, after

TIMER_OPERATION = "timer"
_WAKES_SLEEPER: object = futures._set_result_unless_cancelled  # type: ignore[attr-defined]


class Numbered(asyncio.Future[Any]):
    """A future that hashes by its number: sets of futures iterate alike in every run."""

    __slots__ = ("_number",)

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop=loop)
        self._number = next(loop.future_numbers)

    def __hash__(self) -> int:
        return self._number


class Turn:
    """A callback that stands in the queue; the handle that `call_soon` gives."""

    __slots__ = ("_args", "_callback", "_context", "_is_cancelled", "_loop")

    def __init__(
        self, loop: Loop, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self._loop = loop
        self._callback: Callable[..., object] | None = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._is_cancelled = False

    def turn(self) -> None:
        callback = self._callback
        if callback is None:
            return
        self._callback = None
        try:
            self._context.run(callback, *self._args)
        except HaltInstance as reason:
            self._loop.halt(reason)
        except KeyboardInterrupt as interrupt:
            self._loop.stop_for(interrupt)
        except BaseException as error:  # a callback has no awaiter: whatever it raises is a bug
            self._loop.halt_for_bug(error, None)

    def cancel(self) -> None:
        self._is_cancelled = True
        self._callback = None
        self._args = ()

    def cancelled(self) -> bool:
        return self._is_cancelled

    def sets(self, future: object) -> bool:
        """Whether this is the callback by which `asyncio.sleep` wakes whoever waits for `future`."""
        return self._callback is _WAKES_SLEEPER and self._args[0] is future


Ending = bytes | Failure | str
"""How a call ended: its value, its failure, or the reason for which it was withdrawn."""


class Entry(Waitable):
    """A call while it is open: its number, what it asks for, and where it stands."""

    __slots__ = ("due_us", "kind", "operation", "owner", "state", "undo")
    home: Loop

    def __init__(self, home: Loop, kind: CallKind, operation: str, is_owned: bool) -> None:
        self.home = home
        self.number = 0
        self.is_owned = is_owned
        self.waiters = []
        self.kind = kind
        self.operation = operation
        self.state = CallState.REQUESTED
        self.due_us: int | None = None
        self.owner: Branch | None = None
        self.undo: Callable[[bytes], Compensation] | None = None

    def ask(self, payload: bytes, terms: Terms) -> None:
        """Gets its number from the history, and stands open under it."""
        home = self.home
        if home.dead or home.final is not None:
            self.state = CallState.WITHDRAWN
            return
        self.undo = terms.undo
        if terms.due_us is not None and terms.due_us >= 253_402_300_800_000_000:
            raise OverflowError("A timer is due after the year 9999: wait for something that happens before.")
        branch = home.current
        error = sys.exception()
        self.number, self.due_us = home.history.request(
            self.kind, self.operation, payload, terms=terms, created_at=() if branch is None else branch.created_at
        )
        home.open[self.number] = self
        if error is not None:
            _note_call_on_the_way(error, self.number)

    def belong_to(self, branch: Branch) -> None:
        """Ends with that branch, if it is still open then."""
        self.owner = branch
        if branch.handles is None:
            branch.handles = {}
        branch.handles[self.number] = self

    def next_state(self, event: type) -> CallState:
        """Where `event` would lead; raises and changes nothing if the table has no such step."""
        table = TIMER if self.kind is CallKind.TIMER else CALL
        return table[self.state].get(event) or after(table, self.state, event, subject=f"call {self.number}")

    def end(self, state: CallState, ending: Ending, performer: str | None) -> None:
        """Is open no longer, and wakes who waited."""
        self.state = state
        del self.home.open[self.number]
        if self.owner is not None:
            if self.owner.handles is not None:
                self.owner.handles.pop(self.number, None)
            self.owner = None
        self.has_ended(ending, performer)

    def end_by_program(self, reason: str) -> None:
        """Withdraws it, if it is open: the command is made at once, not a turn later."""
        if not self.home.dead and self.number in self.home.open:
            state = self.next_state(CallWithdrawn)
            self.home.history.ask(WithdrawCall(self.number, reason))
            if self.kind is CallKind.CHILD:
                self.home.ending |= {self.number}
            elif self.undo is not None:
                self.home.late[self.number] = self.undo
            self.end(state, reason, None)

    def has_ended(self, ending: Ending, performer: str | None) -> None:
        """Passes on how it ended."""
        raise NotImplementedError

    def has_started(self, performer: str | None) -> None:
        """A performer has begun. Timers have none: their table knows no start."""


class Timer(Entry):
    """A timer of asyncio's (`sleep`, `timeout`): the handle that `call_at` gives."""

    __slots__ = ("_turn",)

    def __init__(self, home: Loop, due_us: int, turn: Turn) -> None:
        super().__init__(home, CallKind.TIMER, TIMER_OPERATION, False)
        self._turn = turn
        self.ask(b"", Terms(due_us))

    def has_ended(self, ending: Ending, performer: str | None) -> None:
        if self.state is CallState.COMPLETED:
            self.home.ready.append(self._turn)

    def cancel(self) -> None:
        self._turn.cancel()
        self.end_by_program("")

    def cancelled(self) -> bool:
        return self._turn.cancelled()

    def when(self) -> float:
        return (self.due_us or 0) / 1_000_000

    def wakes(self, future: object) -> bool:
        """Whether this is the timer of a branch that sleeps on `future`."""
        return self._turn.sets(future)


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that has not ended: something outside must end it, or the instance withdraws it."""

    number: int
    kind: CallKind
    operation: str
    due_us: int | None
    started: bool


class OpenCalls(Mapping[int, OpenCall]):
    """The open calls by number, in the order in which they were asked for."""

    def __init__(self, entries: Mapping[int, Entry]) -> None:
        self._entries = entries

    def __getitem__(self, number: int) -> OpenCall:
        entry = self._entries[number]
        started = entry.state is CallState.STARTED
        return OpenCall(entry.number, entry.kind, entry.operation, entry.due_us, started)

    def __iter__(self) -> Iterator[int]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class Loop(BranchLoop):
    """asyncio's view of an instance. `enter` and `leave` make it the running loop of this thread, inside another one or not."""

    __slots__ = (
        "_outer",
        "_outer_hooks",
        "_outer_task",
        "compensations",
        "ending",
        "instance",
        "late",
        "now_us",
        "open",
        "settled",
        "to_unwind",
    )

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.instance: object = None
        self.now_us = 0
        self.open: dict[int, Entry] = {}
        # Calls that were withdrawn, and whose child has not ended yet: the instance ends after it.
        self.ending: frozenset[int] = frozenset()
        # Calls that were withdrawn, and whose result would have to be undone: by what; None once it came, until it is undone.
        self.late: dict[int, Callable[[bytes], Compensation] | None] = {}
        self.settled: asyncio.Future[None] | None = None  # of who waits until there are none
        # What is undone if the instance is cancelled or fails, in the order in which it was done.
        self.compensations: list[Compensation] = []
        # What is still to be cancelled, once the instance unwinds.
        self.to_unwind: dict[int, Branch] | None = None
        self._outer: asyncio.AbstractEventLoop | None = None
        self._outer_task: Any = None
        self._outer_hooks: Any = None

    def enter(self) -> None:
        """Makes this the running loop. The task of a loop outside is left and entered again: it must not be current meanwhile."""
        outer = _get_running_loop()
        self._outer = outer
        if outer is not None:
            self._outer_task = asyncio.current_task(outer)
            if self._outer_task is not None:
                leave_task(outer, self._outer_task)
        _set_running_loop(self)
        # An abandoned asynchronous generator would be finished whenever the collector likes: it is dropped, not run.
        self._outer_hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(_no_hook, _drop_generator)

    def leave(self) -> None:
        sys.set_asyncgen_hooks(*self._outer_hooks)
        _set_running_loop(self._outer)
        if self._outer is not None and self._outer_task is not None:
            enter_task(self._outer, self._outer_task)
        self._outer = self._outer_task = self._outer_hooks = None

    def withdraw_all(self, reason: str) -> None:
        """Ends every call that is open."""
        for entry in tuple(self.open.values()):
            entry.end_by_program(reason)

    def run_dry(self) -> None:
        """Runs what is ready until nothing is, or until a fault stops it."""
        for each in self.ready:  # which grows meanwhile
            each.turn()
            if self.fault is not None or self.final is not None:
                break
        self.ready.clear()

    def time(self) -> float:
        return self.now_us / 1_000_000

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        if context is WAKING:
            callback(args[0])
            return None
        turn = Turn(self, callback, args, context)
        if not self.dead:
            self.ready.append(turn)
        return turn

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        if delay <= 0:
            return self.call_soon(callback, *args, context=context)
        return self._call_at_us(self.now_us + round(delay * 1_000_000), Turn(self, callback, args, context))

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        due_us = round(when * 1_000_000)
        if due_us <= self.now_us:
            return self.call_soon(callback, *args, context=context)
        return self._call_at_us(due_us, Turn(self, callback, args, context))

    def _call_at_us(self, due_us: int, turn: Turn) -> Timer:
        _refuse_originals(sys._getframe(2))
        return Timer(self, due_us, turn)

    def create_future(self) -> Numbered:
        return Numbered(self)

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None, **_later: object) -> Any:
        if self.dead:
            drop_unbegun(coro)
            return Numbered(self)
        try:
            _refuse_originals(sys._getframe(1))
        except RefusedInProcess:
            drop_unbegun(coro)
            raise
        branch = Branch(self, coro, self.current or self.root, context=context, name=name)
        if self.depth >= EAGER_DEPTH or (context is not None and _is_entered(context)):
            self.ready.append(branch)
        else:
            branch.start()
        return branch

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return _get_running_loop() is self

    def is_closed(self) -> bool:
        return self.dead

    def call_exception_handler(self, context: Mapping[str, Any]) -> None:
        """Ignores it: "exception was never retrieved" comes when the collector likes. What nobody awaited decides at the end."""


def _no_hook(generator: object) -> None:
    """Remembers no asynchronous generator."""


def _drop_generator(generator: object) -> None:
    """One that nobody goes on with is not finished; but a deadline it stood in is over, and must not cancel whoever runs later."""
    for held in gc.get_referents(generator):  # its frame holds `__aexit__` of the deadline
        scope = getattr(held, "__self__", None)
        timer = scope._timeout_handler if isinstance(scope, asyncio.Timeout) else None  # type: ignore[attr-defined]
        if isinstance(timer, Timer | Turn):
            (timer._turn if isinstance(timer, Timer) else timer).cancel()


def _is_entered(context: Context) -> bool:
    try:
        context.run(_no_hook, None)
    except RuntimeError:
        return True
    return False


def _note_call_on_the_way(error: BaseException, call: int) -> None:
    """Marks an error in flight with the first call asked for meanwhile, so that a halt can name the point to rewind to."""
    noted = getattr(error, "__dict__", None)
    if noted is not None:
        noted.setdefault(ASKED_MEANWHILE, call)


ASKED_MEANWHILE = "_procession_asked_meanwhile"


def _original(function: Any) -> CodeType:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code: CodeType = function.__code__
    return code


def _found_originals() -> dict[int, str]:
    """The code of asyncio's helpers whose order is left to chance or to the Python version, and what to say about each."""
    found: dict[int, str] = {}
    as_completed = _original(tasks.as_completed)
    inner = [part for part in as_completed.co_consts if isinstance(part, CodeType)]
    iterator: Any = getattr(tasks, "_AsCompletedIterator", None)
    if iterator is not None:
        inner.append(iterator.__init__.__code__)
    for code in (as_completed, *inner):
        found[id(code)] = "as_completed"
    if sys.version_info < (3, 12):
        found[id(_original(tasks.wait_for))] = "wait_for"
    return found


_ORIGINALS = _found_originals()
_PASSAGES = frozenset(
    id(getattr(tasks, name).__code__) for name in ("ensure_future", "_ensure_future") if hasattr(tasks, name)
)


def _refuse_originals(frame: FrameType | None) -> None:
    while frame is not None and id(frame.f_code) in _PASSAGES:
        frame = frame.f_back
    if frame is not None and id(frame.f_code) in _ORIGINALS:
        name = _ORIGINALS[id(frame.f_code)]
        raise RefusedInProcess(
            message=f"This is the original asyncio.{name}, whose order is left to chance. Write `import asyncio` and "
            f"`asyncio.{name}(…)` instead of `from asyncio import {name}`."
        )


def _refusal(name: str) -> Callable[..., Never]:
    def refuse(self: Loop, *args: object, **options: object) -> Never:
        reason = RefusedInProcess(
            message=f"Process code used {name}() of its event loop: it reaches outside the instance. Do it in a service."
        )
        self.halt(reason)  # it may have come from another thread, where no loop of ours runs
        raise reason

    refuse.__name__ = name
    refuse.__qualname__ = f"Loop.{name}"
    return refuse


for _name, _inherited in vars(asyncio.AbstractEventLoop).items():
    if not _name.startswith("_") and getattr(Loop, _name) is _inherited:
        setattr(Loop, _name, _refusal(_name))
end_of_path(Turn.turn.__code__)
