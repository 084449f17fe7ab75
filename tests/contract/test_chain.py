"""Any change of a recorded row shows: one value, a missing row, two rows that changed places, a row put in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.store import NewWorkItemEvent
from procession.store.chain import digest_of, link
from procession.store.invariants import check_invariants
from tests.contract import rows
from tests.contract.rows import NOW
from tests.contract.subject import SqliteSubject

KEYS = {"event": "position", "work_item_event": "position", "request": "number"}
# A position and a client's identifier are not part of what is hashed: the one only orders, the other is removed after a while.
UNHASHED = {"event": {"position"}, "work_item_event": {"position"}, "request": {"client_id"}}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteSubject]:
    subject = SqliteSubject(tmp_path_factory.mktemp("recorded"))
    with subject.store.begin() as batch:
        first = rows.park(batch, client_id="c")
        second = rows.park(batch)
        batch.items.record(first.item, NewWorkItemEvent("claimed", "bob", NOW + 1, reason="mine"))
        rows.complete_item(batch, first.item)
        rows.finish(batch, second)
        batch.commit()
    yield subject
    subject.close()


def other_value(value: object) -> object:
    match value:
        case None:
            return 1
        case int():
            return value + 1000
        case str():
            return value + "x"
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
    raise AssertionError(value)


def cells(subject: SqliteSubject) -> list[tuple[str, int, str, Any]]:
    found = []
    with subject.tampering() as connection:
        for table, key in KEYS.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for row in connection.execute(f"SELECT * FROM {table} ORDER BY {key}").fetchall():
                found += [(table, row[names.index(key)], name, value) for name, value in zip(names, row, strict=True)]
    return found


def test_a_changed_value_in_any_column_of_any_recorded_row_is_found(recorded: SqliteSubject) -> None:
    assert recorded.check().is_sound
    tried = 0
    for table, key, column, value in cells(recorded):
        if column in UNHASHED[table] or (value is None and column in ("payload", "salt", "digest", "reason")):
            continue
        tried += 1
        with recorded.tampering() as connection:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {KEYS[table]} = ?", (other_value(value), key))
            assert not check_invariants(connection).is_sound, (table, key, column)
    assert tried > 150


def test_a_payload_that_was_put_where_there_was_none_is_found(recorded: SqliteSubject) -> None:
    salt, payload = b"0" * 16, b"{}"
    for table, key, column, value in cells(recorded):
        if column == "payload" and value is None:
            with recorded.tampering() as connection:
                connection.execute(
                    f"UPDATE {table} SET payload = ?, salt = ?, digest = ? WHERE {KEYS[table]} = ?",
                    (payload, salt, digest_of(salt, payload), key),
                )
                assert check_invariants(connection)["chain"].verdict != "holds", (table, key)


@given(place=st.integers(0, 10_000))
def test_a_missing_row_is_found(recorded: SqliteSubject, place: int) -> None:
    found = sorted({(table, key) for table, key, _, _ in cells(recorded)})
    table, key = found[place % len(found)]
    with recorded.tampering() as connection:
        connection.execute(f"DELETE FROM {table} WHERE {KEYS[table]} = ?", (key,))
        assert not check_invariants(connection).is_sound


@given(one=st.integers(0, 10_000), other=st.integers(0, 10_000))
def test_two_rows_that_changed_places_are_found(recorded: SqliteSubject, one: int, other: int) -> None:
    for table, key in KEYS.items():
        keys = sorted({row for name, row, _, _ in cells(recorded) if name == table})
        first, second = keys[one % len(keys)], keys[other % len(keys)]
        if first == second:
            continue
        moved = "instance, seq" if table == "event" else "item, seq" if table == "work_item_event" else ""
        with recorded.tampering() as connection:
            if moved:
                a, b = (
                    connection.execute(f"SELECT {moved} FROM {table} WHERE {key} = ?", (row,)).fetchone()
                    for row in (first, second)
                )
                sql = f"UPDATE {table} SET ({moved}) = (?, ?) WHERE {key} = ?"
                connection.execute(sql, (a[0], -1, first))
                connection.execute(sql, (*a, second))
                connection.execute(sql, (*b, first))
            else:
                for old, new in ((first, -1), (second, first), (-1, second)):
                    connection.execute(f"UPDATE {table} SET {key} = ? WHERE {key} = ?", (new, old))
            assert check_invariants(connection)["chain"].verdict != "holds", (table, first, second)


@given(cut=st.integers(0, 10_000))
def test_a_history_whose_end_was_cut_off_is_found_although_what_is_left_is_a_chain(
    recorded: SqliteSubject, cut: int
) -> None:
    with recorded.tampering() as connection:
        seq = cut % 4 + 1
        connection.execute("DELETE FROM event WHERE instance = 1 AND seq > ?", (seq,))
        report = check_invariants(connection)
        assert report["I2"].verdict == "broken"
        assert report["chain"].verdict == "holds"


def test_the_last_request_cannot_go_missing_unseen(recorded: SqliteSubject) -> None:
    with recorded.tampering() as connection:
        connection.execute("DELETE FROM request WHERE number = (SELECT max(number) FROM request)")
        assert check_invariants(connection)["chain"].verdict == "broken"


def test_a_whole_history_cannot_be_moved_to_another_instance(recorded: SqliteSubject) -> None:
    with recorded.tampering() as connection:
        connection.execute("UPDATE instance SET uuid = randomblob(16) WHERE id = 1")
        assert check_invariants(connection)["chain"].verdict == "broken"


def test_the_chain_holds_after_values_and_their_salt_were_erased(recorded: SqliteSubject) -> None:
    with recorded.tampering() as connection:
        connection.execute("UPDATE event SET payload = NULL, salt = NULL WHERE instance = 2")
        connection.execute("UPDATE request SET reason = NULL, salt = NULL")
        connection.execute("UPDATE work_item_event SET reason = NULL, payload = NULL, salt = NULL")
        assert check_invariants(connection)["chain"].verdict == "holds"
        connection.execute("UPDATE event SET payload = X'7B7D' WHERE instance = 2 AND seq = 1")
        assert check_invariants(connection)["chain"].verdict == "broken"


def test_a_row_is_hashed_by_the_written_formula() -> None:
    from hashlib import sha256

    assert digest_of(b"s" * 16, b"payload") == sha256(b"s" * 16 + b"payload").digest()
    assert link(b"p" * 32, b"header", b"d" * 32) == sha256(b"p" * 32 + b"header" + b"d" * 32).digest()
    assert link(b"p" * 32, b"header", None) == sha256(b"p" * 32 + b"header" + sha256(b"").digest()).digest()


def test_equal_values_have_different_digests(tmp_path: Path) -> None:
    subject = SqliteSubject(tmp_path)
    with subject.store.begin() as batch:
        parked = rows.park(batch)
        history = batch.events.history(parked.instance)
        values = [row for row in history if row.payload == b'{"days":3}']
        assert len({row.digest for row in values}) == len(values) > 1
    subject.close()
