"""One line of control inside an instance: our own task class, over the C future of asyncio.

asyncio's own `Task` cannot start eagerly without breaking `TaskGroup`: a child that fails at once would already be done when
`create_task` returns. Here a branch that ends in its eager start completes one turn later. Its hash is its number, so that no
set of branches iterates by address.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.coroutines import iscoroutine
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from itertools import count
from types import CodeType, CoroutineType
from typing import Any, Protocol

from .closing import close_for_good, set_aside
from .commands import Final, HaltingLoop, HaltInstance
from .events import Failure
from .history import History, Program
from .site import Site, end_of_path, line_of, site_from

EAGER_DEPTH = 40
"""So many branches may start inside one another; deeper ones start in the next turn, lest the stack overflow."""

# Marks the wake-up of a branch among the callbacks of a future: the branch itself goes into the queue, not a handle for it.
WAKING = Context()

# asyncio's record of who is current; it asks for no `asyncio.Task`, only for something to hold.
enter_task: Callable[[asyncio.AbstractEventLoop, Any], None] = _enter_task
leave_task: Callable[[asyncio.AbstractEventLoop, Any], None] = _leave_task

_complete = asyncio.Future.set_result
_complete_with_error = asyncio.Future.set_exception
_complete_as_cancelled = asyncio.Future.cancel


class Ready(Protocol):
    """What may stand in the ready queue."""

    def turn(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Why the advance in progress must halt: the first reason found."""

    code: str
    message: str
    exception: BaseException | None
    branch: Branch | None


Unbegun = tuple[Any, str, CodeType, int]
"""A coroutine of the language's that process code has to await: its name, and the instruction that made it. Made too often for a class."""


def _references(unbegun: Unbegun) -> int:
    return sys.getrefcount(unbegun[0])


async def _nobody() -> None:
    """Awaited by nobody."""


_held: Unbegun = (_nobody(), "", _nobody.__code__, 0)
_REFERENCES_OF_DROPPED = _references(_held)
_held[0].close()


