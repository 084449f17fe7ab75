"""`check_invariants` holds on a sound store, finds each planted breach, and says what it did not see."""

from __future__ import annotations

from pathlib import Path

import pytest

from procession.kernel.events import (
    CallCompleted,
    CallKind,
    CallRequested,
    CallWithdrawn,
    ChildEnded,
    InstanceCompleted,
    InstanceStarted,
    LateResult,
)
from procession.store.deliveries import DeliveryKind, NewDelivery
from procession.store.invariants import Effect, Evidence, Refusal, check_invariants
from procession.store.waits_check import check_waits
from tests.contract import rows
from tests.contract.rows import NOW
from tests.contract.subject import SqliteSubject


@pytest.fixture
def lived(subject: SqliteSubject) -> SqliteSubject:
    """One instance that waits, one that has ended."""
    with subject.store.begin() as batch:
        rows.park(batch, client_id="c")
        rows.finish(batch, rows.park(batch))
        batch.commit()
    return subject


def test_an_empty_store_is_sound_and_says_that_nothing_was_exercised(subject: SqliteSubject) -> None:
    report = subject.check()
    assert report.is_sound
    assert {invariant.id: invariant.verdict for invariant in report.invariants} == {
        "file": "holds",
        **dict.fromkeys(["chain", "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I12", "I13"], "not exercised"),
    }


def test_a_store_that_lived_is_sound_and_was_exercised(lived: SqliteSubject) -> None:
    report = lived.check(Evidence(acknowledged=["c", 1], now_us=NOW))
    assert report.problems == ()
    for name in ("chain", "I1", "I2", "I3", "I6", "I12"):
        assert report[name].verdict == "holds", name
    assert report["I6"].exercised == 3


PLANTED = [
    ("I2", "DELETE FROM event WHERE instance = 1 AND seq = 2"),
    ("I2", "UPDATE event SET position = 100 - position WHERE instance = 1"),
    ("I2", "UPDATE event SET position = (SELECT min(position) FROM work_item_event) WHERE position = 1"),
    ("I2", "UPDATE instance SET state = 'running', ended_us = NULL WHERE id = 2"),
    ("I2", "UPDATE instance SET state = 'failed' WHERE id = 2"),
    ("I2", "UPDATE instance SET ended_us = 5 WHERE id = 1"),
    ("I2", "UPDATE event SET instance = 3 WHERE instance = 2"),
    ("I3", "UPDATE event SET call = 1 WHERE instance = 1 AND seq = 3"),
    ("I3", "UPDATE event SET call = 9 WHERE instance = 2 AND kind = 'CallCompleted' AND call = 1"),
    ("I3", "UPDATE event SET call = 1 WHERE instance = 2 AND kind = 'CallCompleted'"),
    ("I6", "DELETE FROM timer"),
    ("I6", "DELETE FROM service_call"),
    ("I6", "UPDATE work_item SET ended_us = 5 WHERE instance = 1"),
    ("I6", "UPDATE timer SET call = 7"),
    ("I6", "INSERT INTO timer VALUES (1, 1, 5)"),
    ("I6", "UPDATE service_call SET call = 8"),
    ("I6", "UPDATE work_item SET requested_position = 1 WHERE instance = 1"),
    ("I12", "UPDATE work_item SET ended_us = NULL WHERE instance = 2"),
    ("I12", "INSERT INTO timer VALUES (2, 1, 5)"),
    ("I12", "UPDATE service_call SET instance = 2"),
    ("I12", "INSERT INTO waiting_event VALUES (1, 2, 'TimerFired', 1, 5, 1, '{}', NULL)"),
    ("file", "UPDATE event SET instance = 77 WHERE instance = 1"),
]


@pytest.mark.parametrize(("broken", "statement"), PLANTED)
def test_a_planted_breach_is_found_under_its_name(lived: SqliteSubject, broken: str, statement: str) -> None:
    with lived.tampering() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute(statement.replace("'{}'", "X'7B7D'"))
        report = check_invariants(connection)
    assert report[broken].verdict == "broken"
    assert not report.is_sound


