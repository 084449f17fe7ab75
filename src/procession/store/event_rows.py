"""Kernel events as rows and back: format 1.

The header is compact JSON with everything structured: `at`, `kind`, the `request` that caused it, and the event's own facts. The
payload is what may have to be erased one day: values, and every free text (messages, reasons), which may name people.
`decode_event(encode_event(event))` is the event again. Old formats will be read by upcasters before they come here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from procession.errors import StoreDamaged
from procession.kernel.events import (
    AttributesSet,
    CallCompleted,
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
)
from procession.store.events import EVENT_FORMAT, NewEvent
from procession.store.header import optional, optional_text, quoted


class Encoded(Protocol):
    """What an event can be read from: a row of the history, or of the events that wait for a halted instance."""

    @property
    def kind(self) -> str: ...
    @property
    def format(self) -> int: ...
    @property
    def header(self) -> bytes: ...
    @property
    def payload(self) -> bytes | None: ...


class ErasedPayload(StoreDamaged):
    """The values of this event were erased; an instance without them can be shown, not replayed."""

    code = "erased"


# What an event adds to the header (JSON members, each with a comma before it), its call, its payload.
_Parts = tuple[str, int | None, bytes | None]


def encode_event(event: Event, *, request: int | None = None) -> NewEvent:
    """The row of an event; `request` is the number of the request that caused it."""
    kind = type(event).__name__
    members, call, payload = _ENCODERS[type(event)](event)
    number = "null" if call is None else call
    header = f'{{"at":{event.at_us},"call":{number},"kind":"{kind}","request":{optional(request)}{members}}}'
    return NewEvent(kind, call, request, header.encode(), payload)


def decode_event(row: Encoded) -> Event:
    """The event of a row."""
    if row.format != EVENT_FORMAT:
        raise StoreDamaged(
            f"An event of kind {row.kind} has format {row.format}, which this version does not know.",
            remedy="Install the version of Procession that wrote it, or a newer one.",
        )
    decode = _DECODERS.get(row.kind)
    if decode is None:
        raise StoreDamaged(f"An event has the unknown kind {row.kind}.", remedy="Run `procession doctor`.")
    try:
        return decode(json.loads(row.header), row.payload)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreDamaged(f"An event of kind {row.kind} cannot be read.", remedy="Run `procession doctor`.") from error


def _text_and_bytes(text: str, rest: bytes | None) -> bytes:
    # JSON text holds no line feed, so the first one ends it whatever follows; without one nothing follows.
    line = quoted(text).encode()
    return line if rest is None else line + b"\n" + rest


def _split(payload: bytes | None) -> tuple[str, bytes | None]:
    line, separator, rest = _present(payload).partition(b"\n")
    return str(json.loads(line)), rest if separator else None


def _present(payload: bytes | None) -> bytes:
    if payload is None:
        raise ErasedPayload(
            "The values of this event were erased.", remedy="An ended instance whose values are gone is not replayed."
        )
    return payload


def _requested(event: CallRequested) -> _Parts:
    members = (
        f',"call_kind":"{event.kind.value}","operation":{quoted(event.operation)},"digest":"{event.digest.hex()}"'
        f',"due":{optional(event.due_us)},"site":{event.site}'
    )
    if event.offered_to is not None:
        members += f',"to":{quoted(event.offered_to)}'
    return members, event.call, event.input


def _failure_members(failure: Failure) -> str:
    declared = "true" if failure.declared else "false"
    return f',"type":{quoted(failure.type_name)},"attempts":{failure.attempts},"declared":{declared}'


def _failed(event: CallFailed) -> _Parts:
    failure = event.failure
    members = f',"performer":{optional_text(event.performer)}{_failure_members(failure)}'
    return members, event.call, _text_and_bytes(failure.message, failure.payload)


def _withdrawn(event: CallWithdrawn) -> _Parts:
    members = f',"by_program":{"true" if event.by_program else "false"}'
    return members, event.call, event.reason.encode() if event.reason else None


def _cancelled(event: InstanceCancelled) -> _Parts:
    members = f',"by_program":{"true" if event.by_program else "false"}'
    return members, None, event.reason.encode() if event.reason else None


def _renewed(event: Renewed) -> _Parts:
    # The inputs are JSON texts without a line feed, as all that crosses: one line each, what begins the run first.
    undone = b"".join(b"\n" + each.input for each in event.compensations)
    noted = [[each.kind, each.operation, each.offered_to, each.due_us, each.within_us] for each in event.compensations]
    named = json.dumps(noted, separators=(",", ":"))
    return f',"next_call":{event.next_call},"undo":{named}', None, event.input + undone


def _instance_failed(event: InstanceFailed | FailureRecorded) -> _Parts:
    return _failure_members(event.failure), None, _text_and_bytes(event.failure.message, event.failure.payload)


def _halted(event: InstanceHalted) -> _Parts:
    members = f',"code":{quoted(event.code)},"kept":{event.kept}'
    return members, None, _text_and_bytes(event.message, event.detail)


def _published(event: MessagePublished) -> _Parts:
    members = f',"message":{quoted(event.message)},"expires":{event.expires_us}'
    return members, None, _text_and_bytes(event.key, event.value)


_ENCODERS: dict[type, Callable[[Any], _Parts]] = {
    InstanceStarted: lambda event: ("", None, event.input),
    CallRequested: _requested,
    CallStarted: lambda event: (f',"performer":{optional_text(event.performer)}', event.call, None),
    CallCompleted: lambda event: (f',"performer":{optional_text(event.performer)}', event.call, event.value),
    CallFailed: _failed,
    CallWithdrawn: _withdrawn,
    TimerFired: lambda event: (f',"due":{event.due_us}', event.call, None),
    ChildEnded: lambda event: ("", event.call, None),
    LateResult: lambda event: ("", event.call, _text_and_bytes(event.why, event.value)),
    AttributesSet: lambda event: ("", None, event.values),
    MessagePublished: _published,
    FailureRecorded: _instance_failed,
    ResultRecorded: lambda event: ("", None, event.value),
    InstanceCompleted: lambda event: ("", None, event.value),
    InstanceFailed: _instance_failed,
    InstanceHalted: _halted,
    Retried: lambda _: ("", None, None),
    CancellationRequested: lambda event: ("", None, event.reason.encode() if event.reason else None),
    NotUndone: lambda event: (
        f',"undoing":{event.call},"operation":{quoted(event.operation)}',
        None,  # the call itself has ended
        event.why.encode(),
    ),
    Renewed: _renewed,
    InstanceSuspended: lambda event: ("", None, event.reason.encode() if event.reason else None),
    InstanceResumed: lambda event: (f',"moved":{event.moved_us}', None, None),
    InstanceCancelled: _cancelled,
}


def _failure(header: dict[str, Any], payload: bytes | None) -> Failure:
    message, value = _split(payload)
    return Failure(header["type"], message, value, header["attempts"], header["declared"])


def _decode_requested(header: dict[str, Any], payload: bytes | None) -> Event:
    return CallRequested(
        header["at"],
        header["call"],
        CallKind(header["call_kind"]),
        header["operation"],
        _present(payload),
        bytes.fromhex(header["digest"]),
        header["due"],
        header["site"],
        header.get("to"),
    )


def _decode_withdrawn(header: dict[str, Any], payload: bytes | None) -> Event:
    reason = "" if payload is None else payload.decode()
    return CallWithdrawn(header["at"], header["call"], reason, header["by_program"])


def _decode_late_result(header: dict[str, Any], payload: bytes | None) -> Event:
    why, value = _split(payload)
    return LateResult(header["at"], header["call"], value, why)


def _decode_renewed(header: dict[str, Any], payload: bytes | None) -> Event:
    first, *inputs = _present(payload).split(b"\n")
    named = zip(header["undo"], inputs, strict=True)
    undone = tuple(Compensation(CallKind(kind), operation, each, *terms) for (kind, operation, *terms), each in named)
    return Renewed(header["at"], first, header["next_call"], undone)


def _decode_halted(header: dict[str, Any], payload: bytes | None) -> Event:
    message, detail = _split(payload)
    return InstanceHalted(header["at"], header["code"], message, detail or b"", header["kept"])


def _decode_published(header: dict[str, Any], payload: bytes | None) -> Event:
    key, value = _split(payload)
    return MessagePublished(header["at"], header["message"], key, value or b"", header["expires"])


_DECODERS: dict[str, Callable[[dict[str, Any], bytes | None], Event]] = {
    "InstanceStarted": lambda header, payload: InstanceStarted(header["at"], _present(payload)),
    "CallRequested": _decode_requested,
    "CallStarted": lambda header, _: CallStarted(header["at"], header["call"], header["performer"]),
    "CallCompleted": lambda header, payload: CallCompleted(
        header["at"], header["call"], _present(payload), header["performer"]
    ),
    "CallFailed": lambda header, payload: CallFailed(
        header["at"], header["call"], _failure(header, payload), header["performer"]
    ),
    "CallWithdrawn": _decode_withdrawn,
    "TimerFired": lambda header, _: TimerFired(header["at"], header["call"], header["due"]),
    "ChildEnded": lambda header, _: ChildEnded(header["at"], header["call"]),
    "LateResult": _decode_late_result,
    "AttributesSet": lambda header, payload: AttributesSet(header["at"], _present(payload)),
    "MessagePublished": _decode_published,
    "ResultRecorded": lambda header, payload: ResultRecorded(header["at"], _present(payload)),
    "InstanceCompleted": lambda header, payload: InstanceCompleted(header["at"], _present(payload)),
    "FailureRecorded": lambda header, payload: FailureRecorded(header["at"], _failure(header, payload)),
    "InstanceFailed": lambda header, payload: InstanceFailed(header["at"], _failure(header, payload)),
    "InstanceHalted": _decode_halted,
    "Retried": lambda header, _: Retried(header["at"]),
    "CancellationRequested": lambda header, payload: CancellationRequested(
        header["at"], "" if payload is None else payload.decode()
    ),
    "NotUndone": lambda header, payload: NotUndone(
        header["at"], header["undoing"], header["operation"], _present(payload).decode()
    ),
    "Renewed": _decode_renewed,
    "InstanceSuspended": lambda header, payload: InstanceSuspended(
        header["at"], "" if payload is None else payload.decode()
    ),
    "InstanceResumed": lambda header, _: InstanceResumed(header["at"], header["moved"]),
    "InstanceCancelled": lambda header, payload: InstanceCancelled(
        header["at"], "" if payload is None else payload.decode(), header["by_program"]
    ),
}