class BranchLoop(HaltingLoop):
    """What the branches of one instance share: queue, numbers, history, and the fault that stops them all."""

    __slots__ = (
        "branch_numbers", "branches", "current", "dead", "depth", "failed", "failure", "fault", "final", "future_numbers",
        "history", "interrupt", "is_cancelling", "program", "ready", "result", "root", "unbegun", "unwound",
    )  # fmt: skip

    def __init__(self, program: Program) -> None:
        self.program = program
        self.history = History(program)
        # A list, not a deque: it is run to its end and cleared, and costs nothing while the instance waits.
        self.ready: list[Ready] = []
        self.branches: dict[int, Branch] = {}
        self.failed: list[Branch] = []
        self.root: Branch | None = None
        self.current: Branch | None = None
        self.depth = 0
        self.dead = False
        self.fault: Fault | None = None
        self.interrupt: BaseException | None = None
        self.result: bytes | None = None
        self.failure: Failure | None = None
        self.is_cancelling = False
        # The branches that were cancelled since the instance began to unwind; None as long as it does not.
        self.unwound: set[int] | None = None
        self.unbegun: list[Unbegun] = []
        # The numbers that branches and futures hash by.
        self.number_anew()
        # How the program has ended itself, with a result or with the input of the next run: from there on nothing is asked for.
        self.final: Final | None = None

    def number_anew(self) -> None:
        """Counts branches and futures from the beginning."""
        self.branch_numbers = count()
        self.future_numbers = count()

    def halt(self, reason: HaltInstance) -> None:
        self.fault = self.fault or Fault(reason.code, reason.message, reason, self.current)

    def halt_for_bug(self, error: BaseException, branch: Branch | None) -> None:
        try:
            text = f"{error}".strip()
            said = (
                f"{type(error).__qualname__}: {text}" if text else f"{type(error).__qualname__}, raised without a text"
            )
        except Exception:  # the text of an error is code of the author's too
            said = f"{type(error).__qualname__}, which cannot say what it is"
        self.fault = self.fault or Fault("bug", said, error, branch)

    def stop_for(self, error: BaseException) -> None:
        """An interrupt of the worker: it discards the advance and goes on to the host."""
        if self.interrupt is None:
            self.interrupt = error
        if self.fault is None:
            self.fault = Fault("interrupt", type(error).__name__, error, None)

    def may_leave(self, error: BaseException) -> bool:
        """Whether an error may leave a branch: one that would fail an instance, or a timeout. Anything else is a bug."""
        if isinstance(error, TimeoutError | asyncio.CancelledError) or self.failure_of(error) is not None:
            return True
        return isinstance(error, BaseExceptionGroup) and all(map(self.may_leave, error.exceptions))

    def failure_of(self, error: BaseException) -> Failure | None:
        """What the author's rules make of an error; rules that raise are a bug themselves."""
        try:
            return self.program.failure_of(error)
        except Exception as failing:
            self.halt_for_bug(failing, self.current)
            return None

    def has_unbegun(self) -> bool:
        """Halts for a coroutine that nobody will await any more: nothing holds it, or no branch is left."""
        made, self.unbegun = self.unbegun, []
        for each in made:
            if each[0].cr_suspended or each[0].cr_frame is None:
                continue
            self.unbegun.append(each)
            if not self.branches or _references(each) <= _REFERENCES_OF_DROPPED:
                _, name, code, instruction = each
                place = f"{os.path.basename(code.co_filename)}:{line_of(code, instruction)}"
                said = f"{name} was called and not awaited, {place}; write `await {name}(...)`."
                self.fault = self.fault or Fault("bug", said, None, None)
        return self.fault is not None

    def root_returned(self, value: object) -> None:
        """Encodes the result at once: other branches may still change what it holds."""
        try:
            self.result = self.program.encode_result(value)
        except Exception as error:  # a result that does not fit its type
            self.halt_for_bug(error, self.root)

    def root_raised(self, error: BaseException) -> None:
        if self.is_cancelling and self.may_leave(error):
            return
        self.failure = self.failure_of(error)
        if self.failure is None:
            self.halt_for_bug(error, self.root)


class Waitable:
    """Something that branches wait for directly, with no future between; more than one may."""

    __slots__ = ("home", "is_owned", "number", "waiters")
    # Set by who is waited for, in one place: a call is made too often for a chain of constructors.
    home: BranchLoop
    number: int
    is_owned: bool
    waiters: list[Branch]

    def __hash__(self) -> int:
        return self.number

    def drop_waiter(self, branch: Branch, message: object) -> bool:
        """The wait of this branch is cancelled; `False` if it is over already. What that wait made ends with it, at once."""
        if branch not in self.waiters:
            return False
        self.waiters.remove(branch)
        if self.is_owned:
            self.end_by_program("" if message is None else str(message))
        return True

    def end_by_program(self, reason: str) -> None:
        """Withdraws it, if it is open."""
        raise NotImplementedError