@pytest.fixture
def family(subject: SqliteSubject) -> SqliteSubject:
    """A parent (1) that waits for a child (2), has withdrawn the call of another (3), and asked for one that is still to begin."""
    with subject.store.begin() as batch:
        parent = rows.add_instance(batch)
        asked = [rows.requested(call, CallKind.CHILD) for call in (1, 2, 3)]
        withdrawn = CallWithdrawn(NOW, 2, "late", by_program=True)
        positions = rows.append(batch, parent.id, InstanceStarted(NOW, b"{}"), *asked, withdrawn)
        for call in (1, 2):
            child = rows.add_instance(batch, parent=(parent.id, call))
            rows.append(batch, child.id, InstanceStarted(NOW, b"{}"))
            position = rows.append(batch, child.id, rows.requested(1, CallKind.TIMER, due_us=NOW + 5))[0]
            assert position
            batch.timers.add(child.id, 1, NOW + 5)
        batch.deliveries.add(NewDelivery(DeliveryKind.START, parent.id, None, 3, positions[3], NOW))
        batch.commit()
    return subject


def test_a_parent_waits_for_its_children_also_for_those_it_no_longer_wants_and_for_what_is_to_begin(
    family: SqliteSubject,
) -> None:
    report = family.check()
    assert report.problems == ()
    assert report["I6"].exercised == 5


@pytest.mark.parametrize(
    ("broken", "statement"),
    [
        ("I6", "UPDATE instance SET parent = NULL WHERE id = 2"),
        ("I6", "UPDATE instance SET parent = NULL WHERE id = 3"),
        ("I6", "UPDATE instance SET parent_call = 9 WHERE id = 2"),
        ("I6", "UPDATE instance SET parent_call = 1 WHERE id = 3"),
        ("I6", "DELETE FROM delivery"),
        ("I6", "INSERT INTO delivery VALUES (9, 'ended', 2, 1, 1, 1, 5, 0)"),
        ("I12", "UPDATE instance SET state = 'cancelled', ended_us = 5 WHERE id = 1"),
    ],
)
def test_a_child_that_is_lost_doubled_or_outlives_its_parent_is_found(
    family: SqliteSubject, broken: str, statement: str
) -> None:
    with family.tampering() as connection:
        connection.execute(statement)
        assert check_invariants(connection)[broken].verdict == "broken"


def test_the_end_of_a_child_is_told_only_where_its_call_was_withdrawn_and_once(family: SqliteSubject) -> None:
    with family.store.begin() as batch:
        rows.append(batch, 1, ChildEnded(NOW, 2), ChildEnded(NOW, 2), ChildEnded(NOW, 1))
        batch.commit()
    assert family.check()["I3"].problems == (
        "leave-1, call 2 has ChildEnded after ChildEnded",
        "leave-1, call 1 has ChildEnded after None",
    )


def test_a_result_comes_late_only_where_its_call_was_withdrawn_and_once(family: SqliteSubject) -> None:
    with family.store.begin() as batch:
        rows.append(batch, 1, LateResult(NOW, 2, None), LateResult(NOW, 2, b"1"), LateResult(NOW, 1, b"1"))
        batch.commit()
    assert family.check()["I3"].problems == (
        "leave-1, call 2 has LateResult after LateResult",
        "leave-1, call 1 has LateResult after None",
    )


def test_an_attempt_whose_call_was_not_withdrawn_does_not_pass_for_a_late_one(lived: SqliteSubject) -> None:
    with lived.tampering() as connection:
        connection.execute("UPDATE service_call SET state = 'withdrawn'")
        assert check_invariants(connection)["I6"].verdict == "broken"


def test_an_event_after_the_end_and_a_second_end_are_found(lived: SqliteSubject) -> None:
    with lived.store.begin() as batch:
        rows.append(batch, 2, InstanceCompleted(NOW, b"1"))
        batch.commit()
    assert lived.check()["I2"].problems == ("leave-2, event 9 comes after InstanceCompleted",)


