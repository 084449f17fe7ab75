"""The kernel: history and events in, commands out. Pure: no thread, no clock, no file, nothing but the standard library.

`README.md` beside this file is the contract between the kernel and whoever hosts it.
"""

from .call import (
    Call,
    WorkCall,
    compensate,
    current,
    finish,
    now_us,
    perform,
    publish,
    random,
    renew,
    request,
    runs,
    set_attributes,
    to_be_awaited,
    uuid4,
)
from .closing import Teardown
from .commands import (
    NO_TERMS,
    CancelInstance,
    Command,
    CompleteInstance,
    FailInstance,
    Halt,
    HaltInstance,
    Outcome,
    PublishMessage,
    RecordFailure,
    RecordNotUndone,
    RecordResult,
    RefusedInProcess,
    RenewInstance,
    RequestCall,
    SetAttributes,
    Terms,
    WithdrawCall,
    event_of,
)
from .events import (
    AttributesSet,
    CallCompleted,
    CallEvent,
    CallFailed,
    CallKind,
    CallRequested,
    CallStarted,
    CallWithdrawn,
    CancellationRequested,
    ChildEnded,
    Compensation,
    Event,
    Failure,
    FailureRecorded,
    InstanceCancelled,
    InstanceCompleted,
    InstanceFailed,
    InstanceHalted,
    InstanceResumed,
    InstanceStarted,
    InstanceSuspended,
    LateResult,
    MessagePublished,
    NotUndone,
    Renewed,
    ResultRecorded,
    Retried,
    TimerFired,
    is_recorded,
    late_result,
)
from .history import Divergence, Program
from .instance import Instance
from .loop import TIMER_OPERATION, OpenCall
from .ordered import Chance, replacements
from .site import BranchStack, Frame, Site, StackFrame
from .transitions import CALL, GOES_ON, INSTANCE, TIMER, CallState, IllegalTransition, InstanceState

__all__ = [
    "CALL", "GOES_ON", "INSTANCE", "NO_TERMS", "TIMER", "TIMER_OPERATION", "AttributesSet", "BranchStack",
    "Call", "CallCompleted", "CallEvent", "CallFailed", "CallKind", "CallRequested", "CallStarted", "CallState",
    "CallWithdrawn", "CancelInstance", "CancellationRequested", "Chance", "ChildEnded", "Command",
    "Compensation", "CompleteInstance", "Divergence", "Event", "FailInstance", "Failure", "FailureRecorded", "Frame", "Halt",
    "HaltInstance", "IllegalTransition", "Instance", "InstanceCancelled", "InstanceCompleted", "InstanceFailed",
    "InstanceHalted", "InstanceResumed", "InstanceStarted", "InstanceState", "InstanceSuspended",
    "LateResult", "MessagePublished", "NotUndone", "OpenCall", "Outcome", "Program", "PublishMessage", "RecordFailure", "RecordNotUndone",
    "RecordResult", "RefusedInProcess", "RenewInstance", "Renewed", "RequestCall", "ResultRecorded", "Retried",
    "SetAttributes", "Site", "StackFrame", "Teardown", "Terms", "TimerFired", "WithdrawCall", "WorkCall",
    "compensate", "current", "event_of", "finish", "is_recorded", "late_result", "now_us", "perform", "publish", "random",
    "renew", "replacements", "request", "runs", "set_attributes", "to_be_awaited", "uuid4",
]  # fmt: skip
