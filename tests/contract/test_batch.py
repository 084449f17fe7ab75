"""A batch reads its own rows, writes all of them at once, and leaves nothing behind when it is dropped."""

from __future__ import annotations

import pytest

from procession.errors import ConstraintBroken, InternalError
from procession.kernel.events import CallCompleted, CallFailed, Failure, InstanceHalted, InstanceStarted, TimerFired
from procession.kernel.site import Frame
from procession.kernel.transitions import InstanceState
from procession.store import NewRequest, NewServiceCall, NewWorkItemEvent
from procession.store.event_rows import ErasedPayload, decode_event, encode_event
from procession.store.releases import decode_site
from tests.contract import rows
from tests.contract.rows import NOW
from tests.contract.subject import SqliteSubject


def test_what_a_batch_adds_is_read_back_before_and_after_it_is_written(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        parked = rows.park(batch, key="2026", client_id="c-1")

        def look() -> tuple[object, ...]:
            instance = batch.instances.get(parked.instance)
            return (
                instance,
                batch.instances.find_by_uuid(instance.uuid),
                batch.instances.find_by_name("leave-1"),
                batch.instances.find_open("leave", "2026"),
                batch.events.history(parked.instance),
                batch.items.of_instance(parked.instance),
                batch.items.find_open(parked.instance, 1),
                batch.items.events_of(parked.item),
                batch.service_calls.due(NOW, limit=5),
                batch.service_calls.find_open(parked.instance, 2),
                batch.service_calls.due(2**62, limit=1),
                batch.timers.of_instance(parked.instance),
                batch.timers.due(NOW + 1000, limit=5),
                batch.requests.find_by_client_id("c-1"),
            )

        before = look()
        assert None not in before
        assert [] not in before
        batch.write()
        assert look() == before
        batch.commit()
    with subject.store.begin() as batch:
        assert look() == before


def test_sequence_and_head_follow_the_events(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        instance = rows.add_instance(batch)
        assert instance.seq == 0
        first = rows.append(batch, instance.id, InstanceStarted(NOW, b"{}"), rows.requested(1))
        second = rows.append(batch, instance.id, CallCompleted(NOW, 1, b"1", None))
        assert [*first, *second] == [1, 2, 3]
        now = batch.instances.get(instance.id)
        assert now.seq == 3
        assert now.head == batch.events.history(instance.id)[-1].hash
        changed = batch.instances.change(instance.id, now_us=NOW + 5, state=InstanceState.HALTED, halt="{}")
        assert (changed.seq, changed.now_us, type(changed.state)) == (3, NOW + 5, str)
        batch.commit()
    with subject.readers.snapshot() as view:
        assert view.instances.find(instance.id) == changed


def test_a_rolled_back_batch_leaves_nothing_and_its_numbers_are_given_out_again(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        rows.park(batch)
        batch.commit()
    before = subject.fingerprint()
    with subject.store.begin() as batch:
        lost = rows.park(batch, key="lost", client_id="lost")
        batch.releases.site(1, (Frame("m", "f", 1, 2, 3, 4),))
        batch.write()
        name = batch.instances.get(lost.instance).name
        batch.rollback()
    assert subject.fingerprint() == before
    with subject.store.begin() as batch:
        again = rows.park(batch)
        assert (again.instance, batch.instances.get(again.instance).name) == (lost.instance, name)
        assert batch.instances.find_open("leave", "lost") is None
        assert batch.requests.find_by_client_id("lost") is None
        number = batch.releases.site(1, (Frame("m", "f", 1, 2, 3, 4),))
        batch.commit()
    with subject.readers.snapshot() as view:
        assert view.site(number) is not None
    assert subject.check().is_sound


def test_instances_are_numbered_per_process_across_openings(subject: SqliteSubject) -> None:
    for names in (["leave-1", "order-1", "leave-2"], ["leave-3", "order-2", "leave-4"]):
        with subject.store.begin() as batch:
            made = [rows.add_instance(batch, process=process).name for process in ("leave", "order", "leave")]
            batch.commit()
        assert made == names
        subject.reopen()


def test_a_business_key_is_free_again_in_the_batch_that_ends_its_holder(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        first = rows.park(batch, key="k")
        batch.commit()
    with subject.store.begin() as batch:
        assert batch.instances.find_open("leave", "k") is not None
        rows.finish(batch, first)
        assert batch.instances.find_open("leave", "k") is None
        second = rows.park(batch, key="k")
        found = batch.instances.find_open("leave", "k")
        assert found is not None
        assert found.id == second.instance
        batch.commit()
    with subject.readers.snapshot() as view:
        held = view.instances.find_by_key("leave", "k")
        assert held is not None
        assert held.id == second.instance
    assert subject.check().is_sound


def test_two_holders_of_one_business_key_are_refused_and_nothing_of_the_batch_stays(subject: SqliteSubject) -> None:
    before = subject.fingerprint()
    with subject.store.begin() as batch:
        rows.add_instance(batch, key="k")
        rows.add_instance(batch, key="k")
        with pytest.raises(ConstraintBroken):
            batch.commit()
        assert not batch.is_open
    assert subject.fingerprint() == before
    assert not subject.store.is_failed
    with subject.store.begin() as batch:
        assert rows.add_instance(batch, key="k").name == "leave-1"
        batch.commit()


def test_a_batch_knows_which_instances_it_touched_even_when_it_fails(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        first, second = rows.add_instance(batch), rows.add_instance(batch)
        batch.commit()
    with subject.store.begin() as batch:
        rows.append(batch, first.id, InstanceStarted(NOW, b"{}"))
        batch.write()
        batch.instances.change(second.id, title="Other")
        batch.rollback()
        assert batch.touched == {first.id, second.id}


def test_a_row_that_the_engine_kept_need_not_be_read_and_what_it_changes_is_written(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        parked = rows.park(batch)
        batch.commit()
        kept, item = batch.instances.get(parked.instance), batch.items.get(parked.item)
    with subject.store.begin() as batch:
        batch.instances.know(kept)
        batch.items.know(item)
        rows.complete_item(batch, parked.item)
        batch.commit()
    with subject.store.begin() as batch:
        assert batch.instances.get(parked.instance).seq == kept.seq + 1
        assert batch.items.get(parked.item).seq == item.seq + 1
    assert subject.check()["chain"].verdict == "holds"


def test_a_removed_row_is_gone_for_the_batch_and_one_under_its_key_may_follow(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        parked = rows.park(batch)
        batch.commit()
    with subject.store.begin() as batch:
        batch.timers.remove(parked.instance, 3)
        batch.service_calls.remove(parked.service_call)
        assert batch.timers.of_instance(parked.instance) == []
        assert batch.timers.find(parked.instance, 3) is None
        assert batch.timers.due(NOW + 1000, limit=1) == []
        assert batch.service_calls.find(parked.service_call) is None
        assert batch.service_calls.due(NOW, limit=1) == []
        batch.timers.add(parked.instance, 3, NOW + 7)
        batch.service_calls.add(NewServiceCall(parked.instance, 2, "Team.service", NOW + 8, "key-2", 3))
        assert [timer.due_us for timer in batch.timers.due(NOW + 1000, limit=1)] == [NOW + 7]
        batch.commit()
    with subject.readers.snapshot() as view:
        assert view.next_timer_due_us() == NOW + 7
        assert view.next_service_due_us() == NOW + 8


def test_rows_of_the_batch_do_not_crowd_out_what_is_due_in_the_store(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        instance = rows.add_instance(batch)
        for call in range(1, 6):
            batch.timers.add(instance.id, call, NOW + call)
        batch.commit()
    with subject.store.begin() as batch:
        for call in (1, 2, 3):
            batch.timers.remove(instance.id, call)
        assert [timer.call for timer in batch.timers.due(NOW + 10, limit=2)] == [4, 5]


def test_timers_of_an_instance_come_by_due_time_and_then_by_call(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        instance = rows.add_instance(batch)
        for call, due in ((1, 5), (2, 3), (3, 5), (4, 1)):
            batch.timers.add(instance.id, call, due)
        assert [timer.call for timer in batch.timers.of_instance(instance.id)] == [4, 2, 1, 3]
        batch.write()
        assert [timer.call for timer in batch.timers.of_instance(instance.id)] == [4, 2, 1, 3]


def test_attributes_are_overwritten_by_name(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        instance = rows.add_instance(batch)
        batch.instances.set_attributes(instance.id, {"region": '"north"', "days": "3"})
        batch.commit()
    with subject.store.begin() as batch:
        batch.instances.set_attributes(instance.id, {"days": "4"})
        assert batch.instances.attributes(instance.id) == {"region": '"north"', "days": "4"}
        batch.commit()
    with subject.readers.snapshot() as view:
        assert view.instances.attributes(instance.id) == {"region": '"north"', "days": "4"}


def test_what_waits_for_a_halted_instance_becomes_the_very_event_it_was(subject: SqliteSubject) -> None:
    failed = CallFailed(NOW, 2, Failure("CardRefused", "no\nmoney", b'{"code":7}', 3, True), None)
    with subject.store.begin() as batch:
        instance = rows.add_instance(batch)
        batch.waiting_events.add(instance.id, encode_event(TimerFired(NOW, 3, NOW - 5)), at_us=NOW)
        batch.waiting_events.add(instance.id, encode_event(failed), at_us=NOW + 1)
        batch.commit()
    with subject.store.begin() as batch:
        waiting = batch.waiting_events.of_instance(instance.id)
        assert [decode_event(row) for row in waiting] == [TimerFired(NOW, 3, NOW - 5), failed]
        batch.waiting_events.remove(waiting[0].id)
        assert [row.id for row in batch.waiting_events.of_instance(instance.id)] == [waiting[1].id]
        batch.commit()
    with subject.readers.snapshot() as view:
        assert [row.id for row in view.waits(instance.id).waiting_events] == [waiting[1].id]


def test_a_repeated_request_is_found_by_its_clients_identifier(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        number = rows.add_request(batch, None, client_id="c", reason="because")
        batch.commit()
    with subject.store.begin() as batch:
        found = batch.requests.find_by_client_id("c")
        assert found is not None
        assert (found.number, found.outcome, found.reason) == (number, '{"ok":true}', "because")
        assert batch.requests.find_by_client_id("other") is None


def test_a_request_number_may_be_left_out(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        rows.add_request(batch, None)
        batch.requests.new_number()
        assert rows.add_request(batch, None) == 3
        batch.commit()
    with subject.store.begin() as batch:
        batch.requests.append(NewRequest(9, None, "claim", "bob", None, NOW, None, None, "{}"))
        batch.commit()
    with subject.store.begin() as batch:
        assert batch.requests.new_number() == 10
    assert subject.check()["chain"].verdict == "holds"


def test_a_release_and_a_site_are_written_once_and_keep_their_numbers(subject: SqliteSubject) -> None:
    site = (Frame("leave", "leave", 12, 4, 12, 30), Frame("leave", "approve", 7, 11, 9, 5))
    with subject.store.begin() as batch:
        first = rows.release(batch)
        number = batch.releases.site(first, site)
        assert batch.releases.site(first, site) == number
        batch.commit()
    subject.reopen()
    with subject.store.begin() as batch:
        assert rows.release(batch) == first
        assert batch.releases.site(first, site) == number
        assert batch.releases.site(first, site[:1]) == number + 1
        batch.commit()
    with subject.readers.snapshot() as view:
        row = view.site(number)
        assert row is not None
        assert decode_site(row.frames) == site
        assert view.source(b"s" * 32) == "async def leave(): ..."
        assert view.release_by_digest(b"r" * 32) == view.release(first)


def test_only_one_batch_is_open_at_a_time_and_a_finished_one_is_not_used_again(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        with pytest.raises(InternalError):
            subject.store.begin()
        with pytest.raises(InternalError):
            subject.store.checkpoint()
        batch.commit()
    with pytest.raises(InternalError):
        batch.commit()


def test_an_event_without_its_values_is_shown_and_not_replayed(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        instance = rows.add_instance(batch)
        rows.append(batch, instance.id, InstanceStarted(NOW, b"{}"), InstanceHalted(NOW, "bug", "ä", b"", 1))
        started, halted = batch.events.history(instance.id)
        assert decode_event(halted) == InstanceHalted(NOW, "bug", "ä", b"", 1)
        with pytest.raises(ErasedPayload):
            decode_event(started._replace(payload=None, salt=None))


def test_the_latest_time_in_the_store_is_known_when_it_is_opened(subject: SqliteSubject) -> None:
    assert subject.store.last_recorded_us() == 0
    with subject.store.begin() as batch:
        parked = rows.park(batch)
        batch.instances.change(parked.instance, now_us=NOW + 123)
        batch.commit()
    assert subject.reopen().last_recorded_us() == NOW + 123


def test_an_items_own_sequence_is_kept_in_order_with_who_and_why(subject: SqliteSubject) -> None:
    with subject.store.begin() as batch:
        parked = rows.park(batch)
        batch.items.record(parked.item, NewWorkItemEvent("claimed", "bob", NOW + 1, reason="mine"))
        batch.commit()
    with subject.store.begin() as batch:
        batch.items.record(parked.item, NewWorkItemEvent("draft-saved", "bob", NOW + 2, payload=b'{"a":1}'))
        assert [(row.seq, row.kind) for row in batch.items.events_of(parked.item)] == [
            (1, "offered"),
            (2, "claimed"),
            (3, "draft-saved"),
        ]
        batch.commit()
    with subject.readers.snapshot() as view:
        assert [(row.kind, row.actor, row.reason, row.payload) for row in view.worklist.events(parked.item)] == [
            ("offered", "engine", None, None),
            ("claimed", "bob", "mine", None),
            ("draft-saved", "bob", None, b'{"a":1}'),
        ]
