"""One running process: events go in, commands or a halt come out.

`advance` applies one event to a live instance; `replay` brings a fresh one to where a history ends. Both go the same way, event by
event, each until nothing is ready any more, so the boundaries are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from . import events
from .branch import Branch, Fault
from .closing import Teardown
from .commands import (
    NOTHING_TO_DO,
    CancelInstance,
    CompleteInstance,
    FailInstance,
    Final,
    Halt,
    HaltInstance,
    Outcome,
    RecordFailure,
    RecordResult,
    RenewInstance,
)
from .ends import begin_to_undo, begin_unwinding, discard_all, settle_late, undo_all, undo_late, unwind
from .events import CallEvent, Compensation, Event, Failure, is_recorded
from .history import Divergence, Program, kept_facts
from .loop import ASKED_MEANWHILE, Ending, Entry, Loop, OpenCall, OpenCalls, Timer, Turn
from .ordered import Chance
from .site import BranchStack, stack_of, stack_of_error
from .transitions import GOES_ON, INSTANCE, IllegalTransition, InstanceState, after

MOST_RENEWALS = 1_000
RENEWS_FOR_EVER = f"The process began anew {MOST_RENEWALS:,} times without a wait. Have it wait before it renews."


class Instance:
    """One run of a process. After a halt, an interrupt or a divergence it is spent: close it, and rebuild by replay."""

    __slots__ = (
        "__weakref__", "_cancel_reason", "_chance_of_callbacks", "_chances", "_is_spent", "_kept", "_loop",
        "_recorded", "_run", "_seed", "state",
    )  # fmt: skip

    def __init__(self, program: Program, *, seed: bytes) -> None:
        self._loop = Loop(program)  # type: ignore[abstract]  # the rest of asyncio's methods is refused, see there
        self._loop.instance = self
        self._seed = seed
        self._chances: WeakKeyDictionary[Branch, Chance] | None = None
        self._chance_of_callbacks: Chance | None = None
        self._kept: list[Event] = []
        self._is_spent = False
        self._recorded: Failure | bytes | None = None
        self._run = 1  # the number of the first call after the last renewal
        self._cancel_reason = ""
        self.state = InstanceState.NEW

    @property
    def now_us(self) -> int:
        return self._loop.now_us

    @property
    def replaying(self) -> bool:
        return self._loop.history.recorded is not None

    @property
    def next_call(self) -> int:
        """The number that the next call will get."""
        return self._loop.history.next_call

    @property
    def open_calls(self) -> Mapping[int, OpenCall]:
        return OpenCalls(self._loop.open)

    @property
    def ending_children(self) -> frozenset[int]:
        """Calls that the program has withdrawn, and whose children have not ended yet."""
        return self._loop.ending

    @property
    def unwinds(self) -> bool:
        """Whether it is cancelled, or fails, and only cleans up and undoes what it did."""
        return self._loop.is_cancelling or self._loop.failure is not None

    @property
    def late_calls(self) -> frozenset[int]:
        """Calls that the program has withdrawn, and of which a result may still come that has to be undone."""
        return frozenset(call for call, undo in self._loop.late.items() if undo is not None)

    def branches(self) -> tuple[BranchStack, ...]:
        """The business call stack of every branch that waits, oldest first."""
        return tuple(
            BranchStack(branch.path, stack_of(branch.get_coro(), branch.created_at), self._call_waited_for(branch))
            for branch in self._loop.branches.values()
            if branch.get_coro() is not None
        )

    def advance(self, event: Event) -> Outcome:
        """Applies one incoming event. Returns commands, or a halt and no commands.

        Raises `IllegalTransition`, and changes nothing, if the event cannot happen now; a `KeyboardInterrupt`
        goes through. Anything else is a bug of ours.
        """
        apply = _APPLY.get(type(event))
        if self._is_spent or apply is None or is_recorded(event):
            raise _not_now(event, self._is_spent)
        loop = self._loop
        try:
            apply(self, event)
            self._go_on(event.at_us)
        except IllegalTransition:
            raise
        except BaseException:
            self._is_spent = True
            raise
        if loop.fault is not None:
            return self._halted(loop.fault)
        made = loop.history.commands
        if not made:
            return NOTHING_TO_DO
        loop.history.commands = []
        return Outcome(tuple(made))

    def replay(self, history: Sequence[Event], *, before_event: Callable[[int], None] | None = None) -> None:
        """Brings a fresh instance to where the history ends. Raises `Divergence` at the first difference.

        `before_event` is told the sequence number of each event that is about to run code, so that a watchdog can count per event.
        """
        if self.state is not InstanceState.NEW or self._is_spent:
            raise IllegalTransition("Only a fresh instance can be replayed.")
        kept = kept_facts(history)
        record = self._loop.history
        record.recorded = history
        try:
            if history and type(history[0]) is events.Renewed:
                record.place = 1
                self._renewed(history[0])
                self._go_on(history[0].at_us)
                if self._loop.fault is not None:
                    raise self._diverged(self._loop.fault)
            while (event := record.next_incoming()) is not None:
                if record.place - 1 in kept:
                    if type(event) is not events.Retried:  # a retry that halted again keeps what it would have applied
                        self._kept.append(event)
                    continue
                if before_event is not None:
                    before_event(record.place)
                _APPLY[type(event)](self, event)
                self._go_on(event.at_us)
                if self._loop.fault is not None:
                    raise self._diverged(self._loop.fault)
        except HaltInstance as reason:
            self._is_spent = True
            self._loop.halt(reason)
            assert self._loop.fault is not None
            raise self._diverged(self._loop.fault) from None
        except IllegalTransition as error:
            self._is_spent = True
            message = f"The history does not fit together: {error}"
            raise record.diverge(message, call=self.next_call, recorded=history[record.place - 1]) from error
        except BaseException:
            self._is_spent = True
            raise
        finally:
            record.recorded = None

    def close(self) -> Teardown:
        """Takes the instance out of memory: closes the coroutines, newest branch first, on a loop that is dead.

        Calls and timers that `finally` blocks ask for now are silenced. To be called for every instance, ended ones too.
        """
        loop = self._loop
        self._is_spent = True
        loop.dead = True
        closed = swallowed = 0
        if loop.branches:
            loop.enter()
            try:
                for branch in reversed(loop.branches.values()):
                    if branch.get_coro() is not None:
                        was_closed = branch.discard()
                        closed += was_closed
                        swallowed += not was_closed
            finally:
                loop.leave()
        for unbegun in loop.unbegun:
            if not unbegun[0].cr_suspended:
                unbegun[0].close()  # it never ran: so that Python warns of nothing
        for rest in (loop.unbegun, loop.branches, loop.open, loop.ready, loop.failed):
            rest.clear()
        loop.root = loop.fault = loop.instance = None
        self._chances = None
        return Teardown(closed, swallowed)

    def chance(self) -> Chance:
        """The source of randomness of the branch that is running; it depends on the seed and on the branch's path alone."""
        branch = self._loop.current
        if branch is None:
            if self._chance_of_callbacks is None:
                self._chance_of_callbacks = Chance(self._seed_of_run(), "")
            return self._chance_of_callbacks
        if self._chances is None:
            self._chances = WeakKeyDictionary()
        found = self._chances.get(branch)
        if found is None:
            found = self._chances[branch] = Chance(self._seed_of_run(), branch.path)
        return found

    def _seed_of_run(self) -> bytes:
        return self._seed if self._run == 1 else self._seed + b"%d" % self._run

    def _retry(self, event: events.Retried) -> None:
        self._go_on_again(event)
        kept, self._kept = self._kept, []
        for each in kept:
            if self._loop.fault is None:
                if isinstance(each, events.InstanceStarted):  # its transition is made: halt and retry lie after it
                    self._begin(each)
                elif (call := getattr(each, "call", None)) in (None, *self._loop.open):
                    _APPLY[type(each)](self, each)
                elif call in self._loop.ending:  # one before it made the program withdraw the call
                    self._loop.ending -= {call}
                elif call in self.late_calls and (late := events.late_result(each)) is not None:
                    self._come_late(late)
                self._go_on(event.at_us)

    def _resume(self, event: events.InstanceResumed) -> None:
        self._go_on_again(event)
        for entry in self._loop.open.values():
            if entry.due_us is not None:
                entry.due_us += event.moved_us

    def _go_on_again(self, event: events.Retried | events.InstanceResumed) -> None:
        """Stands where it stood before it stood still."""
        self.state = after(INSTANCE, self.state, type(event), subject="the instance")
        if self._loop.is_cancelling:
            self.state = after(INSTANCE, self.state, events.CancellationRequested, subject="the instance")

    def _go_on(self, at_us: int) -> None:
        loop = self._loop
        if at_us > loop.now_us:
            loop.now_us = at_us
        if loop.ready:
            loop.enter()
            try:
                loop.run_dry()
                if loop.failure is not None or loop.is_cancelling:
                    unwind(loop)
                self._settle()
            except HaltInstance as reason:
                loop.halt(reason)
            finally:
                loop.leave()
            if loop.interrupt is not None:
                raise loop.interrupt
        else:
            self._settle()

    def _start(self, event: events.InstanceStarted) -> None:
        self.state = after(INSTANCE, self.state, events.InstanceStarted, subject="the instance")
        self._begin(event)

    def _begin(self, event: events.InstanceStarted) -> None:
        # Contexts of their own: nothing of the host's (a decimal context, say) may reach the instance.
        self._loop.ready.append(Turn(self._loop, self._run_root, (event.input,), Context()))

    def _run_root(self, payload: bytes) -> None:
        loop = self._loop
        loop.root = root = Branch(loop, loop.program.main(payload), None, context=Context())
        root.turn()

    def _entry(self, event: CallEvent) -> Entry:
        entry = self._loop.open.get(event.call)
        if entry is not None and self.state in GOES_ON:
            return entry
        why = "it is not open" if entry is None else f"the instance is {self.state.value}"
        call = f"call {event.call}"
        raise IllegalTransition(f"{type(event).__name__} cannot happen to {call}: {why}.", subject=call)

    def _start_call(self, event: events.CallStarted) -> None:
        entry = self._entry(event)
        entry.state = entry.next_state(events.CallStarted)
        entry.has_started(event.performer)

    def _end_call(self, event: CallEvent, ending: Ending, performer: str | None = None) -> None:
        entry = self._entry(event)
        if type(entry) is Timer and type(event) is events.CallWithdrawn:
            raise IllegalTransition("Only the program withdraws a timer of asyncio's.", subject=f"call {event.call}")
        state = entry.next_state(type(event))
        if entry.undo is not None and isinstance(ending, bytes):
            self._loop.ready.append(Turn(self._loop, self._note_undo, (entry.undo, ending), Context()))
        entry.end(state, ending, performer)

    def _note_undo(self, undo: Callable[[bytes], Compensation], value: bytes) -> None:
        self._loop.compensations.append(undo(value))

    def _child_ended(self, event: events.ChildEnded) -> None:
        if event.call not in self._loop.ending or self.state not in GOES_ON:
            raise IllegalTransition(f"Call {event.call} is of no child that is to end.", subject=f"call {event.call}")
        self._loop.ending -= {event.call}

    def _come_late(self, event: events.LateResult) -> None:
        loop = self._loop
        undo = loop.late.get(event.call)
        if undo is None or self.state not in GOES_ON:
            raise IllegalTransition(f"No result of call {event.call} can come late.", subject=f"call {event.call}")
        if event.value is None:
            loop.ready.append(Turn(loop, settle_late, (loop, event.call), Context()))
        else:
            loop.late[event.call] = None
            loop.ready.append(Turn(loop, self._undo_late, (event.call, undo, event.value), Context()))

    def _undo_late(self, call: int, undo: Callable[[bytes], Compensation], value: bytes) -> None:
        loop = self._loop
        begin_to_undo(loop, Branch(loop, undo_late(loop, call, undo(value)), None, context=Context()))

    def _change_state(self, event: events.InstanceHalted | events.InstanceSuspended | events.InstanceCancelled) -> None:
        self.state = after(INSTANCE, self.state, type(event), subject="the instance")

    def _cancel(self, event: events.CancellationRequested) -> None:
        self.state = after(INSTANCE, self.state, events.CancellationRequested, subject="the instance")
        loop = self._loop
        loop.is_cancelling = True
        self._cancel_reason = event.reason
        begin_unwinding(loop)
        loop.ready.append(Turn(loop, self._cancel_root, (), Context()))

    def _cancel_root(self) -> None:
        if self._loop.root is not None:
            self._loop.root.cancel()

    def _settle(self) -> None:
        """Ends the instance when root and branches have ended; says so when it can never happen."""
        loop = self._loop
        if loop.fault is not None or self.state not in GOES_ON:
            return
        if loop.final is not None:
            self._end_by_itself(loop.final)
            return
        if loop.unbegun and loop.failure is None and not loop.is_cancelling and loop.has_unbegun():
            return
        if not loop.branches:
            self._end()
        else:
            self._record_result()
        if loop.branches and not loop.open and not loop.late:
            loop.fault = Fault(
                "stuck",
                "Nothing that this instance waits for can ever happen: every branch waits for another, and no call is open.",
                None,
                None,
            )

    def _end_by_itself(self, final: Final) -> None:
        """The program has said its last word: all else is withdrawn, or it begins anew."""
        loop, renewals = self._loop, 0
        while final.renews:
            renewals += 1
            if renewals > MOST_RENEWALS:
                loop.fault = Fault("no-progress", RENEWS_FOR_EVER, None, None)
                return
            carried = tuple(replace(each, site=()) for each in loop.compensations)
            loop.history.ask(RenewInstance(final.value, self.next_call, carried))
            discard_all(loop)
            self._begin_anew(final.value)
            loop.run_dry()
            if loop.failure is not None:
                unwind(loop)
            if loop.final is None or loop.fault is not None:
                self._settle()
                return
            final = loop.final
        loop.withdraw_all("the instance has finished")
        loop.history.ask(CompleteInstance(final.value))
        self.state = after(INSTANCE, self.state, events.InstanceCompleted, subject="the instance")

    def _begin_anew(self, payload: bytes) -> None:
        self._chances = self._chance_of_callbacks = None
        self._recorded = None
        self._run = self.next_call
        self._loop.ready.append(Turn(self._loop, self._run_root, (payload,), Context()))

    def _renewed(self, event: events.Renewed) -> None:
        self.state = after(INSTANCE, self.state, events.Renewed, subject="the instance")
        self._loop.history.next_call = event.next_call
        self._loop.compensations = list(event.compensations)
        self._begin_anew(event.input)

    def _record_result(self) -> None:
        """It is known how it will end, and the instance goes on: for its branches, or until its children have ended."""
        loop = self._loop
        known = loop.failure or loop.result
        if known is None or known is self._recorded or loop.is_cancelling:
            return
        loop.history.ask(RecordFailure(known) if isinstance(known, Failure) else RecordResult(known))
        self._recorded = known

    def _end(self) -> None:
        loop = self._loop
        failure = loop.failure
        if failure is None and not loop.is_cancelling:
            unseen = next(
                (each for each in sorted(loop.failed, key=lambda branch: branch.number) if each._log_traceback), None
            )
            error = None if unseen is None else unseen.exception()
            if error is not None:
                failure = loop.failure_of(error)
                if failure is None:
                    loop.halt_for_bug(error, unseen)
                    return
        loop.withdraw_all("the instance has ended")  # of callbacks or abandoned generators: nothing waits for them
        if loop.ending or loop.late:
            loop.failure = failure
            self._record_result()
            return
        if loop.compensations and (loop.is_cancelling or failure is not None):
            loop.failure = failure
            self._record_result()
            undoing = undo_all(loop, loop.compensations)
            begin_to_undo(loop, Branch(loop, undoing, None, context=Context()))
            return
        if loop.is_cancelling:
            loop.history.ask(CancelInstance(self._cancel_reason))
            self.state = after(INSTANCE, self.state, events.InstanceCancelled, subject="the instance")
        elif failure is not None:
            loop.history.ask(FailInstance(failure))
            self.state = after(INSTANCE, self.state, events.InstanceFailed, subject="the instance")
        else:
            assert loop.result is not None
            loop.history.ask(CompleteInstance(loop.result))
            self.state = after(INSTANCE, self.state, events.InstanceCompleted, subject="the instance")

    def _call_waited_for(self, branch: Branch) -> int | None:
        waits_for = branch.waits_for
        if isinstance(waits_for, Entry):
            return waits_for.number
        timers = (each for each in self._loop.open.values() if isinstance(each, Timer))
        return next((each.number for each in timers if waits_for is not None and each.wakes(waits_for)), None)

    def _halt_of(self, fault: Fault) -> Halt:
        stack = self.branches()
        error = fault.exception
        if error is not None:
            path, created_at = ("", ()) if fault.branch is None else (fault.branch.path, fault.branch.created_at)
            stack = (BranchStack(path, stack_of_error(error.__traceback__, created_at), None), *stack)
        asked = getattr(error, ASKED_MEANWHILE, None)
        return Halt(fault.code, fault.message, error, stack, asked)

    def _halted(self, fault: Fault) -> Outcome:
        self._is_spent = True
        halt = self._halt_of(fault)
        self.state = after(INSTANCE, self.state, events.InstanceHalted, subject="the instance")
        self._loop.history.commands.clear()
        return Outcome((), halt)

    def _diverged(self, fault: Fault) -> Divergence:
        self._is_spent = True
        record = self._loop.history
        halt = self._halt_of(fault)
        if record.divergence is not None:
            record.divergence.halt = replace(halt, exception=record.divergence)
            return record.divergence
        # A bug that the history does not have: it is what the host records, and no lesser difference for that.
        found = record.diverge(fault.message, call=self.next_call, recorded=None)
        found.halt = halt
        return found


def _not_now(event: Event, is_spent: bool) -> IllegalTransition:
    if is_spent:
        return IllegalTransition(
            "The instance has stopped in the middle of an advance.", remedy="Close it and rebuild it by replay."
        )
    return IllegalTransition(f"{type(event).__name__} is the record of a command: only a replay takes it.")


_APPLY: dict[type[Event], Callable[[Instance, Any], None]] = {
    events.InstanceStarted: Instance._start,
    events.CallStarted: Instance._start_call,
    events.CallCompleted: lambda self, event: self._end_call(event, event.value, event.performer),
    events.CallFailed: lambda self, event: self._end_call(event, event.failure, event.performer),
    events.CallWithdrawn: lambda self, event: self._end_call(event, event.reason),
    events.TimerFired: lambda self, event: self._end_call(event, b""),
    events.ChildEnded: Instance._child_ended,
    events.LateResult: Instance._come_late,
    events.Retried: Instance._retry,
    events.InstanceHalted: Instance._change_state,
    events.InstanceSuspended: Instance._change_state,
    events.InstanceResumed: Instance._resume,
    events.CancellationRequested: Instance._cancel,
    events.InstanceCancelled: Instance._change_state,
}