@pytest.mark.parametrize("state", ["halted", "suspended"])
def test_a_halted_or_suspended_instance_may_wait_for_nothing(lived: SqliteSubject, state: str) -> None:
    with lived.store.begin() as batch:
        batch.instances.change(1, state=state)
        batch.timers.remove(1, 3)
        batch.commit()
    assert lived.check().problems == ()


def test_the_check_of_waits_goes_by_pages(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        for _ in range(5):
            rows.park(batch)
        broken = rows.park(batch)
        batch.timers.remove(broken.instance, 3)
        batch.commit()
    seen, problems, after = 0, [], 0
    with subject.readers.snapshot() as view:
        while True:
            page = view.check_waits(after=after, limit=2)
            seen, problems = seen + page.instances, [*problems, *page.problems]
            if page.last is None:
                break
            after = page.last
    assert seen == 6
    assert problems == ["leave-6 waits for call 3 (timer), and nothing will ever end it"]


def test_an_acknowledged_request_that_is_not_stored_is_found(lived: SqliteSubject) -> None:
    assert lived.check(Evidence(acknowledged=["c", "lost", 1, 99]))["I1"].problems == (
        "request lost was acknowledged and is not in the store",
        "request 99 was acknowledged and is not in the store",
    )


def test_effects_are_compared_with_what_was_recorded(lived: SqliteSubject) -> None:
    with lived.readers.snapshot() as view:
        ended = view.instances.find(2)
    assert ended is not None

    def problems(*effects: Effect) -> tuple[str, ...]:
        return lived.check(Evidence(effects=effects))["I4"].problems

    good = Effect(ended.uuid, 2, "key-2", NOW)
    assert problems(good, good) == ()
    assert problems() == ("leave-2, call 2 has a result and no attempt was seen",)
    assert problems(good, Effect(ended.uuid, 2, "key-3", NOW)) == (
        "the attempts of call 2 of an instance carried different keys",
    )
    assert problems(Effect(ended.uuid, 2, "key-2", NOW + 21)) == (
        "leave-2, call 2 was attempted after its result was recorded",
    )


def test_replay_is_given_each_history_and_its_differences_are_told(lived: SqliteSubject) -> None:
    seen = {}

    def replay(instance: object, events: object) -> str | None:
        seen[instance.name] = [type(event) for event in events]  # type: ignore[attr-defined]
        return "differs" if instance.id == 2 else None  # type: ignore[attr-defined]

    report = lived.check(Evidence(replay=replay))
    assert report["I5"].problems == ("leave-2: differs",)
    assert report["I5"].exercised == 2
    assert seen["leave-1"] == [InstanceStarted, CallRequested, CallRequested, CallRequested]
    assert seen["leave-2"][-1] is InstanceCompleted
    assert CallCompleted in seen["leave-2"]


def test_an_attempt_that_should_have_been_over_long_ago_is_found(lived: SqliteSubject) -> None:
    with lived.store.begin() as batch:
        batch.service_calls.change(1, state="running", due_us=NOW, fencing=1)
        batch.commit()
    assert lived.check(Evidence(now_us=NOW + 60_000_000))["I7"].verdict == "holds"
    assert lived.check(Evidence(now_us=NOW + 60_000_001))["I7"].verdict == "broken"


def test_a_refusal_that_changed_the_store_is_found(lived: SqliteSubject) -> None:
    before = lived.fingerprint()
    assert lived.check(Evidence(refusals=[Refusal("claim", before, lived.fingerprint())]))["I13"].verdict == "holds"
    with lived.store.begin() as batch:
        batch.put_meta("anything", "else")
        batch.commit()
    assert lived.check(Evidence(refusals=[Refusal("claim", before, lived.fingerprint())]))["I13"].problems == (
        "claim was refused and changed the store",
    )


def test_of_very_many_problems_a_hundred_are_told(lived: SqliteSubject, tmp_path: Path) -> None:
    with lived.tampering() as connection:
        for call in range(10, 200):
            connection.execute("INSERT INTO timer VALUES (1, ?, 5)", (call,))
        report = check_invariants(connection)
        assert len(check_waits(connection).problems) == 190
    assert len(report["I6"].problems) == 101
    assert report["I6"].problems[-1] == "and 90 more"
