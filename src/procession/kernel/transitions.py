"""The life cycles of an instance and of a call, as tables: state -> event -> next state.

All that changes a state goes through `after`. The tables are data: the documentation draws its pictures from them. What is
not in a table is illegal: it raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from procession.errors import InternalError

from . import events


class InstanceState(StrEnum):
    """Where an instance stands. `new` is only in memory: before its first event."""

    NEW = "new"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HALTED = "halted"
    SUSPENDED = "suspended"


class CallState(StrEnum):
    """Where a call stands, as far as the program can observe it."""

    REQUESTED = "requested"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


State = TypeVar("State", InstanceState, CallState)
Table = Mapping[State, Mapping[type, State]]


class IllegalTransition(InternalError):
    """An event was applied to something that is not in a state for it. Nothing was changed."""

    code = "illegal-transition"


def _frozen(table: dict[State, dict[type, State]]) -> Table[State]:
    return MappingProxyType({state: MappingProxyType(moves) for state, moves in table.items()})


_END_CALL: dict[type, CallState] = {
    events.CallCompleted: CallState.COMPLETED,
    events.CallFailed: CallState.FAILED,
    events.CallWithdrawn: CallState.WITHDRAWN,
}

INSTANCE: Table[InstanceState] = _frozen(
    {
        InstanceState.NEW: {
            events.InstanceStarted: InstanceState.RUNNING,
            events.Renewed: InstanceState.RUNNING,
            events.InstanceHalted: InstanceState.HALTED,
        },
        InstanceState.RUNNING: {
            events.InstanceCompleted: InstanceState.COMPLETED,
            events.InstanceFailed: InstanceState.FAILED,
            events.InstanceHalted: InstanceState.HALTED,
            events.CancellationRequested: InstanceState.CANCELLING,
            events.InstanceSuspended: InstanceState.SUSPENDED,
            events.InstanceCancelled: InstanceState.CANCELLED,
        },
        InstanceState.CANCELLING: {
            events.InstanceHalted: InstanceState.HALTED,
            events.InstanceSuspended: InstanceState.SUSPENDED,
            events.InstanceCancelled: InstanceState.CANCELLED,
        },
        InstanceState.HALTED: {
            # One that was cancelling is so again at once: `Instance._go_on_again`.
            events.Retried: InstanceState.RUNNING,
            # A halted instance that cannot even be replayed on this source is halted once more.
            events.InstanceHalted: InstanceState.HALTED,
            events.InstanceCancelled: InstanceState.CANCELLED,
        },
        InstanceState.SUSPENDED: {
            # As after a halt: `Instance._go_on_again`.
            events.InstanceResumed: InstanceState.RUNNING,
            events.InstanceCancelled: InstanceState.CANCELLED,
        },
        InstanceState.COMPLETED: {},
        InstanceState.FAILED: {},
        InstanceState.CANCELLED: {},
    }
)

GOES_ON = frozenset({InstanceState.RUNNING, InstanceState.CANCELLING})
"""The states in which an instance takes events of its calls."""

CALL: Table[CallState] = _frozen(
    {
        # Work can end without a start: a service's start is nobody's business, and a person may fail or withdraw what lies open.
        CallState.REQUESTED: {events.CallStarted: CallState.STARTED, **_END_CALL},
        # Started again after a put-back.
        CallState.STARTED: {events.CallStarted: CallState.STARTED, **_END_CALL},
        CallState.COMPLETED: {},
        CallState.FAILED: {},
        CallState.WITHDRAWN: {},
    }
)

TIMER: Table[CallState] = _frozen(
    {
        CallState.REQUESTED: {events.TimerFired: CallState.COMPLETED, events.CallWithdrawn: CallState.WITHDRAWN},
        CallState.STARTED: {},
        CallState.COMPLETED: {},
        CallState.FAILED: {},
        CallState.WITHDRAWN: {},
    }
)


def after(table: Table[State], state: State, event: type, *, subject: str) -> State:
    """The state that `event` leads to; raises `IllegalTransition` where the table has none."""
    found = table[state].get(event)
    if found is None:
        raise IllegalTransition(
            f"{event.__name__} cannot happen to {subject}, which is {state.value}.",
            subject=subject,
            remedy="The host must check the state before it applies an event: please report this.",
        )
    return found
