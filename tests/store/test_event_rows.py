"""Each kernel event comes back from its row as it was; the bytes of format 1 stay what they are."""

from __future__ import annotations

import json
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from procession.store import EventRow
from procession.store.event_rows import decode_event, encode_event
from procession.store.identifiers import new_uuid7
from procession.store.sqlite_defects import known_defects, sqlite_version

times = st.integers(0, 2**53)
texts = st.text(st.characters(codec="utf-8"))
calls = st.integers(1, 10**6)
people = st.none() | texts
lines = st.binary().map(lambda text: text.replace(b"\n", b""))
failures = st.builds(Failure, texts, texts, st.none() | st.binary(), st.integers(0, 99), st.booleans())
compensations = st.builds(
    Compensation, st.sampled_from(CallKind), texts, lines, st.none() | texts, st.none() | times, st.none() | times
)
events = st.one_of(
    st.builds(InstanceStarted, times, st.binary()),
    st.builds(
        CallRequested,
        times,
        calls,
        st.sampled_from(CallKind),
        texts,
        st.binary(),
        st.binary(min_size=16, max_size=16),
        st.none() | times,
        calls,
    ),
    st.builds(CallStarted, times, calls, people),
    st.builds(CallCompleted, times, calls, st.binary(), people),
    st.builds(CallFailed, times, calls, failures, people),
    st.builds(CallWithdrawn, times, calls, texts, st.booleans()),
    st.builds(TimerFired, times, calls, times),
    st.builds(LateResult, times, calls, st.none() | st.binary(), texts),
    st.builds(AttributesSet, times, st.binary()),
    st.builds(MessagePublished, times, texts, texts, st.binary(), times),
    st.builds(ResultRecorded, times, st.binary()),
    st.builds(FailureRecorded, times, failures),
    st.builds(InstanceCompleted, times, st.binary()),
    st.builds(InstanceFailed, times, failures),
    st.builds(InstanceHalted, times, texts, texts, st.binary(), st.integers(0, 9)),
    st.builds(Retried, times),
    st.builds(CancellationRequested, times, texts),
    st.builds(InstanceSuspended, times, texts),
    st.builds(NotUndone, times, calls, texts, texts),
    st.builds(Renewed, times, lines, calls, st.lists(compensations, max_size=3).map(tuple)),
    st.builds(InstanceResumed, times, times),
    st.builds(InstanceCancelled, times, texts, st.booleans()),
)


def row_of(event: Event, request: int | None = None) -> EventRow:
    new = encode_event(event, request=request)
    return EventRow(1, 1, 1, new.kind, new.call, new.request, 1, new.header, new.payload, None, None, b"")


@given(event=events, request=st.none() | st.integers(1, 10**9))
def test_an_event_comes_back_from_its_row(event: Event, request: int | None) -> None:
    row = row_of(event, request)
    assert decode_event(row) == event
    header = json.loads(row.header)
    assert (header["kind"], header["call"], header["request"], header["at"]) == (
        row.kind,
        row.call,
        request,
        event.at_us,
    )
    assert row.header.decode().isascii()


def test_every_kind_of_event_has_its_row() -> None:
    tried = {type(example) for example in EXAMPLES}
    assert tried == set(get_args(Event))


