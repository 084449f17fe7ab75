"""A history told: each recorded fact with what it is about, who caused it and why, and the value that came with it."""

import json

from procession.kernel import (
    AttributesSet,
    CallCompleted,
    CallFailed,
    CallRequested,
    CallWithdrawn,
    CancellationRequested,
    Event,
    Failure,
    FailureRecorded,
    InstanceCancelled,
    InstanceCompleted,
    InstanceFailed,
    InstanceHalted,
    InstanceStarted,
    InstanceSuspended,
    LateResult,
    MessagePublished,
    NotUndone,
    Renewed,
    ResultRecorded,
)
from procession.services.records import HistoryEntry, moment
from procession.store import EventRow, View
from procession.store.event_rows import ErasedPayload, decode_event


def history_of(history: list[EventRow], view: View) -> tuple[HistoryEntry, ...]:
    """All facts, in order."""
    operations: dict[int, str] = {}
    requests: dict[int, tuple[str, str | None]] = {}
    entries = []
    for row in history:
        header = json.loads(row.header)
        if row.call is not None and "operation" in header:
            operations[row.call] = str(header["operation"])
        if row.request is not None and row.request not in requests:
            request = view.request(row.request)
            requests[row.request] = ("", None) if request is None else (request.actor, request.reason)
        actor, reason = requests.get(row.request or 0, ("", None))
        text, value = _content_of(row)
        entries.append(
            HistoryEntry(
                seq=row.seq,
                at=moment(int(header["at"])),
                kind=row.kind,
                call=row.call,
                operation=operations.get(row.call or 0),
                performer=header.get("performer"),
                actor=actor or None,
                reason=reason,
                text=text,
                value=value,
            )
        )
    return tuple(entries)


def json_of(raw: bytes | None) -> object:
    """A recorded value as JSON; of a draft that is not JSON yet, its text."""
    if raw is None:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


def _content_of(row: EventRow) -> tuple[str, object]:
    try:
        event: Event = decode_event(row)
    except ErasedPayload:
        return "erased", None
    match event:
        case InstanceStarted(input=raw) | CallRequested(input=raw):
            return "", json_of(raw) if raw else None
        case CallCompleted(value=raw) | ResultRecorded(value=raw) | InstanceCompleted(value=raw):
            return "", json_of(raw)
        case AttributesSet(values=raw):
            return "", json_of(raw)
        case MessagePublished(message=message, key=key, value=raw):
            return f"{message} with key {key}", json_of(raw)
        case CallFailed(failure=failure) | FailureRecorded(failure=failure) | InstanceFailed(failure=failure):
            return _failure_text(failure), json_of(failure.payload)
        case CallWithdrawn(reason=text) | CancellationRequested(reason=text) | InstanceCancelled(reason=text):
            return text, None
        case Renewed(input=raw):
            return "", json_of(raw)
        case LateResult(value=raw, why=why):
            return why if raw is None else "came late, and is undone", json_of(raw)
        case NotUndone(operation=operation, why=why):
            return f"{operation}: {why}", None
        case InstanceSuspended(reason=text):
            return text, None
        case InstanceHalted(code=code, message=message):
            return f"{code}: {message}", None
        case _:
            return "", None


def _failure_text(failure: Failure) -> str:
    return f"{failure.type_name}: {failure.message}" if failure.message else failure.type_name
