"""Rows of one table as one batch sees them: what was read, and what it has changed and not yet written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from sqlalchemy import Table

from procession.store.connections import Connection
from procession.store.statements import Prepared, delete_by_key, insert_into, select_where, update_by_key


class _Key(Hashable, Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=_Key)
R = TypeVar("R", bound=NamedTuple)


class RowStatements(Generic[R]):
    """The statements of one table, made from the schema; a record is a tuple in the order of its columns."""

    def __init__(self, table: Table, row: type[R]) -> None:
        columns = tuple(column.name for column in table.columns)
        assert row._fields == columns, f"{row.__name__} and the table {table.name} have different columns"
        self._table = table
        self._columns = columns
        self._key = tuple(column.name for column in table.primary_key)
        assert columns[: len(self._key)] == self._key, f"the key of {table.name} does not stand first"
        self.key_of: Callable[[Sequence[Any]], Any] = itemgetter(*range(len(self._key)))
        self._updates: dict[frozenset[str], tuple[Prepared, Callable[[R], tuple[Any, ...]]]] = {}
        self.find = select_where(table, *self._key)
        self.insert = insert_into(table)
        self.delete = delete_by_key(table)

    def update(self, changed: frozenset[str]) -> tuple[Prepared, Callable[[R], tuple[Any, ...]]]:
        """The UPDATE of just these columns, and what lays a record out for it.

        SQLite rewrites every index that holds a column named in the statement, whether its value changed or not: naming
        all columns would cost more than all the rest of a hand-off.
        """
        found = self._updates.get(changed)
        if found is None:
            names = [name for name in self._columns if name in changed]
            order = [self._columns.index(name) for name in (*names, *self._key)]
            found = self._updates[changed] = (update_by_key(self._table, names), itemgetter(*order))
        return found


class Identity(Generic[K, R]):
    """The rows of one table in one batch: one record per key, new ones and changes kept until `write`."""

    __slots__ = ("_changed", "_connection", "_make", "_new", "_removed", "_rows", "_statements")

    def __init__(
        self, connection: Connection, make: Callable[[Iterable[Any]], R], statements: RowStatements[R]
    ) -> None:
        self._connection = connection
        self._make = make
        self._statements = statements
        self._rows: dict[K, R] = {}
        self._new: dict[K, None] = {}
        self._changed: dict[K, frozenset[str]] = {}
        self._removed: dict[K, None] = {}

    @property
    def unwritten_count(self) -> int:
        return len(self._new) + len(self._changed) + len(self._removed)

    def know(self, key: K, row: R) -> None:
        """Takes a record that the caller knows to be the committed one, so that it need not be read."""
        self._rows.setdefault(key, row)

    def find(self, key: K) -> R | None:
        row = self._rows.get(key)
        if row is not None or key in self._removed:
            return row
        values = key if isinstance(key, tuple) else (key,)
        found = self._statements.find.run(self._connection, *values).fetchone()
        return None if found is None else self.seen(key, found)

    def seen(self, key: K, values: Iterable[Any]) -> R | None:
        """The record for a row just read: the batch's own version of it goes first; None if the batch removed it."""
        row = self._rows.get(key)
        if row is not None or key in self._removed:
            return row
        row = self._rows[key] = self._make(values)
        return row

    def add(self, key: K, row: R) -> None:
        self._rows[key] = row
        self._new[key] = None

    def change(self, key: K, row: R, changes: Mapping[str, object]) -> R:
        """The record with these columns changed."""
        row = self._rows[key] = row._replace(**changes)
        if key not in self._new:
            named = self._changed.get(key)
            self._changed[key] = frozenset(changes) if named is None else named.union(changes)
        return row

    def remove(self, key: K) -> None:
        self._rows.pop(key, None)
        if key in self._new:
            del self._new[key]  # its earlier self, if the batch removed one, stays removed
            return
        self._changed.pop(key, None)
        self._removed[key] = None

    def touched(self) -> list[tuple[K, R]]:
        """Records that are new or changed and not yet written."""
        rows = self._rows
        return [(key, rows[key]) for key in (*self._new, *self._changed)]

    def overlay(self, found: Iterable[Sequence[Any]], wanted: Callable[[R], bool]) -> list[R]:
        """Rows that a query found, as the batch has them now, and its own that fit as well; by key."""
        result: dict[K, R] = {}
        for values in found:
            key = self._statements.key_of(values)
            row = self.seen(key, values)
            if row is not None and wanted(row):
                result[key] = row
        for key, row in self.touched():
            if wanted(row):
                result[key] = row
        return [result[key] for key in sorted(result)]

    def has_in_hand(self, wanted: Callable[[R], bool]) -> bool:
        """Whether a record that the batch has read or made fits; what it dealt with last is looked at first."""
        return any(wanted(row) for row in reversed(self._rows.values()))

    def new_after(self, key: K) -> R | None:
        """The first record of the batch's own, not yet written, whose key is greater."""
        return next((self._rows[each] for each in self._new if key < each), None)

    def write(self) -> int:
        """Writes what is new, changed and removed; says how many rows."""
        statements, rows, connection = self._statements, self._rows, self._connection
        if self._removed:
            statements.delete.run_many(connection, [key if isinstance(key, tuple) else (key,) for key in self._removed])
        if self._changed:
            # Changes go before new rows: an ended instance frees the business key that a new one takes.
            groups: dict[frozenset[str], list[R]] = {}
            for key, named in self._changed.items():
                groups.setdefault(named, []).append(rows[key])
            for named, group in groups.items():
                statement, layout = statements.update(named)
                statement.run_many(connection, list(map(layout, group)))
        if self._new:
            statements.insert.run_many(connection, [rows[key] for key in self._new])
        written = self.unwritten_count
        self._new.clear()
        self._changed.clear()
        self._removed.clear()
        return written