EXAMPLES: dict[Event, tuple[bytes, bytes | None]] = {
    InstanceStarted(5, b"{}"): (b'{"at":5,"call":null,"kind":"InstanceStarted","request":7}', b"{}"),
    CallRequested(5, 1, CallKind.TASK, "Team.approve", b"[1]", b"\1" * 16, None, 3): (
        b'{"at":5,"call":1,"kind":"CallRequested","request":7,"call_kind":"task","operation":"Team.approve",'
        b'"digest":"01010101010101010101010101010101","due":null,"site":3}',
        b"[1]",
    ),
    CallRequested(5, 1, CallKind.TASK, "Team.approve", b"[1]", b"\1" * 16, 9, 3, "Board"): (
        b'{"at":5,"call":1,"kind":"CallRequested","request":7,"call_kind":"task","operation":"Team.approve",'
        b'"digest":"01010101010101010101010101010101","due":9,"site":3,"to":"Board"}',
        b"[1]",
    ),
    CallStarted(5, 1, "ann"): (b'{"at":5,"call":1,"kind":"CallStarted","request":7,"performer":"ann"}', None),
    CallCompleted(5, 1, b"true", None): (
        b'{"at":5,"call":1,"kind":"CallCompleted","request":7,"performer":null}',
        b"true",
    ),
    CallFailed(5, 1, Failure("Declined", "no\nmoney", b"{}", 3, True), None): (
        b'{"at":5,"call":1,"kind":"CallFailed","request":7,"performer":null,"type":"Declined","attempts":3,"declared":true}',
        b'"no\\nmoney"\n{}',
    ),
    CallWithdrawn(5, 1, "late", True): (
        b'{"at":5,"call":1,"kind":"CallWithdrawn","request":7,"by_program":true}',
        b"late",
    ),
    TimerFired(5, 1, 4): (b'{"at":5,"call":1,"kind":"TimerFired","request":7,"due":4}', None),
    AttributesSet(5, b'{"a":1}'): (b'{"at":5,"call":null,"kind":"AttributesSet","request":7}', b'{"a":1}'),
    ChildEnded(5, 1): (b'{"at":5,"call":1,"kind":"ChildEnded","request":7}', None),
    LateResult(5, 1, b"4711"): (b'{"at":5,"call":1,"kind":"LateResult","request":7}', b'""\n4711'),
    LateResult(5, 1, None, "down"): (b'{"at":5,"call":1,"kind":"LateResult","request":7}', b'"down"'),
    MessagePublished(5, "Payment", "17", b"{}", 9): (
        b'{"at":5,"call":null,"kind":"MessagePublished","request":7,"message":"Payment","expires":9}',
        b'"17"\n{}',
    ),
    ResultRecorded(5, b"1"): (b'{"at":5,"call":null,"kind":"ResultRecorded","request":7}', b"1"),
    FailureRecorded(5, Failure("Rejected", "no", None)): (
        b'{"at":5,"call":null,"kind":"FailureRecorded","request":7,"type":"Rejected","attempts":0,"declared":false}',
        b'"no"',
    ),
    InstanceCompleted(5, b"1"): (b'{"at":5,"call":null,"kind":"InstanceCompleted","request":7}', b"1"),
    InstanceFailed(5, Failure("Rejected", "no", None)): (
        b'{"at":5,"call":null,"kind":"InstanceFailed","request":7,"type":"Rejected","attempts":0,"declared":false}',
        b'"no"',
    ),
    InstanceHalted(5, "bug", "oh", b"{}", 1): (
        b'{"at":5,"call":null,"kind":"InstanceHalted","request":7,"code":"bug","kept":1}',
        b'"oh"\n{}',
    ),
    Retried(5): (b'{"at":5,"call":null,"kind":"Retried","request":7}', None),
    CancellationRequested(5, "twice"): (b'{"at":5,"call":null,"kind":"CancellationRequested","request":7}', b"twice"),
    NotUndone(5, 3, "Shop.release", "too late"): (
        b'{"at":5,"call":null,"kind":"NotUndone","request":7,"undoing":3,"operation":"Shop.release"}',
        b"too late",
    ),
    Renewed(5, b"[1]", 9, (Compensation(CallKind.TASK, "Team.tell", b"{}", "Board", None, 8),)): (
        b'{"at":5,"call":null,"kind":"Renewed","request":7,"next_call":9,"undo":[["task","Team.tell","Board",null,8]]}',
        b"[1]\n{}",
    ),
    InstanceSuspended(5, "audit"): (b'{"at":5,"call":null,"kind":"InstanceSuspended","request":7}', b"audit"),
    InstanceResumed(5, 3): (b'{"at":5,"call":null,"kind":"InstanceResumed","request":7,"moved":3}', None),
    InstanceCancelled(5, "", by_program=False): (
        b'{"at":5,"call":null,"kind":"InstanceCancelled","request":7,"by_program":false}',
        None,
    ),
}


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)
def test_the_bytes_of_format_one_stay_what_they_are(event: Event) -> None:
    """They are hashed as stored: a change here needs a new format number and an upcaster."""
    row = row_of(event, 7)
    assert (row.header, row.payload) == EXAMPLES[event]
    assert decode_event(row) == event


@pytest.mark.parametrize(
    "damage", [{"format": 2}, {"kind": "Unknown"}, {"header": b"{"}, {"header": b"{}"}, {"header": b"[]"}]
)
def test_a_row_that_cannot_be_read_says_so(damage: dict[str, object]) -> None:
    row = row_of(CallStarted(5, 1, "ann"))._replace(**damage)  # type: ignore[arg-type]
    with pytest.raises(StoreDamaged):
        decode_event(row)


def test_identifiers_are_uuids_of_version_7_in_the_order_of_their_times() -> None:
    made = [new_uuid7(1_700_000_000_000_000 + step * 250) for step in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == 1000
    assert {(UUID(bytes=one).version, UUID(bytes=one).variant) for one in made} == {(7, "specified in RFC 4122")}
    assert int.from_bytes(made[0][:6], "big") == 1_700_000_000_000


@pytest.mark.parametrize(
    ("version", "titles"),
    [
        ("3.40.1", ["WAL-reset"]),
        ("3.44.6", []),
        ("3.45.0", ["WAL-reset"]),
        ("3.50.7", []),
        ("3.51.2", ["WAL-reset"]),
        ("3.51.3", []),
        ("3.52.0", ["3.52.0"]),
        ("3.53.1", []),
        ("3.36.0", ["It has no", "WAL-reset"]),
    ],
)
def test_the_known_defects_of_a_version_are_told(version: str, titles: list[str]) -> None:
    assert [
        next(title for title in titles if defect.title.startswith(title)) for defect in known_defects(version)
    ] == titles


def test_the_version_that_runs_is_named() -> None:
    assert sqlite_version().startswith("3.")