class Branch(asyncio.Future[Any]):
    """A task of process code. It has the methods of `asyncio.Task`, though it is none."""

    __slots__ = (
        "_cancels", "_children", "_context", "_coro", "_error", "_has_ended", "_is_starting", "_log_destroy_pending",
        "_message", "_must_cancel", "_name", "_result_value", "_throw", "_woken_by", "created_at", "handles", "home",
        "number", "parent", "path", "waits_for",
    )  # fmt: skip

    def __init__(
        self, home: BranchLoop, coro: Any, parent: Branch | None, *, context: Context | None, name: object = None
    ) -> None:
        super().__init__(loop=home)
        if type(coro) is not CoroutineType and not iscoroutine(coro):
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        self.home = home
        self.number = next(home.branch_numbers)
        self._children = 0
        self.parent = 0 if parent is None else parent.number
        if parent is None:
            self.path = "0"
            self.created_at: Site = ()
        else:
            parent._children += 1
            self.path = f"{parent.path}.{parent._children}"
            current = home.current
            self.created_at = () if current is None else site_from(sys._getframe(1), current.created_at)
        self.handles: dict[int, Waitable] | None = None
        self.waits_for: Waitable | asyncio.Future[Any] | None = None
        self._coro: Any = coro
        self._context = copy_context() if context is None else context
        self._name = name
        self._cancels = 0
        self._must_cancel = False
        self._message: Any = None
        self._throw: BaseException | None = None
        self._woken_by: asyncio.Future[Any] | None = None
        self._result_value: Any = None
        self._error: BaseException | None = None
        self._has_ended = False
        self._is_starting = False
        self._log_destroy_pending = False
        home.branches[self.number] = self

    def __hash__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        status = "cancelled" if self.cancelled() else "done" if self.done() else "open"
        return f"<branch {self.path} {status}>"

    def start(self) -> None:
        """Runs to its first wait, at once."""
        home = self.home
        self._is_starting = True
        home.depth += 1
        try:
            self.turn()
        finally:
            home.depth -= 1
            self._is_starting = False

    def turn(self) -> None:
        """Goes on from whatever it waited for."""
        error = self._throw
        if error is not None:
            self._throw = None
        elif self._woken_by is not None:
            error = _error_of(self._woken_by)
            self._woken_by = None
        if self._has_ended:
            self._settle()
            return
        home = self.home
        if self._must_cancel:
            self._must_cancel = False
            if not isinstance(error, asyncio.CancelledError):
                error = _cancelled(self._message)
        self.waits_for = None
        outside = home.current
        if outside is not None:
            leave_task(home, outside)
        home.current = self
        enter_task(home, self)
        try:
            if error is None:
                yielded = self._context.run(self._coro.send, None)
            else:
                yielded = self._context.run(self._coro.throw, error)
        except StopIteration as stop:
            self._returned(stop.value)
        except BaseException as left:
            self._raised(left)
        else:
            if isinstance(yielded, Waitable) and yielded.home is home:
                self.waits_for = yielded
                yielded.waiters.append(self)
                if self._must_cancel:
                    self._cancel_wait()
            else:
                self._wait(yielded)
        finally:
            error = None
            leave_task(home, self)
            home.current = outside
            if outside is not None:
                enter_task(home, outside)

    def _wait(self, yielded: Any) -> None:
        blocking = getattr(yielded, "_asyncio_future_blocking", None)
        if yielded is None:
            self.home.ready.append(self)
        elif blocking is None:
            self._throw_next(RuntimeError(f"A branch got a bad yield: {type(yielded).__name__}"))
        elif yielded.get_loop() is not self.home:
            self._throw_next(RuntimeError("A branch waits for a future of another event loop"))
        elif not blocking:
            self._throw_next(RuntimeError("yield was used instead of yield from in a branch"))
        elif yielded is self:
            self._throw_next(RuntimeError("A branch cannot wait for itself"))
        else:
            yielded._asyncio_future_blocking = False
            yielded.add_done_callback(self, context=WAKING)
            self.waits_for = yielded
            if self._must_cancel and yielded.cancel(msg=self._message):
                self._must_cancel = False

    def __call__(self, future: asyncio.Future[Any]) -> None:
        """A future that it waits for is done; the loop calls this at once, and puts the branch into the queue."""
        self._woken_by = future
        self.home.ready.append(self)

    def _throw_next(self, error: BaseException) -> None:
        self._throw = error
        self.home.ready.append(self)

    def _returned(self, value: object) -> None:
        if self._must_cancel:  # cancelled in its very last step
            self._must_cancel = False
            self._end(None, _cancelled(self._message))
        else:
            if self.number == 0:
                self.home.root_returned(value)
            self._end(value, None)

    def _raised(self, error: BaseException) -> None:
        if error.__traceback__ is not None:  # without our own frame: it would close a cycle through the traceback
            error.__traceback__ = error.__traceback__.tb_next
        home = self.home
        if isinstance(error, KeyboardInterrupt):
            home.stop_for(error)
        elif isinstance(error, HaltInstance):
            home.halt(error)
        elif self.number == 0:
            home.root_raised(error)
        elif not home.may_leave(error):
            home.halt_for_bug(error, self)
        self._end(None, error)

    def _end(self, value: object, error: BaseException | None) -> None:
        self._coro = None
        self._has_ended = True
        self._result_value = value
        self._error = error
        if self.home.fault is not None:
            return
        if self.handles:
            for handle in tuple(self.handles.values()):
                handle.end_by_program("")
        if self._is_starting:
            self.home.ready.append(self)
        else:
            self._settle()

    def _settle(self) -> None:
        """Tells whoever waits. One turn after the end, if that came in the eager start."""
        error = self._error
        self._error = None
        home = self.home
        home.branches.pop(self.number, None)
        if error is None:
            _complete(self, self._result_value)
            self._result_value = None
        elif isinstance(error, asyncio.CancelledError):
            _complete_as_cancelled(self, msg=error.args[0] if error.args else None)
        else:
            _complete_with_error(self, error)
            if self.number != 0:
                # Those that somebody has looked at by now need not be held.
                home.failed = [*(each for each in home.failed if each._log_traceback), self]

    def discard(self) -> bool:
        """Closes the coroutine for good, on a dead loop. `False`: it swallows everything and was set aside."""
        coro, self._coro = self._coro, None
        self.waits_for = self._woken_by = self._throw = None
        self.handles = None
        if coro is None:
            return True
        home = self.home
        outside, home.current = home.current, self
        enter_task(home, self)
        try:
            closed = self._context.run(close_for_good, coro)
        finally:
            leave_task(home, self)
            home.current = outside
        if not closed:
            set_aside(coro)
        return closed

    def cancel(self, msg: Any = None) -> bool:
        if self._has_ended or self.done():
            return False
        self._cancels += 1
        self._message = msg
        if self.home.unwound is not None:
            self.home.unwound.add(self.number)
        if not self._cancel_wait():
            self._must_cancel = True
        return True

    def _cancel_wait(self) -> bool:
        """Cancels what it waits for, if anything is left to cancel there."""
        waits_for = self.waits_for
        if isinstance(waits_for, Waitable):
            if not waits_for.drop_waiter(self, self._message):
                return False
            self.waits_for = None
            self._must_cancel = False
            self._throw_next(_cancelled(self._message))
            return True
        return waits_for is not None and waits_for.cancel(msg=self._message)

    def cancelling(self) -> int:
        return self._cancels

    def uncancel(self) -> int:
        if self._cancels > 0:
            self._cancels -= 1
            # As from 3.13 on; before, a cancellation that was taken back could still come out.
            if self._cancels == 0:
                self._must_cancel = False
        return self._cancels

    def get_coro(self) -> Any:
        return self._coro

    def get_context(self) -> Context:
        return self._context

    def get_name(self) -> str:
        return f"branch-{self.path}" if self._name is None else str(self._name)

    def set_name(self, value: object) -> None:
        # TaskGroup of 3.11 passes on the name it was not given.
        self._name = value

    def set_result(self, result: Any) -> None:
        raise RuntimeError("A branch does not support set_result")

    def set_exception(self, exception: Any) -> None:
        raise RuntimeError("A branch does not support set_exception")


def _error_of(future: Any) -> Any:
    return future._make_cancelled_error() if future.cancelled() else future.exception()


def _cancelled(message: object) -> asyncio.CancelledError:
    return asyncio.CancelledError() if message is None else asyncio.CancelledError(message)


end_of_path(Branch.turn.__code__)
