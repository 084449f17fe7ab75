"""What readers see: lists by filter and page, one instance under each of its names, the worklist, the log."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest

from procession.kernel.events import CallCompleted, CallStarted
from procession.store import InstanceFilter, NewWorkItemEvent
from tests.contract import rows
from tests.contract.rows import NOW
from tests.contract.subject import SqliteSubject


def names(found: object) -> list[str]:
    return [row.name for row in found]  # type: ignore[attr-defined]


@pytest.fixture
def listed(subject: SqliteSubject) -> SqliteSubject:
    with subject.store.begin() as batch:
        rows.add_instance(batch, key="A-1", title="Summer at the sea", at_us=NOW)
        rows.add_instance(batch, process="order", key="A-1", title="Paper 100%", at_us=NOW + 1)
        rows.add_instance(batch, key="A-2", title="Winter", at_us=NOW + 2)
        halted = rows.add_instance(batch, process="order", title="Pens", at_us=NOW + 3)
        batch.instances.change(halted.id, state="halted", halt='{"code":"bug"}')
        batch.commit()
    return subject


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (InstanceFilter(), ["order-2", "leave-2", "order-1", "leave-1"]),
        (InstanceFilter(processes=("order",)), ["order-2", "order-1"]),
        (InstanceFilter(states=["halted"]), ["order-2"]),
        (InstanceFilter(states=["halted", "running"], processes=("leave",)), ["leave-2", "leave-1"]),
        (InstanceFilter(business_key="A-1"), ["order-1", "leave-1"]),
        (InstanceFilter(text="SUMMER"), ["leave-1"]),
        (InstanceFilter(text="a-2"), ["leave-2"]),
        (InstanceFilter(text="order-"), ["order-2", "order-1"]),
        (InstanceFilter(text="%"), ["order-1"]),
        (InstanceFilter(text="_"), []),
        (InstanceFilter(since_us=NOW + 2), ["order-2", "leave-2"]),
        (InstanceFilter(processes=("nothing",)), []),
    ],
)
def test_instances_are_listed_by_filter_newest_first(
    listed: SqliteSubject, wanted: InstanceFilter, expected: list[str]
) -> None:
    with listed.readers.snapshot() as view:
        assert names(view.instances.list(wanted)) == expected


def test_a_list_goes_on_after_its_last_row(listed: SqliteSubject) -> None:
    with listed.readers.snapshot() as view:
        page = view.instances.list(limit=3)
        assert names(page) == ["order-2", "leave-2", "order-1"]
        assert names(view.instances.list(before=page[-1].id, limit=3)) == ["leave-1"]


def test_an_instance_is_found_by_each_of_its_names(listed: SqliteSubject) -> None:
    with listed.readers.snapshot() as view:
        row = view.instances.find_by_name("leave-1")
        assert row is not None
        for text in ("leave-1", str(UUID(bytes=row.uuid)), UUID(bytes=row.uuid).hex, "leave:A-1"):
            assert view.instances.find_named(text) == row
        for text in ("leave-9", "leave:B", "A-1", "leave", "", str(UUID(int=5)), str(UUID(bytes=row.uuid))[:8]):
            assert view.instances.find_named(text) is None


def test_a_business_key_means_the_open_instance_and_else_the_last_that_had_it(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        for _ in range(2):
            rows.finish(batch, rows.park(batch, key="k"))
        batch.commit()
    with subject.readers.snapshot() as view:
        assert names([view.instances.find_by_key("leave", "k")]) == ["leave-2"]


def test_the_worklist_has_what_is_offered_to_any_of_ones_roles_longest_waiting_first(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        instance = rows.add_instance(batch)
        positions = rows.append(batch, instance.id, *(rows.requested(call) for call in range(1, 8)))
        roles = ["clerk", "boss", "clerk", "other", "boss", "clerk", "clerk"]
        items = [rows.add_item(batch, instance.id, n + 1, positions[n], role=role) for n, role in enumerate(roles)]
        batch.items.change(items[2].id, state="allocated", holder="bob")
        batch.items.change(items[5].id, state="completed", holder="bob", ended_us=NOW)
        batch.commit()
    with subject.readers.snapshot() as view:
        calls = [row.call for row in view.worklist.offered(["boss", "clerk", "boss"])]
        assert calls == [1, 2, 5, 7]
        page = view.worklist.offered(["boss", "clerk"], limit=2)
        assert [row.call for row in page] == [1, 2]
        assert [row.call for row in view.worklist.offered(["boss", "clerk"], after=page[-1].id)] == [5, 7]
        assert [row.call for row in view.worklist.held("bob")] == [3]
        assert view.worklist.held("ann") == []
        assert view.worklist.offered([]) == []
        assert len(view.worklist.offered(["boss", "clerk"])) == 4
        assert [row.call for row in view.worklist.of_instance(instance.id)] == list(range(1, 8))


def test_an_item_comes_with_its_recorded_input_and_its_instance(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        parked = rows.park(batch, key="k")
        batch.commit()
    with subject.readers.snapshot() as view:
        found = view.worklist.find_with_input(parked.item)
        assert found is not None
        assert (found.input, found.instance_name, found.business_key, found.process) == (
            b'{"days":3}',
            "leave-1",
            "k",
            "leave",
        )
        assert view.worklist.find_by_uuid(found.item.uuid) == found.item == view.worklist.find(parked.item)
        assert view.worklist.find_with_input(77) is None


def test_what_an_instance_waits_for_is_listed_whole(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        parked = rows.park(batch)
        batch.commit()
    with subject.readers.snapshot() as view:
        waits = view.waits(parked.instance)
        assert ([item.call for item in waits.items], [call.call for call in waits.service_calls]) == ([1], [2])
        assert [(timer.call, timer.due_us) for timer in waits.timers] == [(3, NOW + 1000)]


def test_service_calls_in_attention_are_listed_by_pages(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        for _ in range(3):
            parked = rows.park(batch)
            batch.service_calls.change(
                parked.service_call, state="attention", attempts=3, last_error='{"type":"Timeout"}'
            )
        rows.park(batch)
        batch.commit()
    with subject.readers.snapshot() as view:
        page = view.attention(limit=2)
        assert [row.id for row in page] == [1, 2]
        assert [row.id for row in view.attention(after=2, limit=2)] == [3]
        assert page[0].last_error == '{"type":"Timeout"}'
    with subject.store.begin() as batch:
        assert [row.id for row in batch.service_calls.in_state("attention", limit=2)] == [1, 2]


def test_the_counts_of_doctor_are_those_of_the_rows(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        rows.park(batch)
        rows.finish(batch, rows.park(batch))
        batch.commit()
    with subject.readers.snapshot() as view:
        counts = view.counts()
        assert counts.instances == {"running": 1, "completed": 1}
        assert (counts.items, counts.service_calls, counts.timers) == ({"offered": 1}, {"due": 1}, 1)
        assert (counts.events, counts.requests, counts.waiting_events) == (12, 3, 0)


def test_the_log_has_one_entry_per_completed_call_in_commit_order(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        one, two = rows.park(batch, key="k"), rows.park(batch)
        rows.append(batch, two.instance, CallStarted(NOW + 3, 1, "carol"))
        batch.commit()
    with subject.store.begin() as batch:
        rows.complete_item(batch, two.item, performer="carol")
        rows.complete_item(batch, one.item)
        rows.append(batch, one.instance, CallCompleted(NOW + 20, 2, b"1", None))
        batch.commit()
    with subject.readers.snapshot() as view:
        log = view.log.completed()
        told = [
            (e.instance, e.business_key, e.operation, e.title, e.function, e.started_us, e.completed_us, e.performer)
            for e in log
        ]
        assert told == [
            ("leave-2", None, "Team.task", "Approve", "Team", NOW + 3, NOW + 10, "carol"),
            ("leave-1", "k", "Team.task", "Approve", "Team", None, NOW + 10, "bob"),
            ("leave-1", "k", "Team.service", "service", "Team", None, NOW + 20, None),
        ]
        assert {entry.requested_us for entry in log} == {NOW}
        assert view.log.completed(limit=2) == log[:2]
        assert view.log.completed(after=log[1].position, limit=2) == log[2:]
        assert view.log.completed(after=log[2].position) == []


def test_a_snapshot_sees_whole_batches_and_stays_as_it_was(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        parked = rows.park(batch)
        batch.commit()
    with subject.readers.snapshot() as before:
        assert len(before.history(parked.instance)) == 4
        with subject.store.begin() as batch:
            rows.complete_item(batch, parked.item)
            batch.write()
            with subject.readers.snapshot() as during:
                assert len(during.history(parked.instance)) == 4
            batch.commit()
        assert len(before.history(parked.instance)) == 4
        assert [row.state for row in before.worklist.of_instance(parked.instance)] == ["offered"]
    with subject.readers.snapshot() as after:
        assert len(after.history(parked.instance)) == 5
        assert len(after.history(parked.instance, after=4)) == 1


def test_many_threads_read_while_the_writer_writes(subject: SqliteSubject) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                with subject.readers.snapshot() as view:
                    page = view.instances.list(limit=1000)
                    assert len(page) % 4 == 0, "half a batch was seen"
                    for row in page[:3]:
                        assert len(view.history(row.id)) == row.seq
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(25):
            with subject.store.begin() as batch:
                for _ in range(4):
                    parked = rows.park(batch)
                batch.items.record(parked.item, NewWorkItemEvent("commented", "bob", NOW))
                batch.commit()
            subject.store.checkpoint()
    finally:
        done.set()
    for thread in threads:
        thread.join()
    assert errors == []
