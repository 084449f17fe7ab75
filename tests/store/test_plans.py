"""The questions that are asked at every hand-off and on every page are answered through an index, however many rows there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from procession.store import (
    Store,
    deliveries,
    event_log,
    events,
    external_calls,
    instance_queries,
    instances,
    messages,
    open_store,
    receives,
    requests,
    service_calls,
    timers,
    view,
    waiting,
    worklist,
    worklist_queries,
)
from procession.store.connections import Connection
from procession.store.statements import Prepared
from tests.contract.subject import FAST

# The first reads one row, from the end of the table; the other an index that has nothing but what failed.
SCANNING = {"view._LAST_REQUEST_US", "worklist_queries._FAILED_BODIES"}
# What these sort is the items of one instance, its children, the calls in attention, and what failed: few.
SORTED = {
    "instance_queries._CHILDREN",
    "instance_queries._OPEN_CHILDREN",
    "worklist_queries._FAILED_BODIES",
    "view._OPEN_ITEMS",
    "view._ATTENTION",
    "worklist_queries._OF_INSTANCE",
}


def prepared() -> Iterator[tuple[str, Prepared]]:
    modules = (
        deliveries,
        events,
        external_calls,
        instance_queries,
        instances,
        messages,
        receives,
        requests,
        service_calls,
        timers,
        view,
        waiting,
        worklist,
        worklist_queries,
    )
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, Prepared):
                yield f"{module.__name__.rpartition('.')[2]}.{name}", value
    for module in (instances, worklist, service_calls, timers, waiting, deliveries, messages, receives, external_calls):
        statements = module._statements()
        yield f"{module.__name__.rpartition('.')[2]}.find", statements.find
        if module not in (instances, worklist):  # instances and items are not deleted
            yield f"{module.__name__.rpartition('.')[2]}.delete", statements.delete
    yield "event_log._PAGE", event_log._PAGE
    for number in (0, 2):
        yield f"service_calls._due_without({number})", service_calls._due_without(number)
        yield f"service_calls._next_due_without({number})", service_calls._next_due_without(number)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db", FAST) as opened:
        yield opened


def plan(connection: Connection, statement: Prepared) -> str:
    values = (1,) * statement.sql.count("?")
    return "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", values))


def test_no_question_reads_a_whole_table(store: Store) -> None:
    seen = 0
    for name, statement in prepared():
        if not statement.sql.startswith(("SELECT", "DELETE", "UPDATE")):
            continue
        seen += 1
        told = plan(store._writer.connection, statement)
        # The smallest due time is the first entry of its index, which SQLite calls a search.
        assert ("SCAN" in told) == (name in SCANNING), (name, told)
        assert ("TEMP B-TREE" in told) == (name in SORTED), (name, told)
    assert seen > 35


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (worklist_queries._OFFERED, "work_item_offered"),
        (worklist_queries._HELD, "work_item_held"),
        (worklist_queries._OVERDUE, "work_item_due"),
        (worklist_queries._FAILED_BODIES, "work_item_event_failed"),
        (instances._BY_OPEN_KEY, "instance_open_key"),
        (instance_queries._BY_KEY, "instance_business_key"),
        (requests._BY_CLIENT_ID, "request_client_id"),
        (service_calls._IN_STATE, "service_call_state"),
        (timers._DUE, "timer_due"),
    ],
)
def test_the_index_that_was_made_for_it_is_used(store: Store, statement: Prepared, index: str) -> None:
    assert index in plan(store._writer.connection, statement)


def test_an_update_names_only_the_columns_that_changed() -> None:
    """SQLite rewrites every index that holds a column named in the statement."""
    statement, layout = instances._statements().update(frozenset({"seq", "head"}))
    assert statement.sql == "UPDATE instance SET seq=?, head=? WHERE instance.id = ?"
    row = instances.InstanceRow(*range(len(instances.InstanceRow._fields)))  # type: ignore[arg-type]
    assert layout(row) == (row.seq, row.head, row.id)
